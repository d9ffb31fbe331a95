/*
 * routing.c - from the recipients of a mail to its items: which domains go the same way.
 *
 * sender:  mail -> [routing] -> lookups, pass
 *
 * A mail's domains are looked up ASKED_MAX at a time, so that one mail with many domains does not
 * take all of its account's turns. A record waits for all answers at first; after a while
 * (mail_age()) the known domains begin, and each other domain as its answer comes. When the record
 * becomes rows, the unanswered domains become rows, too.
 *
 * Domains of a record that lead to the same hosts share an item. A row is one item already. A row
 * is split when its domains no longer go the same way, or when the row was held:
 *
 *   1. the rows for the other ways are durable
 *   2. the old row shrinks or goes
 *
 * A crash in between leaves recipients in two rows. The ledger keeps the second attempt from being
 * a second delivery.
 */
#include "sender/mail/routing.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sender/mail/item.h"
#include "sender/mail/lookups.h"
#include "sender/mail/mail_end.h"
#include "sender/mail/pass.h"
#include "sender/mail/rule_list.h"
#include "sender/mail/sender.h"
#include "sender/mail/suspend.h"
#include "sender/policy/outcome.h"
#include "sender/route/site.h"
#include "sender/waiting/deferral.h"
#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/config/config.h"
#include "shared/mail/address.h"
#include "shared/queue/queue.h"

#define ASKED_MAX 32

/* Records: items begin. */

static struct item *
item_for(struct mail *mail, const struct lookup *lookup)
{
	struct item *item;

	if (!lookup->route)
		return item_new(mail, NULL);
	TAILQ_FOREACH (item, &mail->items, link)
		if (item->route && item->state == ITEM_NEW &&
			item->pass.suspended == lookup->suspended &&
			!strcmp(item->route->site, lookup->route->site) &&
			route_same(item->route, lookup->route))
			return item;
	item = item_new(mail, lookup->route);
	item->pass.suspended = lookup->suspended;
	return item;
}

/* Answered look-ups become items. */
static void
lookups_take(struct mail *mail)
{
	struct lookup *lookup, **at = &mail->first_lookup;

	while ((lookup = *at)) {
		if (!lookup->answered) {
			at = &lookup->next;
			continue;
		}
		item_add(
			item_for(mail, lookup), lookup->recipients, lookup->count, lookup->failure);
		*at = lookup->next;
		lookup_free(lookup);
	}
}

static void
record_routed(struct mail *mail)
{
	struct item *item, *next;

	lookups_take(mail);
	if (!mail->lookups)
		mail_unmark(mail);
	mail->state = MAIL_TRYING;
	mail->busy++;
	for (item = TAILQ_FIRST(&mail->items); item; item = next) {
		next = TAILQ_NEXT(item, link);
		if (item->state != ITEM_NEW)
			continue;
		item_meet_rules(item, true);
		pass_begin(item);
	}
	mail->busy--;
	mail_check(mail);
}

/* Rows: the item begins, or the row is split. */

struct split {
	struct mail *mail;
	struct lookup *keeper; /* whose recipients stay in the old row; NULL: the old row goes */
	size_t pending;
	int err;
};

static bool
all_same_way(const struct mail *mail)
{
	for (const struct lookup *at = mail->first_lookup->next; at; at = at->next)
		if (!lookup_same_way(mail->first_lookup, at))
			return false;
	return true;
}

static void
on_shrunk(void *arg, int err)
{
	struct split *split = arg;
	struct mail *mail = split->mail;
	struct item *item = TAILQ_FIRST(&mail->items);

	if (err && err != -ENOENT)
		LOG_WARN("cannot split a row, will try again", "error", strerror(-err));
	else if (!split->keeper)
		deferral_removed(mail->sender->deferral, mail->envelope);
	lookups_free(mail);
	free(split);
	item_answered(item);
	item_free(item);
}

static void
row_of(const struct mail *mail, Row *row, Envelope *envelope, const char *site)
{
	*row = *mail->row;
	*envelope = *mail->envelope;
	row->envelope = envelope;
	row->site = (char *)site;
	row->state = ROW__STATE__WAITING;
	row->due_us = clock_us();
}

static void
split_shrink(struct split *split)
{
	struct mail *mail = split->mail;
	Recipient **recipients;
	Envelope envelope;
	Row row;

	if (!split->keeper) {
		queue_row_remove(mail->sender->queue, mail->row, on_shrunk, split);
		return;
	}
	row_of(mail, &row, &envelope, mail->row->site);
	recipients = xmalloc(mail->envelope->n_recipients * sizeof(Recipient *));
	envelope.recipients = recipients;
	envelope.n_recipients = 0;
	for (struct lookup *at = mail->first_lookup; at; at = at->next)
		for (size_t i = 0; lookup_same_way(at, split->keeper) && i < at->count; i++)
			recipients[envelope.n_recipients++] = at->recipients[i];
	queue_row_put(mail->sender->queue, &row, on_shrunk, split);
	free(recipients);
}

static void
split_site(const struct lookup *lookup, char site[SITE_NAME_MAX])
{
	snprintf(site, SITE_NAME_MAX, SITE_DOMAIN "%s", lookup->domain);
}

static bool
moves(const struct split *split, const struct lookup *lookup)
{
	return !split->keeper || !lookup_same_way(lookup, split->keeper);
}

static void
on_other(void *arg, int err)
{
	struct split *split = arg;
	struct mail *mail = split->mail;
	char site[SITE_NAME_MAX];

	if (err)
		split->err = err;
	if (--split->pending)
		return;
	if (split->err) {
		on_shrunk(split, split->err);
		return;
	}
	for (struct lookup *at = mail->first_lookup; at; at = at->next)
		if (moves(split, at)) {
			split_site(at, site);
			deferral_added(mail->sender->deferral, mail->envelope);
			deferral_noted(mail->sender->deferral, site,
				rows_lane(mail->envelope->account), clock_us());
		}
	split_shrink(split);
}

/* The domain's name is free, since all recipients of a domain are in one row. */
static void
split_put(struct split *split, struct lookup *lookup)
{
	struct mail *mail = split->mail;
	char site[SITE_NAME_MAX];
	Envelope envelope;
	Row row;

	split_site(lookup, site);
	row_of(mail, &row, &envelope, site);
	envelope.recipients = lookup->recipients;
	envelope.n_recipients = lookup->count;
	split->pending++;
	queue_row_put(mail->sender->queue, &row, on_other, split);
}

/* The recipients that stay in the row: those of the domain that the row is named after, else those
 * that go to its site. */
static struct lookup *
keeper(struct mail *mail)
{
	const char *site = mail->row->site;
	struct lookup *at;

	if (!strcmp(site, SITE_HELD))
		return NULL;
	for (at = mail->first_lookup; at; at = at->next) {
		if (!strncmp(site, SITE_DOMAIN, strlen(SITE_DOMAIN))
				? !strcmp(site + strlen(SITE_DOMAIN), at->domain)
				: at->route && !strcmp(at->route->site, site))
			return at;
	}
	return mail->first_lookup;
}

static void
row_split(struct mail *mail)
{
	struct split *split = xcalloc(1, sizeof *split);

	split->mail = mail;
	split->keeper = keeper(mail);
	split->pending = 1;
	item_pend(TAILQ_FIRST(&mail->items));
	for (struct lookup *at = mail->first_lookup; at; at = at->next)
		if (moves(split, at))
			split_put(split, at);
	on_other(split, 0);
}

static void
row_routed(struct mail *mail)
{
	struct lookup *lookup = mail->first_lookup;
	struct item *item = TAILQ_FIRST(&mail->items);

	if (!strcmp(mail->row->site, SITE_HELD) || !all_same_way(mail)) {
		row_split(mail);
		return;
	}
	if (lookup->route) {
		item->route = route_ref(lookup->route);
		item->entry.affinity = route_affinity(lookup->route);
	}
	for (size_t i = 0; lookup->failure && i < item->count; i++)
		target_set(&item->targets[i],
			lookup->failure->kind == OUTCOME_BOUNCE ? TARGET_FAILED : TARGET_DEFERRED,
			lookup->failure);
	lookups_free(mail);
	mail_unmark(mail);
	pass_begin(item);
}

/* Looking up. */

static void on_route(void *arg, struct route *route, const struct outcome *failure);

static void
ask_more(struct mail *mail)
{
	struct lookup *lookup;

	mail->asking = true;
	while (mail->asked < ASKED_MAX && (lookup = lookups_next(mail))) {
		lookup->asked = true;
		mail->asked++;
		site_route(mail->sender->resolver, lookup->domain, mail->envelope->account,
			on_route, lookup);
	}
	mail->asking = false;
}

void
routing_go_on(struct mail *mail)
{
	struct sender *sender = mail->sender;

	ask_more(mail);
	if (mail->lookups && !mail->impatient)
		return;
	lookups_suspend(mail);
	if (mail->row)
		row_routed(mail);
	else
		record_routed(mail);
	sender_wake(sender);
}

static void
on_route(void *arg, struct route *route, const struct outcome *failure)
{
	struct lookup *lookup = arg;
	struct mail *mail = lookup->mail;

	if (route)
		lookup->route = route_ref(route);
	else {
		lookup->failure = xmalloc(sizeof *failure);
		*lookup->failure = *failure;
	}
	lookup->answered = true;
	mail->lookups--;
	mail->asked--;
	if (!mail->asking)
		routing_go_on(mail);
}

void
routing_start(struct mail *mail)
{
	const Envelope *envelope = mail->envelope;
	mail->state = MAIL_ROUTING;
	mail_mark(mail);
	for (size_t i = 0; i < envelope->n_recipients; i++)
		lookups_add(mail, envelope->recipients[i]);
	routing_go_on(mail);
}
