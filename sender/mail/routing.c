/*
 * routing.c - from the recipients of a mail to its items: which domains go the same way.
 *
 * sender:  mail -> [routing] -> schedule
 *
 * A mail's domains are looked up ASKED_MAX at a time, so that one mail with many does not take all
 * of its account's turns. Of a record, what is known after a while (mail_age()) begins, and the
 * rest as it becomes known; when it is to become rows, so does what is not known yet.
 *
 * Domains of a record that lead to the same hosts share an item. A row is one item already; when
 * its domains no longer go the same way, or when it was held, it is split: the rows for the other
 * ways are durable before the old one shrinks or goes. A crash in between leaves recipients in two
 * rows, and the ledger keeps the second attempt from being a second delivery.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sender/mail/rule_list.h"
#include "sender/mail/sender_private.h"
#include "sender/mail/suspend.h"
#include "sender/route/lookup_queue.h"
#include "sender/waiting/deferral.h"
#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/config/config.h"
#include "shared/mail/address.h"

#define ASKED_MAX 32
#define ASKED_PARENT_MAX 16 /* below the same domain, which may be what is slow */
#define LATER_US 30000000u  /* and up to as much again */

struct lookup {
	struct mail *mail;
	struct lookup *next;
	struct route *route;
	struct outcome *failure;
	size_t count, space;
	bool asked, answered;
	bool suspended; /* waits, whatever the others do */
	Recipient **recipients;
	const char *parent; /* of the domain: its last two labels */
	char domain[256];
};

void
routing_domain(const struct sender *sender, const Recipient *recipient, char out[256])
{
	struct address address;

	out[0] = '\0';
	if (!address_parse(recipient->address, strlen(recipient->address), &address) &&
		address.domain)
		address_domain_canonical(address.domain, address.domain_length, out);
	if (!*out)
		snprintf(out, 256, "%.255s", sender->config->hostname);
}

static struct lookup *
lookup_for(struct mail *mail, const char *domain)
{
	struct lookup *lookup;

	for (lookup = mail->first_lookup; lookup; lookup = lookup->next)
		if (!strcmp(lookup->domain, domain))
			return lookup;
	lookup = xcalloc(1, sizeof *lookup);
	lookup->mail = mail;
	snprintf(lookup->domain, sizeof lookup->domain, "%s", domain);
	lookup->next = mail->first_lookup;
	lookup->parent = lookup_parent(lookup->domain);
	mail->first_lookup = lookup;
	mail->lookups++;
	return lookup;
}

static void
lookup_add(struct lookup *lookup, Recipient *recipient)
{
	if (lookup->count == lookup->space) {
		lookup->space = lookup->space ? 2 * lookup->space : 1;
		lookup->recipients = xrealloc(
			lookup->recipients, lookup->space * sizeof(Recipient *));
	}
	lookup->recipients[lookup->count++] = recipient;
}

static void
lookup_free(struct lookup *lookup)
{
	route_unref(lookup->route);
	free(lookup->failure);
	free(lookup->recipients);
	free(lookup);
}

static void
lookups_free(struct mail *mail)
{
	struct lookup *lookup;

	while ((lookup = mail->first_lookup)) {
		mail->first_lookup = lookup->next;
		lookup_free(lookup);
	}
}

/* A record: its items begin. */

static struct item *
item_for(struct mail *mail, const struct lookup *lookup)
{
	struct item *item;

	if (!lookup->route)
		return item_new(mail, NULL);
	TAILQ_FOREACH(item, &mail->items, link)
	if (item->route && item->state == ITEM_NEW && item->suspended == lookup->suspended &&
		!strcmp(item->route->site, lookup->route->site) &&
		route_same(item->route, lookup->route))
		return item;
	item = item_new(mail, lookup->route);
	item->suspended = lookup->suspended;
	return item;
}

static void
lookups_suspend(struct mail *mail)
{
	for (struct lookup *at = mail->first_lookup; at; at = at->next)
		at->suspended = at->route &&
			suspensions_hold(mail->sender->suspensions, mail->envelope, at->route->site,
				at->recipients[0]);
}

/* Those that are answered become items. */
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
		attempt_begin(item);
	}
	mail->busy--;
	mail_check(mail);
}

/* Their rows are due once most of the answers are there, for who asks then. */
void
routing_give_up(struct mail *mail)
{
	struct sender *sender = mail->sender;
	struct lookup *lookup;
	struct item *item;

	for (lookup = mail->first_lookup; lookup; lookup = lookup->next) {
		site_route_forget(sender->resolver, lookup->domain, lookup);
		item = item_new(mail, NULL);
		item_add(item, lookup->recipients, lookup->count, NULL);
		item_meet_rules(item, false);
		item->state = ITEM_PARKED;
		item->parked = true;
		item->due_us = clock_us() + LATER_US + arc4random_uniform(LATER_US);
	}
	lookups_free(mail);
	mail->lookups = mail->asked = 0;
	mail_unmark(mail);
}

/* A row: it begins, or is split. */

struct split {
	struct mail *mail;
	struct lookup *keeper; /* NULL: the old row goes */
	size_t pending;
	int err;
};

static bool
same_way(const struct lookup *a, const struct lookup *b)
{
	if (a == b)
		return true;
	return a->route && b->route && a->suspended == b->suspended &&
		!strcmp(a->route->site, b->route->site) && route_same(a->route, b->route);
}

static bool
all_same_way(const struct mail *mail)
{
	for (const struct lookup *at = mail->first_lookup->next; at; at = at->next)
		if (!same_way(mail->first_lookup, at))
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
		for (size_t i = 0; same_way(at, split->keeper) && i < at->count; i++)
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
	return !split->keeper || !same_way(lookup, split->keeper);
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

/* All recipients of a domain are in one row, so that its name is free. */
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

/* Who stays in the row: those of the domain it is named after, else those of its site. */
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
	attempt_begin(item);
}

/* Looking up. */

static void on_route(void *arg, struct route *route, const struct outcome *failure);

static bool
parent_is_busy(const struct mail *mail, const char *parent)
{
	unsigned count = 0;

	for (const struct lookup *at = mail->first_lookup; at; at = at->next)
		count += at->asked && !at->answered && !strcmp(at->parent, parent);
	return count >= ASKED_PARENT_MAX;
}

static struct lookup *
lookup_next(const struct mail *mail)
{
	const char *busy = NULL;

	for (struct lookup *at = mail->first_lookup; at; at = at->next) {
		if (at->asked || (busy && !strcmp(at->parent, busy)))
			continue;
		if (!parent_is_busy(mail, at->parent))
			return at;
		busy = at->parent;
	}
	return NULL;
}

static void
ask_more(struct mail *mail)
{
	struct lookup *lookup;

	mail->asking = true;
	while (mail->asked < ASKED_MAX && (lookup = lookup_next(mail))) {
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
	char domain[256];

	mail->state = MAIL_ROUTING;
	mail_mark(mail);
	for (size_t i = 0; i < envelope->n_recipients; i++) {
		routing_domain(mail->sender, envelope->recipients[i], domain);
		lookup_add(lookup_for(mail, domain), envelope->recipients[i]);
	}
	routing_go_on(mail);
}

void
routing_forget(struct mail *mail)
{
	lookups_free(mail);
	mail->lookups = mail->asked = 0;
}
