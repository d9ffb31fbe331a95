/*
 * timer.h - timers of a loop, in milliseconds.
 *
 * A timer is embedded in what it is about, and belongs to the thread of its loop. Its owner cancels
 * it before that memory goes; its own callback may free it.
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

/* Calls run() once after `ms`, or again and again every `ms`, instead of what was set before. */
void timer_set(struct timer *timer, uint64_t ms);
void timer_repeat(struct timer *timer, uint64_t ms);

/* Calls run() as soon as whoever is calling now has returned to the loop. */
void timer_soon(struct timer *timer);

bool timer_is_set(const struct timer *timer);

/* Also one that is not set, or is all zeros. */
void timer_cancel(struct timer *timer);

#endif
