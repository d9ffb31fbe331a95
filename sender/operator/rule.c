/*
 * rule.c - what operators decided about waiting mail, and the end of what waited too long.
 *
 * control -> relay.config -> [rule] -> mail, queue's rows
 *
 * A sweep reads all rows, a slice on each turn of the loop. To each row the sweep applies the rules
 * that are newer than the newest one the row has met (Row.rule). So a rule survives a restart, and
 * is not carried out twice. Row.rule moves past a bounce only when the bounce is done.
 *
 * Mail in memory is reached through its item. A bounce marks the recipients, and their next step is
 * the bounce. An attempt is broken off unless its message is out; a result that comes all the same
 * counts.
 *
 * A sweep also wakes rows whose suspension has ended, tells the originators of late mail, and
 * writes into rows that were never tried what their site said. Sweeps for age alone come at
 * intervals.
 */
#include "sender/operator/rule.h"

#include <stdlib.h>
#include <string.h>

#include "sender/egress/egress.h"
#include "sender/egress/limiter.h"
#include "sender/mail/attempt.h"
#include "sender/mail/item.h"
#include "sender/mail/lane.h"
#include "sender/mail/mail.h"
#include "sender/mail/rule_list.h"
#include "sender/mail/sender.h"
#include "sender/mail/settle.h"
#include "sender/mail/suspend.h"
#include "sender/operator/move.h"
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
#include "shared/queue/event.h"
#include "shared/queue/queue.h"

#define SLICE 100
#define BUSY_MAX 1000 /* with so many items being settled the sweep pauses */
#define PAUSE_MS 50
#define PERIOD_MIN_US (1ull * 1000000)
#define PERIOD_MAX_US (300ull * 1000000)
#define PREFIX "rule/"
#define PREFIX_SUSPENSION "suspension/"

struct rules {
	struct sender *sender;
	struct timer timer;
	struct config_subscriber *subscriber;
	void (*on_known)(struct sender *sender);
	bool known; /* the rules and suspensions of the start were all read */
	bool sweeping, stopped;
	bool cursor;
	uint8_t after_id[ID_SIZE];
	char *after_site;
	Row *slice[SLICE];
	size_t count;
};

/* Carrying a rule out. */

static void
tell_released(struct sender *sender, const struct rule *rule, const Envelope *envelope)
{
	char number[24];

	snprintf(number, sizeof number, "%llu", (unsigned long long)rule->number);
	mail_event_begin(&sender->event, "released", envelope);
	json_str(&sender->event.json, "rule", number);
	json_str(&sender->event.json, "by", rule->by);
	mail_event_send(&sender->event, sender->queue, NULL, NULL);
}

/* A waiting item is settled at once. An attempt under way is broken off, or fails by itself. */
static void
item_end_unwanted(struct sender *sender, struct item *item)
{
	if (!item_unwanted(item))
		return;
	if (item->state == ITEM_WAITING) {
		schedule_remove(sender->schedule, &item->entry);
		settle_unwanted(item, 0);
	} else if (item->state == ITEM_ATTEMPTING)
		attempt_break_off(item);
}

static void
on_item_of_record(void *arg, struct item *item)
{
	struct rules *rules = arg;

	item_meet_rules(item, false);
	item_end_unwanted(rules->sender, item);
}

/* Only marks the row's item: the sweep ends unwanted items a slice at a time, because each end
 * sends a DSN. */
static void
on_loaded(void *arg, struct loaded_row *row)
{
	(void)arg;
	item_meet_rules(item_of_row(row), false);
}

struct rewrite {
	struct sender *sender;
	char *site;
	uint64_t lane, due_us;
	bool rest_ends; /* the site's rest ends, too */
};

static void
on_rewritten(void *arg, int err)
{
	struct rewrite *rewrite = arg;

	rewrite->sender->rewriting--;
	if (!err && rewrite->due_us) {
		if (rewrite->rest_ends)
			lanes_wake(rewrite->sender, rewrite->site);
		deferral_noted(
			rewrite->sender->deferral, rewrite->site, rewrite->lane, rewrite->due_us);
		deferral_poke(rewrite->sender->deferral, rewrite->site);
	}
	free(rewrite->site);
	free(rewrite);
}

/* Makes the row due now; a suspended row stays without a due time. */
static void
row_rewrite(struct sender *sender, Row *row, bool rest_ends)
{
	struct rewrite *rewrite = xcalloc(1, sizeof *rewrite);

	row->due_us = suspensions_cover_row(sender->suspensions, row) ? 0 : clock_us();
	sender->rewriting++;
	*rewrite = (struct rewrite){ sender, xstrdup(row->site), rows_lane(row->envelope->account),
		row->due_us, rest_ends };
	queue_row_put(sender->queue, row, on_rewritten, rewrite);
}

/* True: the rule's work owns the row now. */
static bool
do_rule(struct sender *sender, const struct rule *rule, Row *row)
{
	const bool held = row->state == ROW__STATE__HELD;

	if (rule->action == ACTION_BOUNCE) {
		mail_from_row(sender, row, ROW_BOUNCE);
		return true;
	}
	row->rule = rule->number;
	if (rule->action == ACTION_RELEASE && rule_can_release(rule, held, row->held_rule)) {
		tell_released(sender, rule, row->envelope);
		row->released = true;
		row->state = ROW__STATE__WAITING;
		row->due_us = row->since_us = clock_us();
		mail_from_row(sender, row, ROW_ATTEMPT);
		return true;
	}
	if (rule->action == ACTION_RETRY && !held)
		row_rewrite(sender, row, true);
	return false;
}

/* Whether the row's time is up, or its originator gets a delay DSN. */
static bool
row_late(const struct sender *sender, const Row *row, uint64_t now)
{
	const bool held = row->state == ROW__STATE__HELD;
	const enum retry_wait wait = held ? RETRY_HELD
		: row->released           ? RETRY_RELEASED
					  : RETRY_WAITING;
	uint64_t expiry = retry_expiry_us(&sender->times, row->envelope, wait);

	if (!held && (row->ours || local_stands(sender->local)))
		expiry = retry_patience_us(expiry, row->envelope);
	if (!trust_clock(sender->trust))
		return false;
	/* the last attempt is due when the time is up: the attempt gets a while */
	return now > expiry + (held ? 0 : sender->times.first_us) ||
		(!held && !row->delay_sent &&
			retry_delay_due(&sender->times, row->envelope, wait, now));
}

/* The row was never tried: writes into the row what the site said last, so that operators see
 * why. */
static void
row_learn(struct sender *sender, const Row *row)
{
	const struct schedule_trouble *trouble = lanes_trouble(sender, row->site);
	struct rewrite *rewrite;
	Row told = *row;

	if (!trouble || *row->last_reply || row->state == ROW__STATE__HELD)
		return;
	rewrite = xcalloc(1, sizeof *rewrite);
	told.last_reply = trouble->reply;
	told.last_host = trouble->host;
	told.last_class = (char *)trouble->class;
	rewrite->sender = sender;
	sender->rewriting++;
	queue_row_put(sender->queue, &told, on_rewritten, rewrite);
}

static const struct rule *
rule_for(const struct rules *rules, const struct rule *from, const Row *row)
{
	const struct rule *rule = from;

	while (rule && (rule->number <= row->rule || !rule_matches_row(rules->sender, rule, row)))
		rule = rule->next;
	return rule;
}

/* Whether the row waits for an IP that was blamed, whose blocks an operator has lifted since. */
static bool
row_is_lifted(const struct sender *sender, const Row *row)
{
	const struct egress_entry *entry = *row->egress ? egress_find(sender->egress, row->egress)
							: NULL;

	return entry && row->state == ROW__STATE__WAITING && row->due_us > clock_us() &&
		strcmp(row->reason, REASON_IP_BLAMED) == 0 &&
		entry->lifted_us > row->last_attempt_us;
}

/* Whether the suspension has ended that keeps the row without a due time. */
static bool
row_wakes(const struct sender *sender, const Row *row)
{
	return row->state == ROW__STATE__WAITING && !row->due_us &&
		!suspensions_cover_row(sender->suspensions, row);
}

static void
row_do(struct rules *rules, Row *row)
{
	struct sender *sender = rules->sender;
	struct item *item = item_of_row(
		deferral_find(sender->deferral, row->envelope->id.data, row->site));
	const struct rule *rule = sender->decisions;

	if (item) {
		item_meet_rules(item, false);
		item_end_unwanted(sender, item);
		row_free(row);
		return;
	}
	for (; (rule = rule_for(rules, rule, row)); rule = rule->next)
		if (do_rule(sender, rule, row))
			return;
	if (!row_wakes(sender, row) && row_late(sender, row, clock_us())) {
		mail_from_row(sender, row, ROW_LATE);
		return;
	}
	if (row_is_lifted(sender, row))
		row_rewrite(sender, row, true);
	else if (row_wakes(sender, row))
		row_rewrite(sender, row, false);
	else
		row_learn(sender, row);
	row_free(row);
}

void
rules_load(struct rules *rules, Row *row)
{
	mail_from_row(rules->sender, row,
		suspensions_cover_row(rules->sender->suspensions, row) ? ROW_SUSPEND : ROW_ATTEMPT);
}

/* Sweeping. */

static uint64_t
period_us(const struct sender *sender)
{
	uint64_t shortest = sender->times.null_lifetime_us;

	if (sender->times.lifetime_us < shortest)
		shortest = sender->times.lifetime_us;
	if (sender->times.delay_dsn_us < shortest)
		shortest = sender->times.delay_dsn_us;
	if (sender->times.held_lifetime_us < shortest)
		shortest = sender->times.held_lifetime_us;
	shortest /= 10;
	return shortest < PERIOD_MIN_US    ? PERIOD_MIN_US
		: shortest > PERIOD_MAX_US ? PERIOD_MAX_US
					   : shortest;
}

static void
on_row(void *arg, Row *row)
{
	struct rules *rules = arg;

	rules->slice[rules->count++] = row;
}

static void
sweep_slice(struct rules *rules)
{
	const Row *last;
	char *site = rules->after_site;
	size_t n;

	rules->count = 0;
	n = rows_scan(rules->sender->rows, ROWS_ANY, rules->cursor ? rules->after_id : NULL, site,
		SLICE, on_row, rules);
	rules->sweeping = n == SLICE;
	rules->cursor = n == SLICE;
	rules->after_site = NULL;
	if (n == SLICE) {
		last = rules->slice[n - 1];
		memcpy(rules->after_id, last->envelope->id.data, ID_SIZE);
		rules->after_site = xstrdup(last->site);
	}
	free(site);
	for (size_t i = 0; i < n; i++)
		row_do(rules, rules->slice[i]);
}

void
rules_sweep(struct rules *rules)
{
	rules->sweeping = true;
	rules->cursor = false;
	free(rules->after_site);
	rules->after_site = NULL;
	if (!rules->stopped)
		timer_set(&rules->timer, 0);
}

static void
on_timer(void *arg)
{
	struct rules *rules = arg;

	if (!rules->known)
		return;
	if (!rules->sweeping)
		rules_sweep(rules);
	if (rules->sender->settling + rules->sender->rewriting > BUSY_MAX ||
		!rows_mine(rules->sender->rows, ROWS_ANY)) {
		timer_set(&rules->timer, PAUSE_MS);
		return;
	}
	sweep_slice(rules);
	timer_set(&rules->timer, rules->sweeping ? 0 : period_us(rules->sender) / 1000);
	sender_wake(rules->sender);
}

/* A suspension has ended: a sweep wakes its rows. */
static void
on_lifted(void *arg)
{
	struct rules *rules = arg;

	if (!rules->known || rules->stopped)
		return;
	rules_sweep(rules);
	deferral_poke(rules->sender->deferral, NULL);
}

/* Parks an item that waits for its turn, and is suspended. */
static void
item_park(void *arg, struct item *item)
{
	const struct rules *rules = arg;
	struct sender *sender = rules->sender;

	if (item->state != ITEM_WAITING ||
		suspensions_extent(sender->suspensions, item) == SUSPENDED_NONE)
		return;
	schedule_remove(sender->schedule, &item->entry);
	/* when only some recipients are suspended, the row is split once it is loaded */
	suspensions_mark(sender->suspensions, item);
	settle_park(item, 0);
}

static void
loaded_park(void *arg, struct loaded_row *row)
{
	item_park(arg, item_of_row(row));
}

static void
on_suspension(struct rules *rules, const char *key, const char *json)
{
	suspensions_set(rules->sender->suspensions, key, json);
	if (!rules->known)
		return;
	LOG_INFO(json ? "suspended" : "resumed", "key", key);
	mail_each_item(rules->sender, item_park, rules);
	deferral_each(rules->sender->deferral, loaded_park, rules);
	sender_wake(rules->sender);
}

static void
on_row_of(void *arg, Row *row)
{
	row_do(arg, row);
}

/* The rows of one message meet the rules. */
static void
rows_meet(struct sender *sender, const uint8_t id[ID_SIZE])
{
	struct rules *rules = sender->rules;

	if (!rules->stopped)
		rows_of(sender->rows, id, on_row_of, rules);
}

static void
on_rule(struct rules *rules, const char *key, const char *json)
{
	struct rule *rule;

	rule_list_drop(&rules->sender->decisions, key);
	if (!json)
		return;
	rule = rule_parse(key, json);
	if (!rule) {
		LOG_WARN("a rule that cannot be read", "key", key);
		return;
	}
	rule_list_add(&rules->sender->decisions, rule);
	if (!rules->known)
		return;
	LOG_INFO("operator's rule", "key", key, "action", rule_action(rule), "by", rule->by);
	mail_each_item(rules->sender, on_item_of_record, rules);
	deferral_each(rules->sender->deferral, on_loaded, rules);
	if (rule->selector.text[SELECT_ID])
		rows_meet(rules->sender, rule->selector.id);
	else
		rules_sweep(rules);
}

/* Egress IPs, and whose accounts are young. */
static void
on_other(struct rules *rules, const char *key, const char *json)
{
	struct sender *sender = rules->sender;
	const bool is_ip = !strncmp(key, EGRESS_PREFIX, sizeof EGRESS_PREFIX - 1);
	const char *ip = is_ip ? key + sizeof EGRESS_PREFIX - 1 : NULL;
	const struct egress_entry *entry = ip ? egress_find(sender->egress, ip) : NULL;
	const uint64_t lifted = entry ? entry->lifted_us : 0;

	if (!egress_set(sender->egress, key, json, clock_us()))
		LOG_ERROR("an egress IP that cannot be read is not used", "key", key);
	if (!rules->known || !is_ip)
		return;
	entry = egress_find(sender->egress, ip);
	if (entry && entry->lifted_us > lifted) {
		limiter_lift(sender->limiter, ip);
		rules_sweep(rules);
	}
	move_lanes(sender);
}

static void
on_entry(void *arg, const char *key, const char *json)
{
	struct rules *rules = arg;

	if (!key) {
		rules->known = true;
		rules_sweep(rules);
		rules->on_known(rules->sender);
	} else if (!strncmp(key, PREFIX, strlen(PREFIX)))
		on_rule(rules, key, json);
	else if (!strncmp(key, PREFIX_SUSPENSION, strlen(PREFIX_SUSPENSION)))
		on_suspension(rules, key, json);
	else
		on_other(rules, key, json);
}

struct rules *
rules_new(struct sender *sender, void (*on_known)(struct sender *sender))
{
	struct rules *rules = xcalloc(1, sizeof *rules);

	rules->sender = sender;
	rules->on_known = on_known;
	sender->meet_rules = rows_meet;
	sender->lanes_changed = move_lanes;
	sender->suspensions = suspensions_new(sender, on_lifted, rules);
	timer_init(&rules->timer, sender->loop, on_timer, rules);
	return rules;
}

void
rules_start(struct rules *rules)
{
	rules->subscriber = queue_config_subscribe(
		rules->sender->queue, rules->sender->loop, on_entry, rules);
}

void
rules_stop(struct rules *rules)
{
	rules->stopped = true;
	queue_config_unsubscribe(&rules->subscriber);
	timer_cancel(&rules->timer);
	suspensions_stop(rules->sender->suspensions);
}

bool
rules_known(const struct rules *rules)
{
	return rules->known;
}

void
rules_free(struct rules **rules_ref)
{
	struct rules *rules = *rules_ref;

	if (!rules)
		return;
	rule_list_drop(&rules->sender->decisions, NULL);
	suspensions_free(&rules->sender->suspensions);
	free(rules->after_site);
	free(rules);
	*rules_ref = NULL;
}
