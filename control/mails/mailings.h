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
struct mailings;
struct notices;
struct queue;

/* NULL after an error of the provider's own texts, which is in the log. */
struct mailings *
mailings_new(const struct config *config, struct queue *queue, const struct directory *directory);
/* Takes NULL. Call it once the queue owes no answer. */
void mailings_free(struct mailings **mailings);

/* Whether customers get mails: service.name is set. */
bool mailings_wanted(const struct mailings *mailings);

/* Borrowed, for mails about other things than accounts. */
struct notices *mailings_notices(const struct mailings *mailings);

/* The hook of commit.h; `arg` is the mailings. "mails" of `told->mailed` are those that are
 * durable, "mails_failed" the others. */
bool mailings_on_change(void *arg, const struct commit_told *told, queue_cb cb, void *cb_arg);

/* Whether there is a mail that can be asked for: "activation", "username" or "config". */
bool mailing_can_be_asked(const char *key);
/* Sends the mail again. `reply` (taken over) names the "account", and for "username" the
 * "username"; `cb` gets it with "mails" and "mails_failed". */
typedef void (*mailing_cb)(void *arg, json_t *reply);
void
mailing_ask(struct mailings *mailings, const char *key, json_t *reply, mailing_cb cb, void *arg);

#endif
