/*
 * settle.c - makes the results of a pass over an item's recipients durable, in a fixed order.
 *
 *   delivered: 250 -> ledger (<= 200 ms) -> DSN (relayed) -> event -> row removed, record finished
 *   failed:    DSN -> event -> row removed, record finished
 *   deferred:  event, delay DSN -> event -> row written
 *
 * A recipient that waits untried waits because of its site. So its reason is what the site said
 * last.
 *
 * sender:  attempt -> [settle] -> queue
 *
 * When the queue refuses a step, the item goes on from that step later. Every step may be done
 * twice.
 */
#include "sender/mail/settle.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "sender/mail/bounce.h"
#include "sender/mail/item.h"
#include "sender/mail/lane.h"
#include "sender/mail/mail_end.h"
#include "sender/mail/provider.h"
#include "sender/mail/rule_list.h"
#include "sender/mail/sender.h"
#include "sender/mail/settle_end.h"
#include "sender/mail/suspend.h"
#include "sender/policy/outcome.h"
#include "sender/policy/retry.h"
#include "sender/route/local.h"
#include "sender/schedule/schedule.h"
#include "sender/waiting/deferral.h"
#include "sender/waiting/trust.h"
#include "shared/base/json.h"
#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/base/timer.h"
#include "shared/mail/envelope.h"
#include "shared/metrics/metrics.h"
#include "shared/queue/event.h"
#include "shared/queue/queue.h"

#define AGAIN_MS 5000
#define OURS_US 60000000u /* the longest wait until mail is tried again after a fault of ours */

/* Answers of the queue. */

static void
on_again(void *arg)
{
	struct item *item = arg;

	item_answered(item);
	settle_advance(item);
}

bool
settle_again(struct item *item, int err, struct timer *timer, void (*on_time)(void *arg), void *arg)
{

	if (err == -ECANCELED || item->mail->sender->draining) {
		item->pass.given_up = true;
		item_answered(item);
		return false;
	}
	timer_init(timer, item->mail->sender->loop, on_time, arg);
	timer_set(timer, AGAIN_MS);
	return true;
}

/* Returns 0, or the error; then the item goes on later, unless the role stops. */
static int
item_answer(struct item *item, int err)
{
	if (!err)
		item_answered(item);
	else if (settle_again(item, err, &item->again, on_again, item))
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
	json_str(&sender->event.json, "egress_ip", item->egress);
	json_int(&sender->event.json, "attempts", attempts);
	mail_event_scanned(&sender->event, item->mail->envelope);
}

void
settle_event_outcome(struct sender *sender, const struct outcome *outcome)
{
	if (!outcome)
		return;
	json_str(&sender->event.json, "host", *outcome->host ? outcome->host : NULL);
	json_str(&sender->event.json, "reply", outcome->text);
	if (!outcome->meant)
		return;
	json_str(&sender->event.json, "class", meaning_name(outcome->meaning.class));
	json_str(&sender->event.json, "scope", blame_name(outcome->meaning.blame));
	json_str(
		&sender->event.json, "rule", *outcome->meaning.rule ? outcome->meaning.rule : NULL);
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

void
settle_count(const struct item *item, enum provider_end end, const char *class, size_t n)
{
	providers_count(item->mail->sender->providers, item->route ? item->route->site : NULL, end,
		class, n);
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

static const char *
item_site(const struct item *item)
{
	return item->route ? item->route->site : item->site;
}

static const struct schedule_trouble *
item_trouble(const struct item *item)
{
	if (item->held || !item_site(item))
		return NULL;
	return lane_trouble(item);
}

/* Why a target waits that this pass has not tried: what the site, or the mail's last attempt,
 * said. */
static void
item_reason(const struct item *item, const Recipient *recipient, struct outcome *out)
{
	const struct schedule_trouble *trouble = item_trouble(item);
	const struct sender *sender = item->mail->sender;

	if (item->held)
		outcome_defer(out, SCOPE_MESSAGE, "5.7.0", "held for too long");
	else if (trouble && trouble->at_us >= item->last_attempt_us)
		outcome_recall(out, trouble->reply, trouble->host, trouble->class, sender->replies);
	else if (item->last_reply)
		outcome_recall(out, item->last_reply, item->last_host ? item->last_host : "",
			item->last_class, sender->replies);
	else if (item_site(item) &&
		suspensions_cover(sender->suspensions, item->mail->envelope, item_site(item),
			item->egress, recipient))
		outcome_defer(out, SCOPE_MESSAGE, "4.4.0",
			"deliveries there are suspended here for the time being");
	else
		outcome_defer(out, SCOPE_MESSAGE, "4.4.7", "could not be delivered in time");
}

static void
target_excuse(const struct item *item, struct target *target)
{
	struct outcome outcome;

	if (target->outcome)
		return;
	item_reason(item, target->recipient, &outcome);
	target_set(target, target->state, &outcome);
}

static void
target_expire(const struct item *item, struct target *target)
{
	target_excuse(item, target);
	target->state = TARGET_FAILED;
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

/* When the item's time is up. */
static uint64_t
item_expiry_us(const struct item *item)
{
	const struct sender *sender = item->mail->sender;
	const Envelope *envelope = item->mail->envelope;
	const uint64_t expiry = retry_expiry_us(&sender->times, envelope, item_wait(item));
	const bool ours = item->pass.ours || (!item->pass.counted && local_stands(sender->local));

	return ours && !item->held ? retry_patience_us(expiry, envelope) : expiry;
}

/* Fails the waiting recipients whose time is up, or that an operator wants bounced. */
static void
settle_end_waiting(struct item *item)
{
	const struct sender *sender = item->mail->sender;
	const bool late = clock_us() >= item_expiry_us(item) && trust_clock(sender->trust);

	for (size_t i = 0; i < item->count; i++) {
		if (!target_waits(&item->targets[i]))
			continue;
		if (item->targets[i].unwanted)
			target_refuse(&item->targets[i]);
		else if (late)
			target_expire(item, &item->targets[i]);
	}
}

/* When the item's site may be tried again; 0: now, or nothing is known of the site. */
static uint64_t
rest_until(const struct item *item, uint64_t now)
{
	if (!item->route)
		return 0;
	return schedule_rest_until(
		item->mail->sender->schedule, lane_of(item), item->mail->envelope->account, now);
}

/* Whether the site is why the item waits: nothing was said of the mail, or the site rests. */
static bool
waits_for_site(const struct item *item, uint64_t now)
{
	for (size_t i = 0; i < item->count; i++)
		if (item->targets[i].state == TARGET_DEFERRED &&
			item->targets[i].outcome->scope != SCOPE_SITE)
			return false;
	return item->pass.unsent || !item->route || rest_until(item, now);
}

/*
 * Mail's own failures let the mail wait longer and longer. A failure of its site does not: the mail
 * waits until the site's rest ends. The scheduler knows that end, so the mail goes out at once when
 * the rest ends early.
 */
static uint64_t
item_pause_us(struct item *item, uint64_t now)
{
	const struct retry_times *times = &item->mail->sender->times;
	const bool for_site = waits_for_site(item, now);
	const uint64_t rest = rest_until(item, now);
	uint64_t longest = times->max_us;
	uint32_t random;

	if (item->pass.ours)
		return retry_wait_us(times, OURS_US, 1, arc4random_uniform(1024));
	if (for_site && rest)
		return item->lane || (item->row && strcmp(item->site, item->route->site))
			? rest - now
			: 0;
	if (for_site)
		longest = item->route && item->route->smarthost ? times->rest_route_us
								: times->rest_max_us;
	if (!for_site || !item->route)
		item->setbacks++;
	if (getrandom(&random, sizeof random, 0) != sizeof random)
		random = (uint32_t)now;
	return retry_wait_us(times, longest, for_site && item->route ? 1 : item->setbacks, random);
}

static void
item_due(struct item *item)
{
	uint64_t now = clock_us(), expiry;

	if (item->pass.looked_at)
		return;
	if (item->held || item->pass.suspended) {
		item->due_us = 0;
		return;
	}
	if (item->pass.parked) {
		item->due_us = item->pass.parked_until_us > now ? item->pass.parked_until_us : now;
		return;
	}
	expiry = item_expiry_us(item);
	item->due_us = now + item_pause_us(item, now);
	if (item->due_us > expiry && expiry > now) /* an untrusted clock ends nothing */
		item->due_us = expiry;
}

static void
replace(char **text, const char *with)
{
	free(*text);
	*text = *with ? xstrdup(with) : NULL;
}

/* Begins an event about all waiting recipients, with the reason of the first. */
static void
waiting_event(struct item *item, const char *name)
{
	struct sender *sender = item->mail->sender;
	Recipient **to = xmalloc(item->count * sizeof(Recipient *));
	size_t n = 0;

	for (size_t i = 0; i < item->count; i++)
		if (target_waits(&item->targets[i]))
			to[n++] = item->targets[i].recipient;
	settle_event(sender, item, name, item->attempts);
	mail_event_recipients(&sender->event, to, n);
	settle_event_outcome(sender, first_waiting(item)->outcome);
	settle_event_ambiguous(sender, to, n);
	free(to);
}

/* Each for its own reason; what was not tried waits for that of the first. */
static void
count_deferred(const struct item *item)
{
	const struct outcome *first = first_waiting(item)->outcome, *outcome;

	for (size_t i = 0; i < item->count; i++) {
		if (!target_waits(&item->targets[i]))
			continue;
		outcome = item->targets[i].outcome;
		settle_count(item, PROVIDER_DEFERRED, (outcome ? outcome : first)->class, 1);
	}
}

/* It has no reply of its own, and its site has one. */
static bool
item_learns(const struct item *item)
{
	return !item->last_reply && item_trouble(item);
}

static void
item_remember(struct item *item, const char *reply, const char *host, const char *class)
{
	snprintf(item->last_class, sizeof item->last_class, "%s", class);
	replace(&item->last_reply, reply);
	replace(&item->last_host, host);
}

static void
settle_tell_deferred(struct item *item)
{
	struct sender *sender = item->mail->sender;
	const struct outcome *outcome = first_waiting(item)->outcome;
	const struct schedule_trouble *trouble = item_trouble(item);
	uint64_t rest;

	item->pass.told = true;
	item_due(item);
	if (!outcome && trouble && trouble->at_us >= item->last_attempt_us)
		item_remember(item, trouble->reply, trouble->host, trouble->class);
	if (!outcome)
		return;
	item_remember(item, outcome->text, outcome->host, outcome->class);
	rest = rest_until(item, clock_us());
	waiting_event(item, "deferred");
	count_deferred(item);
	json_time(&sender->event.json, "due", rest > item->due_us ? rest : item->due_us);
	mail_event_send(&sender->event, sender->queue, NULL, NULL);
}

static bool
delay_due(const struct item *item)
{
	const struct sender *sender = item->mail->sender;

	return first_waiting(item) && !item->held && !item->delay_sent &&
		retry_delay_due(
			&sender->times, item->mail->envelope, item_wait(item), clock_us()) &&
		trust_clock(sender->trust);
}

static void
on_delay_told(void *arg, int err)
{
	struct item *item = arg;
	struct sender *sender = item->mail->sender;

	if (item_answer(item, err))
		return;
	item->delay_sent = true;
	if (first_waiting(item)) {
		waiting_event(item, "delayed");
		mail_event_send(&sender->event, sender->queue, NULL, NULL);
	}
	settle_advance(item);
}

static void
delay_tell(struct item *item)
{
	for (size_t i = 0; i < item->count; i++)
		if (target_waits(&item->targets[i]))
			target_excuse(item, &item->targets[i]);
	item_pend(item);
	bounce_send(item, BOUNCE_DELAY, on_delay_told, item);
}

/* The end of the pass. */

static void
on_row(void *arg, int err)
{
	struct item *item = arg;
	struct sender *sender = item->mail->sender;
	const bool meets = first_waiting(item) && (item_unwanted(item) || item->meets_rules);
	uint8_t id[ID_SIZE];

	if (err == -ECANCELED) { /* another sender has the row; the ledger has what was delivered */
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
		sender->meet_rules(sender, id);
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
		item_enter(item, ITEM_ENDED);
		return;
	}
	mail->busy++;
	if (first_waiting(item))
		item_enter(item, ITEM_PARKED);
	else
		item_free(item);
	mail->busy--;
	mail_check(mail);
}

/* Whether the stored row is right as it is: the row was only looked at, and nothing was learned. */
static bool
row_untouched(const struct item *item)
{
	const Row *row = item->mail->row;

	return item->row && row && item->pass.parked && !item->pass.counted &&
		(item->pass.looked_at || (!item->pass.parked_until_us && !item->pass.suspended)) &&
		item->held == (row->state == ROW__STATE__HELD) &&
		item->delay_sent == row->delay_sent && !item_learns(item) &&
		count_state(item, TARGET_OPEN) == item->count;
}

void
settle_advance(struct item *item)
{
	struct sender *sender = item->mail->sender;

	if (item->pending || item->state != ITEM_SETTLING || item->pass.given_up || sender->ending)
		return;
	settle_end_waiting(item);
	if (count_state(item, TARGET_FAILED)) {
		item_pend(item);
		bounce_send(item, BOUNCE_FAILURE, on_bounced, item);
		return;
	}
	if (row_untouched(item) && !delay_due(item)) {
		item_free(item);
		return;
	}
	if (first_waiting(item) && !item->pass.told)
		settle_tell_deferred(item);
	if (delay_due(item))
		delay_tell(item);
	else
		settle_store(item);
}

void
settle_unwanted(struct item *item, uint64_t until)
{
	if (item->row || item->mail->redelivered)
		settle_ask(item);
	item->pass.parked = !item->pass.counted;
	item->pass.parked_until_us = until;
	item_enter(item, ITEM_SETTLING);
	settle_advance(item);
}

void
settle_park(struct item *item, uint64_t until)
{
	item->pass.parked = true;
	item->pass.parked_until_us = until;
	item_enter(item, ITEM_SETTLING);
	settle_advance(item);
}
