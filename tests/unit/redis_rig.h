/*
 * redis_rig.h - what tests against a real Redis share: a loop, a client, waiting for a condition.
 */
#ifndef TESTS_UNIT_REDIS_RIG_H
#define TESTS_UNIT_REDIS_RIG_H

#include <event2/event.h>

#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/redis/redis.h"
#include "tests/unit/redis_server.h"

#define PATIENCE_MS 30000 /* of a test that waits for what should come soon */

static struct redis_server server;
static struct loop *loop;
static struct redis *redis;

static inline void
turn(void)
{
	const struct timeval soon = { .tv_usec = 20000 };

	event_base_loopexit(loop_base(loop), &soon);
	event_base_loop(loop_base(loop), EVLOOP_ONCE | EVLOOP_NO_EXIT_ON_EMPTY);
}

#define WAIT_FOR(condition)                                                                        \
	do {                                                                                       \
		const uint64_t end_ = clock_mono_ms() + PATIENCE_MS;                               \
		while (!(condition)) {                                                             \
			if (clock_mono_ms() > end_)                                                \
				fail_msg("waited in vain for: %s", #condition);                    \
			turn();                                                                    \
		}                                                                                  \
	} while (0)

static inline void
open_at(const char *address, const char *password)
{
	const struct redis_options options = { .address = address, .password = password };

	redis = redis_new(loop, &options);
}

struct answer {
	bool came;
	int err;
	int64_t number;
	char text[256];
};

static inline void
on_answer(void *arg, int err, const struct redis_reply *reply)
{
	struct answer *answer = arg;

	answer->came = true;
	answer->err = err;
	if (err)
		return;
	answer->number = redis_reply_int(reply);
	if (redis_reply_str(reply, NULL))
		snprintf(answer->text, sizeof answer->text, "%s", redis_reply_str(reply, NULL));
}

/* A command, and its answer once that has come. */
#define ASK(answer, ...)                                                                           \
	do {                                                                                       \
		memset(answer, 0, sizeof *(answer));                                               \
		redis_command(redis, 10000, on_answer, answer,                                     \
			sizeof((const char *[]){ __VA_ARGS__ }) / sizeof(char *),                  \
			(const char *[]){ __VA_ARGS__ }, NULL);                                    \
		WAIT_FOR((answer)->came);                                                          \
	} while (0)

#endif
