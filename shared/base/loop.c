/*
 * loop.c - event loops and their mailboxes.
 *
 * The mailbox is a list under a lock and an eventfd in the loop's base. Only the post that finds
 * the list empty writes to the eventfd: under load one wake-up serves many tasks.
 */
#include "shared/base/loop.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <event2/event.h>

#include "shared/base/container_of.h"
#include "shared/base/log.h"

struct loop {
	struct event_base *base;
	struct event *wakeup;
	int eventfd;
	pthread_mutex_t lock;
	struct task *first, **last; /* under lock */
	atomic_uint waking;         /* posts that have yet to write to the eventfd */
	struct task stop;
	atomic_bool stopping; /* loop_stop() has posted `stop` */
	bool started;
	pthread_t thread;
	char name[16];
};

static _Thread_local struct loop *current;

static uint64_t
clock_read(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

uint64_t
clock_us(void)
{
	return clock_read(CLOCK_REALTIME);
}

uint64_t
clock_mono_us(void)
{
	return clock_read(CLOCK_MONOTONIC);
}

uint64_t
clock_mono_ms(void)
{
	return clock_mono_us() / 1000;
}

uint64_t
clock_boot_ms(void)
{
	return clock_read(CLOCK_BOOTTIME) / 1000;
}

static struct task *
mailbox_take(struct loop *loop)
{
	struct task *tasks;

	pthread_mutex_lock(&loop->lock);
	tasks = loop->first;
	loop->first = NULL;
	loop->last = &loop->first;
	pthread_mutex_unlock(&loop->lock);
	return tasks;
}

static void
mailbox_run(struct loop *loop)
{
	struct task *next;

	for (struct task *task = mailbox_take(loop); task; task = next) {
		next = task->next;
		task->run(task);
	}
}

static void
on_wakeup(evutil_socket_t fd, short what, void *arg)
{
	uint64_t count;

	(void)what;
	if (read(fd, &count, sizeof count) < 0 && errno != EAGAIN)
		die("cannot read an eventfd", strerror(errno));
	mailbox_run(arg);
}

static void
on_stop(struct task *task)
{
	struct loop *loop = container_of(task, struct loop, stop);

	atomic_store(&loop->stopping, false);
	event_base_loopbreak(loop->base);
}

struct loop *
loop_new(const char *name)
{
	struct loop *loop = xcalloc(1, sizeof *loop);
	struct event_config *config = event_config_new();

	/* Other threads reach a loop only by its mailbox, so its base needs no locks. */
	event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
	loop->base = event_base_new_with_config(config);
	event_config_free(config);
	loop->eventfd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (!loop->base || loop->eventfd < 0)
		die("cannot make an event loop", strerror(errno));
	pthread_mutex_init(&loop->lock, NULL);
	loop->last = &loop->first;
	loop->stop.run = on_stop;
	strncpy(loop->name, name, sizeof loop->name - 1);
	loop->wakeup = event_new(loop->base, loop->eventfd, EV_READ | EV_PERSIST, on_wakeup, loop);
	event_add(loop->wakeup, NULL);
	return loop;
}

struct event_base *
loop_base(struct loop *loop)
{
	return loop->base;
}

struct loop *
loop_current(void)
{
	return current;
}

void
loop_run(struct loop *loop)
{
	struct loop *outer = current;

	current = loop;
	event_base_loop(loop->base, EVLOOP_NO_EXIT_ON_EMPTY);
	current = outer;
}

static void *
loop_thread(void *arg)
{
	struct loop *loop = arg;

	pthread_setname_np(pthread_self(), loop->name); /* before the thread does anything */
	loop_run(loop);
	return NULL;
}

void
thread_start(pthread_t *thread, void *(*run)(void *arg), void *arg)
{
	sigset_t all, before;
	int err;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	err = pthread_create(thread, NULL, run, arg);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (err)
		die("cannot start a thread", strerror(err));
}

void
loop_start(struct loop *loop)
{
	thread_start(&loop->thread, loop_thread, loop);
	loop->started = true;
}

void
loop_post(struct loop *loop, struct task *task)
{
	const uint64_t one = 1;
	bool was_empty;

	task->next = NULL;
	pthread_mutex_lock(&loop->lock);
	was_empty = !loop->first;
	*loop->last = task;
	loop->last = &task->next;
	if (was_empty)
		atomic_fetch_add(&loop->waking, 1);
	pthread_mutex_unlock(&loop->lock);
	if (!was_empty)
		return;
	if (write(loop->eventfd, &one, sizeof one) < 0 && errno != EAGAIN)
		die("cannot wake a loop", strerror(errno));
	atomic_fetch_sub(&loop->waking, 1);
}

void
loop_stop(struct loop *loop)
{
	/* Post `stop` once only: a task that is posted twice makes the list a circle. */
	if (!atomic_exchange(&loop->stopping, true))
		loop_post(loop, &loop->stop);
}

void
loop_join(struct loop *loop)
{
	if (loop->started)
		pthread_join(loop->thread, NULL);
	loop->started = false;
}

void
loop_free(struct loop **loop_ref)
{
	struct loop *loop = *loop_ref, *outer = current;

	if (!loop)
		return;
	current = loop;
	while (loop->first)
		mailbox_run(loop);
	current = outer;
	/* The last task may run, and lead to loop_free(), before the loop_post() that posted it has
	 * returned. */
	while (atomic_load(&loop->waking))
		sched_yield();
	event_free(loop->wakeup);
	event_base_free(loop->base);
	close(loop->eventfd);
	pthread_mutex_destroy(&loop->lock);
	free(loop);
	*loop_ref = NULL;
}

/* A post from the clearing on puts the task into the mailbox once more. */
static void
run_again(struct task *task)
{
	struct task_again *again = (struct task_again *)((char *)task -
		offsetof(struct task_again, task));

	atomic_store(&again->posted, false);
	again->run(again);
}

void
loop_post_again(struct loop *loop, struct task_again *task)
{
	if (atomic_exchange(&task->posted, true))
		return;
	task->task.run = run_again;
	loop_post(loop, &task->task);
}
