/*
 * bounce.h - tells the sender of a mail what became of it (RFC 3464).
 */
#ifndef SENDER_BOUNCE_H
#define SENDER_BOUNCE_H

#include <stddef.h>

#include "shared/queue/queue.h"

struct item;
struct outcome;

/* Tells the sender of the mail what became of the targets that failed, or wait. `cb` with
 * 0 also when nobody is to be told; it may come before the call returns. */
enum bounce_kind { BOUNCE_FAILURE, BOUNCE_DELAY, BOUNCE_RELAYED };
void bounce_send(struct item *item, enum bounce_kind kind, queue_cb cb, void *arg);
/* Likewise that these targets were taken by a host that tells nobody. What is given lives until
 * `cb`. */
void bounce_send_relayed(struct item *item, const size_t *indices, size_t count,
	const struct outcome *outcome, queue_cb cb, void *arg);

#endif
