/*
 * wake.c - what is to be done when: one heap of times, and one timer for its soonest.
 *
 * sender:  deferral (its sites) -> [wake] -> the loop's timer -> deferral
 *
 * Owns the heap; what lies in it belongs to whoever put it there.
 */
#include "sender/waiting/wake.h"

#include <stdlib.h>

#include <event2/event.h>

#include "shared/base/log.h"
#include "shared/base/loop.h"

#define SLEEP_MAX_US (600ull * 1000000)
#define HAS_RUN (UINT64_MAX - 1)

struct wake_heap {
	struct wake **wakes; /* soonest first; a wake's place is its index + 1 */
	size_t count, space;
	struct event *timer;
	uint64_t armed_us; /* UINT64_MAX: for nothing */
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
		heap->space = heap->space ? 2 * heap->space : 64;
		heap->wakes = xrealloc(heap->wakes, heap->space * sizeof(struct wake *));
	}
	up(heap, heap->count++, wake);
}

struct wake *
wake_heap_soonest(const struct wake_heap *heap)
{
	return heap->count ? heap->wakes[0] : NULL;
}

size_t
wake_heap_count(const struct wake_heap *heap)
{
	return heap->count;
}

void
wake_heap_arm(struct wake_heap *heap, bool rest, uint64_t now)
{
	struct timeval wait;
	uint64_t soonest = heap->count && !rest ? heap->wakes[0]->us : UINT64_MAX, us;

	if (soonest == heap->armed_us)
		return;
	heap->armed_us = soonest;
	if (soonest == UINT64_MAX) {
		event_del(heap->timer);
		return;
	}
	us = soonest > now ? soonest - now : 0;
	if (us > SLEEP_MAX_US)
		us = SLEEP_MAX_US;
	wait = (struct timeval){ .tv_sec = (time_t)(us / 1000000),
		.tv_usec = (suseconds_t)(us % 1000000) };
	event_add(heap->timer, &wait);
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct wake_heap *heap = arg;

	(void)fd, (void)what;
	heap->armed_us = HAS_RUN;
	heap->run(heap->arg);
}

struct wake_heap *
wake_heap_new(struct loop *loop, void (*run)(void *arg), void *arg)
{
	struct wake_heap *heap = xcalloc(1, sizeof *heap);

	heap->run = run;
	heap->arg = arg;
	heap->armed_us = UINT64_MAX;
	heap->timer = evtimer_new(loop_base(loop), on_timer, heap);
	return heap;
}

void
wake_heap_free(struct wake_heap **heap_ref)
{
	struct wake_heap *heap = *heap_ref;

	if (!heap)
		return;
	event_free(heap->timer);
	free(heap->wakes);
	free(heap);
	*heap_ref = NULL;
}
