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
	const char *certificate; /* PEM, the chain after it */
	const char *key;
};

struct tls_server;
/* SNI picks the pairs with a matching name: the first with each kind of key (RSA, ECDSA), among
 * which the client's ciphers choose. Without a match the first pair is the default, with those that
 * have all its names. NULL with the reason in `why`: the file and what is wrong with it. */
struct tls_server *tls_server_new(const struct tls_files *files, size_t count,
	enum tls_profile profile, char *why, size_t why_size);
/* When the pair's certificate expires, seconds since 1970. */
int64_t tls_server_expiry(struct tls_server *server, size_t pair);
/* Reads the files again, or others. On an error (-1, `why`) the old ones stay in use. */
int tls_server_reload(struct tls_server *server, const struct tls_files *files, size_t count,
	char *why, size_t why_size);
/* To be called every TLS_TICKET_S (tls_tickets.h): a session that is older than that, or than two
 * calls, begins anew. */
void tls_server_turn_keys(struct tls_server *server);
SSL *tls_server_session(struct tls_server *server); /* caller's to free */
void tls_server_free(struct tls_server **server);

/* Of the first certificate in a file: from and until when it is valid (seconds since 1970), and
 * whether it has the host's name. 0, or -EINVAL when there is none. */
struct tls_look {
	int64_t begins_s, ends_s;
	bool named;
};
int tls_look(const char *file, const char *host, struct tls_look *out);

struct tls_client;
/* For opportunistic TLS (RFC 7435): TLS 1.0 and later, no verification. */
struct tls_client *tls_client_new(void);
/* With verification against the CA file `ca` (NULL: the system's). NULL with `why`. */
struct tls_client *tls_client_new_verified(const char *ca, char *why, size_t why_size);
/* `host` for SNI, and for verification; NULL for none. */
SSL *tls_client_session(struct tls_client *client, const char *host);
void tls_client_free(struct tls_client **client);

/* "TLSv1.3 TLS_AES_256_GCM_SHA384" */
void tls_describe(const SSL *ssl, char *text, size_t size);
/* The newest error of OpenSSL on this thread, as text; clears the rest. */
const char *tls_error(void);

#endif
