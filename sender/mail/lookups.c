/*
 * lookups.c - the domains of a mail that are being looked up, with the recipients of each.
 *
 * sender:  routing -> [lookups] -> item
 */
#include "sender/mail/lookups.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sender/mail/item.h"
#include "sender/mail/rule_list.h"
#include "sender/mail/sender.h"
#include "sender/mail/suspend.h"
#include "sender/route/lookup_queue.h"
#include "sender/route/site.h"
#include "shared/base/log.h"
#include "shared/base/loop.h"

#define ASKED_PARENT_MAX 16 /* below one parent domain, whose name servers may be slow */
#define LATER_US 30000000u  /* and up to as much again */

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

void
lookups_add(struct mail *mail, Recipient *recipient)
{
	struct lookup *lookup;
	char domain[256];

	recipient_domain(mail->sender, recipient, domain);
	lookup = lookup_for(mail, domain);
	if (lookup->count == lookup->space) {
		lookup->space = lookup->space ? 2 * lookup->space : 1;
		lookup->recipients = xrealloc(
			lookup->recipients, lookup->space * sizeof(Recipient *));
	}
	lookup->recipients[lookup->count++] = recipient;
}

void
lookup_free(struct lookup *lookup)
{
	route_unref(lookup->route);
	free(lookup->failure);
	free(lookup->recipients);
	free(lookup);
}

void
lookups_free(struct mail *mail)
{
	struct lookup *lookup;

	while ((lookup = mail->first_lookup)) {
		mail->first_lookup = lookup->next;
		lookup_free(lookup);
	}
}

void
lookups_suspend(struct mail *mail)
{
	for (struct lookup *at = mail->first_lookup; at; at = at->next)
		at->suspended = at->route &&
			suspensions_cover(mail->sender->suspensions, mail->envelope,
				at->route->site, NULL, at->recipients[0]);
}

static bool
parent_is_busy(const struct mail *mail, const char *parent)
{
	unsigned count = 0;

	for (const struct lookup *at = mail->first_lookup; at; at = at->next)
		count += at->asked && !at->answered && !strcmp(at->parent, parent);
	return count >= ASKED_PARENT_MAX;
}

struct lookup *
lookups_next(const struct mail *mail)
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

bool
lookup_same_way(const struct lookup *a, const struct lookup *b)
{
	if (a == b)
		return true;
	return a->route && b->route && a->suspended == b->suspended &&
		!strcmp(a->route->site, b->route->site) && route_same(a->route, b->route);
}

/* The rows are due when most answers will be in the resolver's cache. */
void
lookups_give_up(struct mail *mail)
{
	struct sender *sender = mail->sender;
	struct lookup *lookup;
	struct item *item;

	for (lookup = mail->first_lookup; lookup; lookup = lookup->next) {
		site_route_forget(sender->resolver, lookup->domain, lookup);
		item = item_new(mail, NULL);
		item_add(item, lookup->recipients, lookup->count, NULL);
		item_meet_rules(item, false);
		item_enter(item, ITEM_PARKED);
		item->pass.parked = true;
		item->due_us = clock_us() + LATER_US + arc4random_uniform(LATER_US);
	}
	lookups_free(mail);
	mail->lookups = mail->asked = 0;
	mail_unmark(mail);
}

void
lookups_forget(struct mail *mail)
{
	lookups_free(mail);
	mail->lookups = mail->asked = 0;
}
