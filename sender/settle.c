/*
 * settle.c - the results of a pass over an item's recipients are made durable, in this order:
 *
 *   delivered: remote's 250 -> ledger (<= 200 ms) -> DSN (relayed) -> event -> row removed, or
 * record finished failed:    DSN -> event -> likewise deferred:  event, delay DSN -> row written
 *
 * sender:  attempt -> [settle] -> queue
 *
 * Whatever the queue refuses is tried again from that step on: every step may be done twice.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include <event2/event.h>

#include "sender/deferral.h"
#include "sender/rule.h"
#include "sender/settle_private.h"
#include "sender/suspend.h"
#include "sender/trust.h"
#include "shared/log.h"
#include "shared/loop.h"
#include "shared/metrics.h"

#define AGAIN_S 5

void
target_set(struct target *target, enum target_state state, const struct outcome *outcome)
{
	target->state = state;
	if (!outcome)
		return;
	if (!target->outcome)
		target->outcome = xmalloc(sizeof *target->outcome);
	*target->outcome = *outcome;
}

/* Answers of the queue. */

void
item_pend(struct item *item)
{
	if (!item->pending++)
		item->mail->sender->settling++;
}

void
item_answered(struct item *item)
{
	if (!--item->pending)
		item->mail->sender->settling--;
}

static void
on_again(evutil_socket_t fd, short what, void *arg)
{
	struct item *item = arg;

	(void)fd, (void)what;
	item_answered(item);
	settle_advance(item);
}

bool
settle_again(struct item *item, int err, event_callback_fn on_time, void *arg)
{
	const struct timeval pause = { .tv_sec = AGAIN_S };

	if (err == -ECANCELED || item->mail->sender->draining) {
		item->given_up = true;
		item_answered(item);
		return false;
	}
	event_base_once(loop_base(item->mail->sender->loop), -1, EV_TIMEOUT, on_time, arg, &pause);
	return true;
}

/* 0, or the answer is an error and the item goes on later, if at all. */
static int
item_answer(struct item *item, int err)
{
	if (!err)
		item_answered(item);
	else if (settle_again(item, err, on_again, item))
		LOG_WARN("the queue refuses, will try again", "error", strerror(-err));
	return err;
}

/* Events. */

void
settle_event(struct sender *sender, const struct item *item, const char *name, uint32_t attempts)
{
	mail_event_begin(&sender->event, name, item->mail->envelope);
	if (item->route || item->site)
		json_str(&sender->event.json, "site", item->route ? item->route->site : item->site);
	json_int(&sender->event.json, "attempts", attempts);
}

void
settle_event_outcome(struct sender *sender, const struct outcome *outcome)
{
	if (!outcome)
		return;
	json_str(&sender->event.json, "host", *outcome->host ? outcome->host : NULL);
	json_str(&sender->event.json, "reply", outcome->text);
}

void
settle_event_ambiguous(struct sender *sender, Recipient *const *recipients, size_t count)
{
	uint32_t most = 0;

	for (size_t i = 0; i < count; i++)
		if (recipients[i]->ambiguous > most)
			most = recipients[i]->ambiguous;
	if (most)
		json_int(&sender->event.json, "ambiguous", most);
}

static void
on_bounced(void *arg, int err)
{
	struct item *item = arg;

	if (item_answer(item, err) || item->mail->sender->ending)
		return;
	item_pend(item);
	settle_failed(item);
	item_answered(item);
	settle_advance(item);
}

/* Waiting. */

static bool
target_waits(const struct target *target)
{
	return target->state == TARGET_DEFERRED || target->state == TARGET_OPEN;
}

static size_t
count_state(const struct item *item, enum target_state state)
{
	size_t n = 0;

	for (size_t i = 0; i < item->count; i++)
		n += item->targets[i].state == state;
	return n;
}

static const struct target *
first_waiting(const struct item *item)
{
	for (size_t i = 0; i < item->count; i++)
		if (target_waits(&item->targets[i]))
			return &item->targets[i];
	return NULL;
}

static void
target_expire(struct item *item, struct target *target)
{
	struct outcome outcome;

	if (target->outcome)
		outcome = *target->outcome;
	else
		outcome_defer(&outcome, SCOPE_MESSAGE, item->held ? "5.7.0" : "4.4.7",
			item->held                 ? "held for too long"
				: item->last_reply ? item->last_reply
						   : "could not be delivered in time");
	target_set(target, TARGET_FAILED, &outcome);
	target->end = END_EXPIRED;
}

static void
target_refuse(struct target *target)
{
	struct outcome outcome;

	outcome_bounce(&outcome, "5.7.1", "bounced by the operator");
	target_set(target, TARGET_FAILED, &outcome);
	target->end = END_OPERATOR;
}

/* What waits may have no time left, or an operator may not want it to. */
static void
settle_end_waiting(struct item *item)
{
	const struct sender *sender = item->mail->sender;
	const bool late = clock_us() >=
			retry_expiry_us(&sender->times, item->mail->envelope, item_wait(item)) &&
		trust_clock(sender->trust);

	for (size_t i = 0; i < item->count; i++) {
		if (!target_waits(&item->targets[i]))
			continue;
		if (item->targets[i].unwanted)
			target_refuse(&item->targets[i]);
		else if (late)
			target_expire(item, &item->targets[i]);
	}
}

static void
item_due(struct item *item)
{
	const struct sender *sender = item->mail->sender;
	uint64_t now = clock_us(), expiry;
	uint32_t random;

	if (item->held || item->suspended) {
		item->due_us = 0;
		return;
	}
	if (item->parked) {
		item->due_us = item->parked_until_us > now ? item->parked_until_us : now;
		return;
	}
	if (getrandom(&random, sizeof random, 0) != sizeof random)
		random = (uint32_t)now;
	expiry = retry_expiry_us(&sender->times, item->mail->envelope, item_wait(item));
	item->due_us = now + retry_wait_us(&sender->times, item->attempts, random);
	if (item->due_us > expiry && expiry > now) /* a clock that is not trusted ends nothing */
		item->due_us = expiry;
}

static void
replace(char **text, const char *with)
{
	free(*text);
	*text = *with ? xstrdup(with) : NULL;
}

static void
settle_tell_deferred(struct item *item)
{
	struct sender *sender = item->mail->sender;
	const struct outcome *outcome = first_waiting(item)->outcome;
	Recipient **to;
	size_t n = 0;

	item->told = true;
	item_due(item);
	if (!outcome)
		return;
	replace(&item->last_reply, outcome->text);
	replace(&item->last_host, outcome->host);
	to = xmalloc(item->count * sizeof(Recipient *));
	for (size_t i = 0; i < item->count; i++)
		if (target_waits(&item->targets[i]))
			to[n++] = item->targets[i].recipient;
	settle_event(sender, item, "deferred", item->attempts);
	mail_event_recipients(&sender->event, to, n);
	settle_event_outcome(sender, outcome);
	settle_event_ambiguous(sender, to, n);
	json_time(&sender->event.json, "due", item->due_us);
	mail_event_send(&sender->event, sender->queue, NULL, NULL);
	metric_add(sender->metrics.deferred, (int64_t)n);
	free(to);
}

static void
on_delay_told(void *arg, int err)
{
	struct item *item = arg;

	if (item_answer(item, err))
		return;
	item->delay_sent = true;
	settle_advance(item);
}

/* The end of the pass. */

static void
on_row(void *arg, int err)
{
	struct item *item = arg;
	struct sender *sender = item->mail->sender;
	const bool meets = first_waiting(item) && (item_unwanted(item) || item->meets_rules);
	uint8_t id[ID_SIZE];

	if (err ==
		-ECANCELED) { /* somebody else's row by now: what was delivered is in the ledger */
		item_answered(item);
		item_free(item);
		return;
	}
	if (err == -ENOENT)
		err = 0;
	if (item_answer(item, err))
		return;
	if (!first_waiting(item))
		deferral_removed(sender->deferral, item->mail->envelope);
	else
		suspensions_row_stored(sender->suspensions, item);
	memcpy(id, item->mail->envelope->id.data, ID_SIZE);
	item_free(item);
	if (meets)
		rules_meet(sender->rules, id);
	sender_wake(sender);
}

static void
row_store(struct item *item)
{
	struct queue *queue = item->mail->sender->queue;
	Recipient **recipients = xmalloc(item->count * sizeof(Recipient *));
	Envelope envelope;
	Row row;

	item_row(item, &row, &envelope, recipients);
	item_pend(item);
	if (envelope.n_recipients)
		queue_row_put(queue, &row, on_row, item);
	else
		queue_row_remove(queue, &row, on_row, item);
	free(recipients);
}

static void
settle_store(struct item *item)
{
	struct mail *mail = item->mail;

	if (item->row) {
		row_store(item);
		return;
	}
	if (mail->state == MAIL_DEFERRING) {
		item->state = ITEM_ENDED;
		return;
	}
	mail->busy++;
	if (first_waiting(item))
		item->state = ITEM_PARKED;
	else
		item_free(item);
	mail->busy--;
	mail_check(mail);
}

/* A row that was only looked at stays as it is stored. */
static bool
row_untouched(const struct item *item)
{
	return item->row && item->mail->row && item->parked && !item->parked_until_us &&
		!item->suspended && !item->counted &&
		item->held == (item->mail->row->state == ROW__STATE__HELD) &&
		count_state(item, TARGET_OPEN) == item->count;
}

void
settle_advance(struct item *item)
{
	struct sender *sender = item->mail->sender;

	if (item->pending || item->state != ITEM_SETTLING || item->given_up || sender->ending)
		return;
	settle_end_waiting(item);
	if (count_state(item, TARGET_FAILED)) {
		item_pend(item);
		bounce_send(item, BOUNCE_FAILURE, on_bounced, item);
		return;
	}
	if (row_untouched(item)) {
		item_free(item);
		return;
	}
	if (first_waiting(item) && !item->told)
		settle_tell_deferred(item);
	if (first_waiting(item) && !item->parked && !item->delay_sent &&
		retry_delay_due(
			&sender->times, item->mail->envelope, item_wait(item), clock_us())) {
		item_pend(item);
		bounce_send(item, BOUNCE_DELAY, on_delay_told, item);
		return;
	}
	settle_store(item);
}

void
settle_unwanted(struct item *item, uint64_t until)
{
	if (item->row || item->mail->redelivered)
		settle_ask(item);
	item->parked = !item->counted;
	item->parked_until_us = until;
	item->state = ITEM_SETTLING;
	settle_advance(item);
}

void
settle_park(struct item *item, uint64_t until)
{
	item->parked = true;
	item->parked_until_us = until;
	item->state = ITEM_SETTLING;
	settle_advance(item);
}
