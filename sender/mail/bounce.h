/*
 * bounce.h - tells the sender of a mail what became of it (RFC 3464).
 */
#ifndef SENDER_BOUNCE_H
#define SENDER_BOUNCE_H

#include <stddef.h>

#include "shared/queue/queue.h"

struct item;
struct outcome;

/* Sends the sender of the mail a DSN about the targets that failed (FAILURE) or wait (DELAY). `cb`
 * gets 0 also when the sender is not to be told, and may be called before bounce_send() returns. */
enum bounce_kind { BOUNCE_FAILURE, BOUNCE_DELAY, BOUNCE_RELAYED };
void bounce_send(struct item *item, enum bounce_kind kind, queue_cb cb, void *arg);
/* The same for targets whose host took the mail but sends no DSNs. The arguments live until
 * `cb`. */
void bounce_send_relayed(struct item *item, const size_t *indices, size_t count,
	const struct outcome *outcome, queue_cb cb, void *arg);

#endif
