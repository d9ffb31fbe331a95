/*
 * suspend.c - the operators' suspensions: a list, and which mail each covers.
 *
 * control -> relay.config -> rule -> [suspend] -> attempt, routing, deferral
 *
 * A suspension may end by itself. A row that is being written without a due time while its
 * suspension ends would sleep for ever. So `lifted` counts the ends, and an item remembers the
 * count at which it was marked: when the row is durable and the count has moved, the rows are
 * swept.
 */
#include "sender/mail/suspend.h"

#include <stdlib.h>
#include <string.h>

#include "sender/mail/item.h"
#include "sender/mail/sender.h"
#include "sender/waiting/deferral.h"
#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/base/named.h"
#include "shared/base/timer.h"
#include "shared/config/config.h"
#include "shared/mail/selector.h"
#include "shared/metrics/metrics.h"
#include "shared/queue/queue.h"

#define SLEEP_MAX_US (600ull * 1000000) /* the clock may be set meanwhile */

struct suspension {
	struct suspension *next;
	struct selector selector;
	uint64_t until_us; /* 0: until somebody resumes it */
	char key[];
};

struct suspensions {
	struct sender *sender;
	struct suspension *first;
	struct timer timer;
	bool stopped;
	struct metric *count;
	uint64_t lifted;
	void (*on_lifted)(void *arg);
	void *arg;
};

static void
suspension_free(struct suspension *suspension)
{
	selector_wipe(&suspension->selector);
	free(suspension);
}

/* Ends. */

static void
timer_arm(struct suspensions *s)
{
	uint64_t now = clock_us(), wait_us = SLEEP_MAX_US;
	int64_t count = 0;
	bool any = false;

	if (s->stopped)
		return;
	for (struct suspension *at = s->first; at; at = at->next) {
		count++;
		if (!at->until_us)
			continue;
		any = true;
		if (at->until_us <= now)
			wait_us = 0;
		else if (at->until_us - now < wait_us)
			wait_us = at->until_us - now;
	}
	metric_set(s->count, count);
	if (!any) {
		timer_cancel(&s->timer);
		return;
	}
	timer_set(&s->timer, (wait_us + 999) / 1000);
}

static void
lifted(struct suspensions *s)
{
	s->lifted++;
	s->on_lifted(s->arg);
}

/* Takes out the one of that key, or (NULL) all that have ended. */
static bool
list_drop(struct suspensions *s, const char *key)
{
	struct suspension **at = &s->first, *suspension;
	const uint64_t now = clock_us();
	bool any = false;

	while ((suspension = *at)) {
		if (key ? strcmp(suspension->key, key) != 0
			: !suspension->until_us || suspension->until_us > now) {
			at = &suspension->next;
			continue;
		}
		*at = suspension->next;
		suspension_free(suspension);
		any = true;
	}
	return any;
}

static void
on_end(void *arg)
{
	struct suspensions *s = arg;

	if (list_drop(s, NULL))
		lifted(s);
	timer_arm(s);
}

struct suspensions *
suspensions_new(struct sender *sender, void (*on_lifted)(void *arg), void *arg)
{
	struct suspensions *s = xcalloc(1, sizeof *s);

	s->sender = sender;
	s->on_lifted = on_lifted;
	s->arg = arg;
	timer_init(&s->timer, sender->loop, on_end, s);
	s->count = metric_gauge("shout_sender_suspensions", "Suspensions this sender knows", NULL);
	return s;
}

void
suspensions_stop(struct suspensions *s)
{
	timer_cancel(&s->timer);
	s->stopped = true;
}

void
suspensions_free(struct suspensions **suspensions)
{
	struct suspensions *s = *suspensions;
	struct suspension *next;

	if (!s)
		return;
	for (struct suspension *at = s->first; at; at = next) {
		next = at->next;
		suspension_free(at);
	}
	free(s);
	*suspensions = NULL;
}

/* relay.config. */

static struct suspension *
suspension_parse(const char *key, const char *text)
{
	json_t *json = json_loads(text, 0, NULL);
	struct suspension *suspension;
	const char *field;
	int err;

	NAMED_NEW(key, key, suspension);
	suspension->until_us = (uint64_t)json_integer_value(json_object_get(json, "until_us"));
	err = selector_parse(&suspension->selector, json_object_get(json, "selector"), &field);
	json_decref(json);
	if (!err)
		return suspension;
	suspension_free(suspension);
	return NULL;
}

void
suspensions_set(struct suspensions *s, const char *key, const char *json)
{
	struct suspension *suspension = json ? suspension_parse(key, json) : NULL;
	const bool was_there = list_drop(s, key);

	if (json && !suspension)
		LOG_WARN("a suspension that cannot be read", "key", key);
	if (suspension && suspension->until_us && suspension->until_us <= clock_us()) {
		suspension_free(suspension);
		suspension = NULL;
	}
	if (suspension) {
		suspension->next = s->first;
		s->first = suspension;
	} else if (was_there)
		lifted(s);
	timer_arm(s);
}

/* What is suspended. */

bool
suspensions_cover_site(const struct suspensions *s, const char *site)
{
	for (const struct suspension *at = s->first; at; at = at->next)
		if (selector_is_site(&at->selector) && selector_has_site(&at->selector, site))
			return true;
	return false;
}

static bool
covers(const struct suspensions *s, const Envelope *envelope, const char *site, const char *egress,
	const Recipient *recipient)
{
	const char *own = s->sender->config->sender.egress;

	if (!*egress && own)
		egress = own;
	for (const struct suspension *at = s->first; at; at = at->next)
		if (selector_matches(&at->selector, envelope, site, egress) &&
			selector_has_domain(&at->selector, recipient))
			return true;
	return false;
}

bool
suspensions_cover(const struct suspensions *s, const Envelope *envelope, const char *site,
	const char *egress, const Recipient *recipient)
{
	return s->first && covers(s, envelope, site, egress ? egress : "", recipient);
}

bool
suspensions_cover_row(const struct suspensions *s, const Row *row)
{
	const Envelope *envelope = row->envelope;

	for (size_t i = 0; s->first && i < envelope->n_recipients; i++)
		if (!covers(s, envelope, row->site, row->egress, envelope->recipients[i]))
			return false;
	return s->first;
}

enum suspended
suspensions_extent(const struct suspensions *s, const struct item *item)
{
	size_t open = 0, covered = 0;

	for (size_t i = 0; s->first && i < item->count; i++) {
		if (item->targets[i].state != TARGET_OPEN)
			continue;
		open++;
		covered += suspensions_cover(s, item->mail->envelope, item->route->site,
			item->egress, item->targets[i].recipient);
	}
	return !covered ? SUSPENDED_NONE : covered < open ? SUSPENDED_SOME : SUSPENDED_ALL;
}

bool
suspensions_mark(const struct suspensions *s, struct item *item)
{
	const char *site = item->route->site;

	if (suspensions_extent(s, item) != SUSPENDED_ALL)
		return false;
	/* a row of another name than its site's is not left alone with that site */
	item->pass.suspended = !suspensions_cover_site(s, site) ||
		(item->site && strcmp(item->site, site) != 0);
	item->pass.lifted = s->lifted;
	return true;
}

void
suspensions_mark_row(const struct suspensions *s, struct item *item)
{
	item->pass.suspended = true;
	item->pass.lifted = s->lifted;
}

void
suspensions_row_stored(struct suspensions *s, const struct item *item)
{
	if (item->held)
		return;
	if (item->due_us)
		deferral_noted(s->sender->deferral, item->site,
			rows_lane(item->mail->envelope->account), item->due_us);
	else if (item->pass.lifted != s->lifted)
		s->on_lifted(s->arg);
}
