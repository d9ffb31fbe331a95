/*
 * trust.c - whether our clock may be believed.
 *
 * Redis TIME, queue_clock_us() -> [trust] -> settle, rule: may something expire?
 *
 * Redis is asked for its time every ASK_EVERY_MS. Between answers that time is carried on by our
 * monotonic clock, which does not jump. So a jump of our clock is seen at once, not with the next
 * answer.
 */
#include "sender/waiting/trust.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/base/timer.h"
#include "shared/metrics/metrics.h"
#include "shared/queue/queue.h"
#include "shared/redis/redis.h"

#define ASK_EVERY_MS 10000
#define ASK_MS 2000
#define AGREE_US (60ull * 1000000)
#define FRESH_MS 120000

/* Lives until the answer under way has come, also after trust_free(). */
struct trust {
	struct redis *redis;
	struct queue *queue;
	struct timer timer;
	uint64_t redis_us, at_ms; /* Redis's time, and the monotonic time of that answer; 0: none */
	bool asking, closed, told;
	struct probe *probe;
	struct metric *apart;
};

/* Tells operators when nothing can expire. Redis's clock is compared because both backends have
 * Redis. */
static void
tell(struct trust *trust)
{
	const int64_t ahead_s = (int64_t)(clock_us() / 1000000) -
		(int64_t)(trust->redis_us / 1000000);
	const int64_t apart_s = ahead_s < 0 ? -ahead_s : ahead_s;
	const bool wrong = apart_s * 1000000 > (int64_t)AGREE_US;
	char why[256];

	metric_set(trust->apart, apart_s);
	snprintf(why, sizeof why,
		"this machine's clock is %" PRId64
		" s %s Redis's: mail neither expires nor is reported late "
		"until they agree; look at NTP on both (chronyc tracking, timedatectl)",
		apart_s, ahead_s < 0 ? "behind" : "ahead of");
	probe_set(trust->probe, wrong ? HEALTH_DEGRADED : HEALTH_READY, wrong ? why : NULL);
	if (wrong && !trust->told)
		LOG_WARN("the clock is wrong, or Redis's is", "error", why);
	if (!wrong && trust->told)
		LOG_INFO("the clock agrees with Redis's again");
	trust->told = wrong;
}

static void
on_time(void *arg, int err, const struct redis_reply *reply)
{
	struct trust *trust = arg;
	const char *seconds = NULL;

	trust->asking = false;
	if (trust->closed) {
		free(trust);
		return;
	}
	if (!err && redis_reply_kind(reply) == REDIS_LIST && redis_reply_count(reply) == 2 &&
		redis_reply_kind(redis_reply_at(reply, 0)) == REDIS_STR)
		seconds = redis_reply_str(redis_reply_at(reply, 0), NULL);
	if (!seconds)
		return;
	trust->redis_us = strtoull(seconds, NULL, 10) * 1000000;
	trust->at_ms = clock_mono_ms();
	tell(trust);
}

static void
on_timer(void *arg)
{
	static const char *const command[] = { "TIME" };
	struct trust *trust = arg;

	if (trust->asking)
		return;
	trust->asking = true;
	redis_command(trust->redis, ASK_MS, on_time, trust, 1, command, NULL);
}

struct trust *
trust_new(struct loop *loop, struct redis *redis, struct queue *queue)
{
	struct trust *trust = xcalloc(1, sizeof *trust);

	trust->redis = redis;
	trust->queue = queue;
	trust->probe = probe_new("clock");
	probe_set(trust->probe, HEALTH_READY, NULL);
	trust->apart = metric_gauge("shout_sender_clock_apart_seconds",
		"How far this machine's clock is from Redis's", NULL);
	timer_init(&trust->timer, loop, on_timer, trust);
	timer_repeat(&trust->timer, ASK_EVERY_MS);
	timer_soon(&trust->timer);
	return trust;
}

void
trust_free(struct trust **trust_ref)
{
	struct trust *trust = *trust_ref;

	*trust_ref = NULL;
	if (!trust)
		return;
	timer_cancel(&trust->timer);
	trust->closed = true;
	if (!trust->asking)
		free(trust);
}

static bool
agrees(uint64_t other_us)
{
	const uint64_t ours_us = clock_us();
	const uint64_t apart = ours_us > other_us ? ours_us - other_us : other_us - ours_us;

	return other_us && apart <= AGREE_US;
}

bool
trust_clock(const struct trust *trust)
{
	const uint64_t passed_ms = clock_mono_ms() - trust->at_ms;

	if (trust->at_ms && passed_ms <= FRESH_MS && agrees(trust->redis_us + passed_ms * 1000))
		return true;
	return agrees(queue_clock_us(trust->queue));
}
