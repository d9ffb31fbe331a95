/*
 * mail.c - the life of a message in memory: from a record or row to items, and to rows.
 *
 * sender:  mail.ready, deferral -> [mail] -> schedule -> attempt -> settle
 *
 * A record stays unfinished until all its recipients are closed or its rows are durable. On any
 * error of the queue we keep it in hand and try again; a crash brings it again.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "sender/mail/rule_list.h"
#include "sender/mail/sender_private.h"
#include "sender/mail/suspend.h"
#include "sender/route/local.h"
#include "sender/waiting/deferral.h"
#include "shared/account/limits.h"
#include "shared/base/container_of.h"
#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/config/config.h"
#include "shared/mail/address.h"
#include "shared/metrics/metrics.h"
#include "shared/work/poison.h"

#define AGAIN_S 5

static struct mail *
mail_new(struct sender *sender, Envelope *envelope)
{
	struct mail *mail = xcalloc(1, sizeof *mail);

	mail->sender = sender;
	mail->envelope = envelope;
	mail->arrived_us = clock_mono_us();
	TAILQ_INIT(&mail->items);
	return mail;
}

static void
mail_leave(struct mail *mail)
{
	TAILQ_REMOVE(&mail->sender->arrivals, mail, link);
	mail->record = NULL;
	window_remove(mail->sender->window, mail->envelope->account,
		recipients_weight(mail->envelope->n_recipients));
	metric_set(mail->sender->metrics.in_hand, --mail->sender->in_hand);
}

void
mail_free_if_done(struct mail *mail)
{
	if (mail->record || mail->lookups || mail->busy || !TAILQ_EMPTY(&mail->items))
		return;
	if (mail->blamed)
		poison_forget(mail->sender->poison, mail->envelope->id.data);
	poison_end(mail->sender->poison, &mail->work);
	if (mail->row)
		row_free(mail->row);
	else
		envelope_free(mail->envelope);
	free(mail);
}

struct item *
item_new(struct mail *mail, struct route *route)
{
	struct item *item = xcalloc(1, sizeof *item);

	item->mail = mail;
	item->route = route ? route_ref(route) : NULL;
	item->entry.affinity = route ? route_affinity(route) : 0;
	TAILQ_INSERT_TAIL(&mail->items, item, link);
	return item;
}

void
item_joined(struct item *item)
{
	const struct mail *mail = item->mail;

	deferral_joined(
		mail->sender->deferral, &item->loaded, mail->envelope, item->site, item->count);
}

void
item_left(struct item *item)
{
	if (item->loaded.key)
		deferral_left(item->mail->sender->deferral, &item->loaded);
}

struct item *
item_of_row(struct loaded_row *row)
{
	return row ? container_of(row, struct item, loaded) : NULL;
}

void
item_free(struct item *item)
{
	struct mail *mail = item->mail;

	schedule_remove(mail->sender->schedule, &item->entry);
	item_left(item);
	item_unmark(item);
	TAILQ_REMOVE(&mail->items, item, link);
	for (size_t i = 0; i < item->count; i++)
		free(item->targets[i].outcome);
	free(item->targets);
	if (item->route)
		route_unref(item->route);
	free(item->site);
	free(item->last_reply);
	free(item->last_host);
	free(item->reason);
	free(item);
	mail_free_if_done(mail);
}

void
item_add(struct item *item, Recipient *const *recipients, size_t count,
	const struct outcome *failure)
{
	struct target *target;

	item->targets = xrealloc(item->targets, (item->count + count) * sizeof *item->targets);
	for (size_t i = 0; i < count; i++) {
		target = &item->targets[item->count++];
		*target = (struct target){ .recipient = recipients[i] };
		if (failure)
			target_set(target,
				failure->kind == OUTCOME_BOUNCE ? TARGET_FAILED : TARGET_DEFERRED,
				failure);
	}
}

static bool
site_taken(const struct mail *mail, const char *site)
{
	const struct item *item;

	TAILQ_FOREACH(item, &mail->items, link)
	if (item->site && !strcmp(item->site, site))
		return true;
	return mail->rest && rest_has_row(mail, site);
}

/* The site's name, unless other recipients of the mail have taken it: all recipients of a domain
 * are always in one row, so that its name with a prefix is free. */
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
		routing_domain(item->mail->sender, item->targets[0].recipient, domain);
		item->site = xasprintf(SITE_DOMAIN "%s", domain);
	}
}

bool
item_unwanted(const struct item *item)
{
	for (size_t i = 0; i < item->count; i++)
		if (item->targets[i].unwanted && item->targets[i].state != TARGET_CLOSED)
			return true;
	return false;
}

enum retry_wait
item_wait(const struct item *item)
{
	return item->held ? RETRY_HELD : item->released ? RETRY_RELEASED : RETRY_WAITING;
}

void
item_row(const struct item *item, Row *row, Envelope *envelope, Recipient **recipients)
{
	row__init(row);
	*envelope = *item->mail->envelope;
	envelope->recipients = recipients;
	envelope->n_recipients = 0;
	for (size_t i = 0; i < item->count; i++)
		if (item->targets[i].state != TARGET_CLOSED)
			recipients[envelope->n_recipients++] = item->targets[i].recipient;
	row->envelope = envelope;
	row->site = item->site;
	row->state = item->held ? ROW__STATE__HELD : ROW__STATE__WAITING;
	row->due_us = item->due_us;
	row->attempts = item->attempts;
	row->first_attempt_us = item->first_attempt_us;
	row->last_attempt_us = item->last_attempt_us;
	if (item->last_reply)
		row->last_reply = item->last_reply;
	if (item->last_host)
		row->last_host = item->last_host;
	row->last_class = (char *)item->last_class;
	row->since_us = item->since_us;
	if (item->reason)
		row->reason = item->reason;
	row->delay_sent = item->delay_sent;
	/* what a rule asks for is done, or the row meets the rule once more */
	row->rule = item->meets_rules || item_unwanted(item) ? item->rule : item->met;
	row->held_rule = item->held_rule;
	row->released = item->released;
	row->crashes = item->crashes;
	row->setbacks = item->setbacks;
	row->ours = item->ours || (!item->counted && local_stands(item->mail->sender->local));
}

/* Giving up. */

static void
mail_drop(struct mail *mail)
{
	struct item *item, *next;

	mail->blamed = false; /* nor is it held */
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

static void
on_again(evutil_socket_t fd, short what, void *arg)
{
	struct mail *mail = arg;

	(void)fd, (void)what;
	mail->sender->settling--;
	mail->busy--;
	mail_check(mail);
}

static void
mail_again(struct mail *mail, int err)
{
	const struct timeval pause = { .tv_sec = AGAIN_S };
	char id[ID_TEXT_SIZE];

	if ((err == -ECANCELED && mail->lost) || mail->sender->draining) {
		mail_check(mail);
		return;
	}
	id_format(mail->envelope->id.data, id);
	LOG_WARN("cannot defer, will try again", "id", id, "error", strerror(-err));
	mail->busy++;
	mail->sender->settling++;
	event_base_once(loop_base(mail->sender->loop), -1, EV_TIMEOUT, on_again, mail, &pause);
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
			item->state = ITEM_SETTLING;
			settle_advance(item);
		}
	}
	if (meets)
		mail->sender->meet_rules(mail->sender, mail->envelope->id.data);
}

/* A step that failed late may have been taken after all. */
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

/* There are no rows: what ended meanwhile ends as if nobody had wanted any. */
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
		item->state = ITEM_SETTLING;
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

/* What still waits for its turn is parked with the others. */
static void
items_park(struct mail *mail)
{
	struct item *item;

	TAILQ_FOREACH(item, &mail->items, link)
	{
		if (item->state == ITEM_WAITING) {
			schedule_remove(mail->sender->schedule, &item->entry);
			item->state = item->pending ? ITEM_SETTLING : ITEM_PARKED;
			item->parked = true;
		}
		if (!item->held && !item->suspended &&
			(item->state != ITEM_PARKED || !item->due_us))
			item->due_us = clock_us();
		if (!item->since_us)
			item->since_us = clock_us();
		item_name(item);
	}
}

/* The rows can be read before we hear that they are durable. What is under way must be known as in
 * memory by then, or it would be loaded and sent a second time. */
static void
rows_announce(struct mail *mail)
{
	struct item *item;

	TAILQ_FOREACH(item, &mail->items, link)
	if (item->state != ITEM_PARKED)
		item_joined(item);
}

static void
mail_defer(struct mail *mail)
{
	struct item *item;
	size_t count = 0, recipients = 0;

	items_park(mail);
	TAILQ_FOREACH(item, &mail->items, link)
	{
		count++;
		recipients += item->count;
	}
	Row *rows = xmalloc(count * sizeof *rows), **list = xmalloc(count * sizeof *list);
	Envelope *envelopes = xmalloc(count * sizeof *envelopes);
	Recipient **pool = xmalloc(recipients * sizeof *pool), **at = pool;

	count = 0;
	TAILQ_FOREACH(item, &mail->items, link)
	{
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
		routing_give_up(mail);
	}
	TAILQ_FOREACH(item, &mail->items, link)
	waits = waits || item->state == ITEM_PARKED;
	if (TAILQ_EMPTY(&mail->items))
		mail_finish(mail);
	else if (waits && !mail->lost && !mail->sender->draining)
		mail_defer(mail);
}

void
mail_each_item(struct sender *sender, void (*fn)(void *arg, struct item *item), void *arg)
{
	struct mail *mail, *next_mail;
	struct item *item, *next;

	for (mail = TAILQ_FIRST(&sender->arrivals); mail; mail = next_mail) {
		next_mail = TAILQ_NEXT(mail, link);
		mail->busy++;
		for (item = TAILQ_FIRST(&mail->items); item; item = next) {
			next = TAILQ_NEXT(item, link);
			fn(arg, item);
		}
		mail->busy--;
		mail_check(mail);
	}
}

/* It has been in hand for long: its items begin without the others, or it makes way. */
static void
mail_grow_old(struct mail *mail)
{
	if (mail->impatient) {
		mail->aged = true;
		mail_check(mail);
		return;
	}
	mail->impatient = true;
	if (mail->lookups)
		routing_go_on(mail);
}

uint64_t
mail_age(struct sender *sender, uint64_t now)
{
	struct mail *mail, *next;
	uint64_t soonest = 0, due;

	for (mail = TAILQ_FIRST(&sender->arrivals); mail; mail = next) {
		const char *account = mail->envelope->account;

		next = TAILQ_NEXT(mail, link);
		if (mail->aged)
			continue;
		due = mail->arrived_us +
			(mail->impatient ? window_age_us(sender->window, account)
					 : window_patience_us(sender->window, account));
		if (due <= now) {
			mail_grow_old(mail);
			due = now;
		}
		if (!soonest || due < soonest)
			soonest = due;
	}
	return soonest;
}

/* Arriving. */

void
item_hold(struct item *item, const char *reason)
{
	item->held = true;
	item->since_us = clock_us();
	item->reason = xstrdup(reason);
	item->held_rule = rule_list_newest(item->mail->sender->decisions);
}

void
mail_hold(struct mail *mail, const char *reason)
{
	struct item *item = item_new(mail, NULL);

	item_hold(item, reason);
	item_add(item, mail->envelope->recipients, mail->envelope->n_recipients, NULL);
	item_meet_rules(item, false);
	mail->state = MAIL_TRYING;
	if (mail->redelivered)
		settle_ask(item);
	settle_park(item, 0);
}

/* Whoever handed it on twice died in between, or did not hear of the first: one is enough. */
static bool
is_in_hand(struct sender *sender, const uint8_t *id)
{
	const struct mail *mail;

	TAILQ_FOREACH(mail, &sender->arrivals, link)
	if (memcmp(mail->envelope->id.data, id, ID_SIZE) == 0)
		return true;
	return false;
}

void
mail_on_record(void *arg, struct record *record)
{
	struct sender *sender = arg;
	const Envelope *envelope = record_envelope(record);
	const bool again = record_redelivered(record);
	Envelope *rest;
	struct mail *mail;

	if (sender->draining) {
		record_abandon(record);
		return;
	}
	if (again && is_in_hand(sender, envelope->id.data)) {
		queue_finish(record);
		return;
	}
	/* Its rows are durable: the crash fell between that and the end of the record. */
	rest = again ? rest_of(sender, envelope) : envelope_copy(envelope);
	if (!rest) {
		queue_finish(record);
		return;
	}
	mail = mail_new(sender, rest);
	mail->record = record;
	mail->redelivered = again;
	mail->rest = rest->n_recipients < envelope->n_recipients;
	TAILQ_INSERT_TAIL(&sender->arrivals, mail, link);
	window_add(sender->window, rest->account, recipients_weight(rest->n_recipients));
	metric_set(sender->metrics.in_hand, ++sender->in_hand);
	poison_start(sender->poison, &mail->work, mail->envelope->id.data, poison_record_begin);
	sender_wake(sender);
}

static struct item *
item_from_row(struct mail *mail)
{
	struct item *item = item_new(mail, NULL);
	const Row *row = mail->row;

	item->row = true;
	item->site = xstrdup(row->site);
	item->due_us = row->due_us;
	item->attempts = row->attempts;
	item->first_attempt_us = row->first_attempt_us;
	item->last_attempt_us = row->last_attempt_us;
	item->last_reply = *row->last_reply ? xstrdup(row->last_reply) : NULL;
	item->last_host = *row->last_host ? xstrdup(row->last_host) : NULL;
	item->reason = *row->reason ? xstrdup(row->reason) : NULL;
	snprintf(item->last_class, sizeof item->last_class, "%s", row->last_class);
	item->since_us = row->since_us;
	item->held = row->state == ROW__STATE__HELD;
	item->released = row->released;
	item->delay_sent = row->delay_sent;
	item->rule = item->met = row->rule;
	item->held_rule = row->held_rule;
	item->crashes = row->crashes;
	item->setbacks = row->setbacks;
	item_add(item, mail->envelope->recipients, mail->envelope->n_recipients, NULL);
	return item;
}

static struct item *
item_load(struct sender *sender, Row *row)
{
	struct mail *mail = mail_new(sender, row->envelope);
	struct item *item;

	mail->row = row;
	mail->state = MAIL_TRYING;
	item = item_from_row(mail);
	item_joined(item);
	return item;
}

/* What is left of it waits as it did. */
static void
item_look(struct item *item)
{
	if (!item->due_us && !item->held)
		suspensions_mark_row(item->mail->sender->suspensions, item);
	item->looked_at = true;
	settle_park(item, item->due_us);
}

void
mail_from_row(struct sender *sender, Row *row, enum row_use use)
{
	struct item *item = item_load(sender, row);
	bool unwanted;

	if (!item->count) { /* nobody is left: it goes */
		item->state = ITEM_SETTLING;
		settle_advance(item);
		return;
	}
	item_meet_rules(item, use == ROW_ATTEMPT);
	unwanted = item_unwanted(item);
	if (use == ROW_ATTEMPT && !unwanted) {
		poison_start(sender->poison, &item->mail->work, row->envelope->id.data,
			poison_row_begin);
		return;
	}
	if (use == ROW_SUSPEND || (unwanted && !row->due_us))
		suspensions_mark_row(sender->suspensions, item);
	if (unwanted)
		settle_unwanted(item, row->due_us);
	else if (use == ROW_LATE)
		item_look(item);
	else
		settle_park(item, 0);
}

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
	routing_forget(mail);
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
