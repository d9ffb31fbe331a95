/*
 * domain_watch.c - the daily look at all domains.
 *
 * timer -> Redis ("domains:due": which are due) -> [domain_watch] -> domain_check -> domain_result
 *   -> commit -> relay.config                                  -> domain_reports -> Redis
 *
 * A domain that is taken is due again in LEASE_S: should this process die, another one looks at it
 * then. Looking twice changes nothing (domain_state.h).
 */
#include "control/watch/domain_watch.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/account/domain_state.h"
#include "control/config/applier.h"
#include "control/config/commit.h"
#include "control/config/directory.h"
#include "control/domain/domain_check.h"
#include "control/watch/domain_reports.h"
#include "control/watch/domain_result.h"
#include "shared/base/json_text.h"
#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/base/timer.h"
#include "shared/redis/redis.h"

#define EVERY_MS 2000
#define ENLIST_EVERY 300 /* rounds: all domains are put into the queue again */
#define ENLIST_BATCH 500
#define TIMEOUT_MS 2000
#define LEASE_S "600"
#define DAY_S 86400
#define SKEW_S 60
#define MEMBER_SIZE 340

static char refused[] = "domains: Redis refuses what is due";

/* What is due, each with a lease; before them Redis's time. */
static struct redis_script take_script = {
	.text = "local now = tonumber(redis.call('TIME')[1])\n"
		"local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[1])\n"
		"for _, member in ipairs(due) do\n"
		"  redis.call('ZADD', KEYS[1], now + " LEASE_S ", member)\n"
		"end\n"
		"table.insert(due, 1, tostring(now))\n"
		"return due\n",
};

/* Members, each behind how many seconds it is to wait, unless they are in the queue. */
static struct redis_script enlist_script = {
	.text = "local now = tonumber(redis.call('TIME')[1])\n"
		"for i = 1, #ARGV, 2 do\n"
		"  redis.call('ZADD', KEYS[1], 'NX', now + tonumber(ARGV[i]), ARGV[i + 1])\n"
		"end\n"
		"return 1\n",
};

static struct redis_script next_script = {
	.text = "local now = tonumber(redis.call('TIME')[1])\n"
		"return redis.call('ZADD', KEYS[1], 'XX', now + tonumber(ARGV[1]), ARGV[2])\n",
};

/* Whether a trouble is to be told: another one than before, and not on the same day. */
static struct redis_script tell_script = {
	.text = "local day = math.floor(tonumber(redis.call('TIME')[1]) / 86400)\n"
		"local told = redis.call('HGET', KEYS[1], ARGV[1]) or ''\n"
		"local on, what = string.match(told, '^(%d+) (.*)$')\n"
		"if what == ARGV[2] or (what and what ~= '' and tonumber(on) == day and ARGV[2] ~= '') then\n"
		"  return 0\n"
		"end\n"
		"redis.call('HSET', KEYS[1], ARGV[1], day .. ' ' .. ARGV[2])\n"
		"redis.call('EXPIRE', KEYS[1], 3456000)\n"
		"return ARGV[2] == '' and 0 or 1\n",
};

static const char queue_key[] = "domains:due";

struct domain_watch {
	struct domain_watch_options options;
	struct timer timer;
	unsigned number, running;
	bool taking, closed;
};

/* A domain under way; `account` and `domain` are behind one another. */
struct look {
	struct domain_watch *watch;
	json_t *report;
	char *trouble;
	const char *domain;
	char account[];
};

static struct look *
look_new(struct domain_watch *watch, const char *account, const char *domain)
{
	const size_t first = strlen(account) + 1, second = strlen(domain) + 1;
	struct look *look = xcalloc(1, sizeof *look + first + second);

	look->watch = watch;
	look->domain = look->account + first;
	memcpy(look->account, account, first);
	memcpy(look->account + first, domain, second);
	return look;
}

static void
look_free(struct look *look)
{
	json_decref(look->report);
	free(look->trouble);
	free(look);
}

/* The queue */

/* The same for a domain at all times and in all processes. */
static unsigned
place_in_day(const char *member)
{
	uint32_t sum = 2166136261u;

	for (; *member; member++)
		sum = (sum ^ (unsigned char)*member) * 16777619u; /* FNV-1a */
	return sum % DAY_S;
}

struct enlisting {
	struct domain_watch *watch;
	const char *argv[1 + 2 * ENLIST_BATCH];
	int argc;
};

static void
enlist_send(struct enlisting *list)
{
	if (list->argc > 1)
		redis_run(list->watch->options.redis, &enlist_script, TIMEOUT_MS, redis_log_refusal,
			refused, 1, list->argc, list->argv);
	for (int i = 1; i < list->argc; i++)
		free((char *)list->argv[i]);
	list->argc = 1;
}

static void
enlist_one(struct enlisting *list, const char *account, const char *domain)
{
	char *member = xasprintf("%s/%s", account, domain);

	list->argv[list->argc++] = xasprintf("%u", place_in_day(member));
	list->argv[list->argc++] = member;
	if (list->argc == 1 + 2 * ENLIST_BATCH)
		enlist_send(list);
}

static void
enlist_all(struct domain_watch *watch)
{
	struct enlisting *list = xcalloc(1, sizeof *list);
	const char *key;
	json_t *entry, *domain;
	size_t i;

	*list = (struct enlisting){ .watch = watch, .argv = { queue_key }, .argc = 1 };
	json_object_foreach(directory_entries(watch->options.directory), key, entry)
	{
		if (strncmp(key, "account/", 8) != 0 || account_is_deleted(entry))
			continue;
		json_array_foreach(json_object_get(entry, "domains"), i, domain)
			enlist_one(list, key + 8, json_text(domain, "name"));
	}
	enlist_send(list);
	free(list);
}

static void
due_next_day(struct domain_watch *watch, const struct look *look)
{
	char member[MEMBER_SIZE], seconds[16];
	const char *argv[] = { queue_key, seconds, member };

	snprintf(member, sizeof member, "%s/%s", look->account, look->domain);
	snprintf(seconds, sizeof seconds, "%d", DAY_S);
	redis_run(watch->options.redis, &next_script, TIMEOUT_MS, redis_log_refusal, refused, 1, 3,
		argv);
}

static void
strike_off(struct domain_watch *watch, const char *member)
{
	const char *argv[] = { "ZREM", queue_key, member };

	redis_command(watch->options.redis, TIMEOUT_MS, redis_log_refusal, refused, 3, argv, NULL);
}

/* One domain */

static void
on_tell(void *arg, int err, const struct redis_reply *reply)
{
	struct look *look = arg;
	struct domain_watch *watch = look->watch;

	if (!err && redis_reply_kind(reply) == REDIS_INT && redis_reply_int(reply) == 1 &&
		!watch->closed)
		watch->options.trouble(watch->options.arg, look->account, look->report);
	look_free(look);
}

/* A domain that was never verified is its owner's to begin with: nothing broke. */
static void
tell(struct look *look)
{
	const char *state = json_text(look->report, "state");
	char key[80];
	const char *argv[] = { key, look->domain, "" };

	if (!state || strcmp(state, "unverified") == 0) {
		look_free(look);
		return;
	}
	look->trouble = domain_result_trouble(look->report);
	argv[2] = look->trouble ? look->trouble : "";
	snprintf(key, sizeof key, "dns-told:{%.60s}", look->account);
	redis_run(look->watch->options.redis, &tell_script, TIMEOUT_MS, on_tell, look, 1, 3, argv);
}

static void
on_committed(void *arg, int err, int applied_err)
{
	struct look *look = arg;
	struct domain_watch *watch = look->watch;

	(void)applied_err;
	if (err || watch->closed)
		look_free(look);
	else
		tell(look);
}

static void
on_checked(void *arg, json_t *report)
{
	struct look *look = arg;
	struct domain_watch *watch = look->watch;
	struct edit edit = { .directory = watch->options.directory };
	struct change change = { .what = "domain.check", .author = { .by = "housekeeping" } };
	bool changed;

	watch->running--;
	look->report = report;
	if (watch->closed || applier_doubt(watch->options.applier)) {
		look_free(look); /* the domain is due again when its lease ends */
		return;
	}
	json_object_set_new(report, "account", json_string(look->account));
	changed = domain_result_take(&edit, look->account, report, clock_us());
	domain_report_keep(watch->options.redis, look->account, report);
	due_next_day(watch, look);
	change.entries = edit.changes;
	if (changed) {
		commit_begin(watch->options.commits, &change, on_committed, look);
	} else {
		json_decref(edit.changes);
		tell(look);
	}
	json_decref(edit.reply);
}

/* `member`: "<account>/<domain>". */
static void
look_at(struct domain_watch *watch, const char *member)
{
	const char *slash = strchr(member, '/');
	char account[64];
	struct domain_asked asked;
	const json_t *entry, *domain;

	snprintf(account, sizeof account, "%.*s", slash ? (int)(slash - member) : 0, member);
	entry = directory_get(watch->options.directory, "account", account);
	domain = slash && !account_is_deleted(entry) ? domain_in_account(entry, slash + 1) : NULL;
	if (!domain) {
		strike_off(watch, member);
		if (slash)
			domain_report_drop(watch->options.redis, account, slash + 1);
	} else if (domain_asked_of(watch->options.directory, account, domain, &asked)) {
		struct look *look = look_new(watch, account, slash + 1);

		watch->running++;
		asked.daily = true;
		if (domain_check(watch->options.checks, &asked, on_checked, look) < 0) {
			watch->running--;
			look_free(look);
		}
	}
}

static bool
clocks_agree(const struct redis_reply *reply)
{
	const char *text = redis_reply_str(redis_reply_at(reply, 0), NULL);
	const int64_t theirs = text ? strtoll(text, NULL, 10) : 0;
	const int64_t ours = (int64_t)(clock_us() / 1000000);

	return llabs(theirs - ours) < SKEW_S;
}

static void
on_taken(void *arg, int err, const struct redis_reply *reply)
{
	struct domain_watch *watch = arg;

	watch->taking = false;
	if (err || watch->closed || redis_reply_kind(reply) != REDIS_LIST ||
		redis_reply_count(reply) == 0 || !clocks_agree(reply))
		return;
	for (size_t i = 1; i < redis_reply_count(reply); i++) {
		const char *member = redis_reply_str(redis_reply_at(reply, i), NULL);

		if (member)
			look_at(watch, member);
	}
}

static void
on_timer(void *arg)
{
	struct domain_watch *watch = arg;
	char count[16];
	const char *argv[] = { queue_key, count };

	if (applier_doubt(watch->options.applier) || !redis_up(watch->options.redis))
		return;
	if (watch->number++ % ENLIST_EVERY == 0)
		enlist_all(watch);
	if (watch->taking || watch->running >= DOMAIN_WATCH_MAX)
		return;
	watch->taking = true;
	snprintf(count, sizeof count, "%u", DOMAIN_WATCH_MAX - watch->running);
	redis_run(watch->options.redis, &take_script, TIMEOUT_MS, on_taken, watch, 1, 2, argv);
}

struct domain_watch *
domain_watch_new(const struct domain_watch_options *options)
{
	struct domain_watch *watch = xcalloc(1, sizeof *watch);

	watch->options = *options;
	timer_init(&watch->timer, options->loop, on_timer, watch);
	timer_repeat(&watch->timer, EVERY_MS);
	return watch;
}

void
domain_watch_close(struct domain_watch *watch)
{
	watch->closed = true;
	timer_cancel(&watch->timer);
}

void
domain_watch_free(struct domain_watch **watch)
{
	if (!*watch)
		return;
	timer_cancel(&(*watch)->timer);
	free(*watch);
	*watch = NULL;
}
