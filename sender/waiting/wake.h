/*
 * wake.h - what is to be done when: one heap of times, and one timer for its soonest.
 */
#ifndef SENDER_WAKE_H
#define SENDER_WAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct loop;
struct wake_heap;

/* Embed it, zeroed. Out of the heap before its memory goes. */
struct wake {
	uint64_t us; /* when; by clock_us() */
	size_t place;
};

/* `run` comes when the soonest is due, at the latest after ten minutes (the clock may be set
 * meanwhile); from it on the timer rests until wake_heap_arm(). */
struct wake_heap *wake_heap_new(struct loop *loop, void (*run)(void *arg), void *arg);
void wake_heap_free(struct wake_heap **heap);

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
struct wake *wake_heap_soonest(const struct wake_heap *heap);
size_t wake_heap_count(const struct wake_heap *heap);
/* The timer runs for the soonest from now on; or, with `rest`, for nothing. */
void wake_heap_arm(struct wake_heap *heap, bool rest, uint64_t now_us);

#endif
