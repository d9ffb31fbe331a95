/*
 * limiter.c - leave for lanes: asks Redis, gives it to the scheduler when its time has come.
 *
 * attempt (SCHEDULE_ASK), react -> [limiter] -> lane.lua (Redis) -> [limiter] -> schedule
 *
 * A lane has one question to Redis under way at most. Times of messages lie a second ahead at most;
 * one that was missed by LATE_US is lost, so that a second never holds more than its messages.
 */
#include "sender/egress/limiter.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/rand.h>

#include "sender/schedule/schedule.h"
#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/base/named.h"
#include "shared/base/timer.h"
#include "shared/metrics/metrics.h"
#include "shared/redis/redis.h"

#define TIMEOUT_MS 1000
#define TICK_MS 1000
#define LEASE_US 5000000u
#define SOON_US 100000u
#define LATE_US 20000u
#define TIMES_MAX 32     /* messages that are asked for at once */
#define WANT_MAX 1000u   /* connections */
#define FORGET_TICKS 60u /* without mail and connections */

static struct redis_script script = { .text =
#include "sender/egress/lane.lua.h"
};

struct lane {
	UT_hash_handle hh;
	struct limiter *limiter;
	struct lane_limits limits;
	char *site, *ip;
	struct timer timer; /* when a message may go, or Redis may be asked again */
	bool asking;        /* Redis */
	bool unlimited;     /* messages need no times */
	unsigned idle_ticks, sent, deferred, granted, senders;
	unsigned want;                     /* connections that were asked for last */
	uint64_t asked_us;                 /* when Redis was; 0: never since the lease ended */
	uint64_t until_us;                 /* of the leave's messages */
	uint64_t lease_until_us, again_us; /* again_us: Redis is not asked for messages before */
	uint64_t rest_until_us;
	uint64_t times[TIMES_MAX]; /* when messages may go, the first first */
	unsigned times_count;
	uint64_t local_us; /* without Redis: when the next may go */
	char name[];
};

/* Outlives the limiter, and a lane that was forgotten. */
struct ask {
	struct limiter *limiter; /* NULL: gone */
	struct ask *next, **at;
	uint64_t sent_us;
	unsigned sent, deferred;
	char name[];
};

struct limiter {
	struct loop *loop;
	struct redis *redis;
	struct schedule *schedule;
	struct limiter_events events;
	struct lane *lanes;
	struct ask *asks;
	struct timer tick;
	struct metric *calls, *failures, *resting;
	char id[20];
};

static void lane_go_on(struct lane *lane);

/* Gives the scheduler its leave: `messages` more, until then. */
static void
lane_allow(struct lane *lane, unsigned messages, uint64_t until_us)
{
	const struct schedule_leave leave = { .connections = lane->granted,
		.transactions = messages,
		.until_us = until_us,
		.per_connection = lane->limits.messages };

	lane->until_us = until_us;
	schedule_allow(lane->limiter->schedule, lane->name, &leave);
	lane->limiter->events.wake(lane->limiter->events.arg);
}

/* The connections have changed, or Redis was asked: the messages stay as they are. */
static void
lane_allow_connections(struct lane *lane, uint64_t now)
{
	const struct schedule_use use = schedule_use(lane->limiter->schedule, lane->name, now);

	if (lane->unlimited)
		lane_allow(lane, UINT_MAX, UINT64_MAX);
	else
		lane_allow(lane, use.unused == UINT_MAX ? 0 : use.unused, lane->until_us);
}

/* Gives the messages whose time has come, and drops times that were missed. */
static void
lane_give(struct lane *lane, uint64_t now)
{
	const struct schedule_use use = schedule_use(lane->limiter->schedule, lane->name, now);
	unsigned due = 0, missed = 0;
	uint64_t last = 0;

	if (lane->unlimited) {
		if (use.unused != UINT_MAX || use.allowed != lane->granted)
			lane_allow(lane, UINT_MAX, UINT64_MAX);
		return;
	}
	while (missed < lane->times_count && lane->times[missed] + LATE_US < now)
		missed++;
	while (missed + due < lane->times_count && lane->times[missed + due] <= now)
		last = lane->times[missed + due++];
	lane->times_count -= missed + due;
	memmove(lane->times, lane->times + missed + due, lane->times_count * sizeof *lane->times);
	if (due)
		lane_allow(lane, due, last + LATE_US);
	else if (use.allowed != lane->granted)
		lane_allow_connections(lane, now);
}

/* Redis. */

static unsigned
want_of(const struct schedule_use *use)
{
	const unsigned want = use->connections + use->waiting;

	return want < WANT_MAX ? want : WANT_MAX;
}

static void
lane_rest(struct lane *lane, uint64_t us, uint64_t now)
{
	const uint64_t until = us ? now + us : 0;
	const bool longer = until > lane->rest_until_us + 1000000;

	lane->rest_until_us = until;
	if (longer)
		lane->limiter->events.rests(lane->limiter->events.arg, lane->name, until);
}

static uint64_t
number_at(const struct redis_reply *reply, size_t i)
{
	const int64_t n = redis_reply_int(redis_reply_at(reply, i));

	return n > 0 ? (uint64_t)n : 0;
}

static void
take_answer(struct lane *lane, const struct redis_reply *reply, uint64_t asked_us, uint64_t now)
{
	const size_t count = redis_reply_count(reply);

	lane->granted = (unsigned)number_at(reply, 0);
	lane->senders = (unsigned)number_at(reply, 1);
	lane->lease_until_us = asked_us + LEASE_US;
	lane->unlimited = redis_reply_int(redis_reply_at(reply, 2)) < 0;
	lane->again_us = now + number_at(reply, 2);
	lane_rest(lane, number_at(reply, 3), now);
	for (size_t i = 5; i < count && lane->times_count < TIMES_MAX; i++)
		lane->times[lane->times_count++] = now + number_at(reply, i);
	lane_allow_connections(lane, now);
}

/* Redis does not answer: after the lease the last known limits count, shared by the senders that
 * were there. */
static void
take_local(struct lane *lane, uint64_t now)
{
	const unsigned senders = lane->senders ? lane->senders : 1;
	const unsigned most = lane->limits.connections / senders;
	const uint64_t rate = lane->limits.rate_milli;

	lane->again_us = now + 1000000;
	lane->asked_us = now;
	if (now < lane->lease_until_us && lane->granted)
		return;
	lane->granted = most ? most : 1;
	lane->unlimited = !rate;
	if (rate && !lane->times_count) {
		lane->local_us = lane->local_us > now ? lane->local_us : now;
		lane->times[lane->times_count++] = lane->local_us;
		lane->local_us += UINT64_C(1064000000) * senders / rate;
		lane->again_us = lane->local_us;
	}
	lane_allow_connections(lane, now);
}

static struct lane *
lane_find(const struct limiter *limiter, const char *name)
{
	struct lane *lane;

	HASH_FIND_STR(limiter->lanes, name, lane);
	return lane;
}

static void
ask_free(struct ask *ask)
{
	if (ask->limiter) {
		*ask->at = ask->next;
		if (ask->next)
			ask->next->at = ask->at;
	}
	free(ask);
}

static void
on_answer(void *arg, int err, const struct redis_reply *reply)
{
	struct ask *ask = arg;
	struct limiter *limiter = ask->limiter;
	struct lane *lane = limiter ? lane_find(limiter, ask->name) : NULL;
	const bool good = !err && redis_reply_kind(reply) == REDIS_LIST &&
		redis_reply_count(reply) >= 5;
	const uint64_t now = clock_us();

	if (limiter && !good)
		metric_add(limiter->failures, 1);
	if (lane) {
		lane->asking = false;
		lane->sent += good ? 0 : ask->sent;
		lane->deferred += good ? 0 : ask->deferred;
		if (good)
			take_answer(lane, reply, ask->sent_us, now);
	}
	if (lane && !good)
		take_local(lane, now);
	ask_free(ask);
	if (lane)
		lane_go_on(lane);
}

static struct ask *
ask_new(struct lane *lane)
{
	struct limiter *limiter = lane->limiter;
	struct ask *ask;

	NAMED_NEW(name, lane->name, ask);
	ask->limiter = limiter;
	ask->sent_us = clock_us();
	ask->sent = lane->sent;
	ask->deferred = lane->deferred;
	ask->next = limiter->asks;
	if (ask->next)
		ask->next->at = &ask->next;
	ask->at = &limiter->asks;
	limiter->asks = ask;
	lane->sent = lane->deferred = 0;
	lane->asking = true;
	lane->asked_us = ask->sent_us;
	return ask;
}

struct keys {
	char *lane, *site;
};

static struct keys
keys_of(const struct lane *lane)
{
	return (struct keys){ xasprintf("lane:{%s}:%s", lane->site, lane->ip),
		xasprintf("lanes:{%s}", lane->site) };
}

/* Asks for `want` connections and so many messages. */
static void
lane_ask(struct lane *lane, unsigned want, unsigned messages)
{
	struct limiter *limiter = lane->limiter;
	struct keys keys = keys_of(lane);
	char n[8][24];
	const char *argv[] = { keys.lane, keys.site, "take", "0", limiter->id, n[0], n[1], n[2],
		n[3], n[4], n[5], n[6], lane->ip, lane->limits.warming ? "1" : "0", n[7] };

	lane->want = want;
	snprintf(n[0], sizeof *n, "%u", want);
	snprintf(n[1], sizeof *n, "%u", messages < TIMES_MAX ? messages : TIMES_MAX);
	snprintf(n[2], sizeof *n, "%u", lane->sent);
	snprintf(n[3], sizeof *n, "%u", lane->limits.connections);
	snprintf(n[4], sizeof *n, "%u", lane->limits.site_connections);
	snprintf(n[5], sizeof *n, "%llu", (unsigned long long)lane->limits.rate_milli);
	snprintf(n[6], sizeof *n, "%u", LEASE_US);
	snprintf(n[7], sizeof *n, "%u", lane->deferred);
	metric_add(limiter->calls, 1);
	redis_run(limiter->redis, &script, TIMEOUT_MS, want ? on_answer : NULL,
		want ? ask_new(lane) : NULL, 2, sizeof argv / sizeof *argv, argv);
	free(keys.lane);
	free(keys.site);
}

/* When Redis may be asked for more connections: soon, if it gave all that were wanted. */
static uint64_t
connections_at(const struct lane *lane)
{
	return lane->asked_us + (lane->granted >= lane->want ? SOON_US : TICK_MS * 1000u);
}

/* When the lane's next step is due; UINT64_MAX: nothing is wanted, or an answer is awaited. */
static uint64_t
lane_due(const struct lane *lane, const struct schedule_use *use)
{
	uint64_t due = lane->times_count ? lane->times[0] : UINT64_MAX;

	if (lane->asking || !use->waiting)
		return due;
	if (!lane->unlimited && lane->granted && use->idle && !lane->times_count && !use->unused)
		due = lane->again_us;
	if (use->connections >= lane->granted && connections_at(lane) < due)
		due = connections_at(lane);
	return due;
}

/* Does what is due of the lane, and sets its timer for what comes next. */
static void
lane_go_on(struct lane *lane)
{
	struct limiter *limiter = lane->limiter;
	const uint64_t now = clock_us();
	struct schedule_use use;
	uint64_t due;

	lane_give(lane, now);
	use = schedule_use(limiter->schedule, lane->name, now);
	due = lane_due(lane, &use);
	if (due <= now && !lane->times_count) {
		if (redis_up(limiter->redis))
			lane_ask(lane, want_of(&use),
				use.idle < use.waiting ? use.idle : use.waiting);
		else
			take_local(lane, now);
		due = lane_due(lane, &use);
	}
	if (use.waiting && !use.unused && !lane->times_count &&
		limiter_is_full(limiter, lane->name, now))
		limiter->events.full(limiter->events.arg);
	if (due != UINT64_MAX)
		timer_set(&lane->timer, due > now ? (due - now + 999) / 1000 : SOON_US / 1000);
}

static void
on_time(void *arg)
{
	lane_go_on(arg);
}

void
limiter_ask(struct limiter *limiter, const char *name)
{
	struct lane *lane = lane_find(limiter, name);

	if (!lane)
		return;
	lane->idle_ticks = 0;
	lane_go_on(lane);
}

void
limiter_sent(struct limiter *limiter, const char *name)
{
	struct lane *lane = lane_find(limiter, name);

	if (lane)
		lane->sent++;
}

void
limiter_deferred(struct limiter *limiter, const char *name)
{
	struct lane *lane = lane_find(limiter, name);

	if (lane)
		lane->deferred++;
}

/* Lanes. */

static void
lane_drop(struct lane *lane)
{
	HASH_DEL(lane->limiter->lanes, lane);
	timer_cancel(&lane->timer);
	free(lane->site);
	free(lane->ip);
	free(lane);
}

/* Gives the lease back. */
static void
lane_release(struct lane *lane)
{
	if (lane->granted && redis_up(lane->limiter->redis))
		lane_ask(lane, 0, 0);
	lane->granted = lane->want = lane->sent = 0;
	lane->asked_us = 0;
}

static void
lane_tick(struct lane *lane, uint64_t now)
{
	struct limiter *limiter = lane->limiter;
	const struct schedule_use use = schedule_use(limiter->schedule, lane->name, now);
	const unsigned want = want_of(&use);

	if (want) {
		lane->idle_ticks = 0;
		if (!lane->asking && redis_up(limiter->redis))
			lane_ask(lane, want, 0);
		else if (!lane->asking && now >= lane->lease_until_us)
			take_local(lane, now);
		return;
	}
	if (!lane->idle_ticks++)
		lane_release(lane);
	if (lane->idle_ticks > FORGET_TICKS && !lane->asking && lane->rest_until_us <= now)
		lane_drop(lane);
}

static void
on_tick(void *arg)
{
	struct limiter *limiter = arg;
	const uint64_t now = clock_us();
	struct lane *lane, *next;
	int64_t resting = 0;

	HASH_ITER (hh, limiter->lanes, lane, next) {
		resting += lane->rest_until_us > now;
		lane_tick(lane, now);
	}
	metric_set(limiter->resting, resting);
	if (!limiter->lanes)
		timer_cancel(&limiter->tick);
}

void
limiter_use(struct limiter *limiter, const char *name, const char *site, const char *ip,
	const struct lane_limits *limits)
{
	struct lane *lane = lane_find(limiter, name);

	if (!lane) {
		NAMED_GET(limiter->lanes, name, name, lane);
		lane->limiter = limiter;
		lane->site = xstrdup(site);
		lane->ip = xstrdup(ip);
		timer_init(&lane->timer, limiter->loop, on_time, lane);
	}
	lane->limits = *limits;
	lane->idle_ticks = 0;
	schedule_meter(limiter->schedule, name);
	if (!timer_is_set(&limiter->tick))
		timer_repeat(&limiter->tick, TICK_MS);
}

uint64_t
limiter_rest_until(const struct limiter *limiter, const char *name)
{
	const struct lane *lane = lane_find(limiter, name);

	return lane ? lane->rest_until_us : 0;
}

bool
limiter_rests(const struct limiter *limiter, const char *name, uint64_t now_us)
{
	return limiter_rest_until(limiter, name) > now_us;
}

bool
limiter_is_full(const struct limiter *limiter, const char *name, uint64_t now_us)
{
	const struct lane *lane = lane_find(limiter, name);

	return lane && lane->limits.warming && !lane->unlimited &&
		lane->again_us > now_us + 1000000;
}

/* Reactions. */

static char reaction_lost[] = "a lane's reaction is not known to the other senders";

static void
react(struct limiter *limiter, const char *name, const char *what, const char *why,
	const char *more, const char *most)
{
	struct lane *lane = lane_find(limiter, name);
	struct keys keys;

	if (!lane)
		return;
	keys = keys_of(lane);
	redis_run(limiter->redis, &script, TIMEOUT_MS, redis_log_refusal, reaction_lost, 2, 7,
		(const char *const[]){ keys.lane, keys.site, what, "0", why, more, most });
	free(keys.lane);
	free(keys.site);
	/* the answer to the next question knows of it */
	if (!lane->asking && redis_up(limiter->redis)) {
		const struct schedule_use use = schedule_use(limiter->schedule, name, clock_us());

		if (want_of(&use))
			lane_ask(lane, want_of(&use), 0);
	}
}

void
limiter_react(struct limiter *limiter, const char *name, enum lane_reaction reaction, uint64_t us,
	const char *why)
{
	static const char *const names[] = { "slow", "single", "rest" };
	const struct lane *lane = lane_find(limiter, name);
	char number[24];

	snprintf(number, sizeof number, "%llu",
		(unsigned long long)(reaction == LANE_SLOW && lane ? lane->limits.rate_milli : us));
	react(limiter, name, names[reaction], why, number, "0");
}

void
limiter_blame(struct limiter *limiter, const char *name, unsigned ips, const char *why)
{
	const struct lane *lane = lane_find(limiter, name);
	char text[24];

	snprintf(text, sizeof text, "%u", ips);
	react(limiter, name, "blame", why, lane ? lane->ip : "", text);
}

void
limiter_lift(struct limiter *limiter, const char *ip)
{
	struct lane *lane, *next;

	HASH_ITER (hh, limiter->lanes, lane, next) {
		if (strcmp(lane->ip, ip) != 0)
			continue;
		lane->rest_until_us = 0;
		react(limiter, lane->name, "lift", "", "0", "0");
		schedule_wake(limiter->schedule, lane->name);
	}
	limiter->events.wake(limiter->events.arg);
}

struct limiter *
limiter_new(struct loop *loop, struct redis *redis, struct schedule *schedule,
	const struct limiter_events *events)
{
	struct limiter *limiter = xcalloc(1, sizeof *limiter);
	uint64_t random;

	if (RAND_bytes((unsigned char *)&random, sizeof random) != 1)
		die("no random numbers", "OpenSSL");
	snprintf(limiter->id, sizeof limiter->id, "%016llx", (unsigned long long)random);
	limiter->loop = loop;
	limiter->redis = redis;
	limiter->schedule = schedule;
	limiter->events = *events;
	timer_init(&limiter->tick, loop, on_tick, limiter);
	limiter->calls = metric_counter("shout_sender_lane_calls_total",
		"Questions to Redis about what lanes may do", NULL);
	limiter->failures = metric_counter("shout_sender_lane_call_failures_total",
		"Of them, those without an answer: the last known limits count", NULL);
	limiter->resting = metric_gauge(
		"shout_sender_lanes_resting", "Lanes that rest in the whole cluster", NULL);
	return limiter;
}

void
limiter_free(struct limiter **limiter_ref)
{
	struct limiter *limiter = *limiter_ref;
	struct lane *lane, *next;

	if (!limiter)
		return;
	timer_cancel(&limiter->tick);
	for (struct ask *ask = limiter->asks; ask; ask = ask->next)
		ask->limiter = NULL;
	HASH_ITER (hh, limiter->lanes, lane, next) {
		lane_release(lane);
		lane_drop(lane);
	}
	free(limiter);
	*limiter_ref = NULL;
}
