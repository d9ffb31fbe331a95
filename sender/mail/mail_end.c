/*
 * mail_end.c - how a mail leaves memory: its record is finished, becomes rows, or is given up.
 *
 * sender:  settle, pass, routing -> [mail_end] -> queue's rows, deferral
 *
 * A record is finished late, so that a crash at any point brings the record again:
 *
 *   all recipients closed          -> record finished
 *   some recipients have to wait   -> rows durable -> record finished (queue_defer())
 *   the queue refuses              -> mail stays in hand, and its end is tried again
 *   partition lost, or shutdown    -> record abandoned, and delivered again
 */
#include "sender/mail/mail_end.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sender/mail/item.h"
#include "sender/mail/lookups.h"
#include "sender/mail/remainder.h"
#include "sender/mail/sender.h"
#include "sender/mail/settle.h"
#include "sender/mail/suspend.h"
#include "sender/policy/window.h"
#include "sender/schedule/schedule.h"
#include "sender/waiting/deferral.h"
#include "shared/account/limits.h"
#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/base/timer.h"
#include "shared/mail/envelope.h"
#include "shared/metrics/metrics.h"
#include "shared/queue/queue.h"

#define AGAIN_MS 5000

static void
mail_leave(struct mail *mail)
{
	TAILQ_REMOVE(&mail->sender->arrivals, mail, link);
	HASH_DEL(mail->sender->by_id, mail);
	mail->record = NULL;
	window_remove(mail->sender->window, mail->envelope->account,
		recipients_weight(mail->envelope->n_recipients));
	metric_set(mail->sender->metrics.in_hand, --mail->sender->in_hand);
}

/* Giving up. */

static void
mail_drop(struct mail *mail)
{
	struct item *item, *next;

	mail->blamed = false; /* else mail_free_if_done() would keep the mail */
	mail->busy++;
	for (item = TAILQ_FIRST(&mail->items); item; item = next) {
		next = TAILQ_NEXT(item, link);
		if (!item->pending)
			item_free(item);
	}
	mail->busy--;
	mail_free_if_done(mail);
}

void
mail_abandon(struct mail *mail)
{
	if (mail->record) {
		record_abandon(mail->record);
		mail_leave(mail);
	}
	mail_drop(mail);
}

/* Becoming rows. */

static bool
site_taken(const struct mail *mail, const char *site)
{
	const struct item *item;

	TAILQ_FOREACH (item, &mail->items, link)
		if (item->site && !strcmp(item->site, site))
			return true;
	return mail->is_remainder && remainder_has_row(mail, site);
}

/* A row is named after its site. When another row of the mail has that name, the row is named after
 * its domain: all recipients of a domain are in one row, so the domain's name is free. */
static void
item_name(struct item *item)
{
	char domain[256];

	if (item->site)
		return;
	if (item->held)
		item->site = xstrdup(SITE_HELD);
	else if (item->route && !site_taken(item->mail, item->route->site))
		item->site = xstrdup(item->route->site);
	else {
		recipient_domain(item->mail->sender, item->targets[0].recipient, domain);
		item->site = xasprintf(SITE_DOMAIN "%s", domain);
	}
}

static void
on_again(void *arg)
{
	struct mail *mail = arg;

	mail->sender->settling--;
	mail->busy--;
	mail_check(mail);
}

static void
mail_again(struct mail *mail, int err)
{
	char id[ID_TEXT_SIZE];

	if ((err == -ECANCELED && mail->lost) || mail->sender->draining) {
		mail_check(mail);
		return;
	}
	id_format(mail->envelope->id.data, id);
	LOG_WARN("cannot defer, will try again", "id", id, "error", strerror(-err));
	mail->busy++;
	mail->sender->settling++;
	timer_init(&mail->again, mail->sender->loop, on_again, mail);
	timer_set(&mail->again, AGAIN_MS);
}

static void
mail_rows_live(struct mail *mail)
{
	struct deferral *deferral = mail->sender->deferral;
	struct item *item, *next;
	bool meets = false;

	for (item = TAILQ_FIRST(&mail->items); item; item = next) {
		next = TAILQ_NEXT(item, link);
		deferral_added(deferral, mail->envelope);
		if (item->state == ITEM_PARKED) {
			meets = meets || item->meets_rules || item_unwanted(item);
			suspensions_row_stored(mail->sender->suspensions, item);
			item_free(item);
			continue;
		}
		item->row = true;
		if (item->state == ITEM_ENDED) {
			item_enter(item, ITEM_SETTLING);
			settle_advance(item);
		}
	}
	if (meets)
		mail->sender->meet_rules(mail->sender, mail->envelope->id.data);
}

/* The queue may report a failure and write the row all the same. The item has ended, so such a row
 * must go. */
static void
row_forget(const struct item *item)
{
	Recipient **recipients = xmalloc(item->count * sizeof *recipients);
	Envelope envelope;
	Row row;

	item_row(item, &row, &envelope, recipients);
	if (!envelope.n_recipients)
		queue_row_remove(item->mail->sender->queue, &row, NULL, NULL);
	free(recipients);
}

/* No rows were written. An item that ended meanwhile settles as if no rows had been wanted. */
static void
mail_rows_failed(struct mail *mail)
{
	struct item *item, *next;

	mail->busy++;
	for (item = TAILQ_FIRST(&mail->items); item; item = next) {
		next = TAILQ_NEXT(item, link);
		item_left(item);
		if (item->state != ITEM_ENDED)
			continue;
		row_forget(item);
		item_enter(item, ITEM_SETTLING);
		settle_advance(item);
	}
	mail->busy--;
}

static void
on_deferred(void *arg, int err)
{
	struct mail *mail = arg;
	struct sender *sender = mail->sender;

	mail->state = MAIL_TRYING;
	sender->settling--;
	if (err) {
		mail_rows_failed(mail);
		mail_again(mail, err);
		return;
	}
	mail_leave(mail);
	if (*mail->envelope->account)
		limits_attempted(sender->limits, mail->envelope->account,
			recipients_weight(mail->envelope->n_recipients));
	mail->busy++;
	mail_rows_live(mail);
	mail->busy--;
	mail_free_if_done(mail);
	sender_wake(sender);
}

/* Parks the items that still wait for their turn, as all items become rows. */
static void
items_park(struct mail *mail)
{
	struct item *item;

	TAILQ_FOREACH (item, &mail->items, link) {
		if (item->state == ITEM_WAITING) {
			schedule_remove(mail->sender->schedule, &item->entry);
			item_enter(item, item->pending ? ITEM_SETTLING : ITEM_PARKED);
			item->pass.parked = true;
		}
		if (!item->held && !item->pass.suspended &&
			(item->state != ITEM_PARKED || !item->due_us))
			item->due_us = clock_us();
		if (!item->since_us)
			item->since_us = clock_us();
		item_name(item);
	}
}

/* A row can be loaded before we hear that the row is durable. So items under way are announced as
 * in memory first: otherwise their mail would be loaded and sent a second time. */
static void
rows_announce(struct mail *mail)
{
	struct item *item;

	TAILQ_FOREACH (item, &mail->items, link)
		if (item->state != ITEM_PARKED)
			item_joined(item);
}

static void
mail_defer(struct mail *mail)
{
	struct item *item;
	size_t count = 0, recipients = 0;

	items_park(mail);
	TAILQ_FOREACH (item, &mail->items, link) {
		count++;
		recipients += item->count;
	}
	Row *rows = xmalloc(count * sizeof *rows), **list = xmalloc(count * sizeof *list);
	Envelope *envelopes = xmalloc(count * sizeof *envelopes);
	Recipient **pool = xmalloc(recipients * sizeof *pool), **at = pool;

	count = 0;
	TAILQ_FOREACH (item, &mail->items, link) {
		item_row(item, &rows[count], &envelopes[count], at);
		list[count] = &rows[count];
		at += item->count;
		count++;
	}
	rows_announce(mail);
	mail->state = MAIL_DEFERRING;
	mail->sender->settling++;
	queue_defer(mail->record, list, count, on_deferred, mail);
	free(rows);
	free(list);
	free(envelopes);
	free(pool);
}

static void
mail_finish(struct mail *mail)
{
	queue_finish(mail->record);
	if (*mail->envelope->account)
		limits_attempted(mail->sender->limits, mail->envelope->account,
			recipients_weight(mail->envelope->n_recipients));
	mail_leave(mail);
	mail_free_if_done(mail);
}

void
mail_check(struct mail *mail)
{
	struct item *item;
	bool waits = mail->aged;

	if (mail->lost && !mail_under_way(mail) && !TAILQ_EMPTY(&mail->items)) {
		mail_abandon(mail);
		return;
	}
	if (!mail->record || mail->state != MAIL_TRYING || mail->busy)
		return;
	if (mail->lookups) {
		if (!mail->aged || mail->lost || mail->sender->draining)
			return;
		lookups_give_up(mail);
	}
	TAILQ_FOREACH (item, &mail->items, link)
		waits = waits || item->state == ITEM_PARKED;
	if (TAILQ_EMPTY(&mail->items))
		mail_finish(mail);
	else if (waits && !mail->lost && !mail->sender->draining)
		mail_defer(mail);
}

/* Shutdown. */

static void
mail_forget(struct mail *mail)
{
	struct item *item, *next;

	mail->blamed = false;
	mail->busy = 1;
	for (item = TAILQ_FIRST(&mail->items); item; item = next) {
		next = TAILQ_NEXT(item, link);
		item_free(item);
	}
	lookups_forget(mail);
	mail->busy = 0;
	mail_free_if_done(mail);
}

static bool
awaits_nothing(const struct loaded_row *row)
{
	return !item_of_row((struct loaded_row *)row)->pending;
}

void
mail_drop_all(struct sender *sender)
{
	struct loaded_row *row;
	struct mail *mail;

	while ((mail = TAILQ_FIRST(&sender->arrivals))) {
		record_abandon(mail->record);
		mail_leave(mail);
		mail_forget(mail);
	}
	while ((row = deferral_any(sender->deferral, awaits_nothing)))
		mail_forget(item_of_row(row)->mail);
}
