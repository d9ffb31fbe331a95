/*
 * settle.c - the results of a pass over an item's recipients are made durable, in this order:
 *
 *   delivered: remote's 250 -> ledger (<= 200 ms) -> event -> row removed, or record finished
 *   failed:    DSN -> event -> likewise
 *   deferred:  event, delay DSN -> row written
 *
 * sender:  attempt -> [settle] -> queue
 *
 * Whatever the queue refuses is tried again from that step on: every step may be done twice.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

#include <event2/event.h>

#include "sender/deferral.h"
#include "sender/ledger.h"
#include "sender/rule.h"
#include "sender/sender_private.h"
#include "sender/suspend.h"
#include "sender/trust.h"
#include "shared/log.h"
#include "shared/loop.h"
#include "shared/metrics.h"
#include "shared/score.h"

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

/* Whether it is to be tried again after this error. */
static bool
item_insists(struct item *item, int err)
{
	if (err != -ECANCELED && !item->mail->sender->draining)
		return true;
	item->given_up = true;
	item_answered(item);
	return false;
}

/* 0, or the answer is an error and the item goes on later, if at all. */
static int
item_answer(struct item *item, int err)
{
	const struct timeval pause = { .tv_sec = AGAIN_S };

	if (!err) {
		item_answered(item);
		return 0;
	}
	if (item_insists(item, err)) {
		LOG_WARN("the queue refuses, will try again", "error", strerror(-err));
		event_base_once(loop_base(item->mail->sender->loop), -1, EV_TIMEOUT, on_again, item,
			&pause);
	}
	return err;
}

/* Events. */

static void
event_common(struct sender *sender, const struct item *item, const char *name, uint32_t attempts)
{
	mail_event_begin(&sender->event, name, item->mail->envelope);
	if (item->route || item->site)
		json_str(&sender->event.json, "site", item->route ? item->route->site : item->site);
	json_int(&sender->event.json, "attempts", attempts);
}

static void
event_outcome(struct sender *sender, const struct outcome *outcome)
{
	if (!outcome)
		return;
	json_str(&sender->event.json, "host", *outcome->host ? outcome->host : NULL);
	json_str(&sender->event.json, "reply", outcome->text);
}

static const char *
verdict_name(const Envelope *envelope)
{
	static const char *const names[] = { "none", "clean", "infected", "unscannable" };

	return (unsigned)envelope->verdict < 4 ? names[envelope->verdict] : "none";
}

/* Delivered. */

struct receipt {
	struct item *item;
	struct outcome outcome;
	bool known; /* from the ledger: how it went was lost with the process that knew */
	size_t count;
	size_t indices[];
};

static void receipt_event(struct receipt *receipt);

static void
on_receipt_again(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	receipt_event(arg);
}

static void
on_receipt(void *arg, int err)
{
	const struct timeval pause = { .tv_sec = AGAIN_S };
	struct receipt *receipt = arg;
	struct item *item = receipt->item;

	if (err) {
		if (item_insists(item, err))
			event_base_once(loop_base(item->mail->sender->loop), -1, EV_TIMEOUT,
				on_receipt_again, receipt, &pause);
		else
			free(receipt);
		return;
	}
	for (size_t i = 0; i < receipt->count; i++)
		item->targets[receipt->indices[i]].state = TARGET_CLOSED;
	metric_add(item->mail->sender->metrics.delivered, (int64_t)receipt->count);
	scores_add(item->mail->sender->scores, item->mail->envelope->account, SCORE_RECIPIENTS,
		(unsigned)receipt->count);
	free(receipt);
	item_answered(item);
	settle_advance(item);
}

static void
receipt_event(struct receipt *receipt)
{
	struct item *item = receipt->item;
	struct sender *sender = item->mail->sender;
	const Envelope *envelope = item->mail->envelope;
	Recipient *to[TRANSACTION_RECIPIENTS_MAX];

	for (size_t i = 0; i < receipt->count; i++)
		to[i] = item->targets[receipt->indices[i]].recipient;
	event_common(sender, item, "delivered", item->attempts);
	mail_event_recipients(&sender->event, to, receipt->count);
	if (!receipt->known) {
		event_outcome(sender, &receipt->outcome);
		json_str(&sender->event.json, "tls",
			*receipt->outcome.tls ? receipt->outcome.tls : NULL);
	}
	json_str(&sender->event.json, "verdict", verdict_name(envelope));
	json_int(&sender->event.json, "queued_ms",
		((int64_t)clock_us() - (int64_t)envelope->accepted_us) / 1000);
	mail_event_send(&sender->event, sender->queue, on_receipt, receipt);
}

static void
on_ledger(void *arg)
{
	receipt_event(arg);
}

void
settle_delivered(struct item *item, const size_t *indices, size_t count,
	const struct outcome *outcome, bool from_ledger)
{
	struct receipt *receipt = xcalloc(1, sizeof *receipt + count * sizeof *indices);
	Recipient *to[TRANSACTION_RECIPIENTS_MAX];

	receipt->item = item;
	receipt->known = from_ledger;
	receipt->count = count;
	memcpy(receipt->indices, indices, count * sizeof *indices);
	if (outcome)
		receipt->outcome = *outcome;
	for (size_t i = 0; i < count; i++) {
		item->targets[indices[i]].state = TARGET_RECORDING;
		to[i] = item->targets[indices[i]].recipient;
	}
	item_pend(item);
	if (from_ledger)
		receipt_event(receipt);
	else
		ledger_put(item->mail->sender->ledger, item->mail->envelope->id.data, to, count,
			item->row, on_ledger, receipt);
}

/* Failed: bounced or expired. */

/* Those that failed alike: one event for all of them. */
struct ended {
	struct item *item;
	size_t count;
	size_t indices[];
};

/* What an operator had bounced says nothing about the account's recipients. */
static void
score_end(const struct item *item, const struct target *like, unsigned n)
{
	struct scores *scores = item->mail->sender->scores;
	const char *account = item->mail->envelope->account;

	scores_add(scores, account, SCORE_RECIPIENTS, n);
	if (like->expired || item->bounce_why)
		return;
	if (outcome_is_hard_bounce(like->outcome))
		scores_add(scores, account, SCORE_HARD_BOUNCES, n);
	if (outcome_is_unknown_user(like->outcome))
		scores_add(scores, account, SCORE_UNKNOWN_USERS, n);
}

static void ended_event(struct ended *ended);

static void
on_ended_again(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	ended_event(arg);
}

/* The DSN is out: only this event is tried again. */
static void
on_ended(void *arg, int err)
{
	const struct timeval pause = { .tv_sec = AGAIN_S };
	struct ended *ended = arg;
	struct item *item = ended->item;
	const struct sender *sender = item->mail->sender;
	const struct target *like = &item->targets[ended->indices[0]];

	if (err && item_insists(item, err)) {
		event_base_once(
			loop_base(sender->loop), -1, EV_TIMEOUT, on_ended_again, ended, &pause);
		return;
	}
	for (size_t i = 0; !err && i < ended->count; i++)
		item->targets[ended->indices[i]].state = TARGET_CLOSED;
	if (!err) {
		metric_add(like->expired ? sender->metrics.expired : sender->metrics.bounced,
			(int64_t)ended->count);
		score_end(item, like, (unsigned)ended->count);
		item_answered(item);
		settle_advance(item);
	}
	free(ended);
}

static void
ended_event(struct ended *ended)
{
	struct item *item = ended->item;
	struct sender *sender = item->mail->sender;
	const struct target *like = &item->targets[ended->indices[0]];
	Recipient **to = xmalloc(ended->count * sizeof(Recipient *));

	for (size_t i = 0; i < ended->count; i++)
		to[i] = item->targets[ended->indices[i]].recipient;
	event_common(sender, item, like->expired ? "expired" : "bounced", item->attempts);
	mail_event_recipients(&sender->event, to, ended->count);
	event_outcome(sender, like->outcome);
	if (!like->expired) {
		json_str(&sender->event.json, "enhanced", like->outcome->enhanced);
		json_str(&sender->event.json, "reason",
			item->bounce_why ? item->bounce_why : "refused");
	}
	free(to);
	mail_event_send(&sender->event, sender->queue, on_ended, ended);
}

static void
end_alike(struct item *item, size_t first)
{
	const struct target *like = &item->targets[first];
	struct ended *ended = xmalloc(sizeof *ended + item->count * sizeof *ended->indices);

	*ended = (struct ended){ .item = item };
	for (size_t i = first; i < item->count; i++) {
		struct target *target = &item->targets[i];

		if (target->state != TARGET_FAILED || target->expired != like->expired ||
			strcmp(target->outcome->text, like->outcome->text))
			continue;
		target->state = TARGET_ENDING;
		ended->indices[ended->count++] = i;
	}
	item_pend(item);
	ended_event(ended);
}

static void
on_bounced(void *arg, int err)
{
	struct item *item = arg;

	if (item_answer(item, err) || item->mail->sender->ending)
		return;
	item_pend(item);
	for (size_t i = 0; i < item->count; i++)
		if (item->targets[i].state == TARGET_FAILED)
			end_alike(item, i);
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
	target->expired = true;
}

static bool
must_bounce(const struct item *item, const Recipient *recipient)
{
	const char *at = strrchr(recipient->address, '@');

	return !item->bounce_domain || (at && !strcasecmp(at + 1, item->bounce_domain));
}

/* What waits may have no time left, or an operator may not want it to. */
static void
settle_end_waiting(struct item *item)
{
	const struct sender *sender = item->mail->sender;
	const bool late = clock_us() >=
			retry_expiry_us(&sender->times, item->mail->envelope, item_wait(item)) &&
		trust_clock(sender->trust);
	struct outcome outcome;

	for (size_t i = 0; (late || item->bounce_why) && i < item->count; i++) {
		if (!target_waits(&item->targets[i]) ||
			(!late && !must_bounce(item, item->targets[i].recipient)))
			continue;
		if (late) {
			target_expire(item, &item->targets[i]);
			continue;
		}
		outcome_bounce(&outcome, "5.7.1", item->bounce_why);
		target_set(&item->targets[i], TARGET_FAILED, &outcome);
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
	event_common(sender, item, "deferred", item->attempts);
	mail_event_recipients(&sender->event, to, n);
	event_outcome(sender, outcome);
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
	const bool waits = first_waiting(item), partly_bounced = item->bounce_domain;
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
	if (!waits)
		deferral_removed(sender->deferral, item->mail->envelope);
	else
		suspensions_row_stored(sender->suspensions, item);
	memcpy(id, item->mail->envelope->id.data, ID_SIZE);
	item_free(item);
	if (waits && partly_bounced)
		rules_meet(sender->rules, id); /* the next one may be for the others */
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
settle_park(struct item *item, uint64_t until)
{
	item->parked = true;
	item->parked_until_us = until;
	item->state = ITEM_SETTLING;
	settle_advance(item);
}
