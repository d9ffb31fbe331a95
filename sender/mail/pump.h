/*
 * pump.h - has the scheduler run.
 */
#ifndef SENDER_PUMP_H
#define SENDER_PUMP_H

struct sender;

/* On the loop's next turn; in a second. */
void sender_wake(struct sender *sender);
void sender_wake_later(struct sender *sender);

#endif
