/*
 * timer.c - libevent's timers, without descriptors and timevals.
 */
#include "shared/base/timer.h"

#include <event2/event.h>

#include "shared/base/loop.h"

static void
arm(struct timer *timer, uint64_t ms)
{
	const struct timeval wait = { .tv_sec = (time_t)(ms / 1000),
		.tv_usec = (suseconds_t)(ms % 1000 * 1000) };

	event_add(&timer->event, &wait);
}

static void
on_timeout(evutil_socket_t fd, short what, void *arg)
{
	struct timer *timer = arg;

	(void)fd, (void)what;
	if (timer->every_ms)
		arm(timer, timer->every_ms);
	timer->run(timer->arg);
}

void
timer_init(struct timer *timer, struct loop *loop, void (*run)(void *arg), void *arg)
{
	*timer = (struct timer){ .run = run, .arg = arg };
	event_assign(&timer->event, loop_base(loop), -1, 0, on_timeout, timer);
}

void
timer_set(struct timer *timer, uint64_t ms)
{
	timer->every_ms = 0;
	arm(timer, ms);
}

void
timer_repeat(struct timer *timer, uint64_t ms)
{
	timer->every_ms = ms;
	arm(timer, ms);
}

void
timer_soon(struct timer *timer)
{
	event_active(&timer->event, EV_TIMEOUT, 0);
}

bool
timer_is_set(const struct timer *timer)
{
	return timer->run && event_pending(&timer->event, EV_TIMEOUT, NULL);
}

void
timer_cancel(struct timer *timer)
{
	if (timer->run)
		event_del(&timer->event);
}
