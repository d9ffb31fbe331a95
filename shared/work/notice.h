/*
 * notice.h - mails of our own to those a message concerns: plain text, Italian, then English. Pure:
 * values in, text out.
 */
#ifndef SHARED_NOTICE_H
#define SHARED_NOTICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/mail/envelope.h"

struct notice {
	const char *hostname;      /* ours: the notice comes from its postmaster */
	const uint8_t *id;         /* of the notice, ID_SIZE bytes */
	const char *to;            /* a mailbox */
	uint64_t now_us;           /* its Date */
	const Envelope *about;     /* the message it is about, with verdict and signature */
	const char *why;           /* held for another reason than its verdict; or NULL */
	uint64_t held_lifetime_ms; /* how long the message is kept */
};

/* "A message of yours is held": an RFC 5322 mail with CRLF line ends, in ASCII unless `to` has no
 * such form (address_to_ascii()). The result is malloc()ed. */
char *notice_held(const struct notice *notice, size_t *size_out);

/* What such a mail says of its message, malloc()ed, for notice_gathered(). */
char *notice_entry(const struct notice *notice);
/* One mail of several messages: `about` and `why` are not looked at, `entries` describe them. */
char *notice_gathered(const struct notice *notice, const char *entries, size_t *size_out);

#endif
