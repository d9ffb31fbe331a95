/*
 * pass.h - a pass over an item's recipients.
 */
#ifndef SENDER_PASS_H
#define SENDER_PASS_H

struct item;
struct outcome;

/* A routed item waits for its turn, is parked, or has come to its end. */
void pass_begin(struct item *item);
/* The pass is over, or goes on with what is still open. */
void pass_go_on(struct item *item);
/* A connection could not be had, or ended before the message went out. */
void pass_fail(struct item *item, const struct outcome *failure);
/* The scheduler has no room for it, or its site rests. */
void pass_put_off(struct item *item);
/* This pass counts as an attempt. */
void pass_count_attempt(struct item *item);

#endif
