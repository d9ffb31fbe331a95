/*
 * pass.h - a pass over an item's recipients.
 */
#ifndef SENDER_PASS_H
#define SENDER_PASS_H

struct item;
struct outcome;

/* Has a routed item wait for its turn, or parks it; one without a way, or without open recipients,
 * is settled. */
void pass_begin(struct item *item);
/* Goes on with the recipients that are still open, or ends the pass. */
void pass_go_on(struct item *item);
/* Ends the pass: no connection could be had, or it ended before the message went out. */
void pass_fail(struct item *item, const struct outcome *failure);
/* Parks the item: the scheduler has no room, or the site rests. */
void pass_put_off(struct item *item);
/* Has the pass count as an attempt, once. */
void pass_count_attempt(struct item *item);

#endif
