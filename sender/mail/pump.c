/*
 * pump.c - wakes the scheduler on the loop's next turn, or later.
 */
#include "sender/mail/pump.h"

#include "sender/mail/sender.h"

#define LATER_MS 1000

void
sender_wake(struct sender *sender)
{
	timer_soon(&sender->pump);
}

void
sender_wake_later(struct sender *sender)
{
	if (!timer_is_set(&sender->lease_timer))
		timer_set(&sender->lease_timer, LATER_MS);
}
