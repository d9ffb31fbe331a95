/*
 * wake.h - heaps of wake-up times, and a timer for the soonest time of one heap.
 */
#ifndef SENDER_WAKE_H
#define SENDER_WAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct loop;
struct wake_timer;

/* A time in a heap. Embed it, zeroed, and clear it before its memory goes. */
struct wake {
	uint64_t us; /* by clock_us() */
	size_t place;
};

/* A heap. Embed it, zeroed. Its wakes belong to the callers. */
struct wake_heap {
	struct wake **wakes; /* soonest first; a wake's place is its index + 1 */
	size_t count, space;
};

/* Puts the wake into the heap, or moves it to the new time. */
void wake_set(struct wake_heap *heap, struct wake *wake, uint64_t us);
/* Takes the wake out; does nothing when it is in no heap. */
void wake_clear(struct wake_heap *heap, struct wake *wake);
static inline bool
wake_is_set(const struct wake *wake)
{
	return wake->place != 0;
}

/* The wake with the soonest time; NULL: the heap is empty. */
static inline struct wake *
wake_soonest(const struct wake_heap *heap)
{
	return heap->count ? heap->wakes[0] : NULL;
}

void wake_heap_free(struct wake_heap *heap);

/* Calls `run` at the time that the timer was armed for, and after ten minutes at the latest (the
 * clock may be set meanwhile). Then the timer stops until wake_timer_arm(). */
struct wake_timer *wake_timer_new(struct loop *loop, void (*run)(void *arg), void *arg);
void wake_timer_free(struct wake_timer **timer);
/* UINT64_MAX stops the timer. */
void wake_timer_arm(struct wake_timer *timer, uint64_t us, uint64_t now_us);

#endif
