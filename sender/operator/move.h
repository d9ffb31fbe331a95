/*
 * move.h - mail that waits for its turn in a lane that cannot be used takes another one.
 */
#ifndef SENDER_MOVE_H
#define SENDER_MOVE_H

#include <stdint.h>

struct sender;

/* The egress IPs have changed, or can or cannot be used. It is sender->lanes_changed. */
void move_lanes(struct sender *sender);
/* A lane rests in the whole cluster (limiter.h): its mail takes another IP, or waits. `arg` is the
 * sender. */
void move_on_rest(void *arg, const char *lane, uint64_t until_us);
/* An IP that warms up may not send for long what waits for it, which takes another one, if any. */
void move_on_full(void *arg);

#endif
