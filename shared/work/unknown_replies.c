/*
 * unknown_replies.c - gathers unknown replies for some seconds, then adds them up in Redis
 * (unknown_replies.lua).
 *
 * sender -> [unknown_replies] -> Redis -> [unknown_replies] -> control (replies unknown)
 */
#include "shared/work/unknown_replies.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uthash.h>

#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/base/text.h"
#include "shared/base/timer.h"
#include "shared/redis/redis.h"

#define REPLIES_KEY "unknown-replies:{all}"
#define HEARD_KEY "unknown-replies:{all}:heard"
#define FLUSH_MS 2000
#define TIMEOUT_MS 2000
#define GATHERED_MAX 100 /* shapes between two flushes */
#define SHAPE_MAX 240
#define FIELDS 6

static char refused[] = "unknown replies: Redis refuses the script";

static struct redis_script script = { .text =
#include "shared/work/unknown_replies.lua.h"
};

struct gathered {
	UT_hash_handle hh; /* by shape */
	unsigned count;
	char *provider, *host, *text;
	char shape[SHAPE_MAX];
};

struct unknown_replies {
	struct redis *redis;
	struct timer flush;
	struct gathered *gathered;
};

static void
gathered_free(struct gathered *gathered)
{
	free(gathered->provider);
	free(gathered->host);
	free(gathered->text);
	free(gathered);
}

static void
tell(struct redis *redis, const struct gathered *gathered)
{
	char max[16], count[16];
	const char *argv[] = { REPLIES_KEY, HEARD_KEY, max, gathered->shape, count,
		gathered->provider, gathered->host, gathered->text };

	snprintf(max, sizeof max, "%d", UNKNOWN_REPLIES_MAX);
	snprintf(count, sizeof count, "%u", gathered->count);
	redis_run(redis, &script, TIMEOUT_MS, redis_log_refusal, refused, 2,
		sizeof argv / sizeof *argv, argv);
}

static void
let_go(struct unknown_replies *unknown, bool send)
{
	struct gathered *at, *next;

	HASH_ITER (hh, unknown->gathered, at, next) {
		HASH_DEL(unknown->gathered, at);
		if (send)
			tell(unknown->redis, at);
		gathered_free(at);
	}
}

static void
on_flush(void *arg)
{
	struct unknown_replies *unknown = arg;

	let_go(unknown, redis_up(unknown->redis));
}

struct unknown_replies *
unknown_replies_new(struct loop *loop, struct redis *redis)
{
	struct unknown_replies *unknown = xcalloc(1, sizeof *unknown);

	unknown->redis = redis;
	timer_init(&unknown->flush, loop, on_flush, unknown);
	return unknown;
}

void
unknown_replies_free(struct unknown_replies **unknown_ref)
{
	struct unknown_replies *unknown = *unknown_ref;

	if (!unknown)
		return;
	*unknown_ref = NULL;
	let_go(unknown, redis_up(unknown->redis));
	timer_cancel(&unknown->flush);
	free(unknown);
}

/* The provider, and the text with each run of digits as "#". */
static void
shape_of(char out[SHAPE_MAX], const char *provider, const char *text)
{
	size_t length = (size_t)snprintf(out, SHAPE_MAX, "%.32s ", provider);

	while (*text && length < SHAPE_MAX - 1) {
		if (!is_digit(*text))
			out[length++] = *text;
		else if (length && out[length - 1] != '#')
			out[length++] = '#';
		text++;
	}
	out[length] = '\0';
}

void
unknown_replies_note(
	struct unknown_replies *unknown, const char *provider, const char *host, const char *text)
{
	struct gathered *gathered;
	char shape[SHAPE_MAX];

	shape_of(shape, provider, text);
	HASH_FIND_STR(unknown->gathered, shape, gathered);
	if (!gathered) {
		if (HASH_COUNT(unknown->gathered) == GATHERED_MAX)
			return;
		if (!unknown->gathered)
			timer_set(&unknown->flush, FLUSH_MS);
		gathered = xcalloc(1, sizeof *gathered);
		memcpy(gathered->shape, shape, sizeof shape);
		gathered->provider = xstrdup(provider);
		gathered->host = xstrdup(host);
		gathered->text = xstrdup(text);
		HASH_ADD_STR(unknown->gathered, shape, gathered);
	}
	gathered->count++;
}

/* Reading. */

struct reading {
	unknown_replies_cb cb;
	void *arg;
};

static const char *
field(const struct redis_reply *reply, size_t i)
{
	size_t length;
	const char *text = redis_reply_str(redis_reply_at(reply, i), &length);

	return text ? text : "";
}

static uint64_t
number(const struct redis_reply *reply, size_t i)
{
	return strtoull(field(reply, i), NULL, 10);
}

static void
on_read(void *arg, int err, const struct redis_reply *reply)
{
	const struct reading reading = *(struct reading *)arg;

	free(arg);
	if (!err && redis_reply_kind(reply) != REDIS_LIST) {
		redis_log_refusal(refused, 0, reply);
		err = -EPROTO;
	}
	for (size_t i = 0; !err && i + FIELDS <= redis_reply_count(reply); i += FIELDS)
		reading.cb(reading.arg,
			&(struct unknown_reply){ .count = number(reply, i),
				.first_s = number(reply, i + 1),
				.last_s = number(reply, i + 2),
				.provider = field(reply, i + 3),
				.host = field(reply, i + 4),
				.text = field(reply, i + 5) },
			0);
	reading.cb(reading.arg, NULL, err);
}

void
unknown_replies_read(struct redis *redis, unknown_replies_cb cb, void *arg)
{
	struct reading *reading = xmalloc(sizeof *reading);
	char max[16];
	const char *argv[] = { REPLIES_KEY, HEARD_KEY, max };

	snprintf(max, sizeof max, "%d", UNKNOWN_REPLIES_MAX);
	*reading = (struct reading){ cb, arg };
	redis_run(redis, &script, TIMEOUT_MS, on_read, reading, 2, 3, argv);
}
