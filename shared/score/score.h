/*
 * score.h - what mail did, counted for its originator, its credential and its account: the numbers
 * that a reputation is judged by, and the ladder of what follows from them. Redis counts and judges
 * in one step (score.lua, ladder.lua), over rolling windows of 5 min, 1 h, 24 h and 7 d.
 *
 * Results of deliveries are gathered for a second and sent in one script call for each originator.
 * Nothing waits for that: without Redis the gathering goes on, and counts of a call that breaks are
 * lost. A message on its way to mail.ready is counted by a call of its own, whose answer says what
 * becomes of the message; without Redis it passes.
 */
#ifndef SHARED_SCORE_H
#define SHARED_SCORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "shared/mail/envelope.h"

struct config;
struct loop;
struct redis;
struct scores;

enum score {
	SCORE_SENT,          /* recipients of messages that came */
	SCORE_STRANGERS,     /* of these, to whom the account never delivered before */
	SCORE_RECIPIENTS,    /* that were delivered, refused or expired */
	SCORE_HARD_BOUNCES,  /* recipients refused for good, for their own sake */
	SCORE_UNKNOWN_USERS, /* hard bounces because there is no such user */
	SCORE_COMPLAINTS,    /* of recipients, to their providers */
	SCORE_VIRUSES,       /* messages */
	SCORE_ALERTS,        /* messages that clamd calls unwanted or suspicious; held or not */
	SCORE_SPAM,          /* messages that rspamd would reject */
	SCORES
};
#define SCORE_WINDOWS 4
/* "sent" and so on; "5m", "1h", "24h", "7d". */
extern const char *const score_names[SCORES];
extern const char *const score_windows[SCORE_WINDOWS];

enum rung { RUNG_ACCOUNT, RUNG_CREDENTIAL, RUNG_ORIGINATOR, RUNGS };
extern const char *const rung_names[RUNGS]; /* "account" ... */

enum step { STEP_NONE, STEP_NOTIFY, STEP_THROTTLE, STEP_SUSPECT, STEP_HOLD, STEP_BLOCK, STEPS };
extern const char *const step_names[STEPS]; /* "none" ... */

/* Somebody went up or down the ladder. */
struct score_step {
	const char *account, *id; /* id: the originator ("": the null sender), or the credential */
	enum rung rung;
	enum step was, step;
	const char *why, *limit; /* the figures, and the threshold */
};
typedef void (*score_step_cb)(void *arg, const struct score_step *step);

/* `on_step` may be NULL. Its texts live during the call. */
struct scores *scores_new(struct loop *loop, struct redis *redis, const struct config *config,
	score_step_cb on_step, void *arg);
/* Sends the last counts, if Redis is up. Call it before redis_free(). Takes NULL. No question of
 * scores_pass() is answered any more. */
void scores_free(struct scores **scores);

/* On the loop. Our own mail (account "") is not counted. */
void scores_add(struct scores *scores, const Envelope *envelope, enum score score, unsigned n);
/* The account has delivered to the recipient, who is no stranger from now on. */
void scores_delivered(struct scores *scores, const Envelope *envelope, const char *recipient);

/* Recipients of the account came to their end through an egress IP: who sent most through it is
 * counted by the day, in egress:{IP}:sent:DAY. */
void scores_through(struct scores *scores, const char *egress_ip, const char *account, unsigned n);

struct score_verdict {
	enum step step;
	enum rung rung;   /* whose step it is */
	unsigned wait_ms; /* with STEP_THROTTLE or STEP_SUSPECT */
	const char *why;  /* lives during the call */
};
typedef void (*score_pass_cb)(void *arg, const struct score_verdict *verdict);
/* Counts a message that is about to go on, and says what becomes of it. One callback, maybe at
 * once. The envelope need not live until then. */
void scores_pass(struct scores *scores, const Envelope *envelope, score_pass_cb cb, void *arg);
/* Asks again about a message that has waited, without counting it. */
void scores_ask(struct scores *scores, const Envelope *envelope, score_pass_cb cb, void *arg);

typedef void (*score_cb)(void *arg, int err, const uint64_t counts[SCORE_WINDOWS][SCORES]);
/* An account's counts. One callback, as for redis_command(). `counts` is NULL on an error. */
void scores_read(struct redis *redis, const struct config *config, const char *account, score_cb cb,
	void *arg);

typedef void (*score_json_cb)(void *arg, int err, json_t *found);
/* One rung's figures: {"step","since_us","why","threshold","expected","forgiven_us","counts":
 * {window: {name: n}},"distinct":{...}}, the callee's. `credential` and `originator` may be NULL.
 */
void scores_show(struct redis *redis, const struct config *config, const char *account,
	enum rung rung, const char *id, score_json_cb cb, void *arg);
/* Ends the rung's step for a day, but for viruses. `false_alarm`: and what it did is usual from now
 * on. `found` is {"was"}. */
void scores_forgive(struct redis *redis, const struct config *config, const char *account,
	enum rung rung, const char *id, bool false_alarm, score_json_cb cb, void *arg);
/* Who stands on the ladder, or (`top`) who sent most within this hour, the first `limit`:
 * [{"account","rung","id","step"|"recipients"}]. */
void scores_list(struct redis *redis, bool top, unsigned limit, score_json_cb cb, void *arg);

/* A recipient's place in the filter of those delivered to, below 2^51. Pure. */
uint64_t score_place(const char *recipient);

#endif
