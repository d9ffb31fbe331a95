/*
 * sign.h - DKIM signatures of one message (RFC 6376, RFC 8463), made while its bytes pass once.
 * relaxed/relaxed; From is signed once more than it is there, so that none can be added. Pure.
 *
 *   struct dkim_signing *signing = dkim_signing_new();
 *   dkim_signing_feed(signing, ...);      the message from its first byte, in pieces of any size
 *   if (dkim_signing_end(signing) == 0)
 *           field = dkim_signing_field(signing, &by);
 */
#ifndef SHARED_DKIM_SIGN_H
#define SHARED_DKIM_SIGN_H

#include <stddef.h>
#include <stdint.h>

struct dkim_key;
struct dkim_signing;

/* A larger header is not signed. */
#define DKIM_HEADER_MAX (1024u * 1024)
/* Of fields of one name, so many are signed, the lowest ones. */
#define DKIM_SAME_MAX 32

struct dkim_by {
	const char *domain, *selector; /* in ASCII */
	const struct dkim_key *key;
	uint64_t time_s; /* since 1970 */
};

struct dkim_signing *dkim_signing_new(void);
/* Takes NULL. */
void dkim_signing_free(struct dkim_signing **signing);

void dkim_signing_feed(struct dkim_signing *signing, const char *data, size_t size);
/* The message has ended. 0; -EMSGSIZE: its header is too large; -EINVAL: it does not have exactly
 * one From, so that a signature would prove nothing (RFC 6376 8.15). */
int dkim_signing_end(struct dkim_signing *signing);
/* Whether the header has a field of this name; after dkim_signing_end(). */
int dkim_signing_has(const struct dkim_signing *signing, const char *name);
/* Puts a field (with its CRLF) before the others of the header; after dkim_signing_end(). */
void dkim_signing_add(struct dkim_signing *signing, const char *field, size_t size);
/* The field "DKIM-Signature: ...\r\n", for the caller to free; NULL: OpenSSL failed. May be called
 * for several keys, on another thread. */
char *dkim_signing_field(const struct dkim_signing *signing, const struct dkim_by *by);

#endif
