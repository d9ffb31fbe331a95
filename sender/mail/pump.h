/*
 * pump.h - wakes the scheduler.
 */
#ifndef SENDER_PUMP_H
#define SENDER_PUMP_H

struct sender;

/* Runs the scheduler on the loop's next turn, or (later) in a second. */
void sender_wake(struct sender *sender);
void sender_wake_later(struct sender *sender);

#endif
