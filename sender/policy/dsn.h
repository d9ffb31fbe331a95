/*
 * dsn.h - reports to a message's sender that some recipients failed or wait (RFC 3464). Pure:
 * values in, text out.
 */
#ifndef SENDER_DSN_H
#define SENDER_DSN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sender/policy/outcome.h"
#include "shared/mail/envelope.h"

/* RELAYED: a host took the message that sends no DSNs (RFC 3461 5.2.2). */
enum dsn_kind { DSN_FAILURE, DSN_DELAY, DSN_RELAYED };

/* A report about at most so many recipients fits QUEUE_INLINE_MAX, however long all texts are. */
#define DSN_RECIPIENTS_MAX 20

/* A whole message of at most this size is returned when its sender asked for it (RET=FULL). */
#define DSN_FULL_MAX (50u * 1024)
/* Of other messages so much of the header is returned. */
#define DSN_HEADER_MAX (32u * 1024)
/* So many of a message's first bytes are enough for dsn.original in any case. */
#define DSN_ORIGINAL_MAX (64u * 1024)

/* One recipient of the report. `outcome` is the last one. In a failure its kind says whether the
 * remote refused (OUTCOME_BOUNCE) or our time is up (OUTCOME_DEFER). */
struct dsn_recipient {
	const Recipient *recipient;
	const struct outcome *outcome;
	uint64_t last_attempt_us; /* 0: there was none */
	uint64_t retry_until_us;  /* of a delay */
};

struct dsn {
	enum dsn_kind kind;
	const Envelope *about;
	const struct dsn_recipient *recipients;
	size_t count;
	const char *original; /* the first bytes of the body in the queue, without the prefix: its
				 header is found here; NULL when they cannot be had */
	size_t original_length;
	bool original_gone;   /* the report says why nothing is attached */
	const char *hostname; /* ours */
	uint64_t now_us;
};

/* Whether the report is sent for this recipient: not to a null sender, not about our own mail, and
 * as NOTIFY says (RFC 3461 4.1; not given: failures and delays). */
bool dsn_wanted(const Envelope *about, const Recipient *recipient, enum dsn_kind kind);

/* The report's id depends on the message, the kind and the recipients (in any order) alone, so that
 * no second report is made after a crash. */
void dsn_id(const struct dsn *dsn, uint8_t id[ID_SIZE]);

/*
 * An RFC 5322 mail with CRLF line ends, for about->mail_from, malloc()ed; dsn_id() is its
 * Message-ID. The whole original goes into a failure when its sender asked for it and `original`
 * holds all of it, else its header alone. Only that original is 8-bit, and addresses, when the
 * sender's has no ASCII form (address_to_ascii()).
 */
void dsn_build(const struct dsn *dsn, char **text_out, size_t *length_out);

#endif
