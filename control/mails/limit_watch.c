/*
 * limit_watch.c - from the counters of limits.lua to mails.
 *
 * ingress -> Redis (rate:{account}:gcra) -> [limit_watch] -> mailings_tell()
 */
#include "control/mails/limit_watch.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/account/account_alerts.h"
#include "control/account/accounts_private.h"
#include "control/config/directory.h"
#include "control/leader/leader.h"
#include "control/mails/mailings.h"
#include "control/notices/notice_text.h"
#include "shared/base/json_text.h"
#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/base/timer.h"
#include "shared/redis/redis.h"

#define EVERY_MS 1000
#define ROUND_MS 5000    /* a round over all accounts takes at least so long */
#define ACCOUNTS_MAX 300 /* looked at in a second */
#define TIMEOUT_MS 2000
#define HOUR_US UINT64_C(3600000000)
#define DIMENSIONS 4

static const struct dimension {
	const char *name, *counter, *text[NOTICE_LANGUAGES];
	uint64_t period_us;
} dimensions[DIMENSIONS] = {
	{ "messages_hour", "mh", { "messaggi all'ora", "messages per hour" }, HOUR_US },
	{ "messages_day", "md", { "messaggi al giorno", "messages per day" }, 24 * HOUR_US },
	{ "recipients_hour", "rh", { "destinatari all'ora", "recipients per hour" }, HOUR_US },
	{ "recipients_day", "rd", { "destinatari al giorno", "recipients per day" }, 24 * HOUR_US },
};

struct limit_watch {
	const struct config *config;
	struct redis *redis;
	const struct directory *directory;
	struct mailings *mailings;
	const struct leader *leader;
	struct timer timer;
	json_t *ids; /* of this round; NULL: none is under way */
	size_t at;
	uint64_t begun_ms;
	bool closed;
};

/* Pure */

double
limit_used(uint64_t limit, uint64_t period_us, uint64_t tat_us, uint64_t now_us)
{
	const double used = tat_us > now_us
		? (double)(tat_us - now_us) * (double)limit / (double)period_us
		: 0;

	return used > (double)limit ? (double)limit : used;
}

/* The counters go down all the time: a part counts as reached from half a unit below it on, and all
 * of a limit when not one more fits. */
unsigned
limit_reached(const json_t *percents, uint64_t limit, double used)
{
	unsigned reached = 0;
	json_t *item;
	size_t i;

	json_array_foreach(percents, i, item)
	{
		const unsigned percent = (unsigned)json_integer_value(item);
		const double most = (double)limit, part = most * percent / 100;

		if (percent > reached && (percent == 100 ? used + 1 > most : used + 0.5 >= part))
			reached = percent;
	}
	return used > 0 ? reached : 0;
}

/* One account */

struct look {
	struct limit_watch *watch;
	char id[];
};

/* Whether the account was told of more of the limit today; its counter goes down again. */
static bool
knows_more(const struct limit_watch *watch, const char *id, const struct dimension *dimension,
	const json_t *percents, unsigned percent)
{
	char object[64];
	json_t *item;
	size_t i;

	json_array_foreach(percents, i, item)
	{
		snprintf(object, sizeof object, "%s %u", dimension->name,
			(unsigned)json_integer_value(item));
		if (json_integer_value(item) > percent &&
			mailings_told_today(watch->mailings, "limit", id, object))
			return true;
	}
	return false;
}

static void
tell(const struct limit_watch *watch, const char *id, const struct dimension *dimension,
	unsigned percent, uint64_t limit, double used)
{
	char object[64], part[16], number[32], most[32];

	snprintf(object, sizeof object, "%s %u", dimension->name, percent);
	snprintf(part, sizeof part, "%u %%", percent);
	snprintf(number, sizeof number, "%.0f", used);
	snprintf(most, sizeof most, "%" PRIu64, limit);
	mailings_tell(watch->mailings, "limit", id, object,
		(struct notice_value[]){
			{ "LIMIT", { dimension->text[0], dimension->text[1] }, false },
			{ "PCT", { part }, false }, { "USED", { number }, false },
			{ "MAX", { most }, false }, { 0 } });
}

static void
look_at_limit(const struct limit_watch *watch, const char *id, const struct dimension *dimension,
	uint64_t limit, uint64_t tat_us)
{
	const json_t *account = directory_get(watch->directory, "account", id);
	const double used = limit_used(limit, dimension->period_us, tat_us, clock_us());
	json_t *percents = account_alert_limits(account);
	const unsigned percent = limit_reached(percents, limit, used);

	if (percent && !knows_more(watch, id, dimension, percents, percent))
		tell(watch, id, dimension, percent, limit, used);
	json_decref(percents);
}

static void
on_counters(void *arg, int err, const struct redis_reply *reply)
{
	struct look *look = arg;
	const struct limit_watch *watch = look->watch;
	const json_t *account = err || watch->closed
		? NULL
		: directory_get(watch->directory, "account", look->id);
	json_t *limits = account ? limits_in_force(watch->config, account) : NULL;

	for (size_t i = 0; limits && i < DIMENSIONS && i < redis_reply_count(reply); i++) {
		const char *tat = redis_reply_str(redis_reply_at(reply, i), NULL);
		const json_int_t limit = json_integer_value(
			json_object_get(limits, dimensions[i].name));

		if (tat && limit > 0)
			look_at_limit(watch, look->id, &dimensions[i], (uint64_t)limit,
				(uint64_t)strtod(tat, NULL));
	}
	json_decref(limits);
	free(look);
}

static void
look_at(struct limit_watch *watch, const char *id)
{
	const json_t *account = directory_get(watch->directory, "account", id);
	const size_t size = strlen(id) + 1;
	struct look *look;
	char key[320];

	if (strcmp(json_text_or(account, "status", ""), "active") != 0)
		return;
	look = xmalloc(sizeof *look + size);
	look->watch = watch;
	memcpy(look->id, id, size);
	snprintf(key, sizeof key, "rate:{%s}:gcra", id);
	redis_command(watch->redis, TIMEOUT_MS, on_counters, look, 6,
		(const char *const[]){ "HMGET", key, "mh", "md", "rh", "rd" }, NULL);
}

/* Rounds */

static void
on_timer(void *arg)
{
	struct limit_watch *watch = arg;

	if (!leader_leads(watch->leader) || !mailings_wanted(watch->mailings) ||
		!redis_up(watch->redis))
		return;
	if (!watch->ids) {
		if (watch->begun_ms && clock_mono_ms() - watch->begun_ms < ROUND_MS)
			return;
		watch->ids = directory_accounts(watch->directory);
		watch->at = 0;
		watch->begun_ms = clock_mono_ms();
	}
	for (int i = 0; i < ACCOUNTS_MAX && watch->at < json_array_size(watch->ids); i++)
		look_at(watch, json_string_value(json_array_get(watch->ids, watch->at++)));
	if (watch->at == json_array_size(watch->ids)) {
		json_decref(watch->ids);
		watch->ids = NULL;
	}
}

struct limit_watch *
limit_watch_new(struct loop *loop, const struct config *config, struct redis *redis,
	const struct directory *directory, struct mailings *mailings, const struct leader *leader)
{
	struct limit_watch *watch = xcalloc(1, sizeof *watch);

	*watch = (struct limit_watch){ .config = config,
		.redis = redis,
		.directory = directory,
		.mailings = mailings,
		.leader = leader };
	timer_init(&watch->timer, loop, on_timer, watch);
	return watch;
}

void
limit_watch_start(struct limit_watch *watch)
{
	timer_repeat(&watch->timer, EVERY_MS);
}

void
limit_watch_close(struct limit_watch *watch)
{
	timer_cancel(&watch->timer);
	watch->closed = true;
}

void
limit_watch_free(struct limit_watch **watch)
{
	if (!*watch)
		return;
	timer_cancel(&(*watch)->timer);
	json_decref((*watch)->ids);
	free(*watch);
	*watch = NULL;
}
