/*
 * trust.h - whether our clock may be believed.
 *
 * A clock that jumped ahead would expire all waiting mail. So nothing expires unless another clock
 * agrees: that of Redis, or of the brokers.
 */
#ifndef SENDER_TRUST_H
#define SENDER_TRUST_H

#include <stdbool.h>

struct loop;
struct queue;
struct redis;
struct trust;

struct trust *trust_new(struct loop *loop, struct redis *redis, struct queue *queue);
/* Call it before redis_free(): the answers of redis_free() are not heard. */
void trust_free(struct trust **trust);
/* Whether a clock other than ours, read within the last minute or so, is within 60 s of it. */
bool trust_clock(const struct trust *trust);

#endif
