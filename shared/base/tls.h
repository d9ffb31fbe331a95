/*
 * tls.h - TLS contexts for servers (profiles, SNI, live reload) and clients (opportunistic).
 *
 * The sessions are OpenSSL's; give them to bufferevent_openssl_*. Threads: contexts may be used
 * from all loops; tls_server_reload() may be called at any time.
 */
#ifndef SHARED_TLS_H
#define SHARED_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/ssl.h>

enum tls_profile { TLS_MODERN, TLS_LEGACY }; /* 1.2 and later; 1.0 and later for old devices */

struct tls_files {
	const char *certificate; /* PEM, followed by its chain */
	const char *key;
};

struct tls_server;
/* SNI picks the pairs whose certificate has the name: the first pair of each kind of key (RSA,
 * ECDSA), among which the client's ciphers choose. Without a match the default serves: the first
 * pair, with those that have all its names. NULL: `why` names the file and what is wrong with it.
 */
struct tls_server *tls_server_new(const struct tls_files *files, size_t count,
	enum tls_profile profile, char *why, size_t why_size);
/* When the pair's certificate expires, in seconds since 1970. */
int64_t tls_server_expiry(struct tls_server *server, size_t pair);
/*
 * Reads the same files again, or others. On an error (-1, `why`) the old certificates stay in use.
 */
int tls_server_reload(struct tls_server *server, const struct tls_files *files, size_t count,
	char *why, size_t why_size);
/* Call it every TLS_TICKET_S (tls_tickets.h). A session that is older than that, or than two calls,
 * cannot be resumed. */
void tls_server_turn_keys(struct tls_server *server);
SSL *tls_server_session(struct tls_server *server); /* the caller frees it */
void tls_server_free(struct tls_server **server);

/* What the first certificate of a file says: from and until when it is valid (seconds since 1970),
 * and whether it has the host's name. 0, or -EINVAL when the file has no certificate. */
struct tls_look {
	int64_t begins_s, ends_s;
	bool named;
};
int tls_look(const char *file, const char *host, struct tls_look *out);

struct tls_client;
/* A client for opportunistic TLS (RFC 7435): TLS 1.0 and later, no verification. */
struct tls_client *tls_client_new(void);
/* A client that verifies against the CA file `ca` (NULL: the system's). NULL with `why`. */
struct tls_client *tls_client_new_verified(const char *ca, char *why, size_t why_size);
/* `host` is sent as SNI and verified where the client verifies; NULL for neither. */
SSL *tls_client_session(struct tls_client *client, const char *host);
void tls_client_free(struct tls_client **client);

/* "TLSv1.3 TLS_AES_256_GCM_SHA384" */
void tls_describe(const SSL *ssl, char *text, size_t size);
/* The newest error of OpenSSL on this thread, as text; clears the others. */
const char *tls_error(void);

#endif
