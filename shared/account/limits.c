/*
 * limits.c - how much an account may send: blocks of tokens from Redis, spent on this loop.
 *
 * ingress (take, give back) -> [limits] -> Redis <- [limits] <- sender (attempted, waiting)
 *
 * An account in use has a bucket of tokens, for messages and for recipients, that Redis has
 * granted. A take is answered from the bucket. Below half a block the bucket asks for the next
 * block while it goes on answering, so a busy account costs one call in tens of messages. Blocks
 * grow with use, up to a twentieth of the smallest limit, so that no loop sits on another loop's
 * allowance. Tokens unused for a second go back.
 *
 * Without Redis each loop applies its share (limit / nodes) by its own clock, and reports later
 * what it spent. A call that timed out may have been granted; its tokens are lost, and the account
 * sends less.
 */
#include "shared/account/limits.h"

#include <stdio.h>
#include <stdlib.h>

#include "shared/account/limits_private.h"
#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/mail/envelope.h"

#define BLOCK_MAX 64
#define BLOCK_SHARE 20 /* a block is at most this part of a limit */
#define BUSY_MS 1000   /* blocks that follow faster than this grow */
#define KEY_SIZE 600
#define VALUES 14      /* of "take" */
#define DENIAL_MS 1000 /* a refusal counts on this loop for so long before Redis is asked again */

struct redis_script limits_script = { .text =
#include "shared/account/limits.lua.h"
};

static const char *const limit_names[] = { "", "messages per hour", "messages per day",
	"recipients per hour", "recipients per day", "messages in flight", "messages waiting",
	"messages per hour for this username", "messages per day for this username" };
#define IN_FLIGHT 5
#define LIMITS_KNOWN (sizeof limit_names / sizeof *limit_names)

static const struct dimension {
	uint64_t period_us;
	bool recipients;
	unsigned name; /* in limit_names */
} dimensions[DIMENSIONS] = {
	{ 3600000000, false, 1 },
	{ 86400000000, false, 2 },
	{ 3600000000, true, 3 },
	{ 86400000000, true, 4 },
	{ 3600000000, false, 7 },
	{ 86400000000, false, 8 },
};

static bool ask_more(struct bucket *bucket);

/* Spending */

bool
limits_count_recipients(const struct bucket *bucket)
{
	return bucket->limit[2] || bucket->limit[3];
}

/* A token is one message in flight. A message with many recipients weighs more. */
static void
weigh(struct bucket *bucket, unsigned recipients, int sign)
{
	bucket->extra += sign * ((int64_t)recipients_weight(recipients) - 1);
}

static bool
spend(struct bucket *bucket, unsigned recipients)
{
	if (bucket->granted < 1 ||
		(limits_count_recipients(bucket) && bucket->granted_to < recipients))
		return false;
	bucket->granted--;
	if (limits_count_recipients(bucket))
		bucket->granted_to -= recipients;
	weigh(bucket, recipients, 1);
	return true;
}

/* The part of a limit that one node applies without Redis. */
static uint64_t
share(const struct bucket *bucket, int i)
{
	const uint64_t part = bucket->limit[i] / bucket->limits->nodes;

	return part ? part : 1;
}

/* All buckets of an account share what is left of its limits. */
static uint64_t *
tat_of(struct bucket *bucket, int i)
{
	return &(bucket->parent && i < ACCOUNT_DIMENSIONS ? bucket->parent : bucket)->tat_us[i];
}

/* The GCRA of limits.lua, by this machine's clock. */
static bool
local_room(struct bucket *bucket, int i, uint64_t need, uint64_t now_us, unsigned *wait_s)
{
	const uint64_t period = dimensions[i].period_us, part = share(bucket, i);
	const uint64_t tat = *tat_of(bucket, i) > now_us ? *tat_of(bucket, i) : now_us;
	const uint64_t cost = (need < part ? need : part) * period / part;

	if (tat + cost <= now_us + period)
		return true;
	*wait_s = (unsigned)((tat + cost - now_us - period) / 1000000 + 1);
	return false;
}

static void
local_charge(struct bucket *bucket, int i, uint64_t n, uint64_t now_us)
{
	if (*tat_of(bucket, i) < now_us)
		*tat_of(bucket, i) = now_us;
	*tat_of(bucket, i) += n * dimensions[i].period_us / share(bucket, i);
}

static void
local_take(struct bucket *bucket, unsigned recipients, limits_cb cb, void *arg)
{
	const uint64_t now_us = clock_mono_us();
	unsigned wait_s = 0;

	for (int i = 0; i < DIMENSIONS; i++) {
		const uint64_t need = dimensions[i].recipients ? recipients : 1;

		if (bucket->limit[i] && !local_room(bucket, i, need, now_us, &wait_s)) {
			cb(arg, wait_s, limit_names[dimensions[i].name]);
			return;
		}
	}
	for (int i = 0; i < DIMENSIONS; i++)
		if (bucket->limit[i])
			local_charge(bucket, i, dimensions[i].recipients ? recipients : 1, now_us);
	bucket->spent++;
	bucket->spent_to += recipients;
	weigh(bucket, recipients, 1);
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

static int64_t
block_most(const struct bucket *bucket)
{
	int64_t most = block_bound(bucket, false);

	if (bucket->limits->options.in_flight_max / BLOCK_SHARE < most)
		most = bucket->limits->options.in_flight_max / BLOCK_SHARE;
	return most > BLOCK_MAX ? BLOCK_MAX : most < 1 ? 1 : most;
}

static void
block_adapt(struct bucket *bucket, uint64_t now_ms)
{
	const int64_t most = block_most(bucket);

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
	/* A refusal for many recipients may not apply to fewer. */
	bucket->denied_recipients = which == 3 || which == 4 ? recipients : 0;
	bucket->denied_until_ms = now + (wait_ms < DENIAL_MS ? wait_ms : DENIAL_MS);
	bucket->retry_ms = now + wait_ms;
}

struct waiter *
limits_waiter_pop(struct bucket *bucket)
{
	struct waiter *waiter = bucket->waiters;

	if (waiter && !(bucket->waiters = waiter->next))
		bucket->last_waiter = &bucket->waiters;
	return waiter;
}

/*
 * Serves the waiters after an answer. The refusal of one also answers the others that are like it.
 */
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
		limits_waiter_pop(bucket);
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

	while ((waiter = limits_waiter_pop(bucket))) {
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
	redis_log_refusal((void *)"limits: Redis refuses the script", err, reply);
}

static int64_t
reply_number(const struct redis_reply *reply, size_t i)
{
	return redis_reply_int(redis_reply_at(reply, i));
}

/* Compares the count of messages in flight with what the queue has and the loops were granted. The
 * difference is what killed processes had in hand. True: the count is corrected, asking again is
 * worth it. */
static bool
flight_correct(struct bucket *bucket)
{
	const struct limits *limits = bucket->limits;
	const struct limits_options *options = &limits->options;
	uint64_t now = clock_mono_ms(), granted = limits->nodes * (uint64_t)block_most(bucket);
	uint64_t queued;
	char key[320], most[24];
	const char *argv[] = { key, "correct", most };

	if (!options->queued || (bucket->corrected_ms && now - bucket->corrected_ms < DENIAL_MS))
		return false;
	if (granted > options->in_flight_max / 2)
		granted = options->in_flight_max / 2;
	queued = options->queued(options->queued_arg);
	if (queued >= options->in_flight_max)
		return false;
	queued *= recipients_weight(ENVELOPE_RECIPIENTS_MAX);
	if (queued >= options->in_flight_max - granted)
		return false;
	bucket->corrected_ms = now;
	snprintf(key, sizeof key, "rate:{%s}:flight", bucket->account);
	snprintf(most, sizeof most, "%llu", (unsigned long long)(queued + granted));
	redis_run(
		limits->redis, &limits_script, LIMITS_TIMEOUT_MS, limits_on_told, NULL, 1, 3, argv);
	return true;
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
		bucket->extra += ask->extra;
		free(ask);
		serve_locally(bucket);
		return;
	}
	bucket->granted += reply_number(reply, 0);
	if (limits_count_recipients(bucket))
		bucket->granted_to += reply_number(reply, 1);
	wait_s = reply_number(reply, 2);
	if (wait_s > 0 && reply_number(reply, 3) == IN_FLIGHT && flight_correct(bucket)) {
		free(ask);
		ask_more(bucket);
		return;
	}
	if (wait_s > 0)
		denied(bucket, wait_s, reply_number(reply, 3), ask->recipients);
	free(ask);
	serve_waiters(bucket, wait_s);
}

void
limits_ask(struct bucket *bucket, int64_t need_to, int64_t want, int64_t want_to)
{
	const struct limits_options *options = &bucket->limits->options;
	const int keys_count = bucket->parent ? 3 : 2;
	char keys[3][KEY_SIZE], numbers[VALUES][24];
	const char *argv[4 + VALUES] = { keys[0], keys[1], keys[2] };
	const int64_t values[VALUES] = { need_to, want, want_to, bucket->spent, bucket->spent_to,
		(int64_t)bucket->limit[0], (int64_t)bucket->limit[1], (int64_t)bucket->limit[2],
		(int64_t)bucket->limit[3], options->in_flight_max, options->waiting_max,
		bucket->extra, (int64_t)bucket->limit[4], (int64_t)bucket->limit[5] };

	snprintf(keys[0], sizeof keys[0], "rate:{%s}:gcra", bucket->account);
	snprintf(keys[1], sizeof keys[1], "rate:{%s}:flight", bucket->account);
	snprintf(keys[2], sizeof keys[2], "rate:{%s}:user:%s", bucket->account, bucket->user);
	argv[keys_count] = "take";
	for (int i = 0; i < VALUES; i++) {
		snprintf(numbers[i], sizeof numbers[i], "%lld", (long long)values[i]);
		argv[keys_count + 1 + i] = numbers[i];
	}
	bucket->ask = xmalloc(sizeof *bucket->ask);
	*bucket->ask = (struct ask){ bucket, bucket->spent, bucket->spent_to, bucket->extra,
		bucket->waiters ? bucket->waiters->recipients : 1 };
	bucket->spent = bucket->spent_to = bucket->extra = 0;
	redis_run(bucket->limits->redis, &limits_script, LIMITS_TIMEOUT_MS, on_granted, bucket->ask,
		keys_count, keys_count + 1 + VALUES, argv);
}

/* Asks for the next block, unless a request is under way. */
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
	/* The granted tokens count for the first waiter. */
	if (limits_count_recipients(bucket) && bucket->granted_to > 0)
		need_to = need_to > bucket->granted_to ? need_to - bucket->granted_to : 1;
	if (want_to < need_to)
		want_to = need_to;
	limits_ask(bucket, need_to, bucket->block, want_to);
	return true;
}

/* Below half a block, of either kind, the next block is fetched in time. */
static bool
runs_low(const struct bucket *bucket)
{
	return bucket->granted < (int64_t)bucket->block / 2 ||
		(limits_count_recipients(bucket) &&
			bucket->granted_to * 32 < (int64_t)bucket->block * bucket->per_message);
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

static void
set_limits(struct bucket *bucket, const struct account_limits *own,
	const struct account_limits *defaults, const struct limits_user *user)
{
	const uint64_t pairs[ACCOUNT_DIMENSIONS][2] = {
		{ own->messages_hour, defaults->messages_hour },
		{ own->messages_day, defaults->messages_day },
		{ own->recipients_hour, defaults->recipients_hour },
		{ own->recipients_day, defaults->recipients_day },
	};

	for (int i = 0; i < ACCOUNT_DIMENSIONS; i++)
		bucket->limit[i] = pairs[i][pairs[i][0] == LIMIT_DEFAULT];
	bucket->limit[4] = bucket->parent ? user->messages_hour : 0;
	bucket->limit[5] = bucket->parent ? user->messages_day : 0;
}

void
limits_take(struct limits *limits, const struct account *account, const struct limits_user *user,
	unsigned recipients, limits_cb cb, void *arg)
{
	struct bucket *bucket = limits_bucket(limits, account->id, user->name);
	const uint64_t now = clock_mono_ms();

	bucket->used_ms = now;
	set_limits(bucket, &account->limits, &limits->options.defaults, user);
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
limits_give_back(struct limits *limits, const struct account *account,
	const struct limits_user *user, unsigned recipients)
{
	struct bucket *bucket = limits_bucket(limits, account->id, user->name);

	bucket->granted++;
	weigh(bucket, recipients, -1);
	if (limits_count_recipients(bucket))
		bucket->granted_to += recipients;
}
