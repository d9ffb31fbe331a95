/*
 * outcome.h - what became of a recipient in an attempt, and the one place that decides what a
 * failure means. An ambiguous failure defers; nothing bounces for our own fault.
 */
#ifndef SENDER_OUTCOME_H
#define SENDER_OUTCOME_H

#include <stdbool.h>

#include "sender/policy/reply.h"
#include "sender/reply/replies.h"
#include "shared/mail/reply_class.h"

enum outcome_kind { OUTCOME_DELIVERED, OUTCOME_DEFER, OUTCOME_BOUNCE };

/* Whose failure it is. SCOPE_SITE: the next message would fare the same (no connection, greeting or
 * EHLO refused, connection lost), so the failure counts against the site. */
enum outcome_scope { SCOPE_RECIPIENT, SCOPE_MESSAGE, SCOPE_SITE };

/* Where in the dialogue it happened. */
enum outcome_step {
	STEP_DNS,
	STEP_CONNECT,
	STEP_BANNER,
	STEP_EHLO,
	STEP_STARTTLS,
	STEP_MAIL,
	STEP_RCPT,
	STEP_DATA,
	STEP_BODY,
	STEP_DOT
};

#define OUTCOME_TEXT_MAX 512
#define OUTCOME_HOST_MAX 320

struct outcome {
	enum outcome_kind kind;
	enum outcome_scope scope;
	bool retry_now; /* a deferral that is no failure (a cached connection had gone, or the
			   remainder has its own transaction): tried again at once, uncounted */
	bool local;     /* a deferral for a fault of this machine, which says nothing of the host */
	bool egress;    /* the same: only the egress IP cannot be used, maybe another one can */
	bool ambiguous; /* a deferral of a message that is out, and may have been taken */
	bool relayed;   /* delivered to a host that does not offer DSN, and so sends none */
	int code;       /* SMTP code of the remote, 0 when it gave none */
	char enhanced[16];           /* "5.1.1": the remote's, else ours */
	char text[OUTCOME_TEXT_MAX]; /* the remote's raw reply, cleaned, or what we say */
	char host[OUTCOME_HOST_MAX]; /* "mx1.example[192.0.2.1]", "" before there is one */
	char tls[64];                /* protocol and cipher of the session, "" without */
	char class[REPLY_CLASS_MAX]; /* what was said, for counts */
	bool meant;                  /* `meaning` says what it means; else it is our own decision */
	struct reply_meaning meaning; /* of a 4xx or 5xx, or of an error */
};

/*
 * Fills an outcome from the reply at a step. The rules say what a refusal means; `replies` NULL:
 * the code alone decides. A 4xx never bounces. From MAIL on, a 5xx that a rule knows bounces or
 * waits as the rule says; so what blames us waits, and what blames the recipient bounces.
 */
void outcome_from_reply(struct outcome *out, enum outcome_step step, const struct reply *reply,
	const char *host, const struct replies *replies);
/* Whether a refusal in clear text says that mail is taken in TLS only (RFC 3207 4, RFC 7504). */
bool outcome_wants_tls(const struct reply *reply);
/* Fills an outcome from an error of ours or of the network; the text says which. */
void
outcome_from_error(struct outcome *out, enum outcome_step step, const char *text, const char *host);
/* A deferral of which only the text, the host and the class were kept. */
void outcome_recall(struct outcome *out, const char *text, const char *host, const char *class,
	const struct replies *replies);
/* Replaces the mail addresses in the outcome's text by "...". */
void outcome_hide_addresses(struct outcome *out);
/* A bounce by our own decision: "5.1.10", "domain does not accept mail (null MX)". */
void outcome_bounce(struct outcome *out, const char *enhanced, const char *text);
/* A deferral for a fault of this machine (local.h). */
void outcome_local(struct outcome *out, const char *enhanced, const char *text);
void outcome_defer(
	struct outcome *out, enum outcome_scope scope, const char *enhanced, const char *text);

/* Whether the outcome counts against an account's reputation: refused for good because of the
 * recipient, by the remote or since no host takes mail for the domain; not because of us. */
bool outcome_is_hard_bounce(const struct outcome *outcome);
/* Whether the remote knows no such user; such an outcome is a hard bounce, too. */
bool outcome_is_unknown_user(const struct outcome *outcome);

#endif
