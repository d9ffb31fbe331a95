/*
 * trust.h - whether our clock may be believed.
 *
 * A clock that jumped ahead would end the life of everything that waits. So nothing expires unless
 * somebody else's clock agrees: Redis's, or the brokers'.
 */
#ifndef SENDER_TRUST_H
#define SENDER_TRUST_H

#include <stdbool.h>

struct loop;
struct queue;
struct redis;
struct trust;

struct trust *trust_new(struct loop *loop, struct redis *redis, struct queue *queue);
/* Before redis_free(), whose last answers it hears no more. */
void trust_free(struct trust **trust);
/* Whether a clock other than ours, read within the last minute or so, is within 60 s of it. */
bool trust_clock(const struct trust *trust);

#endif
