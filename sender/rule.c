/*
 * rule.c - what operators decided about waiting mail, and the end of what waited too long.
 *
 * control -> relay.config -> [rule] -> mail, queue's rows
 *
 * A sweep reads all rows, a slice on each turn of the loop, and does to each what the rules say
 * that are newer than the newest one it has seen (Row.rule). So a rule survives a restart, and is
 * not done twice. Rows in memory are reached through their item. Sweeps for age alone come at
 * intervals.
 */
#include "sender/rule.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>
#include <jansson.h>

#include "sender/deferral.h"
#include "sender/sender_private.h"
#include "sender/trust.h"
#include "shared/address.h"
#include "shared/log.h"
#include "shared/loop.h"

#define SLICE 500
#define BUSY_MAX 2000 /* items being settled: the sweep pauses */
#define PAUSE_US 50000
#define PERIOD_MIN_US (1ull * 1000000)
#define PERIOD_MAX_US (3600ull * 1000000)
#define PREFIX "rule/"

enum action { ACTION_RETRY, ACTION_BOUNCE, ACTION_RELEASE, ACTION_SUSPEND, ACTION_RESUME };
static const char *const actions[] = { "retry", "bounce", "release", "suspend", "resume" };

struct rule {
	struct rule *next; /* by number */
	uint64_t number, before_us;
	enum action action;
	char *key, *by;
	char *id, *site, *account, *domain; /* NULL: any */
};

struct rules {
	struct sender *sender;
	struct rule *first;
	struct event *timer;
	struct config_watch *watch;
	bool known; /* all rules of the start were read */
	bool sweeping, stopped;
	bool cursor;
	uint8_t after_id[ID_SIZE];
	char *after_site;
	Row *slice[SLICE];
	size_t count;
};

/* Rules. */

static void
rule_free(struct rule *rule)
{
	free(rule->key);
	free(rule->by);
	free(rule->id);
	free(rule->site);
	free(rule->account);
	free(rule->domain);
	free(rule);
}

static char *
text_of(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text && *text ? xstrdup(text) : NULL;
}

static int
action_of(const char *name)
{
	for (int i = 0; name && i < (int)(sizeof actions / sizeof *actions); i++)
		if (!strcmp(name, actions[i]))
			return i;
	return -EINVAL;
}

static struct rule *
rule_parse(const char *key, const char *text)
{
	json_t *json = json_loads(text, 0, NULL);
	const json_t *selector = json_object_get(json, "selector");
	int action = action_of(json_string_value(json_object_get(json, "action")));
	struct rule *rule = NULL;

	if (action >= 0 && json_is_object(selector)) {
		rule = xcalloc(1, sizeof *rule);
		rule->number = (uint64_t)json_integer_value(json_object_get(json, "number"));
		rule->before_us = (uint64_t)json_integer_value(
			json_object_get(json, "accepted_before_us"));
		rule->action = (enum action)action;
		rule->key = xstrdup(key);
		rule->by = text_of(json, "by");
		rule->id = text_of(selector, "id");
		rule->site = text_of(selector, "site");
		rule->account = text_of(selector, "account");
		rule->domain = text_of(selector, "recipient_domain");
	}
	json_decref(json);
	return rule;
}

static void
rule_forget(struct rules *rules, const char *key)
{
	struct rule **at = &rules->first, *rule;

	while ((rule = *at)) {
		if (strcmp(rule->key, key)) {
			at = &rule->next;
			continue;
		}
		*at = rule->next;
		rule_free(rule);
	}
}

static void
rule_insert(struct rules *rules, struct rule *rule)
{
	struct rule **at = &rules->first;

	while (*at && (*at)->number <= rule->number)
		at = &(*at)->next;
	rule->next = *at;
	*at = rule;
}

static bool
text_matches(const char *wanted, const char *text)
{
	return !wanted || !strcmp(wanted, text);
}

static bool
domain_matches(const char *wanted, const Envelope *envelope)
{
	struct address address;
	char domain[256];

	for (size_t i = 0; wanted && i < envelope->n_recipients; i++) {
		const char *text = envelope->recipients[i]->address;

		if (address_parse(text, strlen(text), &address))
			continue;
		address_domain_lower(&address, domain);
		if (!strcmp(domain, wanted))
			return true;
	}
	return !wanted;
}

static bool
mail_matches(const struct rule *rule, const Envelope *envelope)
{
	char id[ID_TEXT_SIZE];

	id_format(envelope->id.data, id);
	return text_matches(rule->id, id) && text_matches(rule->account, envelope->account) &&
		domain_matches(rule->domain, envelope);
}

static bool
row_matches(const struct rule *rule, const Row *row)
{
	return (!rule->before_us || row->envelope->accepted_us < rule->before_us) &&
		text_matches(rule->site, row->site) && mail_matches(rule, row->envelope);
}

/* Suspensions. */

static bool
same_text(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

static bool
is_resumed(const struct rule *rule)
{
	for (const struct rule *at = rule->next; at; at = at->next)
		if (at->action == ACTION_RESUME && same_text(at->id, rule->id) &&
			same_text(at->site, rule->site) && same_text(at->account, rule->account) &&
			same_text(at->domain, rule->domain))
			return true;
	return false;
}

static bool
whole_site(const struct rule *rule)
{
	return rule->site && !rule->id && !rule->account && !rule->domain;
}

bool
rules_suspended(const struct rules *rules, const struct item *item)
{
	for (const struct rule *rule = rules->first; rule; rule = rule->next)
		if (rule->action == ACTION_SUSPEND && !whole_site(rule) &&
			text_matches(rule->site, item->route->site) &&
			mail_matches(rule, item->mail->envelope) && !is_resumed(rule))
			return true;
	return false;
}

bool
rules_site_suspended(const struct rules *rules, const char *site)
{
	for (const struct rule *rule = rules->first; rule; rule = rule->next)
		if (rule->action == ACTION_SUSPEND && whole_site(rule) &&
			!strcmp(rule->site, site) && !is_resumed(rule))
			return true;
	return false;
}

/* Doing it. */

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

/* The row's mail is at work: only its end can still be decided. */
static void
do_in_memory(const struct rule *rule, struct item *item)
{
	if (item->rule >= rule->number)
		return;
	item->rule = rule->number;
	if (rule->action != ACTION_BOUNCE)
		return;
	item->bounce_why = "bounced by the operator";
	if (item->state != ITEM_WAITING)
		return;
	schedule_remove(item->mail->sender->schedule, &item->entry);
	settle_park(item, 0);
}

struct rewrite {
	struct sender *sender;
	char *site;
	uint64_t due_us;
};

static void
on_rewritten(void *arg, int err)
{
	struct rewrite *rewrite = arg;

	if (!err) {
		schedule_wake(rewrite->sender->schedule, rewrite->site);
		deferral_noted(rewrite->sender->deferral, rewrite->site, rewrite->due_us);
		deferral_poke(rewrite->sender->deferral, rewrite->site);
	}
	free(rewrite->site);
	free(rewrite);
}

static void
do_retry(struct sender *sender, Row *row)
{
	struct rewrite *rewrite = xcalloc(1, sizeof *rewrite);

	row->due_us = clock_us();
	*rewrite = (struct rewrite){ sender, xstrdup(row->site), row->due_us };
	queue_row_put(sender->queue, row, on_rewritten, rewrite);
}

/* True: the row now belongs to what works on it. */
static bool
do_rule(struct sender *sender, const struct rule *rule, Row *row)
{
	const bool held = row->state == ROW__STATE__HELD;

	row->rule = rule->number;
	switch (rule->action) {
	case ACTION_BOUNCE:
		mail_from_row(sender, row, ROW_BOUNCE, "bounced by the operator");
		return true;
	case ACTION_RELEASE:
		if (!held)
			return false;
		tell_released(sender, rule, row->envelope);
		row->released = true;
		row->state = ROW__STATE__WAITING;
		mail_from_row(sender, row, ROW_ATTEMPT, NULL);
		return true;
	case ACTION_RETRY:
	case ACTION_RESUME:
		if (!held)
			do_retry(sender, row);
		return false;
	case ACTION_SUSPEND: return false;
	}
	return false;
}

static bool
row_expired(const struct sender *sender, const Row *row, uint64_t now)
{
	const bool held = row->state == ROW__STATE__HELD;
	uint64_t expiry = retry_expiry_us(&sender->times, row->envelope, held);

	/* The last attempt is due at that very time: it has a while to be made. */
	return now > expiry + (held ? 0 : sender->times.first_us) && trust_clock(sender->trust);
}

static void
row_do(struct rules *rules, Row *row)
{
	struct sender *sender = rules->sender;
	struct item *item = deferral_find(sender->deferral, row->envelope->id.data, row->site);

	for (const struct rule *rule = rules->first; rule; rule = rule->next) {
		if (rule->number <= row->rule || !row_matches(rule, row))
			continue;
		if (item)
			do_in_memory(rule, item);
		else if (do_rule(sender, rule, row))
			return;
	}
	if (!item && row_expired(sender, row, clock_us()))
		mail_from_row(sender, row, ROW_EXPIRE, NULL);
	else
		row_free(row);
}

/* Sweeping. */

static uint64_t
period_us(const struct sender *sender)
{
	uint64_t shortest = sender->times.null_lifetime_us;

	if (sender->times.lifetime_us < shortest)
		shortest = sender->times.lifetime_us;
	if (sender->times.held_lifetime_us < shortest)
		shortest = sender->times.held_lifetime_us;
	shortest /= 10;
	return shortest < PERIOD_MIN_US    ? PERIOD_MIN_US
		: shortest > PERIOD_MAX_US ? PERIOD_MAX_US
					   : shortest;
}

static void
timer_set(struct rules *rules, uint64_t us)
{
	const struct timeval wait = { .tv_sec = (time_t)(us / 1000000),
		.tv_usec = (suseconds_t)(us % 1000000) };

	event_add(rules->timer, &wait);
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
	rules->cursor = n > 0;
	rules->after_site = NULL;
	if (n) {
		last = rules->slice[n - 1];
		memcpy(rules->after_id, last->envelope->id.data, ID_SIZE);
		rules->after_site = xstrdup(last->site);
	}
	free(site);
	for (size_t i = 0; i < n; i++)
		row_do(rules, rules->slice[i]);
}

static void
sweep_begin(struct rules *rules)
{
	rules->sweeping = true;
	rules->cursor = false;
	free(rules->after_site);
	rules->after_site = NULL;
	if (!rules->stopped)
		timer_set(rules, 0);
}

void
rules_sweep(struct rules *rules)
{
	if (rules->known)
		sweep_begin(rules);
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct rules *rules = arg;

	(void)fd, (void)what;
	if (!rules->sweeping)
		sweep_begin(rules);
	if (rules->sender->settling > BUSY_MAX || !rows_mine(rules->sender->rows, ROWS_ANY)) {
		timer_set(rules, PAUSE_US);
		return;
	}
	sweep_slice(rules);
	timer_set(rules, rules->sweeping ? 0 : period_us(rules->sender));
	sender_wake(rules->sender);
}

static void
on_entry(void *arg, const char *key, const char *json)
{
	struct rules *rules = arg;
	struct rule *rule;

	if (!key) {
		rules->known = true;
		sweep_begin(rules);
		deferral_poke(rules->sender->deferral, NULL);
		return;
	}
	if (strncmp(key, PREFIX, strlen(PREFIX)))
		return;
	rule_forget(rules, key);
	if (!json)
		return;
	rule = rule_parse(key, json);
	if (!rule) {
		LOG_WARN("a rule that cannot be read", "key", key);
		return;
	}
	rule_insert(rules, rule);
	if (!rules->known)
		return;
	LOG_INFO("operator's rule", "key", key, "action", actions[rule->action], "by", rule->by);
	sweep_begin(rules);
	deferral_poke(rules->sender->deferral, NULL);
}

struct rules *
rules_new(struct sender *sender)
{
	struct rules *rules = xcalloc(1, sizeof *rules);

	rules->sender = sender;
	rules->timer = evtimer_new(loop_base(sender->loop), on_timer, rules);
	return rules;
}

void
rules_start(struct rules *rules)
{
	rules->watch = queue_config_watch(
		rules->sender->queue, rules->sender->loop, on_entry, rules);
	timer_set(rules, period_us(rules->sender));
}

void
rules_stop(struct rules *rules)
{
	rules->stopped = true;
	queue_config_unwatch(&rules->watch);
	if (rules->timer)
		event_free(rules->timer);
	rules->timer = NULL;
}

void
rules_free(struct rules **rules_ref)
{
	struct rules *rules = *rules_ref;
	struct rule *rule;

	if (!rules)
		return;
	while ((rule = rules->first)) {
		rules->first = rule->next;
		rule_free(rule);
	}
	free(rules->after_site);
	free(rules);
	*rules_ref = NULL;
}
