/*
 * wake.c - heaps of wake-up times, and a timer for the soonest time of one heap.
 *
 * sender:  deferral (its sites, and their lanes) -> [wake] -> the loop's timer -> deferral
 */
#include "sender/waiting/wake.h"

#include <stdlib.h>

#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/base/timer.h"

#define SLEEP_MAX_US (600ull * 1000000)
#define HAS_RUN (UINT64_MAX - 1)

struct wake_timer {
	struct timer timer;
	uint64_t armed_us; /* UINT64_MAX: not set */
	void (*run)(void *arg);
	void *arg;
};

static void
place(struct wake_heap *heap, size_t at, struct wake *wake)
{
	heap->wakes[at] = wake;
	wake->place = at + 1;
}

static void
up(struct wake_heap *heap, size_t at, struct wake *wake)
{
	while (at && heap->wakes[(at - 1) / 2]->us > wake->us) {
		place(heap, at, heap->wakes[(at - 1) / 2]);
		at = (at - 1) / 2;
	}
	place(heap, at, wake);
}

static void
down(struct wake_heap *heap, size_t at, struct wake *wake)
{
	size_t child;

	while ((child = 2 * at + 1) < heap->count) {
		if (child + 1 < heap->count && heap->wakes[child + 1]->us < heap->wakes[child]->us)
			child++;
		if (heap->wakes[child]->us >= wake->us)
			break;
		place(heap, at, heap->wakes[child]);
		at = child;
	}
	place(heap, at, wake);
}

void
wake_clear(struct wake_heap *heap, struct wake *wake)
{
	size_t at = wake->place - 1;
	struct wake *last;

	if (!wake->place)
		return;
	wake->place = 0;
	last = heap->wakes[--heap->count];
	if (last == wake)
		return;
	down(heap, at, last);
	up(heap, last->place - 1, last);
}

void
wake_set(struct wake_heap *heap, struct wake *wake, uint64_t us)
{
	wake_clear(heap, wake);
	wake->us = us;
	if (heap->count == heap->space) {
		heap->space = heap->space ? 2 * heap->space : 1;
		heap->wakes = xrealloc(heap->wakes, heap->space * sizeof(struct wake *));
	}
	up(heap, heap->count++, wake);
}

void
wake_heap_free(struct wake_heap *heap)
{
	free(heap->wakes);
	*heap = (struct wake_heap){ 0 };
}

void
wake_timer_arm(struct wake_timer *timer, uint64_t soonest, uint64_t now)
{
	uint64_t us;

	if (soonest == timer->armed_us)
		return;
	timer->armed_us = soonest;
	if (soonest == UINT64_MAX) {
		timer_cancel(&timer->timer);
		return;
	}
	us = soonest > now ? soonest - now : 0;
	if (us > SLEEP_MAX_US)
		us = SLEEP_MAX_US;
	timer_set(&timer->timer, (us + 999) / 1000);
}

static void
on_timer(void *arg)
{
	struct wake_timer *timer = arg;

	timer->armed_us = HAS_RUN;
	timer->run(timer->arg);
}

struct wake_timer *
wake_timer_new(struct loop *loop, void (*run)(void *arg), void *arg)
{
	struct wake_timer *timer = xcalloc(1, sizeof *timer);

	timer->run = run;
	timer->arg = arg;
	timer->armed_us = UINT64_MAX;
	timer_init(&timer->timer, loop, on_timer, timer);
	return timer;
}

void
wake_timer_free(struct wake_timer **timer_ref)
{
	struct wake_timer *timer = *timer_ref;

	if (!timer)
		return;
	timer_cancel(&timer->timer);
	free(timer);
	*timer_ref = NULL;
}
