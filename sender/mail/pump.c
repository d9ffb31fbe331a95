/*
 * pump.c - who runs the scheduler, and when: on the loop's next turn, or later.
 */
#include "sender/mail/pump.h"

#include "sender/mail/sender.h"

#include <event2/event.h>

void
sender_wake(struct sender *sender)
{
	event_active(sender->pump, EV_TIMEOUT, 0);
}

void
sender_wake_later(struct sender *sender)
{
	const struct timeval later = { .tv_sec = 1 };

	if (!event_pending(sender->lease_timer, EV_TIMEOUT, NULL))
		event_add(sender->lease_timer, &later);
}
