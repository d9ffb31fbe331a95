/*
 * notice.h - mails of our own to the people a message concerns: plain text, Italian, then English.
 * Pure.
 */
#ifndef SHARED_NOTICE_H
#define SHARED_NOTICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/mail/envelope.h"

struct notice {
	const char *hostname;      /* of this relay: the notice comes from its postmaster */
	const uint8_t *id;         /* of the notice, ID_SIZE bytes */
	const char *to;            /* a mailbox */
	uint64_t now_us;           /* its Date */
	const Envelope *about;     /* the message, with verdict and signature */
	const char *why;           /* the reason, when it is not the verdict; else NULL */
	uint64_t held_lifetime_ms; /* how long the message is kept */
};

/* The mail "a message of yours is held", RFC 5322 with CRLF line ends. It is ASCII unless `to` has
 * no ASCII form (address_to_ascii()). The caller frees the result. */
char *notice_held(const struct notice *notice, size_t *size_out);

/* One message's part of notice_gathered(). The caller frees the result. */
char *notice_entry(const struct notice *notice);
/* One mail about several messages: `entries` describe them; `about` and `why` are ignored. */
char *notice_gathered(const struct notice *notice, const char *entries, size_t *size_out);

#endif
