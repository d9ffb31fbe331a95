/*
 * test_loop.c - the mailbox of a loop: order, many posting threads, stopping.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <pthread.h>

#include <event2/event.h>

#include "shared/base/loop.h"

#define THREADS 4
#define TASKS 25000

struct numbered {
	struct task task;
	unsigned thread, number;
};

static struct numbered *tasks[THREADS];
static unsigned next[THREADS], ran; /* of the loop's thread */
static struct loop *loop;

static void
on_numbered(struct task *task)
{
	struct numbered *numbered = (struct numbered *)task;

	assert_ptr_equal(loop_current(), loop);
	assert_int_equal(numbered->number, next[numbered->thread]);
	next[numbered->thread]++;
	if (++ran == THREADS * TASKS)
		loop_stop(loop);
}

static void *
post_all(void *arg)
{
	struct numbered *own = arg;

	for (unsigned i = 0; i < TASKS; i++)
		loop_post(loop, &own[i].task);
	return NULL;
}

static void
tasks_of_four_threads_run_once_and_in_their_order(void **state)
{
	pthread_t threads[THREADS];

	(void)state;
	loop = loop_new("test");
	loop_start(loop);
	for (unsigned t = 0; t < THREADS; t++) {
		tasks[t] = calloc(TASKS, sizeof **tasks);
		for (unsigned i = 0; i < TASKS; i++)
			tasks[t][i] = (struct numbered){ { NULL, on_numbered }, t, i };
		pthread_create(&threads[t], NULL, post_all, tasks[t]);
	}
	for (unsigned t = 0; t < THREADS; t++)
		pthread_join(threads[t], NULL);
	loop_join(loop);
	assert_int_equal(ran, THREADS * TASKS);
	loop_free(&loop);
	assert_null(loop);
	for (unsigned t = 0; t < THREADS; t++)
		free(tasks[t]);
}

static char order[16];

static void
note(char c)
{
	size_t n = strlen(order);

	assert_true(n + 1 < sizeof order);
	order[n] = c;
	order[n + 1] = '\0';
}

static void
on_a(struct task *task)
{
	(void)task;
	note('a');
}

static void
on_b(struct task *task)
{
	(void)task;
	note('b');
}

static void
tasks_posted_before_the_start_run_first_and_stop_comes_last(void **state)
{
	struct task a = { .run = on_a }, b = { .run = on_b };

	(void)state;
	order[0] = '\0';
	loop = loop_new("test");
	loop_post(loop, &a);
	loop_post(loop, &b);
	loop_stop(loop);
	loop_run(loop);
	assert_string_equal(order, "ab");
	assert_null(loop_current());
	loop_free(&loop);
}

static void
on_repost(struct task *task)
{
	note('r');
	if (strlen(order) == 4)
		loop_stop(loop);
	else
		loop_post(loop, task);
}

static void
a_task_may_post_itself_again(void **state)
{
	struct task task = { .run = on_repost };

	(void)state;
	order[0] = '\0';
	loop = loop_new("test");
	loop_post(loop, &task);
	loop_run(loop);
	assert_string_equal(order, "rrrr");
	loop_free(&loop);
}

static void
stopping_twice_is_stopping_and_a_stopped_loop_can_run_again(void **state)
{
	struct task a = { .run = on_a };

	(void)state;
	order[0] = '\0';
	loop = loop_new("test");
	loop_stop(loop);
	loop_stop(loop);
	loop_run(loop);
	loop_post(loop, &a);
	loop_stop(loop);
	loop_run(loop);
	assert_string_equal(order, "a");
	loop_free(&loop);
}

static void
stopping_again_loses_no_task_posted_in_between(void **state)
{
	struct task a = { .run = on_a }, b = { .run = on_b };

	(void)state;
	order[0] = '\0';
	loop = loop_new("test");
	loop_stop(loop);
	loop_post(loop, &a);
	loop_stop(loop);
	loop_post(loop, &b);
	loop_run(loop);
	loop_free(&loop);
	assert_string_equal(order, "ab");
}

static void
what_is_left_in_the_mailbox_runs_when_the_loop_is_freed(void **state)
{
	struct task a = { .run = on_a }, b = { .run = on_b };

	(void)state;
	order[0] = '\0';
	loop = loop_new("a name longer than fifteen");
	loop_post(loop, &a);
	loop_post(loop, &b);
	loop_free(&loop);
	assert_string_equal(order, "ab");
	loop_free(&loop);
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what, (void)arg;
	note('t');
	loop_stop(loop);
}

static void
timers_and_tasks_share_the_loop(void **state)
{
	const struct timeval soon = { .tv_usec = 1000 };
	struct task a = { .run = on_a };

	(void)state;
	order[0] = '\0';
	loop = loop_new("test");
	event_base_once(loop_base(loop), -1, EV_TIMEOUT, on_timer, NULL, &soon);
	loop_post(loop, &a);
	loop_run(loop);
	assert_string_equal(order, "at");
	loop_free(&loop);
}

static void
clocks_go_forward(void **state)
{
	uint64_t us = clock_mono_us();

	(void)state;
	assert_true(clock_mono_us() >= us);
	assert_true(clock_mono_ms() >= us / 1000);
	assert_true(clock_us() > 1700000000000000u);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tasks_of_four_threads_run_once_and_in_their_order),
		cmocka_unit_test(tasks_posted_before_the_start_run_first_and_stop_comes_last),
		cmocka_unit_test(a_task_may_post_itself_again),
		cmocka_unit_test(stopping_twice_is_stopping_and_a_stopped_loop_can_run_again),
		cmocka_unit_test(stopping_again_loses_no_task_posted_in_between),
		cmocka_unit_test(what_is_left_in_the_mailbox_runs_when_the_loop_is_freed),
		cmocka_unit_test(timers_and_tasks_share_the_loop),
		cmocka_unit_test(clocks_go_forward),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
