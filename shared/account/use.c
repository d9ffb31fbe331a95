/*
 * use.c - last uses, gathered on the loop and written to Redis.
 *
 * ingress (mail accepted) -> [use] -> Redis -> [use] -> control (switches of mode, idle addresses)
 *
 * An account may send from a wide network, so its hash is bounded: one that is full begins anew.
 * relay.config keeps last uses by the day, for when Redis has forgotten them.
 */
#include "shared/account/use.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uthash.h>

#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/base/timer.h"
#include "shared/redis/redis.h"

#define FLUSH_MS 1000
#define TIMEOUT_MS 2000
#define KEY_SIZE 320
#define NAME_SIZE 400
#define KEPT_S "7776000" /* 90 days */
#define DAY_US (UINT64_C(86400) * 1000000)

static char refused[] = "uses: Redis refuses the script";

/* ARGV: name, microseconds, address, failures ("": it is none). Failures of one day are counted
 * together: "since count last address". */
static struct redis_script script = {
	.text = "if redis.call('HLEN', KEYS[1]) >= 2000 then redis.call('DEL', KEYS[1]) end\n"
		"local value = ARGV[2] .. ' ' .. ARGV[3]\n"
		"if ARGV[4] ~= '' then\n"
		"  local since, count = string.match(\n"
		"    redis.call('HGET', KEYS[1], ARGV[1]) or '', '^(%d+) (%d+) ')\n"
		"  if not since or tonumber(ARGV[2]) - tonumber(since) > 86400000000 then\n"
		"    since, count = ARGV[2], 0\n"
		"  end\n"
		"  value = since .. ' ' .. string.format('%.0f', count + ARGV[4]) .. ' ' .. value\n"
		"end\n"
		"redis.call('HSET', KEYS[1], ARGV[1], value)\n"
		"return redis.call('EXPIRE', KEYS[1], " KEPT_S ")\n",
};

struct use {
	UT_hash_handle hh; /* by `key` */
	uint64_t us;
	enum use_kind kind;
	unsigned times;
	char from[NET_TEXT_MAX];
	const char *name; /* within `key`, behind the account's NUL */
	size_t size;
	char key[];
};

struct uses {
	struct redis *redis;
	struct timer flush;
	struct use *gathered;
};

static void
send_use(struct redis *redis, const struct use *use)
{
	char key[KEY_SIZE], number[24], times[12] = "";
	const char *argv[] = { key, use->name, number, use->from, times };

	snprintf(key, sizeof key, "%s:{%s}", use->kind >= USE_LOGGED_IN ? "logins" : "use",
		use->key);
	snprintf(number, sizeof number, "%" PRIu64, use->us);
	if (use->kind == USE_FAILED)
		snprintf(times, sizeof times, "%u", use->times);
	redis_run(redis, &script, TIMEOUT_MS, redis_log_refusal, refused, 1, 5, argv);
}

/* Sends all uses, or drops them. */
static void
let_go(struct uses *uses, bool send)
{
	struct use *at, *next;

	HASH_ITER (hh, uses->gathered, at, next) {
		HASH_DEL(uses->gathered, at);
		if (send)
			send_use(uses->redis, at);
		free(at);
	}
}

static void
on_flush(void *arg)
{
	struct uses *uses = arg;

	if (redis_up(uses->redis))
		let_go(uses, true);
	else
		timer_set(&uses->flush, FLUSH_MS);
}

struct uses *
uses_new(struct loop *loop, struct redis *redis)
{
	struct uses *uses = xcalloc(1, sizeof *uses);

	uses->redis = redis;
	timer_init(&uses->flush, loop, on_flush, uses);
	return uses;
}

void
uses_free(struct uses **uses_ref)
{
	struct uses *uses = *uses_ref;

	if (!uses)
		return;
	*uses_ref = NULL;
	let_go(uses, redis_up(uses->redis));
	timer_cancel(&uses->flush);
	free(uses);
}

/* The name as in Redis; false when there is no such name. */
static bool
name_make(enum use_kind kind, const char *name, char out[NAME_SIZE])
{
	static const char *const prefixes[] = { [USE_CREDENTIAL] = "user",
		[USE_ADDRESS] = "ip",
		[USE_LOGIN] = "from",
		[USE_LOGGED_IN] = "login",
		[USE_FAILED] = "failed" };
	const bool is_address = kind == USE_ADDRESS || kind == USE_LOGIN;
	char network[NET_TEXT_MAX];
	int length;

	if (is_address && account_network_text(name, network) < 0)
		return false;
	length = snprintf(out, NAME_SIZE, "%s/%s", prefixes[kind], is_address ? network : name);
	for (char *c = out; *c; c++)
		if (*c >= 'A' && *c <= 'Z') /* as users are looked up */
			*c = (char)(*c + 32);
	return length < NAME_SIZE;
}

void
uses_note(struct uses *uses, const char *account, enum use_kind kind, const char *name,
	const char *from)
{
	const size_t account_size = strlen(account) + 1;
	char key[KEY_SIZE + NAME_SIZE];
	struct use *use;
	size_t size;

	if (account_size > KEY_SIZE - 8 || !name_make(kind, name, key + account_size))
		return;
	memcpy(key, account, account_size);
	size = account_size + strlen(key + account_size) + 1;
	HASH_FIND(hh, uses->gathered, key, size, use);
	if (!use && HASH_COUNT(uses->gathered) < USES_MAX) {
		if (!uses->gathered)
			timer_set(&uses->flush, FLUSH_MS);
		use = xcalloc(1, sizeof *use + size);
		use->size = size;
		use->name = use->key + account_size;
		memcpy(use->key, key, size);
		HASH_ADD(hh, uses->gathered, key, size, use);
	}
	if (!use)
		return;
	use->kind = kind;
	use->us = clock_us();
	use->times++;
	snprintf(use->from, sizeof use->from, "%s", from ? from : "");
}

/* Reading */

struct reading {
	uses_cb cb;
	void *arg;
};

static void
on_read(void *arg, int err, const struct redis_reply *reply)
{
	struct reading reading = *(struct reading *)arg;
	json_t *times = json_object();

	free(arg);
	if (!err && redis_reply_kind(reply) != REDIS_LIST)
		err = -EPROTO;
	for (size_t i = 0; !err && i + 1 < redis_reply_count(reply); i += 2) {
		const char *name = redis_reply_str(redis_reply_at(reply, i), NULL);
		const char *us = redis_reply_str(redis_reply_at(reply, i + 1), NULL);

		if (name && us)
			json_object_set_new(
				times, name, json_integer((json_int_t)strtoll(us, NULL, 10)));
	}
	reading.cb(reading.arg, err, err ? NULL : times);
	json_decref(times);
}

/* Users: both hashes, one behind the other. */
static struct redis_script logins_script = {
	.text = "local all = redis.call('HGETALL', KEYS[1])\n"
		"for _, one in ipairs(redis.call('HGETALL', KEYS[2])) do all[#all + 1] = one end\n"
		"return all\n",
};

static json_t *
user_of(json_t *users, const char *name)
{
	json_t *user = json_object_get(users, name);

	if (!user) {
		user = json_object();
		json_object_set_new(users, name, user);
	}
	return user;
}

/* "<microseconds> <address>" */
static void
take_last(json_t *user, const char *value)
{
	const char *blank = strchr(value, ' ');
	const json_int_t us = strtoll(value, NULL, 10);

	if (us <= json_integer_value(json_object_get(user, "us")))
		return;
	json_object_set_new(user, "us", json_integer(us));
	json_object_set_new(user, "from", json_string(blank ? blank + 1 : ""));
}

/* "<since> <count> <microseconds> <address>"; what is older than a day counts no more. */
static void
take_failures(json_t *user, const char *value, uint64_t now_us)
{
	char from[NET_TEXT_MAX] = "";
	uint64_t since, us;
	unsigned count;

	if (sscanf(value, "%" SCNu64 " %u %" SCNu64 " %63s", &since, &count, &us, from) < 3 ||
		us + DAY_US < now_us)
		return;
	json_object_set_new(user, "failures", json_integer(count));
	json_object_set_new(user, "failed_us", json_integer((json_int_t)us));
	json_object_set_new(user, "failed_from", json_string(from));
}

static void
on_logins(void *arg, int err, const struct redis_reply *reply)
{
	struct reading reading = *(struct reading *)arg;
	const uint64_t now = clock_us();
	json_t *users = json_object();

	free(arg);
	if (!err && redis_reply_kind(reply) != REDIS_LIST)
		err = -EPROTO;
	for (size_t i = 0; !err && i + 1 < redis_reply_count(reply); i += 2) {
		const char *name = redis_reply_str(redis_reply_at(reply, i), NULL);
		const char *value = redis_reply_str(redis_reply_at(reply, i + 1), NULL);
		const char *slash = name && value ? strchr(name, '/') : NULL;

		if (slash && strncmp(name, "failed/", 7) == 0)
			take_failures(user_of(users, slash + 1), value, now);
		else if (slash && strncmp(name, "ip/", 3) != 0 && strncmp(name, "from/", 5) != 0)
			take_last(user_of(users, slash + 1), value);
	}
	reading.cb(reading.arg, err, err ? NULL : users);
	json_decref(users);
}

void
logins_read(struct redis *redis, const char *account, uses_cb cb, void *arg)
{
	struct reading *reading = xmalloc(sizeof *reading);
	char keys[2][KEY_SIZE];
	const char *argv[] = { keys[0], keys[1] };

	*reading = (struct reading){ cb, arg };
	snprintf(keys[0], KEY_SIZE, "use:{%s}", account);
	snprintf(keys[1], KEY_SIZE, "logins:{%s}", account);
	redis_run(redis, &logins_script, TIMEOUT_MS, on_logins, reading, 2, 2, argv);
}

void
uses_read(struct redis *redis, const char *account, uses_cb cb, void *arg)
{
	struct reading *reading = xmalloc(sizeof *reading);
	char key[KEY_SIZE];
	const char *argv[] = { "HGETALL", key };

	*reading = (struct reading){ cb, arg };
	snprintf(key, sizeof key, "use:{%s}", account);
	redis_command(redis, TIMEOUT_MS, on_read, reading, 2, argv, NULL);
}
