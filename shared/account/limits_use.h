/*
 * limits_use.h - how much of an account's limits is used, for people. What ingress was granted and
 * has not spent yet (limits.h) counts as used.
 */
#ifndef SHARED_LIMITS_USE_H
#define SHARED_LIMITS_USE_H

#include <stddef.h>
#include <stdint.h>

struct redis;

#define LIMITS_USE_USERS 50

struct limits_use {
	uint64_t now_us; /* by Redis's clock */
	uint64_t in_flight, waiting;
	/* When nothing is used any more: of the account [0], then of each user: messages an hour, a
	 * day, recipients an hour, a day. 0: never used. */
	uint64_t full_us[1 + LIMITS_USE_USERS][4];
};

/* One callback, as for redis_command(); `use` is borrowed, NULL on an error. Only the first
 * LIMITS_USE_USERS users are read. */
typedef void (*limits_use_cb)(void *arg, int err, const struct limits_use *use);
void limits_use_read(struct redis *redis, const char *account, const char *const *users,
	size_t count, limits_use_cb cb, void *arg);

/* How many of `limit` a period are used, and when the next one frees; 0: one is free now. Pure. */
uint64_t limits_used(
	uint64_t full_us, uint64_t now_us, uint64_t period_us, uint64_t limit, uint64_t *frees_us);

#endif
