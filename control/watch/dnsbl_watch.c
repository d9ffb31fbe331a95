/*
 * dnsbl_watch.c - the rounds over lists and addresses.
 *
 * timer -> DNS (three questions for each list and address) -> dnsbl -> [dnsbl_watch]
 *   -> relay.config (egress/<ip> rests) , mail.events (listed, delisted), Redis (for the API)
 *
 * The process remembers how often a list has said what; one that comes to lead takes the last
 * standing from Redis. To let an IP rest that rests already changes nothing but its time. An IP
 * rests for two rounds beyond each check that finds it listed, at least for a day, so that it comes
 * back by itself should all control processes be gone.
 */
#include "control/watch/dnsbl_watch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include <uthash.h>

#include "control/config/commit.h"
#include "control/config/directory.h"
#include "control/leader/leader.h"
#include "control/watch/dnsbl.h"
#include "shared/base/json_text.h"
#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/base/timer.h"
#include "shared/config/config.h"
#include "shared/dns/dns.h"
#include "shared/metrics/metrics.h"
#include "shared/queue/event.h"
#include "shared/redis/redis.h"

#define FIRST_MS 1000
#define TIMEOUT_MS 2000
#define REST_US (UINT64_C(24) * 3600 * 1000000)
#define ADDRESSES_MAX 1000 /* egress IPs that are watched */
#define CODES_MAX 16       /* of one answer */
#define TOP_MAX "5"        /* accounts that an event names */

/* An address on a list, for as long as the process lives. */
struct place {
	UT_hash_handle hh; /* by `key` */
	struct dnsbl_standing standing;
	uint64_t since_us;
	char *ip, *zone;
	char key[];
};

struct dnsbl_watch {
	struct dnsbl_watch_options options;
	struct dns *dns;
	struct timer timer;
	struct place *places;
	struct mail_event event;
	LIST_HEAD(, look) looks;
	unsigned asking;
	bool closed;
	struct metric *listed, *unknown;
	unsigned listed_now, unknown_now; /* of the round under way */
};

/* Three questions about one place. */
struct look {
	LIST_ENTRY(look) link;
	struct dnsbl_watch *watch;
	struct place *place;
	unsigned missing;
	struct {
		struct look *look;
		struct dnsbl_answer answer;
		uint8_t codes[CODES_MAX][4];
	} questions[3]; /* is 127.0.0.2 listed, is 127.0.0.1, is the address */
};

static struct place *
place_of(struct dnsbl_watch *watch, const char *ip, const char *zone)
{
	struct place *place;
	char key[DNSBL_NAME_MAX + 64];

	snprintf(key, sizeof key, "%s %s", ip, zone);
	HASH_FIND_STR(watch->places, key, place);
	if (place)
		return place;
	place = xcalloc(1, sizeof *place + strlen(key) + 1);
	memcpy(place->key, key, strlen(key) + 1);
	place->ip = xstrdup(ip);
	place->zone = xstrdup(zone);
	HASH_ADD_KEYPTR(hh, watch->places, place->key, strlen(place->key), place);
	return place;
}

/* For the API */

static void
keep(struct dnsbl_watch *watch, const struct place *place, enum dnsbl_state state)
{
	char field[DNSBL_NAME_MAX + 64], label[DNSBL_NAME_MAX], *text;
	const char *argv[] = { "HSET", DNSBL_KEY, field, NULL };
	json_t *value = json_pack("{s:s, s:b, s:I, s:I}", "state", dnsbl_state_names[state],
		"listed", place->standing.listed, "since_us", (json_int_t)place->since_us,
		"checked_us", (json_int_t)clock_us());

	dnsbl_label(place->zone, label);
	snprintf(field, sizeof field, "%s %s", place->ip, label);
	text = json_dumps(value, JSON_COMPACT);
	argv[3] = text;
	redis_command(watch->options.redis, TIMEOUT_MS, redis_log_refusal,
		(void *)(uintptr_t) "dnsbl: Redis refuses what is known", 4, argv, NULL);
	free(text);
	json_decref(value);
}

/* Resting */

static bool
is_listed_anywhere(const struct dnsbl_watch *watch, const char *ip)
{
	for (const struct place *place = watch->places; place; place = place->hh.next)
		if (place->standing.listed && strcmp(place->ip, ip) == 0)
			return true;
	return false;
}

/* Changes an egress IP's entry; an address that is none has no entry. */
static void
change_entry(struct dnsbl_watch *watch, const char *ip, bool rest)
{
	const json_t *before = directory_get(watch->options.directory, "egress", ip);
	const json_int_t now = (json_int_t)clock_us();
	struct change change = { .what = rest ? "egress.rest" : "egress.lift",
		.author = { .by = "dnsbl" } };
	char *key;
	json_t *entry;

	if (!before)
		return;
	entry = json_deep_copy(before);
	json_object_set_new(entry, "version", json_integer(now));
	if (rest) {
		json_object_set_new(
			entry, "rest_until_us", json_integer(now + (json_int_t)REST_US));
	} else {
		json_object_del(entry, "rest_until_us");
		json_object_set_new(entry, "lifted_us", json_integer(now));
		json_object_set_new(entry, "warm_us", json_integer(now));
	}
	key = xasprintf("egress/%s", ip);
	change.entries = json_pack("{s:o}", key, entry);
	free(key);
	commit_begin(watch->options.commits, &change, NULL, NULL);
}

/* It is listed still: its rest is renewed when less than half of it is left. */
static void
renew(struct dnsbl_watch *watch, const char *ip)
{
	const json_t *entry = directory_get(watch->options.directory, "egress", ip);
	const json_int_t until = json_integer_value(json_object_get(entry, "rest_until_us"));

	if (entry && until < (json_int_t)clock_us() + (json_int_t)REST_US / 2)
		change_entry(watch, ip, true);
}

/* Events */

struct telling {
	struct dnsbl_watch *watch;
	bool listed;
	char ip[64], label[DNSBL_NAME_MAX];
};

static void
on_senders(void *arg, int err, const struct redis_reply *reply)
{
	struct telling *telling = arg;
	struct dnsbl_watch *watch = telling->watch;
	struct json *json = &watch->event.json;

	mail_event_begin(&watch->event, telling->listed ? "listed" : "delisted", NULL);
	json_str(json, "egress_ip", telling->ip);
	json_str(json, "list", telling->label);
	json_open(json, "accounts", '[');
	for (size_t i = 0; !err && telling->listed && i < redis_reply_count(reply); i++)
		json_str(json, NULL, redis_reply_str(redis_reply_at(reply, i), NULL));
	json_close(json, ']');
	mail_event_send(&watch->event, watch->options.queue, NULL, NULL);
	free(telling);
}

/* Tells of it, with the accounts that sent most through the IP lately. */
static void
tell(struct dnsbl_watch *watch, const struct place *place)
{
	struct telling *telling = xcalloc(1, sizeof *telling);
	const uint64_t day = clock_us() / 86400000000u;
	static struct redis_script script = {
		.text = "redis.call('ZUNIONSTORE', KEYS[3], 2, KEYS[1], KEYS[2])\n"
			"local top = redis.call('ZREVRANGE', KEYS[3], 0, " TOP_MAX " - 1)\n"
			"redis.call('DEL', KEYS[3])\n"
			"return top\n",
	};
	char keys[3][128];
	const char *argv[] = { keys[0], keys[1], keys[2] };

	telling->watch = watch;
	telling->listed = place->standing.listed;
	snprintf(telling->ip, sizeof telling->ip, "%s", place->ip);
	dnsbl_label(place->zone, telling->label);
	for (unsigned i = 0; i < 3; i++)
		snprintf(keys[i], sizeof keys[i], "egress:{%s}:sent:%llu", place->ip,
			i < 2 ? (unsigned long long)day - i : 0);
	redis_run(watch->options.redis, &script, TIMEOUT_MS, on_senders, telling, 3, 3, argv);
}

/* Verdicts */

static void
take(struct dnsbl_watch *watch, struct place *place, enum dnsbl_state state)
{
	char label[DNSBL_NAME_MAX];
	const bool changed = dnsbl_take(&place->standing, state);

	watch->unknown_now += state == DNSBL_UNKNOWN;
	watch->listed_now += place->standing.listed;
	if (changed) {
		dnsbl_label(place->zone, label);
		place->since_us = clock_us();
		if (place->standing.listed)
			LOG_ERROR("an address of ours is listed and rests", "ip", place->ip, "list",
				label);
		else
			LOG_INFO("an address of ours is listed no more", "ip", place->ip, "list",
				label);
		tell(watch, place);
		if (place->standing.listed || !is_listed_anywhere(watch, place->ip))
			change_entry(watch, place->ip, place->standing.listed);
	} else if (place->standing.listed) {
		renew(watch, place->ip);
	}
	keep(watch, place, state);
}

static void
round_ended(struct dnsbl_watch *watch)
{
	metric_set(watch->listed, watch->listed_now);
	metric_set(watch->unknown, watch->unknown_now);
	if (!watch->closed)
		timer_set(&watch->timer, watch->options.config->dnsbl.every);
}

static void
on_answer(void *arg, const struct dns_result *result)
{
	struct look **look_ref = arg;
	struct look *look = *look_ref;
	struct dnsbl_watch *watch = look->watch;
	/* the question's first member is the look */
	const size_t i = (size_t)((char *)arg - (char *)look->questions) / sizeof *look->questions;
	struct dnsbl_answer *answer = &look->questions[i].answer;

	answer->status = result->status == DNS_ANSWER ? DNSBL_ANSWERED
		: result->status == DNS_NO_DOMAIN     ? DNSBL_NO_NAME
						      : DNSBL_FAILED;
	for (size_t n = 0; answer->status == DNSBL_ANSWERED && n < result->answer->count &&
		answer->count < CODES_MAX;
		n++)
		memcpy(look->questions[i].codes[answer->count++],
			result->answer->records[n].address, 4);
	answer->addresses = (const uint8_t(*)[4])look->questions[i].codes;
	if (--look->missing)
		return;
	if (!watch->closed)
		take(watch, look->place,
			dnsbl_judge(&look->questions[0].answer, &look->questions[1].answer,
				&look->questions[2].answer));
	LIST_REMOVE(look, link);
	free(look);
	if (--watch->asking == 0)
		round_ended(watch);
}

static void
look_at(struct dnsbl_watch *watch, const char *ip, const char *zone)
{
	const char *const asked[3] = { "127.0.0.2", "127.0.0.1", ip };
	char names[3][DNSBL_NAME_MAX];
	struct look *look;

	for (int i = 0; i < 3; i++)
		if (!dnsbl_name(asked[i], zone, names[i]))
			return;
	look = xcalloc(1, sizeof *look);
	look->watch = watch;
	look->place = place_of(watch, ip, zone);
	look->missing = 3;
	LIST_INSERT_HEAD(&watch->looks, look, link);
	watch->asking++;
	for (int i = 0; i < 3; i++) {
		look->questions[i].look = look;
		dns_resolve(watch->dns, names[i], ANSWER_A, on_answer, &look->questions[i].look);
	}
}

static void
look_on_lists(struct dnsbl_watch *watch, const char *ip)
{
	for (unsigned i = 0; i < watch->options.config->dnsbl.lists_count; i++)
		look_at(watch, ip, watch->options.config->dnsbl.lists[i]);
}

static void
on_round(void *arg)
{
	struct dnsbl_watch *watch = arg;
	const struct config *config = watch->options.config;
	unsigned count = 0;
	const char *key;
	json_t *entry;

	watch->listed_now = watch->unknown_now = 0;
	watch->asking++; /* the round itself */
	if (leader_leads(watch->options.leader)) {
		json_object_foreach(directory_entries(watch->options.directory), key, entry)
		{
			if (strncmp(key, "egress/", 7) == 0 && count++ < ADDRESSES_MAX)
				look_on_lists(watch, key + 7);
		}
		for (unsigned i = 0; !count && i < config->service.addresses_count; i++)
			look_on_lists(watch, config->service.addresses[i]);
		for (unsigned i = 0; !count && !config->service.addresses_count &&
			i < config->sender.source_address_count;
			i++)
			look_on_lists(watch, config->sender.source_address[i]);
	}
	if (--watch->asking == 0)
		round_ended(watch);
}

/* What was known before */

/* "<ip> <list>" and its value, as keep() writes them. */
static void
take_known(struct dnsbl_watch *watch, const char *field, const char *text)
{
	const struct config *config = watch->options.config;
	json_t *value = field && text ? json_loads(text, 0, NULL) : NULL;
	const char *blank = field ? strchr(field, ' ') : NULL;
	char ip[64], label[DNSBL_NAME_MAX];

	for (unsigned i = 0; blank && value && i < config->dnsbl.lists_count; i++) {
		struct place *place;

		dnsbl_label(config->dnsbl.lists[i], label);
		if (strcmp(label, blank + 1) != 0 || blank - field >= (long)sizeof ip)
			continue;
		snprintf(ip, sizeof ip, "%.*s", (int)(blank - field), field);
		place = place_of(watch, ip, config->dnsbl.lists[i]);
		place->standing.listed = json_is_true(json_object_get(value, "listed"));
		place->since_us = (uint64_t)json_integer_value(json_object_get(value, "since_us"));
	}
	json_decref(value);
}

/* Without Redis the rounds begin as if nothing had been listed. */
static void
on_known(void *arg, int err, const struct redis_reply *reply)
{
	struct dnsbl_watch *watch = arg;

	for (size_t i = 0; !err && i + 1 < redis_reply_count(reply); i += 2)
		take_known(watch, redis_reply_str(redis_reply_at(reply, i), NULL),
			redis_reply_str(redis_reply_at(reply, i + 1), NULL));
	if (!watch->closed)
		on_round(watch);
}

/* Who comes to lead takes over what the one before found. */
static void
begin(void *arg)
{
	struct dnsbl_watch *watch = arg;
	const char *argv[] = { "HGETALL", DNSBL_KEY };

	if (!leader_leads(watch->options.leader)) {
		timer_set(&watch->timer, FIRST_MS);
		return;
	}
	timer_init(&watch->timer, watch->options.loop, on_round, watch);
	redis_command(watch->options.redis, TIMEOUT_MS, on_known, watch, 2, argv, NULL);
}

/* Start and end */

struct dnsbl_watch *
dnsbl_watch_new(const struct dnsbl_watch_options *options)
{
	struct metric *listed = metric_gauge("shout_dnsbl_listed",
		"Addresses of ours on block lists, by two checks; an address counts for each list",
		NULL);
	struct metric *unknown = metric_gauge("shout_dnsbl_unknown",
		"Checks of the last round whose list could not be believed, or did not answer",
		NULL);
	struct dnsbl_watch *watch;
	struct dns *dns;

	if (!options->config->dnsbl.lists_count)
		return NULL;
	dns = dns_new(options->loop, options->config, DNS_CONTROL);
	if (!dns)
		return NULL;
	watch = xcalloc(1, sizeof *watch);
	watch->options = *options;
	watch->dns = dns;
	watch->listed = listed;
	watch->unknown = unknown;
	timer_init(&watch->timer, options->loop, begin, watch);
	return watch;
}

void
dnsbl_watch_start(struct dnsbl_watch *watch)
{
	if (watch)
		timer_set(&watch->timer, FIRST_MS);
}

void
dnsbl_watch_close(struct dnsbl_watch *watch)
{
	if (!watch)
		return;
	watch->closed = true;
	timer_cancel(&watch->timer);
}

void
dnsbl_watch_free(struct dnsbl_watch **watch_ref)
{
	struct dnsbl_watch *watch = *watch_ref;
	struct place *place, *next;
	struct look *look;

	if (!watch)
		return;
	dns_free(&watch->dns); /* drops its questions */
	while ((look = LIST_FIRST(&watch->looks))) {
		LIST_REMOVE(look, link);
		free(look);
	}
	HASH_ITER (hh, watch->places, place, next) {
		HASH_DEL(watch->places, place);
		free(place->ip);
		free(place->zone);
		free(place);
	}
	mail_event_free(&watch->event);
	free(watch);
	*watch_ref = NULL;
}
