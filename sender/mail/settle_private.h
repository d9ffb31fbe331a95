/*
 * settle_private.h - what settle.c (the order of the steps, waiting) and settle_end.c (end states)
 * share.
 */
#ifndef SENDER_SETTLE_PRIVATE_H
#define SENDER_SETTLE_PRIVATE_H

#include <event2/event.h>

#include "sender/mail/provider.h"
#include "sender/mail/sender_private.h"

/* settle.c */
/* The queue refused: calls `on_time` in a while, or returns false, then nothing more is to be
 * done for the item. */
bool settle_again(struct item *item, int err, event_callback_fn on_time, void *arg);
/* Begins the item's event. */
void
settle_event(struct sender *sender, const struct item *item, const char *name, uint32_t attempts);
/* `n` recipients of the item came to this end. */
void settle_count(const struct item *item, enum provider_end end, const char *class, size_t n);
/* The remote's host and reply. */
void settle_event_outcome(struct sender *sender, const struct outcome *outcome);
/* How often the message went out whole to one of them, without an answer. */
void settle_event_ambiguous(struct sender *sender, Recipient *const *recipients, size_t count);

/* settle_end.c: the DSN is durable, the event of those that failed is next. */
void settle_failed(struct item *item);

#endif
