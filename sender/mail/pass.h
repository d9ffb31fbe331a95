/*
 * pass.h - a pass over an item's recipients.
 */
#ifndef SENDER_PASS_H
#define SENDER_PASS_H

struct item;
struct outcome;

/* Lets a routed item wait for its turn, or parks the item. Without a route or open recipients, the
 * item is settled. */
void pass_begin(struct item *item);
/* Goes on with the recipients that are still open, or ends the pass when none is. */
void pass_go_on(struct item *item);
/* Begins the pass of an item once more that waited for its turn, or had a connection and sent
 * nothing: its lane cannot be used. */
void pass_again(struct item *item);
/* Ends the pass because of the connection: none could be had, or it ended before the message was
 * out. */
void pass_fail(struct item *item, const struct outcome *failure);
/* Parks the item: the scheduler has no room, or the site rests. */
void pass_put_off(struct item *item);
/* Counts the pass as an attempt; later calls in the same pass count nothing. */
void pass_count_attempt(struct item *item);

#endif
