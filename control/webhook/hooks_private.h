/*
 * hooks_private.h - what the files of webhooks that are served share: a webhook's queue.
 */
#ifndef CONTROL_HOOKS_PRIVATE_H
#define CONTROL_HOOKS_PRIVATE_H

#include <sys/queue.h>

#include "control/webhook/hooks.h"

#define SENT_KNOWN 512 /* ids that a webhook was sent last: they are not sent again */

struct posts;

struct delivery {
	struct hooks *hooks;
	struct hook *hook; /* NULL: it has gone */
	char *id, *event, *body;
	struct place *place;
	bool sending;
	/* of a test: */
	char *of; /* the webhook's id */
	void (*done)(void *arg, json_t *try);
	void *arg;
	TAILQ_ENTRY(delivery) link;
};

struct hook_private {
	char *url, *secret;
	json_t *events;
	TAILQ_HEAD(, delivery) queue;
	unsigned sending, failures;
	bool slow;
	uint64_t failing_since_us, next_ms;
	uint64_t sent[SENT_KNOWN]; /* hashes of ids */
	unsigned sent_at;
};

struct account_hooks {
	UT_hash_handle hh;
	char *account;
	struct hook **hooks;
	unsigned count;
};

struct hooks {
	const struct config *config;
	struct hooks_told told;
	void *arg;
	struct posts *posts;
	struct hook *all;
	struct account_hooks *accounts;
	unsigned queued;
	struct metric *taken, *failed, *failing;
	char *turn; /* the webhook that caught up last; NULL: none */
};

/* hook_queue.c */
void hook_queue_clear(struct hook *hook);

#endif
