/*
 * limits.c - how much an account may send: blocks of tokens from Redis, spent on this loop.
 *
 * ingress (take, give back) -> [limits] -> Redis <- [limits] <- sender (attempted, waiting)
 *
 * An account in use has a bucket with tokens for messages and recipients that Redis has granted.
 * A take is answered from the bucket; below half a block the next one is asked for beside it, so
 * that a busy account costs one call in tens of messages. Blocks grow with use, to a twentieth of
 * the smallest limit, so that loops do not sit on each other's allowance; what lies idle for a
 * second goes back.
 *
 * Without Redis each loop applies its share (limit / nodes) by its own clock, and tells later what
 * was spent. A call that times out may have been granted: those tokens are lost, which errs towards
 * sending less.
 */
#include "shared/limits.h"

#include <errno.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>
#include <openssl/rand.h>

#include "shared/limits_private.h"
#include "shared/log.h"
#include "shared/loop.h"

#define BLOCK_MAX 64
#define BLOCK_SHARE 20 /* a block is at most this part of a limit */
#define BUSY_MS 1000   /* blocks that follow faster than this grow */
#define IDLE_MS 1000   /* tokens unused for so long go back */
#define FORGET_MS 60000
#define COUNT_MS 20000
#define ATTEMPTS_BATCH 50
#define DENIAL_MS 1000 /* a refusal holds here for so long before Redis is asked again */
#define NO_CAP 1000000000u

struct redis_script limits_script = { .text =
#include "shared/limits.lua.h"
};

static const char *const limit_names[] = { "", "messages per hour", "messages per day",
	"recipients per hour", "recipients per day", "messages in flight", "messages waiting" };
#define LIMITS_KNOWN (sizeof limit_names / sizeof *limit_names)

static const struct dimension {
	uint64_t period_us;
	bool recipients;
} dimensions[] = {
	{3600000000,   false},
	{ 86400000000, false},
	{ 3600000000,  true },
	{ 86400000000, true },
};
#define DIMENSIONS 4

struct waiter {
	struct waiter *next;
	unsigned recipients;
	limits_cb cb;
	void *arg;
};

/* A request on its way; outlives the bucket when the limits are freed. */
struct ask {
	struct bucket *bucket;
	int64_t spent, spent_to;
	unsigned recipients; /* of the first who waits */
};

struct count {
	struct limits *limits;
};

struct bucket {
	char *account; /* first: the tree compares by it */
	struct limits *limits;
	struct bucket *newer, *older;
	uint64_t limit[DIMENSIONS];
	int64_t held, held_to;   /* granted messages and recipients */
	int64_t spent, spent_to; /* beyond what was granted, not yet told; negative: given back */
	unsigned block;
	unsigned per_message; /* recipients, a moving average, times 16 */
	struct waiter *waiters, **last_waiter;
	struct ask *ask;
	uint64_t asked_ms, used_ms;
	uint64_t denied_until_ms, retry_ms; /* not asked again before; when a token will be free */
	unsigned denied_which, denied_recipients;
	uint64_t tat_us[DIMENSIONS]; /* of the local share */
	unsigned attempted;
	int64_t waiting; /* rows; -1: nothing new */
};

static bool ask_more(struct bucket *bucket);

/* Buckets */

static int
compare(const void *a, const void *b)
{
	return strcmp(((const struct bucket *)a)->account, ((const struct bucket *)b)->account);
}

static void
bucket_unlink(struct bucket *bucket)
{
	struct limits *limits = bucket->limits;

	*(bucket->newer ? &bucket->newer->older : &limits->newest) = bucket->older;
	*(bucket->older ? &bucket->older->newer : &limits->oldest) = bucket->newer;
}

static void
bucket_link(struct bucket *bucket)
{
	struct limits *limits = bucket->limits;

	bucket->newer = NULL;
	bucket->older = limits->newest;
	*(limits->newest ? &limits->newest->newer : &limits->oldest) = bucket;
	limits->newest = bucket;
}

static struct bucket *
bucket_of(struct limits *limits, const char *account)
{
	const struct timeval second = { .tv_sec = 1 };
	struct bucket probe = { .account = (char *)account };
	struct bucket **found = tfind(&probe, &limits->tree, compare);
	struct bucket *bucket;

	if (found) {
		bucket = *found;
		if (bucket->newer) {
			bucket_unlink(bucket);
			bucket_link(bucket);
		}
		return bucket;
	}
	bucket = xcalloc(1, sizeof *bucket);
	bucket->account = xstrdup(account);
	bucket->limits = limits;
	bucket->last_waiter = &bucket->waiters;
	bucket->block = 1;
	bucket->per_message = 16;
	bucket->waiting = -1;
	if (!tsearch(bucket, &limits->tree, compare))
		die("out of memory", "tsearch");
	bucket_link(bucket);
	if (!event_pending(limits->tick, EV_TIMEOUT, NULL))
		event_add(limits->tick, &second);
	return bucket;
}

static void
bucket_free(void *arg)
{
	struct bucket *bucket = arg;

	if (bucket->ask)
		bucket->ask->bucket = NULL;
	free(bucket->account);
	free(bucket);
}

/* Spending */

static bool
counts_recipients(const struct bucket *bucket)
{
	return bucket->limit[2] || bucket->limit[3];
}

static bool
spend(struct bucket *bucket, unsigned recipients)
{
	if (bucket->held < 1 || (counts_recipients(bucket) && bucket->held_to < recipients))
		return false;
	bucket->held--;
	if (counts_recipients(bucket))
		bucket->held_to -= recipients;
	return true;
}

/* The share of a limit that one node applies on its own. */
static uint64_t
share(const struct bucket *bucket, int i)
{
	const uint64_t part = bucket->limit[i] / bucket->limits->nodes;

	return part ? part : 1;
}

/* The same GCRA as in limits.lua, by this clock. */
static bool
local_room(const struct bucket *bucket, int i, uint64_t need, uint64_t now_us, unsigned *wait_s)
{
	const uint64_t period = dimensions[i].period_us, part = share(bucket, i);
	const uint64_t tat = bucket->tat_us[i] > now_us ? bucket->tat_us[i] : now_us;
	const uint64_t cost = (need < part ? need : part) * period / part;

	if (tat + cost <= now_us + period)
		return true;
	*wait_s = (unsigned)((tat + cost - now_us - period) / 1000000 + 1);
	return false;
}

static void
local_charge(struct bucket *bucket, int i, uint64_t n, uint64_t now_us)
{
	if (bucket->tat_us[i] < now_us)
		bucket->tat_us[i] = now_us;
	bucket->tat_us[i] += n * dimensions[i].period_us / share(bucket, i);
}

static void
local_take(struct bucket *bucket, unsigned recipients, limits_cb cb, void *arg)
{
	const uint64_t now_us = clock_mono_us();
	unsigned wait_s = 0;

	for (int i = 0; i < DIMENSIONS; i++) {
		const uint64_t need = dimensions[i].recipients ? recipients : 1;

		if (bucket->limit[i] && !local_room(bucket, i, need, now_us, &wait_s)) {
			cb(arg, wait_s, limit_names[i + 1]);
			return;
		}
	}
	for (int i = 0; i < DIMENSIONS; i++)
		if (bucket->limit[i])
			local_charge(bucket, i, dimensions[i].recipients ? recipients : 1, now_us);
	bucket->spent++;
	bucket->spent_to += recipients;
	cb(arg, 0, NULL);
}

/* Asking Redis */

static int64_t
block_bound(const struct bucket *bucket, bool recipients)
{
	int64_t bound = INT64_MAX;

	for (int i = 0; i < DIMENSIONS; i++) {
		const int64_t part = (int64_t)(bucket->limit[i] / BLOCK_SHARE);

		if (bucket->limit[i] && dimensions[i].recipients == recipients && part < bound)
			bound = part;
	}
	return bound > 1 ? bound : 1;
}

static void
block_adapt(struct bucket *bucket, uint64_t now_ms)
{
	int64_t most = block_bound(bucket, false);

	if (bucket->limits->options.in_flight_max / BLOCK_SHARE < most)
		most = bucket->limits->options.in_flight_max / BLOCK_SHARE;
	most = most > BLOCK_MAX ? BLOCK_MAX : most < 1 ? 1 : most;
	if (now_ms - bucket->asked_ms < BUSY_MS)
		bucket->block *= 2;
	else if (bucket->block > 1)
		bucket->block /= 2;
	if (bucket->block > most)
		bucket->block = (unsigned)most;
	bucket->asked_ms = now_ms;
}

static void
denied(struct bucket *bucket, int64_t wait_s, int64_t which, unsigned recipients)
{
	const uint64_t now = clock_mono_ms(), wait_ms = (uint64_t)wait_s * 1000;

	bucket->denied_which = (unsigned)which < LIMITS_KNOWN ? (unsigned)which : 0;
	/* A refusal for the number of recipients may not hold for a smaller one. */
	bucket->denied_recipients = which == 3 || which == 4 ? recipients : 0;
	bucket->denied_until_ms = now + (wait_ms < DENIAL_MS ? wait_ms : DENIAL_MS);
	bucket->retry_ms = now + wait_ms;
}

static struct waiter *
waiter_pop(struct bucket *bucket)
{
	struct waiter *waiter = bucket->waiters;

	if (waiter && !(bucket->waiters = waiter->next))
		bucket->last_waiter = &bucket->waiters;
	return waiter;
}

/* After an answer: whoever can go goes. One who was refused takes all like it along. */
static void
serve_waiters(struct bucket *bucket, int64_t wait_s)
{
	struct waiter *waiter;

	while ((waiter = bucket->waiters)) {
		const bool goes = spend(bucket, waiter->recipients);

		if (!goes && (!wait_s || waiter->recipients < bucket->denied_recipients)) {
			ask_more(bucket);
			return;
		}
		waiter_pop(bucket);
		if (goes)
			waiter->cb(waiter->arg, 0, NULL);
		else
			waiter->cb(
				waiter->arg, (unsigned)wait_s, limit_names[bucket->denied_which]);
		free(waiter);
	}
}

static void
serve_locally(struct bucket *bucket)
{
	struct waiter *waiter;

	while ((waiter = waiter_pop(bucket))) {
		if (spend(bucket, waiter->recipients))
			waiter->cb(waiter->arg, 0, NULL);
		else
			local_take(bucket, waiter->recipients, waiter->cb, waiter->arg);
		free(waiter);
	}
}

void
limits_on_told(void *arg, int err, const struct redis_reply *reply)
{
	(void)arg;
	if (!err && redis_reply_kind(reply) == REDIS_ERR)
		LOG_WARN("limits: Redis refuses the script", "error", redis_reply_str(reply, NULL));
}

static int64_t
reply_number(const struct redis_reply *reply, size_t i)
{
	return redis_reply_int(redis_reply_at(reply, i));
}

static void
on_granted(void *arg, int err, const struct redis_reply *reply)
{
	struct ask *ask = arg;
	struct bucket *bucket = ask->bucket;
	int64_t wait_s;

	if (!bucket) {
		free(ask);
		return;
	}
	bucket->ask = NULL;
	if (err || redis_reply_count(reply) != 4) {
		limits_on_told(NULL, err, reply);
		bucket->spent += ask->spent;
		bucket->spent_to += ask->spent_to;
		free(ask);
		serve_locally(bucket);
		return;
	}
	bucket->held += reply_number(reply, 0);
	if (counts_recipients(bucket))
		bucket->held_to += reply_number(reply, 1);
	wait_s = reply_number(reply, 2);
	if (wait_s > 0)
		denied(bucket, wait_s, reply_number(reply, 3), ask->recipients);
	free(ask);
	serve_waiters(bucket, wait_s);
}

/* Runs "take" with what was spent so far. */
static void
ask_send(struct bucket *bucket, int64_t need_to, int64_t want, int64_t want_to)
{
	const struct limits_options *options = &bucket->limits->options;
	char keys[2][320], numbers[11][24];
	const char *argv[14] = { keys[0], keys[1], "take" };
	const int64_t values[11] = { need_to, want, want_to, bucket->spent, bucket->spent_to,
		(int64_t)bucket->limit[0], (int64_t)bucket->limit[1], (int64_t)bucket->limit[2],
		(int64_t)bucket->limit[3], options->in_flight_max, options->waiting_max };

	snprintf(keys[0], sizeof keys[0], "rate:{%s}:gcra", bucket->account);
	snprintf(keys[1], sizeof keys[1], "rate:{%s}:flight", bucket->account);
	for (int i = 0; i < 11; i++) {
		snprintf(numbers[i], sizeof numbers[i], "%lld", (long long)values[i]);
		argv[3 + i] = numbers[i];
	}
	bucket->ask = xmalloc(sizeof *bucket->ask);
	*bucket->ask = (struct ask){ bucket, bucket->spent, bucket->spent_to,
		bucket->waiters ? bucket->waiters->recipients : 1 };
	bucket->spent = bucket->spent_to = 0;
	redis_run(bucket->limits->redis, &limits_script, LIMITS_TIMEOUT_MS, on_granted, bucket->ask,
		2, 14, argv);
}

/* Asks for the next block, unless one is on its way. */
static bool
ask_more(struct bucket *bucket)
{
	int64_t need_to = bucket->waiters ? bucket->waiters->recipients : 1;
	int64_t want_to;

	if (bucket->ask)
		return false;
	block_adapt(bucket, clock_mono_ms());
	want_to = (int64_t)bucket->block * bucket->per_message / 16;
	if (want_to > block_bound(bucket, true))
		want_to = block_bound(bucket, true);
	/* What is held counts for the first who waits. */
	if (counts_recipients(bucket) && bucket->held_to > 0)
		need_to = need_to > bucket->held_to ? need_to - bucket->held_to : 1;
	if (want_to < need_to)
		want_to = need_to;
	ask_send(bucket, need_to, bucket->block, want_to);
	return true;
}

/* Below half a block (of either kind) the next one is fetched in time. */
static bool
runs_low(const struct bucket *bucket)
{
	return bucket->held < (int64_t)bucket->block / 2 ||
		(counts_recipients(bucket) &&
			bucket->held_to * 32 < (int64_t)bucket->block * bucket->per_message);
}

static void
wait_add(struct bucket *bucket, unsigned recipients, limits_cb cb, void *arg)
{
	struct waiter *waiter = xmalloc(sizeof *waiter);

	*waiter = (struct waiter){ .recipients = recipients, .cb = cb, .arg = arg };
	*bucket->last_waiter = waiter;
	bucket->last_waiter = &waiter->next;
	ask_more(bucket);
}

void
limits_take(struct limits *limits, const struct account *account, unsigned recipients, limits_cb cb,
	void *arg)
{
	struct bucket *bucket = bucket_of(limits, account->id);
	const uint64_t now = clock_mono_ms();

	bucket->used_ms = now;
	bucket->limit[0] = account->limits.messages_hour;
	bucket->limit[1] = account->limits.messages_day;
	bucket->limit[2] = account->limits.recipients_hour;
	bucket->limit[3] = account->limits.recipients_day;
	bucket->per_message = (bucket->per_message * 15 + recipients * 16) / 16;
	if (!bucket->waiters && spend(bucket, recipients)) {
		if (runs_low(bucket) && now >= bucket->denied_until_ms && redis_up(limits->redis))
			ask_more(bucket);
		cb(arg, 0, NULL);
	} else if (!redis_up(limits->redis)) {
		local_take(bucket, recipients, cb, arg);
	} else if (now < bucket->denied_until_ms && recipients >= bucket->denied_recipients) {
		cb(arg, (unsigned)((bucket->retry_ms - now) / 1000 + 1),
			limit_names[bucket->denied_which]);
	} else {
		wait_add(bucket, recipients, cb, arg);
	}
}

void
limits_give_back(struct limits *limits, const struct account *account, unsigned recipients)
{
	struct bucket *bucket = bucket_of(limits, account->id);

	bucket->held++;
	if (counts_recipients(bucket))
		bucket->held_to += recipients;
}

/* The sender's side */

static void
send_attempted(struct bucket *bucket)
{
	char key[320], n[24], waiting[24];
	const char *argv[] = { key, "attempted", n, bucket->limits->node, waiting };

	snprintf(key, sizeof key, "rate:{%s}:flight", bucket->account);
	snprintf(n, sizeof n, "%u", bucket->attempted);
	snprintf(waiting, sizeof waiting, "%lld", (long long)bucket->waiting);
	redis_run(bucket->limits->redis, &limits_script, LIMITS_TIMEOUT_MS, limits_on_told, NULL, 1,
		5, argv);
	bucket->attempted = 0;
	bucket->waiting = -1;
}

void
limits_attempted(struct limits *limits, const char *account, unsigned n)
{
	struct bucket *bucket;

	if (!*account)
		return; /* our own mail */
	bucket = bucket_of(limits, account);
	bucket->used_ms = clock_mono_ms();
	bucket->attempted += n;
	if (bucket->attempted >= ATTEMPTS_BATCH && redis_up(limits->redis))
		send_attempted(bucket);
}

void
limits_waiting(struct limits *limits, const char *account, int64_t rows)
{
	struct bucket *bucket;

	if (!*account)
		return;
	bucket = bucket_of(limits, account);
	bucket->used_ms = clock_mono_ms();
	bucket->waiting = rows < 0 ? 0 : rows;
}

/* Once a second: tell what has not been told, give back what lies idle, forget who has gone. */

static void
bucket_report(struct bucket *bucket)
{
	bucket->spent -= bucket->held;
	if (counts_recipients(bucket))
		bucket->spent_to -= bucket->held_to;
	bucket->held = bucket->held_to = 0;
	if (bucket->spent || bucket->spent_to)
		ask_send(bucket, 0, 0, 0);
}

static bool
bucket_clean(const struct bucket *bucket)
{
	return !bucket->ask && !bucket->waiters && !bucket->held && !bucket->held_to &&
		!bucket->spent && !bucket->spent_to && !bucket->attempted && bucket->waiting < 0;
}

static void
bucket_tick(struct bucket *bucket, uint64_t now)
{
	struct limits *limits = bucket->limits;

	if (redis_up(limits->redis)) {
		if (bucket->attempted || bucket->waiting >= 0)
			send_attempted(bucket);
		if (!bucket->ask && !bucket->waiters && now - bucket->used_ms >= IDLE_MS)
			bucket_report(bucket);
	}
	if (now - bucket->used_ms >= FORGET_MS && bucket_clean(bucket)) {
		bucket_unlink(bucket);
		tdelete(bucket, &limits->tree, compare);
		bucket_free(bucket);
	}
}

static void
on_counted(void *arg, int err, const struct redis_reply *reply)
{
	struct count *count = arg;

	if (count->limits) {
		count->limits->count = NULL;
		if (!err && redis_reply_int(reply) > 0)
			count->limits->nodes = (unsigned)redis_reply_int(reply);
	}
	free(count);
}

static void
count_nodes(struct limits *limits, uint64_t now)
{
	const char *argv[] = { "limits:nodes", "nodes", limits->id };

	if (limits->count || !redis_up(limits->redis) ||
		(limits->counted_ms && now - limits->counted_ms < COUNT_MS))
		return;
	limits->counted_ms = now;
	limits->count = xmalloc(sizeof *limits->count);
	limits->count->limits = limits;
	redis_run(limits->redis, &limits_script, LIMITS_TIMEOUT_MS, on_counted, limits->count, 1, 3,
		argv);
}

static void
on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct limits *limits = arg;
	const uint64_t now = clock_mono_ms();
	struct bucket *newer;

	(void)fd;
	(void)what;
	for (struct bucket *bucket = limits->oldest; bucket; bucket = newer) {
		newer = bucket->newer;
		bucket_tick(bucket, now);
	}
	count_nodes(limits, now);
	if (!limits->oldest)
		event_del(limits->tick);
}

struct limits *
limits_new(struct loop *loop, struct redis *redis, const struct limits_options *options)
{
	struct limits *limits = xcalloc(1, sizeof *limits);
	uint64_t random;

	if (RAND_bytes((unsigned char *)&random, sizeof random) != 1)
		die("no random numbers", "OpenSSL");
	snprintf(limits->id, sizeof limits->id, "%016llx", (unsigned long long)random);
	gethostname(limits->node, sizeof limits->node - 1);
	limits->redis = redis;
	limits->options = *options;
	if (!limits->options.in_flight_max)
		limits->options.in_flight_max = NO_CAP;
	if (!limits->options.waiting_max)
		limits->options.waiting_max = NO_CAP;
	limits->nodes = 1;
	limits->auth = auth_limits_new();
	limits->tick = event_new(loop_base(loop), -1, EV_PERSIST, on_tick, limits);
	if (!limits->tick)
		die("out of memory", "limits");
	return limits;
}

static void
bucket_end(struct bucket *bucket)
{
	struct waiter *waiter;

	while ((waiter = waiter_pop(bucket))) {
		waiter->cb(waiter->arg, 1, "shutting down");
		free(waiter);
	}
	if (redis_up(bucket->limits->redis)) {
		if (bucket->attempted)
			send_attempted(bucket);
		if (!bucket->ask)
			bucket_report(bucket);
	}
}

void
limits_free(struct limits **limits_ref)
{
	struct limits *limits = *limits_ref;

	if (!limits)
		return;
	*limits_ref = NULL;
	for (struct bucket *bucket = limits->oldest; bucket; bucket = bucket->newer)
		bucket_end(bucket);
	if (limits->count)
		limits->count->limits = NULL;
	tdestroy(limits->tree, bucket_free);
	auth_limits_free(&limits->auth);
	event_free(limits->tick);
	free(limits);
}
