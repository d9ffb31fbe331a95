/*
 * wake.h - what is to be done when: heaps of times, and the timer for the soonest of one.
 */
#ifndef SENDER_WAKE_H
#define SENDER_WAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct loop;
struct wake_timer;

/* Embed it, zeroed. Out of its heap before its memory goes. */
struct wake {
	uint64_t us; /* when; by clock_us() */
	size_t place;
};

/* Embed it, zeroed; what lies in it belongs to whoever put it there. */
struct wake_heap {
	struct wake **wakes; /* soonest first; a wake's place is its index + 1 */
	size_t count, space;
};

/* Puts it in, or moves it. */
void wake_set(struct wake_heap *heap, struct wake *wake, uint64_t us);
/* Nothing when it is not in. */
void wake_clear(struct wake_heap *heap, struct wake *wake);
static inline bool
wake_is_set(const struct wake *wake)
{
	return wake->place != 0;
}

/* NULL: none. */
static inline struct wake *
wake_soonest(const struct wake_heap *heap)
{
	return heap->count ? heap->wakes[0] : NULL;
}

void wake_heap_free(struct wake_heap *heap);

/* `run` comes at the time it was armed for, at the latest after ten minutes (the clock may be set
 * meanwhile); from it on the timer rests until wake_timer_arm(). */
struct wake_timer *wake_timer_new(struct loop *loop, void (*run)(void *arg), void *arg);
void wake_timer_free(struct wake_timer **timer);
/* UINT64_MAX: for nothing. */
void wake_timer_arm(struct wake_timer *timer, uint64_t us, uint64_t now_us);

#endif
