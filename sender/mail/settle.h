/*
 * settle.h - the results of a pass are made durable, step by step.
 */
#ifndef SENDER_SETTLE_H
#define SENDER_SETTLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sender/mail/provider.h"
#include "shared/mail/envelope.h"

struct item;
struct outcome;
struct sender;
struct timer;

/* The pass over the item's recipients has ended, or an answer came: do what is next. */
void settle_advance(struct item *item);
/* What is open waits without having been tried: until `until_us`, or (0) as long as its site cannot
 * be tried. */
void settle_park(struct item *item, uint64_t until_us);
/* Whom an operator wants bounced is, unless a crash hid that they have the mail. What else is open
 * waits until `until_us`. */
void settle_unwanted(struct item *item, uint64_t until_us);

/* For settle_end.c. */

/* The queue refused: calls `on_time` in a while, by a timer that is free, or returns false, then
 * nothing more is to be done for the item. */
bool settle_again(
	struct item *item, int err, struct timer *timer, void (*on_time)(void *arg), void *arg);
/* Begins the item's event. */
void
settle_event(struct sender *sender, const struct item *item, const char *name, uint32_t attempts);
/* `n` recipients of the item came to this end. */
void settle_count(const struct item *item, enum provider_end end, const char *class, size_t n);
/* The remote's host and reply. */
void settle_event_outcome(struct sender *sender, const struct outcome *outcome);
/* How often the message went out whole to one of them, without an answer. */
void settle_event_ambiguous(struct sender *sender, Recipient *const *recipients, size_t count);

#endif
