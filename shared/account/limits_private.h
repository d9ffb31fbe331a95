/*
 * limits_private.h - what limits.c, limits_bucket.c and limits_auth.c share.
 */
#ifndef SHARED_LIMITS_PRIVATE_H
#define SHARED_LIMITS_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uthash.h>

#include "shared/account/limits.h"
#include "shared/base/timer.h"
#include "shared/redis/redis.h"

#define LIMITS_TIMEOUT_MS 2000
#define DIMENSIONS 4

struct auth_limits;

struct limits {
	struct redis *redis;
	struct limits_options options;
	struct timer tick;
	struct bucket *buckets;
	char node[64];       /* this host, for its waiting rows */
	char id[17];         /* this instance, for counting nodes */
	unsigned nodes;      /* that share the limits */
	uint64_t counted_ms; /* when they were counted */
	struct count *count; /* the request for that */
	struct auth_limits *auth;
};

struct waiter {
	struct waiter *next;
	unsigned recipients;
	limits_cb cb;
	void *arg;
};

/* A request on its way; outlives the bucket when the limits are freed. */
struct ask {
	struct bucket *bucket;
	int64_t spent, spent_to, extra;
	unsigned recipients; /* of the first who waits */
};

struct bucket {
	UT_hash_handle hh; /* by account */
	char *account;
	struct limits *limits;
	uint64_t limit[DIMENSIONS];
	int64_t held, held_to;   /* granted messages and recipients */
	int64_t spent, spent_to; /* beyond what was granted, not yet told; negative: given back */
	int64_t extra;           /* what messages weighed beyond one each, not yet told */
	unsigned block;
	unsigned per_message; /* recipients, a moving average, times 16 */
	struct waiter *waiters, **last_waiter;
	struct ask *ask;
	uint64_t asked_ms, used_ms;
	uint64_t denied_until_ms, retry_ms; /* not asked again before; when a token will be free */
	unsigned denied_which, denied_recipients;
	uint64_t corrected_ms;
	uint64_t tat_us[DIMENSIONS]; /* of the local share */
	unsigned attempted;
	int64_t waiting; /* rows; -1: nothing new */
};

/* limits_bucket.c: the account's bucket, made when there is none. */
struct bucket *limits_bucket(struct limits *limits, const char *account);

/* limits.c: how Redis is asked. */
bool limits_count_recipients(const struct bucket *bucket);
struct waiter *limits_waiter_pop(struct bucket *bucket);
/* Runs "take" with what was spent so far. */
void limits_ask(struct bucket *bucket, int64_t need_to, int64_t want, int64_t want_to);

/* The script all of it runs. */
extern struct redis_script limits_script;

/* For calls whose answer does not matter, unless Redis refuses the script itself. */
void limits_on_told(void *arg, int err, const struct redis_reply *reply);

struct auth_limits *auth_limits_new(void);
void auth_limits_free(struct auth_limits **auth);

#endif
