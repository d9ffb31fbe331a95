/*
 * mail.c - a message comes into memory, from a record or a row: to its routing, or to be held.
 *
 * sender:  mail.ready, deferral -> [mail] -> routing -> pass -> attempt -> settle
 *
 * A record is compared with its rows (remainder.c); a row meets the operators' rules. Mail is held
 * here when a scan found something in the mail, or when the mail crashed the process.
 */
#include "sender/mail/mail.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sender/mail/item.h"
#include "sender/mail/mail_end.h"
#include "sender/mail/remainder.h"
#include "sender/mail/routing.h"
#include "sender/mail/rule_list.h"
#include "sender/mail/sender.h"
#include "sender/mail/settle.h"
#include "sender/mail/settle_end.h"
#include "sender/mail/suspend.h"
#include "sender/policy/window.h"
#include "shared/base/container_of.h"
#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/base/timer.h"
#include "shared/mail/envelope.h"
#include "shared/metrics/metrics.h"
#include "shared/queue/queue.h"
#include "shared/work/hold.h"
#include "shared/work/poison.h"

#define AGAIN_MS 5000

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

/* The mail has been in hand for long. First its known items begin without the others; later the
 * mail makes way as rows. */
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

/* Holding. */

/* Only a release that is newer than the hold lets the item go: an older one was given without
 * knowing what the scan found. */
static void
item_hold(struct item *item, const char *reason)
{
	item->held = true;
	item->since_us = clock_us();
	item->reason = xstrdup(reason);
	item->held_rule = rule_list_newest(item->mail->sender->decisions);
}

/* Holds a record: one row with all its recipients. */
static void
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

static const char harmful[] = "it crashed the sender, for the third time";

static void mail_hold_harmful(struct mail *mail);

static void
on_hold_again(void *arg)
{
	struct mail *mail = arg;

	mail->busy--;
	if (mail->lost)
		mail_abandon(mail);
	else
		mail_hold_harmful(mail);
}

static void
row_hold(struct mail *mail)
{
	struct item *item = TAILQ_FIRST(&mail->items);

	item_hold(item, harmful);
	item->crashes = 0;
	settle_park(item, 0);
}

static void
on_hold_told(void *arg, int err)
{
	struct mail *mail = arg;
	struct sender *sender = mail->sender;

	sender->settling--;
	if (err) {
		timer_init(&mail->again, sender->loop, on_hold_again, mail);
		timer_set(&mail->again, AGAIN_MS);
		return;
	}
	mail->busy--;
	if (mail->lost)
		mail_abandon(mail);
	else if (mail->row)
		row_hold(mail);
	else
		mail_hold(mail, harmful);
}

/* The event and the notices go before the row, as with mail that the scanner holds. The mail keeps
 * its turn until it is held: if telling of the mail crashes the process, no other mail is
 * suspected. */
static void
mail_hold_harmful(struct mail *mail)
{
	struct sender *sender = mail->sender;
	char id[ID_TEXT_SIZE];

	id_format(mail->envelope->id.data, id);
	LOG_ERROR("a message crashes this process and is held", "id", id);
	if (!sender->hold)
		sender->hold = hold_new(sender->loop, sender->queue, sender->config);
	mail->blamed = true;
	mail->busy++;
	sender->settling++;
	hold_tell(sender->hold, mail->envelope, harmful, on_hold_told, mail);
}

/* Whether the mail may be worked on now that its turn has come. False: working on the mail ended
 * the process too often. */
static bool
blame_allows(struct mail *mail)
{
	const unsigned strikes = poison_strikes(mail->sender->poison, mail->work.id);
	struct item *item = mail->row ? TAILQ_FIRST(&mail->items) : NULL;

	if (!item)
		return strikes < POISON_STRIKES;
	if (item->crashes < strikes)
		item->crashes = strikes;
	return item->crashes < POISON_STRIKES;
}

/* Arriving. */

static void
on_turn(struct poison_work *work)
{
	struct mail *mail = container_of(work, struct mail, work);

	if (!mail->row && envelope_must_hold(mail->envelope))
		mail_hold(mail, envelope_hold_reason(mail->envelope));
	else if (!blame_allows(mail))
		mail_hold_harmful(mail);
	else
		routing_start(mail);
}

/* The scanner hands a record on twice after a crash, or a lost answer: one is enough. */
static bool
is_in_hand(struct sender *sender, const uint8_t *id)
{
	const struct mail *mail;

	HASH_FIND(hh, sender->by_id, id, ID_SIZE, mail);
	return mail;
}

void
mail_on_record(void *arg, struct record *record)
{
	struct sender *sender = arg;
	const Envelope *envelope = record_envelope(record);
	const bool again = record_redelivered(record);
	Envelope *remainder;
	struct mail *mail;

	if (sender->draining) {
		record_abandon(record);
		return;
	}
	if (is_in_hand(sender, envelope->id.data)) {
		queue_finish(record);
		return;
	}
	/* No recipient is left when the crash came between the durable rows and the end of the
	 * record. */
	remainder = again ? remainder_of(sender, envelope) : envelope_copy(envelope);
	if (!remainder) {
		queue_finish(record);
		return;
	}
	mail = mail_new(sender, remainder);
	mail->record = record;
	mail->redelivered = again;
	mail->is_remainder = remainder->n_recipients < envelope->n_recipients;
	TAILQ_INSERT_TAIL(&sender->arrivals, mail, link);
	HASH_ADD_KEYPTR(hh, sender->by_id, mail->envelope->id.data, ID_SIZE, mail);
	window_add(sender->window, remainder->account, recipients_weight(remainder->n_recipients));
	metric_set(sender->metrics.in_hand, ++sender->in_hand);
	poison_start(sender->poison, &mail->work, mail->envelope->id.data, on_turn);
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
	item->egress = *row->egress ? xstrdup(row->egress) : NULL;
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

/* The row was loaded only to be looked at: its recipients wait as before. */
static void
item_look(struct item *item)
{
	if (!item->due_us && !item->held)
		suspensions_mark_row(item->mail->sender->suspensions, item);
	item->pass.looked_at = true;
	settle_park(item, item->due_us);
}

void
mail_from_row(struct sender *sender, Row *row, enum row_use use)
{
	struct item *item = item_load(sender, row);
	bool unwanted;

	if (!item->count) { /* no recipient is left: the row goes */
		item_enter(item, ITEM_SETTLING);
		settle_advance(item);
		return;
	}
	item_meet_rules(item, use == ROW_ATTEMPT);
	unwanted = item_unwanted(item);
	if (use == ROW_ATTEMPT && !unwanted) {
		poison_start(sender->poison, &item->mail->work, row->envelope->id.data, on_turn);
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
