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

static char refused[] = "uses: Redis refuses the script";

static struct redis_script script = {
	.text = "if redis.call('HLEN', KEYS[1]) >= 1000 then redis.call('DEL', KEYS[1]) end\n"
		"redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])\n"
		"return redis.call('EXPIRE', KEYS[1], " KEPT_S ")\n",
};

struct use {
	UT_hash_handle hh; /* by `key` */
	uint64_t us;
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
	char key[KEY_SIZE], number[24];
	const char *argv[] = { key, use->name, number };

	snprintf(key, sizeof key, "use:{%s}", use->key);
	snprintf(number, sizeof number, "%" PRIu64, use->us);
	redis_run(redis, &script, TIMEOUT_MS, redis_log_refusal, refused, 1, 3, argv);
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
	char network[NET_TEXT_MAX];
	int length;

	if (kind != USE_CREDENTIAL && account_network_text(name, network) < 0)
		return false;
	if (kind == USE_CREDENTIAL)
		length = snprintf(out, NAME_SIZE, "user/%s", name);
	else
		length = snprintf(
			out, NAME_SIZE, "%s/%s", kind == USE_LOGIN ? "from" : "ip", network);
	for (char *c = out; *c; c++)
		if (*c >= 'A' && *c <= 'Z') /* as users are looked up */
			*c = (char)(*c + 32);
	return length < NAME_SIZE;
}

void
uses_note(struct uses *uses, const char *account, enum use_kind kind, const char *name)
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
	if (use)
		use->us = clock_us();
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
