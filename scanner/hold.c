/*
 * hold.c - what is owed when a message is held.
 *
 * scanner -> [hold] -> mail.events, mail.ready (notices)
 */
#include "scanner/hold.h"

#include <stdlib.h>

#include "shared/config.h"
#include "shared/event.h"
#include "shared/log.h"

struct hold {
	struct queue *queue;
	struct mail_event event;
};

struct hold *
hold_new(struct loop *loop, struct queue *queue, const struct config *config)
{
	struct hold *hold = xcalloc(1, sizeof *hold);

	(void)loop;
	(void)config;
	hold->queue = queue;
	return hold;
}

void
hold_free(struct hold **hold)
{
	if (!*hold)
		return;
	mail_event_free(&(*hold)->event);
	free(*hold);
	*hold = NULL;
}

void
hold_tell(struct hold *hold, const Envelope *envelope, queue_cb cb, void *arg)
{
	bool infected = envelope->verdict == ENVELOPE__VERDICT__INFECTED;

	mail_event_begin(&hold->event, "held", envelope);
	json_str(&hold->event.json, "verdict", infected ? "infected" : "unscannable");
	json_str(&hold->event.json, "signature", envelope->signature);
	json_str(&hold->event.json, "reason", infected ? "virus found" : "cannot be scanned");
	mail_event_send(&hold->event, hold->queue, cb, arg);
}
