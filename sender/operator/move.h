/*
 * move.h - mail that waits for its turn in a lane that cannot be used takes another one.
 */
#ifndef SENDER_MOVE_H
#define SENDER_MOVE_H

struct sender;

/* The egress IPs have changed, or can or cannot be used. It is sender->lanes_changed. */
void move_lanes(struct sender *sender);

#endif
