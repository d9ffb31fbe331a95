/*
 * limits_use.c - how much of an account's limits is used, for people.
 *
 * Redis (limits.lua) -> [limits_use] -> control
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "shared/account/limits_use.h"
#include "shared/base/log.h"
#include "shared/redis/redis.h"

#define TIMEOUT_MS 2000
#define KEY_SIZE 600

/* KEYS: gcra of the account, flight, gcra of users. Times are those of limits.lua. */
static struct redis_script script = {
	.text = "local time = redis.call('TIME')\n"
		"local waiting, all = 0, redis.call('HGETALL', KEYS[2])\n"
		"local flying = 0\n"
		"for i = 1, #all, 2 do\n"
		"  if all[i]:sub(1, 2) == 'w:' then waiting = waiting + all[i + 1] end\n"
		"  if all[i] == 'n' or all[i] == 'old' then flying = flying + all[i + 1] end\n"
		"end\n"
		"local out = { time[1] .. string.format('%06d', time[2]), flying, waiting }\n"
		"for i = 1, #KEYS do\n"
		"  if i ~= 2 then\n"
		"    for _, one in ipairs(redis.call('HMGET', KEYS[i], 'mh', 'md', 'rh', 'rd')) do\n"
		"      out[#out + 1] = one or '0'\n"
		"    end\n"
		"  end\n"
		"end\n"
		"return out\n",
};

struct reading {
	size_t users;
	limits_use_cb cb;
	void *arg;
};

static uint64_t
number_at(const struct redis_reply *reply, size_t i)
{
	const struct redis_reply *at = redis_reply_at(reply, i);
	const char *text = redis_reply_str(at, NULL);
	const double number = text ? strtod(text, NULL) : (double)redis_reply_int(at);

	return number > 0 ? (uint64_t)number : 0;
}

static void
on_read(void *arg, int err, const struct redis_reply *reply)
{
	struct reading reading = *(struct reading *)arg;
	struct limits_use use = { 0 };

	free(arg);
	if (!err && redis_reply_count(reply) != 7 + 4 * reading.users)
		err = -EPROTO;
	if (!err) {
		use.now_us = number_at(reply, 0);
		use.in_flight = number_at(reply, 1);
		use.waiting = number_at(reply, 2);
		for (size_t i = 0; i < 4 * (1 + reading.users); i++)
			use.full_us[i / 4][i % 4] = number_at(reply, 3 + i);
	}
	reading.cb(reading.arg, err, err ? NULL : &use);
}

void
limits_use_read(struct redis *redis, const char *account, const char *const *users, size_t count,
	limits_use_cb cb, void *arg)
{
	char keys[2 + LIMITS_USE_USERS][KEY_SIZE];
	const char *argv[2 + LIMITS_USE_USERS];
	struct reading *reading = xmalloc(sizeof *reading);
	const size_t users_count = count < LIMITS_USE_USERS ? count : LIMITS_USE_USERS;

	*reading = (struct reading){ users_count, cb, arg };
	snprintf(keys[0], KEY_SIZE, "rate:{%s}:gcra", account);
	snprintf(keys[1], KEY_SIZE, "rate:{%s}:flight", account);
	for (size_t i = 0; i < users_count; i++)
		snprintf(keys[2 + i], KEY_SIZE, "rate:{%s}:user:%s", account, users[i]);
	for (size_t i = 0; i < 2 + users_count; i++)
		argv[i] = keys[i];
	redis_run(redis, &script, TIMEOUT_MS, on_read, reading, (int)(2 + users_count),
		(int)(2 + users_count), argv);
}

uint64_t
limits_used(
	uint64_t full_us, uint64_t now_us, uint64_t period_us, uint64_t limit, uint64_t *frees_us)
{
	const uint64_t ahead = full_us > now_us ? full_us - now_us : 0;
	const uint64_t unit = limit && limit <= period_us ? period_us / limit : 1;
	const uint64_t used = limit ? (ahead + unit - 1) / unit : 0;

	*frees_us = limit && ahead + unit > period_us + 1 ? full_us + unit - period_us : 0;
	return used;
}
