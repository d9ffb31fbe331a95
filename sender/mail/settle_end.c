/*
 * settle_end.c - recipients reach their end state: delivered, bounced, expired.
 *
 * sender:  settle (order of the steps) -> [settle_end] -> ledger, mail.events
 *
 * A recipient is closed only when its event is durable:
 *
 *   delivered: ledger -> DSN (relayed) -> event -> closed
 *   known:               DSN (relayed) -> event -> closed   (the ledger had the recipient)
 *   failed:              DSN (settle.c) -> event -> closed
 *
 * The file owns a group of recipients that ended alike until then. When the queue refuses a step,
 * the group goes on from that step later.
 */
#include "sender/mail/settle_end.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sender/mail/bounce.h"
#include "sender/mail/item.h"
#include "sender/mail/ledger.h"
#include "sender/mail/provider.h"
#include "sender/mail/sender.h"
#include "sender/mail/settle.h"
#include "sender/policy/outcome.h"
#include "sender/smtp/client.h"
#include "shared/base/json.h"
#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/base/timer.h"
#include "shared/mail/envelope.h"
#include "shared/metrics/metrics.h"
#include "shared/queue/event.h"
#include "shared/score/score.h"

/* Delivered. */

struct receipt {
	struct item *item;
	struct timer again;
	struct outcome outcome;
	bool known; /* the ledger said so; host and reply were lost with the process that knew */
	bool told;  /* the DSN is durable */
	uint64_t at_us;
	size_t count;
	size_t indices[];
};

static void receipt_next(struct receipt *receipt);

static void
on_receipt_again(void *arg)
{
	receipt_next(arg);
}

/* A delivery by an earlier process is not timed: when it happened is not known. */
static void
count_delivered(const struct receipt *receipt)
{
	const struct item *item = receipt->item;
	const struct sender_metrics *metrics = &item->mail->sender->metrics;
	const uint64_t accepted_us = item->mail->envelope->accepted_us;

	settle_count(item, PROVIDER_DELIVERED, "", receipt->count);
	if (receipt->known)
		return;
	metric_observe_many_us(item->attempts > 1 ? metrics->later_seconds : metrics->first_seconds,
		receipt->at_us > accepted_us ? receipt->at_us - accepted_us : 0, receipt->count);
}

static void
score_delivered(const struct receipt *receipt)
{
	const struct item *item = receipt->item;
	struct scores *scores = item->mail->sender->scores;

	scores_add(scores, item->mail->envelope, SCORE_RECIPIENTS, (unsigned)receipt->count);
	if (item->egress)
		scores_through(scores, item->egress, item->mail->envelope->account,
			(unsigned)receipt->count);
	for (size_t i = 0; i < receipt->count; i++)
		scores_delivered(scores, item->mail->envelope,
			item->targets[receipt->indices[i]].recipient->address);
}

static void
on_receipt(void *arg, int err)
{
	struct receipt *receipt = arg;
	struct item *item = receipt->item;

	if (err) {
		if (!settle_again(item, err, &receipt->again, on_receipt_again, receipt))
			free(receipt);
		return;
	}
	for (size_t i = 0; i < receipt->count; i++)
		item->targets[receipt->indices[i]].state = TARGET_CLOSED;
	count_delivered(receipt);
	score_delivered(receipt);
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
	settle_event(sender, item, "delivered", item->attempts);
	mail_event_recipients(&sender->event, to, receipt->count);
	if (!receipt->known) {
		settle_event_outcome(sender, &receipt->outcome);
		json_str(&sender->event.json, "tls",
			*receipt->outcome.tls ? receipt->outcome.tls : NULL);
	}
	json_int(&sender->event.json, "queued_ms",
		((int64_t)clock_us() - (int64_t)envelope->accepted_us) / 1000);
	mail_event_send(&sender->event, sender->queue, on_receipt, receipt);
}

static void
on_receipt_told(void *arg, int err)
{
	struct receipt *receipt = arg;

	if (!err && receipt->item->mail->sender->ending)
		err = -ECANCELED;
	receipt->told = !err;
	if (!err)
		receipt_event(receipt);
	else if (!settle_again(receipt->item, err, &receipt->again, on_receipt_again, receipt))
		free(receipt);
}

static void
receipt_next(struct receipt *receipt)
{
	if (receipt->told || !receipt->outcome.relayed)
		receipt_event(receipt);
	else
		bounce_send_relayed(receipt->item, receipt->indices, receipt->count,
			&receipt->outcome, on_receipt_told, receipt);
}

static void
on_ledger(void *arg)
{
	receipt_next(arg);
}

static struct receipt *
receipt_new(struct item *item, const size_t *indices, size_t count)
{
	struct receipt *receipt = xcalloc(1, sizeof *receipt + count * sizeof *indices);

	receipt->item = item;
	receipt->count = count;
	receipt->at_us = clock_us();
	memcpy(receipt->indices, indices, count * sizeof *indices);
	for (size_t i = 0; i < count; i++)
		item->targets[indices[i]].state = TARGET_RECORDING;
	item_pend(item);
	return receipt;
}

void
settle_delivered(
	struct item *item, const size_t *indices, size_t count, const struct outcome *outcome)
{
	struct receipt *receipt = receipt_new(item, indices, count);
	Recipient *to[TRANSACTION_RECIPIENTS_MAX];

	receipt->outcome = *outcome;
	for (size_t i = 0; i < count; i++)
		to[i] = item->targets[indices[i]].recipient;
	ledger_put(item->mail->sender->ledger, item->mail->envelope->id.data, to, count,
		outcome->relayed ? LEDGER_RELAYED : LEDGER_SENT,
		item->row || mail_is_notice(item->mail), on_ledger, receipt);
}

static void
settle_found(struct item *item, const size_t *indices, size_t count, const enum ledger_entry *found,
	enum ledger_entry entry)
{
	size_t some[TRANSACTION_RECIPIENTS_MAX], n = 0;
	struct receipt *receipt;

	for (size_t i = 0; i < count; i++)
		if (found[i] == entry)
			some[n++] = indices[i];
	if (!n)
		return;
	receipt = receipt_new(item, some, n);
	receipt->known = true;
	receipt->outcome = (struct outcome){ .relayed = entry == LEDGER_RELAYED };
	receipt_next(receipt);
}

void
settle_known(struct item *item, const size_t *indices, size_t count, const enum ledger_entry *found)
{
	settle_found(item, indices, count, found, LEDGER_SENT);
	settle_found(item, indices, count, found, LEDGER_RELAYED);
}

struct question {
	struct item *item;
	size_t count;
	size_t indices[TRANSACTION_RECIPIENTS_MAX];
	Recipient *recipients[TRANSACTION_RECIPIENTS_MAX];
};

static void
on_asked(void *arg, const enum ledger_entry *found)
{
	struct question *question = arg;
	struct item *item = question->item;

	if (!item->mail->sender->ending)
		settle_known(item, question->indices, question->count, found);
	free(question);
	item_answered(item);
	settle_advance(item);
}

void
settle_ask(struct item *item)
{
	struct question *question;
	size_t n;

	for (size_t at = 0; at < item->count;) {
		question = xmalloc(sizeof *question);
		question->item = item;
		for (n = 0; n < TRANSACTION_RECIPIENTS_MAX && at < item->count; at++) {
			if (item->targets[at].state != TARGET_OPEN)
				continue;
			question->indices[n] = at;
			question->recipients[n++] = item->targets[at].recipient;
		}
		question->count = n;
		item_pend(item);
		ledger_check(item->mail->sender->ledger, item->mail->envelope->id.data,
			question->recipients, n, on_asked, question);
	}
}

/* Failed: bounced or expired. */

/* Recipients that failed alike share one event. */
struct ended {
	struct item *item;
	struct timer again;
	size_t count;
	size_t indices[];
};

/* Bounces by an operator say nothing about the account's recipients. */
static void
score_end(const struct item *item, const struct target *like, unsigned n)
{
	struct scores *scores = item->mail->sender->scores;
	const Envelope *envelope = item->mail->envelope;

	scores_add(scores, envelope, SCORE_RECIPIENTS, n);
	if (item->egress)
		scores_through(scores, item->egress, envelope->account, n);
	if (like->end != END_REFUSED)
		return;
	if (outcome_is_hard_bounce(like->outcome))
		scores_add(scores, envelope, SCORE_HARD_BOUNCES, n);
	if (outcome_is_unknown_user(like->outcome))
		scores_add(scores, envelope, SCORE_UNKNOWN_USERS, n);
}

static void ended_event(struct ended *ended);

static void
on_ended_again(void *arg)
{
	ended_event(arg);
}

/* The DSN is durable, so on an error only the event is sent again. */
static void
on_ended(void *arg, int err)
{
	struct ended *ended = arg;
	struct item *item = ended->item;
	const struct target *like = &item->targets[ended->indices[0]];

	if (err && settle_again(item, err, &ended->again, on_ended_again, ended))
		return;
	for (size_t i = 0; !err && i < ended->count; i++)
		item->targets[ended->indices[i]].state = TARGET_CLOSED;
	if (!err) {
		settle_count(item, like->end == END_EXPIRED ? PROVIDER_EXPIRED : PROVIDER_BOUNCED,
			like->outcome->class, ended->count);
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
	settle_event(
		sender, item, like->end == END_EXPIRED ? "expired" : "bounced", item->attempts);
	mail_event_recipients(&sender->event, to, ended->count);
	settle_event_outcome(sender, like->outcome);
	settle_event_ambiguous(sender, to, ended->count);
	if (like->end != END_EXPIRED) {
		json_str(&sender->event.json, "enhanced", like->outcome->enhanced);
		json_str(&sender->event.json, "reason",
			like->end == END_OPERATOR ? like->outcome->text : "refused");
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

		if (target->state != TARGET_FAILED || target->end != like->end ||
			strcmp(target->outcome->text, like->outcome->text))
			continue;
		target->state = TARGET_ENDING;
		ended->indices[ended->count++] = i;
	}
	item_pend(item);
	ended_event(ended);
}

void
settle_failed(struct item *item)
{
	for (size_t i = 0; i < item->count; i++)
		if (item->targets[i].state == TARGET_FAILED)
			end_alike(item, i);
}
