/*
 * limits_bucket.c - the life of the accounts' buckets, and what Redis is told between questions.
 *
 * Once a second: report what was spent, give back what lies idle, drop buckets that nobody uses,
 * and count the nodes that share the limits.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/rand.h>

#include "shared/account/limits_private.h"
#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/base/timer.h"

#define TICK_MS 1000
#define IDLE_MS 1000 /* tokens unused for so long go back */
#define FORGET_MS 60000
#define COUNT_MS 20000
#define ATTEMPTS_BATCH 50
#define NO_CAP 1000000000u

struct count {
	struct limits *limits;
};

/* Usernames are the same in whatever case. */
static char *
key_of(const char *account, const char *user)
{
	char *key = user ? xasprintf("%s\n%s", account, user) : xstrdup(account);

	for (char *c = key + strlen(account); *c; c++)
		if (*c >= 'A' && *c <= 'Z')
			*c = (char)(*c + 32);
	return key;
}

static struct bucket *
bucket_new(struct limits *limits, const char *account, char *key)
{
	struct bucket *bucket = xcalloc(1, sizeof *bucket);
	const size_t length = strlen(account);

	bucket->key = key;
	bucket->account = xstrdup(account);
	bucket->user = key + length + (key[length] == '\n');
	bucket->limits = limits;
	bucket->last_waiter = &bucket->waiters;
	bucket->block = 1;
	bucket->per_message = 16;
	bucket->waiting = -1;
	HASH_ADD_KEYPTR(hh, limits->buckets, bucket->key, strlen(key), bucket);
	if (!timer_is_set(&limits->tick))
		timer_repeat(&limits->tick, TICK_MS);
	return bucket;
}

struct bucket *
limits_bucket(struct limits *limits, const char *account, const char *user)
{
	char *key = user ? key_of(account, user) : NULL;
	const char *wanted = key ? key : account;
	struct bucket *bucket;

	HASH_FIND_STR(limits->buckets, wanted, bucket);
	if (bucket) {
		free(key);
		return bucket;
	}
	bucket = bucket_new(limits, account, key ? key : xstrdup(account));
	if (user) {
		bucket->parent = limits_bucket(limits, account, NULL);
		bucket->parent->children++;
	}
	return bucket;
}

static void
bucket_free(struct bucket *bucket)
{
	HASH_DEL(bucket->limits->buckets, bucket);
	if (bucket->ask)
		bucket->ask->bucket = NULL;
	if (bucket->parent)
		bucket->parent->children--;
	free(bucket->key);
	free(bucket->account);
	free(bucket);
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
	bucket = limits_bucket(limits, account, NULL);
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
	bucket = limits_bucket(limits, account, NULL);
	bucket->used_ms = clock_mono_ms();
	bucket->waiting = rows < 0 ? 0 : rows;
}

static void
bucket_report(struct bucket *bucket)
{
	bucket->spent -= bucket->granted;
	if (limits_count_recipients(bucket))
		bucket->spent_to -= bucket->granted_to;
	bucket->granted = bucket->granted_to = 0;
	if (bucket->spent || bucket->spent_to || bucket->extra)
		limits_ask(bucket, 0, 0, 0);
}

static bool
bucket_clean(const struct bucket *bucket)
{
	return !bucket->children && !bucket->ask && !bucket->waiters && !bucket->granted &&
		!bucket->granted_to && !bucket->spent && !bucket->spent_to && !bucket->extra &&
		!bucket->attempted && bucket->waiting < 0;
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
	if (now - bucket->used_ms >= FORGET_MS && bucket_clean(bucket))
		bucket_free(bucket);
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
on_tick(void *arg)
{
	struct limits *limits = arg;
	const uint64_t now = clock_mono_ms();
	struct bucket *bucket, *next;

	HASH_ITER (hh, limits->buckets, bucket, next)
		bucket_tick(bucket, now); /* may free it, and no other one */
	count_nodes(limits, now);
	if (!limits->buckets)
		timer_cancel(&limits->tick);
}

void
limits_change(struct limits *limits, const struct limits_options *options)
{
	struct bucket *bucket, *next;

	limits->options.defaults = options->defaults;
	limits->options.in_flight_max = options->in_flight_max ? options->in_flight_max : NO_CAP;
	limits->options.waiting_max = options->waiting_max ? options->waiting_max : NO_CAP;
	HASH_ITER (hh, limits->buckets, bucket, next)
		bucket->denied_until_ms = 0; /* it followed from the former limits */
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
	limits_change(limits, options);
	limits->nodes = 1;
	limits->auth = auth_limits_new();
	timer_init(&limits->tick, loop, on_tick, limits);
	return limits;
}

static void
bucket_end(struct bucket *bucket)
{
	struct waiter *waiter;

	while ((waiter = limits_waiter_pop(bucket))) {
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
	struct bucket *bucket, *next;

	if (!limits)
		return;
	*limits_ref = NULL;
	HASH_ITER (hh, limits->buckets, bucket, next)
		bucket_end(bucket);
	if (limits->count)
		limits->count->limits = NULL;
	for (bucket = limits->buckets; bucket; bucket = bucket->hh.next)
		bucket->parent = NULL;
	HASH_ITER (hh, limits->buckets, bucket, next)
		bucket_free(bucket);
	auth_limits_free(&limits->auth);
	timer_cancel(&limits->tick);
	free(limits);
}
