/*
 * test_timer.c - timers of a loop: once, again and again, soon, never.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "shared/base/container_of.h"
#include "shared/base/loop.h"
#include "shared/base/timer.h"

static struct loop *loop;
static struct timer timer, last;
static unsigned runs;

static void
on_run(void *arg)
{
	assert_ptr_equal(arg, &runs);
	if (++runs == 3)
		loop_stop(loop);
}

static void
on_last(void *arg)
{
	(void)arg;
	loop_stop(loop);
}

static int
setup(void **state)
{
	(void)state;
	loop = loop_new("test");
	runs = 0;
	timer_init(&timer, loop, on_run, &runs);
	timer_init(&last, loop, on_last, NULL);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	timer_cancel(&timer);
	timer_cancel(&last);
	loop_free(&loop);
	return 0;
}

static void
one_that_is_set_runs_once(void **state)
{
	(void)state;
	assert_false(timer_is_set(&timer));
	timer_set(&timer, 1);
	timer_set(&last, 20);
	assert_true(timer_is_set(&timer));
	loop_run(loop);
	assert_int_equal(runs, 1);
	assert_false(timer_is_set(&timer));
}

static void
one_that_repeats_runs_until_it_is_set_otherwise(void **state)
{
	(void)state;
	timer_repeat(&timer, 1);
	loop_run(loop);
	assert_int_equal(runs, 3);
	assert_true(timer_is_set(&timer));
	timer_set(&timer, 1);
	timer_set(&last, 20);
	loop_run(loop);
	assert_int_equal(runs, 4);
}

static void
soon_comes_instead_of_the_time_that_was_set(void **state)
{
	(void)state;
	timer_set(&timer, 10);
	timer_soon(&timer);
	assert_true(timer_is_set(&timer));
	assert_int_equal(runs, 0);
	timer_set(&last, 20);
	loop_run(loop);
	assert_int_equal(runs, 1);
}

static void
one_that_is_cancelled_never_runs(void **state)
{
	struct timer never = { .run = NULL };

	(void)state;
	timer_repeat(&timer, 1);
	timer_cancel(&timer);
	timer_cancel(&timer);
	timer_cancel(&never);
	assert_false(timer_is_set(&timer));
	assert_false(timer_is_set(&never));
	timer_set(&last, 20);
	loop_run(loop);
	assert_int_equal(runs, 0);
}

struct guest {
	int before;
	struct timer timer;
};

static void
on_guest(void *arg)
{
	struct guest *guest = container_of(arg, struct guest, timer);

	timer_cancel(&guest->timer);
	free(guest);
	loop_stop(loop);
}

static void
its_owner_may_go_in_the_callback(void **state)
{
	struct guest *guest = calloc(1, sizeof *guest);

	(void)state;
	timer_init(&guest->timer, loop, on_guest, &guest->timer);
	timer_repeat(&guest->timer, 1);
	loop_run(loop);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(one_that_is_set_runs_once, setup, teardown),
		cmocka_unit_test_setup_teardown(
			one_that_repeats_runs_until_it_is_set_otherwise, setup, teardown),
		cmocka_unit_test_setup_teardown(
			soon_comes_instead_of_the_time_that_was_set, setup, teardown),
		cmocka_unit_test_setup_teardown(one_that_is_cancelled_never_runs, setup, teardown),
		cmocka_unit_test_setup_teardown(its_owner_may_go_in_the_callback, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
