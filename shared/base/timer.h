/*
 * timer.h - timers of a loop, in milliseconds.
 *
 * A timer is embedded in the struct that it is about, and belongs to the thread of its loop. The
 * owner cancels the timer before the struct is freed; the timer's own callback may free the struct.
 */
#ifndef SHARED_TIMER_H
#define SHARED_TIMER_H

#include <stdbool.h>
#include <stdint.h>

#include <event2/event_struct.h>

struct loop;

struct timer {
	struct event event;
	void (*run)(void *arg);
	void *arg;
	uint64_t every_ms; /* 0: once */
};

void timer_init(struct timer *timer, struct loop *loop, void (*run)(void *arg), void *arg);

/* Calls run() once after `ms` (timer_set) or every `ms` (timer_repeat). Replaces what was set
 * before. */
void timer_set(struct timer *timer, uint64_t ms);
void timer_repeat(struct timer *timer, uint64_t ms);

/* Calls run() as soon as the current callback has returned to the loop. */
void timer_soon(struct timer *timer);

bool timer_is_set(const struct timer *timer);

/* Takes a timer that is not set, or is all zeros. */
void timer_cancel(struct timer *timer);

#endif
