/*
 * mailings.h - which mails a change of an account causes, and the mails that an operator asks for.
 */
#ifndef CONTROL_MAILINGS_H
#define CONTROL_MAILINGS_H

#include <stdbool.h>
#include <stdio.h>

#include <jansson.h>

#include "control/config/commit.h"

struct config;
struct directory;
struct leader;
struct mailings;
struct notices;
struct notice_value;
struct queue;

/* NULL after an error of the provider's own texts, which is in the log. */
struct mailings *mailings_new(const struct config *config, struct queue *queue,
	struct directory *directory, const struct leader *leader);
/* As notices_reload(). */
void mailings_reload(struct mailings *mailings);
/* Calls `on_closed` once no mail of mailings_tell() is under way; none begins any more. */
void mailings_close(struct mailings *mailings, void (*on_closed)(void *arg), void *arg);
/* Takes NULL. Call it once the queue owes no answer. */
void mailings_free(struct mailings **mailings);

/* Whether customers get mails: service.name is set. */
bool mailings_wanted(const struct mailings *mailings);

/* Borrowed, for mails about other things than accounts. */
struct notices *mailings_notices(const struct mailings *mailings);

/* The hook of commit.h; `arg` is the mailings. "mails" of `told->mailed` are those that are
 * durable, "mails_failed" the others. */
bool mailings_on_change(void *arg, const struct commit_told *told, queue_cb cb, void *cb_arg);

/*
 * Tells an account's people what was observed, unless a mail `key` (control/notices) about `object`
 * (a domain, a site, a URL ...; not empty) went within a day, or the account has had its 30 mails
 * of this day. Only the leader's call does anything: call it whenever the observation is made, in
 * each process if need be. `values` (notice_text.h) end with a name NULL; all may go after the
 * call. On control's loop.
 */
void mailings_tell(struct mailings *mailings, const char *key, const char *account,
	const char *object, const struct notice_value *values);

/* Whether a mail about the object went within a day. */
bool mailings_told_today(
	const struct mailings *mailings, const char *key, const char *account, const char *object);

/*
 * Sends a mail to whom the account wants it (account_alerts.h), with ids made of `seed`: the same
 * call again is the same mail. `cb` comes once all is durable, or (err) is to be tried again; also
 * when nobody wants it.
 */
void mailings_send_once(struct mailings *mailings, const char *key, const char *account,
	const char *seed, const struct notice_value *values, queue_cb cb, void *arg);

/* The mails that the account was sent, newest first (book.h); the caller releases them. */
json_t *mailings_sent(const struct mailings *mailings, const char *account);

/* Whether there is a mail that can be asked for: "activation", "username" or "config". */
bool mailing_can_be_asked(const char *key);
/* Sends the mail again. `reply` (taken over) names the "account", and for "username" the
 * "username"; `cb` gets it with "mails" and "mails_failed". */
typedef void (*mailing_cb)(void *arg, json_t *reply);
void
mailing_ask(struct mailings *mailings, const char *key, json_t *reply, mailing_cb cb, void *arg);

#endif
