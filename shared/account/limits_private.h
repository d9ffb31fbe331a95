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
#define ACCOUNT_DIMENSIONS 4 /* the others are a user's */
#define DIMENSIONS 6

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
	struct count *count; /* the request that counts them */
	struct auth_limits *auth;
};

struct waiter {
	struct waiter *next;
	unsigned recipients;
	limits_cb cb;
	void *arg;
};

/* A request under way. It outlives the bucket when the limits are freed. */
struct ask {
	struct bucket *bucket;
	int64_t spent, spent_to, extra;
	unsigned recipients; /* of the first waiter */
};

/* Of an account, or of a user with limits of its own: such a user's bucket is granted what both
 * the account's limits and the user's allow, in one call. */
struct bucket {
	UT_hash_handle hh; /* by `key` */
	char *key;         /* the account's id, and for a user its name behind a line feed */
	char *account;
	const char *user;      /* in `key`; "": all other users of the account */
	struct bucket *parent; /* a user's: the account's */
	unsigned children;
	struct limits *limits;
	uint64_t limit[DIMENSIONS];
	int64_t granted, granted_to; /* tokens that Redis has granted: messages, recipients */
	int64_t spent, spent_to;     /* beyond the grant, not yet reported; negative: given back */
	int64_t extra;               /* not yet reported: weight beyond one for each message */
	unsigned block;
	unsigned per_message; /* recipients, a moving average, times 16 */
	struct waiter *waiters, **last_waiter;
	struct ask *ask;
	uint64_t asked_ms, used_ms;
	uint64_t denied_until_ms, retry_ms; /* do not ask before; when a token will be free */
	unsigned denied_which, denied_recipients;
	uint64_t corrected_ms;
	uint64_t tat_us[DIMENSIONS]; /* of the share without Redis */
	unsigned attempted;
	int64_t waiting; /* rows; -1: not changed since the last report */
};

/* limits_bucket.c: the bucket of the account, or of its user (NULL: none), made when missing. */
struct bucket *limits_bucket(struct limits *limits, const char *account, const char *user);

/* limits.c: whether recipients are limited. */
bool limits_count_recipients(const struct bucket *bucket);
struct waiter *limits_waiter_pop(struct bucket *bucket);
/* Runs "take", and reports what was spent. */
void limits_ask(struct bucket *bucket, int64_t need_to, int64_t want, int64_t want_to);

/* The script behind every call. */
extern struct redis_script limits_script;

/* For calls whose answer does not matter, unless Redis refuses the script itself. */
void limits_on_told(void *arg, int err, const struct redis_reply *reply);

struct auth_limits *auth_limits_new(void);
void auth_limits_free(struct auth_limits **auth);

#endif
