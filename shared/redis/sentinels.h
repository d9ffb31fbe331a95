/*
 * sentinels.h - where the master is, by the word of Redis's sentinels: whom to ask, in which order,
 * and what many answers mean. For the client alone, who asks each of them.
 */
#ifndef SHARED_REDIS_SENTINELS_H
#define SHARED_REDIS_SENTINELS_H

#include "shared/redis/redis.h"

#define SENTINEL_ADDRESS_SIZE 300 /* a host of 253 signs, brackets, a port */
#define SENTINEL_WHY_SIZE 512

struct sentinels;

/* Asks sentinel number `i`. The answer comes once, on the loop, later; none comes when the client
 * has ended the question. */
typedef void (*sentinels_ask_fn)(void *arg, unsigned i, redis_sentinel_cb cb, void *cb_arg);

/* The options are copied. */
struct sentinels *sentinels_new(
	struct loop *loop, const struct redis_options *options, sentinels_ask_fn ask, void *arg);
/* All questions have been answered or ended. Takes NULL. */
void sentinels_free(struct sentinels **sentinels);
const char *sentinels_address(const struct sentinels *sentinels, unsigned i);
/* Counts and logs an answer: "" is a good one, else `why` not. */
void sentinels_measure(struct sentinels *sentinels, unsigned i, const char *why);

/* Asks one after the other until one names a master: `address`, "host:port", and "" as `why`. NULL:
 * none does, and `why` says what each of them said. No search or poll may be under way. */
void sentinels_search(struct sentinels *sentinels, redis_sentinel_cb cb, void *arg);
/* Nobody serves as a master where the last search led: the next one begins with another sentinel.
 */
void sentinels_distrust(struct sentinels *sentinels);

/* From now on asks all of them every few seconds. The callback comes once, when more than half of
 * all name another master than `ours`, all the same one. That one is `address`. */
void sentinels_poll(struct sentinels *sentinels, const char *ours, redis_sentinel_cb cb, void *arg);
/* Ends a search or a poll, whose questions the client has ended. */
void sentinels_rest(struct sentinels *sentinels);

#endif
