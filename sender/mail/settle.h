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

/* Takes the item's next step: its pass has ended, or an answer to an earlier step came. */
void settle_advance(struct item *item);
/* Has the open recipients wait untried: until `until_us`, or (0) until their site may be tried. */
void settle_park(struct item *item, uint64_t until_us);
/* Bounces the recipients that an operator wants bounced, unless the ledger has them as delivered (a
 * crash hid that). All other open recipients wait until `until_us`. */
void settle_unwanted(struct item *item, uint64_t until_us);

/* For settle_end.c. */

/* The queue refused a step: calls `on_time` after a while, by `timer`, which must not be set. False
 * when the step was canceled, or while the role stops: the item is given up, and the caller frees
 * what it owns. */
bool settle_again(
	struct item *item, int err, struct timer *timer, void (*on_time)(void *arg), void *arg);
/* Begins the item's event; the caller adds fields and sends the event. */
void
settle_event(struct sender *sender, const struct item *item, const char *name, uint32_t attempts);
/* `n` recipients of the item came to this end. */
void settle_count(const struct item *item, enum provider_end end, const char *class, size_t n);
/* Adds the remote's host and reply to the event. NULL adds nothing. */
void settle_event_outcome(struct sender *sender, const struct outcome *outcome);
/* Adds to the event how often the message went out whole without an answer: the highest count among
 * these recipients. */
void settle_event_ambiguous(struct sender *sender, Recipient *const *recipients, size_t count);

#endif
