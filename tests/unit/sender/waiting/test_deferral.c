/*
 * test_deferral.c - waiting mail against a real embedded queue: what is loaded, when, in which
 * order, how much of it.
 */
#include "tests/unit/deferral_rig.h"

static void
what_waits_is_found_at_the_start(void **state)
{
	struct deferral_stats found;

	(void)state;
	make_rows(90, 3, due_in_an_hour);
	open_deferral(1000);
	found = numbers();
	assert_int_equal(found.rows, 90);
	assert_int_equal(found.sites, 3);
	assert_int_equal(found.loaded, 0);
	assert_int_equal(t.waiting, 90);
	assert_in_range(found.oldest_due_us, clock_us() + 1, clock_us() + HOUR_US);
}

static void
a_thousand_rows_of_a_site_are_one_timer(void **state)
{
	(void)state;
	make_rows(1000, 1, due_in_an_hour);
	open_deferral(1000);
	assert_int_equal(numbers().timers, 1);
	assert_int_equal(numbers().rows, 1000);
	assert_int_equal(numbers().loaded, 0);
}

static void
the_soonest_due_comes_first(void **state)
{
	(void)state;
	make_rows(200, 1, due_backwards);
	open_deferral(1000);
	AWAIT(t.loads == 200);
	for (size_t i = 1; i < 200; i++)
		assert_true(t.due[i - 1] <= t.due[i]);
}

static void
no_more_than_the_window_is_in_memory(void **state)
{
	(void)state;
	make_rows(1200, 1, due_backwards);
	open_deferral(100);
	AWAIT(t.loads == 75);
	settle();
	assert_int_equal(numbers().loaded, 75);
	assert_int_equal(t.loads, 75);
	assert_int_equal(numbers().timers, 0); /* a site that is full has nothing to wait for */
}

/* What is loaded is taken from the queue after the next commit. */
static void
all_of_a_long_queue_comes_once_in_order_through_the_window(void **state)
{
	(void)state;
	make_rows(1200, 1, due_backwards);
	t.removes = true;
	open_deferral(100);
	AWAIT(t.loads == 1200 && !t.count);
	for (size_t i = 1; i < 1200; i++)
		assert_true(t.due[i - 1] <= t.due[i]);
	assert_int_equal(t.most, 75);
	assert_each_came_once(1200);
	assert_int_equal(t.waiting, 0);
	assert_int_equal(numbers().rows, 0);
	assert_int_equal(numbers().sites, 0);
	assert_int_equal(numbers().timers, 0);
}

static void
all_sites_together_have_a_bound_and_none_is_forgotten(void **state)
{
	(void)state;
	make_rows(1200, SITES, due_backwards);
	t.removes = true;
	open_deferral(100);
	AWAIT(t.loads == 1200 && !t.count);
	assert_in_range(t.most, 1, 150);
	assert_each_came_once(1200);
	assert_int_equal(numbers().sites, 0);
}

static void
a_site_that_rests_is_left_alone_until_it_is_poked(void **state)
{
	(void)state;
	make_rows(20, 2, due_long_ago);
	t.rest_until_us[1] = UINT64_MAX;
	open_deferral(100);
	AWAIT(t.loads == 10);
	settle();
	assert_int_equal(t.loads, 10);
	assert_int_equal(numbers().timers, 0);
	t.rest_until_us[1] = 0;
	run_on(rig.loop, poke_run, (void *)names[1]);
	AWAIT(t.loads == 20);
}

static void
a_rest_that_ends_by_itself_needs_no_poke(void **state)
{
	(void)state;
	make_rows(10, 1, due_long_ago);
	t.rest_until_us[0] = clock_us() + 50000;
	open_deferral(100);
	AWAIT(t.loads == 10);
	assert_true(clock_us() >= t.rest_until_us[0]);
}

static void
a_site_on_probation_gets_few(void **state)
{
	(void)state;
	make_rows(50, 1, due_long_ago);
	t.room = 5;
	open_deferral(100);
	AWAIT(t.loads == 4);
	settle();
	assert_int_equal(t.loads, 4);
	t.room = 0;
	run_on(rig.loop, poke_run, (void *)names[0]);
	AWAIT(t.loads == 50);
}

struct note {
	Row *row;
	uint64_t due_us;
};

static void
note_run(void *arg)
{
	const struct note *note = arg;

	deferral_noted(t.deferral, note->row->site, rows_lane("acme"), note->due_us);
}

/* Writes the row of a letter anew, as a settled attempt or an operator's rule does. */
static void
rewrite(size_t letter, const char *site, uint64_t due_us)
{
	Row row;
	struct note note = { &row, due_us };

	row_init(&row, &t.letters[letter], site, due_us);
	assert_int_equal(row_put(&row), 0);
	run_on(rig.loop, note_run, &note);
}

static void
held_mail_waits_for_its_release(void **state)
{
	(void)state;
	make_rows(3, 1, due_never);
	open_deferral(100);
	settle();
	assert_int_equal(t.loads, 0);
	assert_int_equal(numbers().rows, 3);
	assert_int_equal(numbers().sites, 0);
	assert_int_equal(numbers().timers, 0);
	rewrite(1, names[0], clock_us());
	AWAIT(t.loads == 1);
	settle();
	assert_int_equal(t.loads, 1);
	assert_memory_equal(t.id[0], t.letters[1].id, ID_SIZE);
}

static void
a_row_that_becomes_due_sooner_is_not_kept_waiting(void **state)
{
	(void)state;
	make_rows(10, 1, due_in_an_hour);
	open_deferral(100);
	settle();
	assert_int_equal(t.loads, 0);
	rewrite(7, names[0], clock_us() - 1);
	AWAIT(t.loads == 1);
	assert_memory_equal(t.id[0], t.letters[7].id, ID_SIZE);
	assert_int_equal(numbers().timers, 1);
}

static void
what_is_in_memory_is_not_loaded_a_second_time(void **state)
{
	(void)state;
	make_rows(5, 1, due_long_ago);
	open_deferral(100);
	AWAIT(t.loads == 5);
	rewrite(0, names[0], clock_us() - 1);
	rewrite(4, names[0], clock_us() - 1);
	settle();
	assert_int_equal(t.loads, 5);
	assert_int_equal(numbers().loaded, 5);
}

static void
leave_run(void *arg)
{
	(void)arg;
	leave(TAILQ_FIRST(&t.in_hand));
}

/* settle.c: the row is durable with its new due time, then the item leaves. */
static void
a_row_that_was_tried_comes_again_at_its_new_time(void **state)
{
	(void)state;
	make_rows(2, 1, due_long_ago);
	open_deferral(100);
	AWAIT(t.loads == 2);
	rewrite(0, names[0], clock_us() + 50000);
	run_on(rig.loop, leave_run, NULL);
	rewrite(1, names[0], clock_us() + HOUR_US);
	run_on(rig.loop, leave_run, NULL);
	AWAIT(t.loads == 3);
	assert_memory_equal(t.id[2], t.letters[0].id, ID_SIZE);
	assert_int_equal(numbers().rows, 2);
	assert_int_equal(numbers().timers, 1);
}

static void
find_run(void *found)
{
	struct loaded_row **rows = found;

	rows[0] = deferral_find(t.deferral, t.letters[0].id, names[0]);
	rows[1] = deferral_find(t.deferral, t.letters[0].id, names[1]);
	TAILQ_FIRST(&t.in_hand)->pending = true;
	rows[2] = deferral_any(t.deferral, awaits_nothing);
	TAILQ_FIRST(&t.in_hand)->pending = false;
}

static void
a_row_is_found_by_message_and_site_and_stays_while_it_awaits_an_answer(void **state)
{
	struct loaded_row *rows[3];

	(void)state;
	make_rows(1, 1, due_long_ago);
	open_deferral(100);
	AWAIT(t.loads == 1);
	run_on(rig.loop, find_run, rows);
	assert_ptr_equal(rows[0], &TAILQ_FIRST(&t.in_hand)->loaded);
	assert_null(rows[1]);
	assert_null(rows[2]);
}

static void
forget_run(void *arg)
{
	(void)arg;
	deferral_forget(t.deferral, 0);
}

static void
gain_run(void *arg)
{
	(void)arg;
	deferral_read(t.deferral, 0);
}

static void
remove_run(void *arg)
{
	(void)arg;
	deferral_removed(t.deferral, &t.letters[0].envelope);
	deferral_added(t.deferral, &t.letters[1].envelope);
}

static void
what_is_lost_counts_no_more_until_it_is_gained(void **state)
{
	(void)state;
	make_rows(90, 3, due_in_an_hour);
	open_deferral(1000);
	run_on(rig.loop, forget_run, NULL);
	assert_int_equal(numbers().rows, 0);
	assert_int_equal(t.waiting, 0);
	/* what ends of it now is the new owner's to count */
	run_on(rig.loop, remove_run, NULL);
	assert_int_equal(numbers().rows, 0);
	for (int i = 0; i < 2; i++) {
		run_on(rig.loop, gain_run, NULL);
		assert_int_equal(numbers().rows, 90);
		assert_int_equal(t.waiting, 90);
	}
}

static void
what_is_in_memory_when_it_is_gained_again_is_not_loaded_twice(void **state)
{
	(void)state;
	make_rows(20, 1, due_long_ago);
	open_deferral(1000);
	AWAIT(t.loads == 20);
	run_on(rig.loop, forget_run, NULL);
	run_on(rig.loop, gain_run, NULL);
	settle();
	assert_int_equal(t.loads, 20);
	assert_int_equal(numbers().loaded, 20);
	assert_int_equal(numbers().rows, 20);
}

/* Every other one by a clock that was a day ahead. */
static uint64_t
due_by_two_clocks(size_t i)
{
	return clock_us() + HOUR_US + (i % 2 ? 24 * HOUR_US : 0);
}

static void
what_a_clock_that_was_ahead_put_off_is_due(void **state)
{
	(void)state;
	t.removes = true;
	make_rows(200, 1, due_by_two_clocks);
	open_deferral(20);
	AWAIT(t.loads == 100 && t.count == 0);
	for (size_t i = 0; i < 100; i++)
		assert_true(t.due[i] > clock_us() + 5 * HOUR_US);
	settle();
	assert_int_equal(t.loads, 100);
	assert_true(t.most <= 20);
	assert_int_equal(numbers().rows, 100);
	assert_in_range(numbers().oldest_due_us, clock_us() + 1, clock_us() + HOUR_US);
}

static void
what_a_clock_that_was_ahead_put_off_is_taken_once(void **state)
{
	(void)state;
	make_rows(40, 1, due_by_two_clocks);
	open_deferral(1000);
	AWAIT(t.loads == 20);
	settle();
	assert_int_equal(t.loads, 20);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_waits_is_found_at_the_start),
		TEST(a_thousand_rows_of_a_site_are_one_timer),
		TEST(the_soonest_due_comes_first),
		TEST(no_more_than_the_window_is_in_memory),
		TEST(all_of_a_long_queue_comes_once_in_order_through_the_window),
		TEST(all_sites_together_have_a_bound_and_none_is_forgotten),
		TEST(a_site_that_rests_is_left_alone_until_it_is_poked),
		TEST(a_rest_that_ends_by_itself_needs_no_poke),
		TEST(a_site_on_probation_gets_few),
		TEST(held_mail_waits_for_its_release),
		TEST(a_row_that_becomes_due_sooner_is_not_kept_waiting),
		TEST(what_is_in_memory_is_not_loaded_a_second_time),
		TEST(a_row_that_was_tried_comes_again_at_its_new_time),
		TEST(a_row_is_found_by_message_and_site_and_stays_while_it_awaits_an_answer),
		TEST(what_is_lost_counts_no_more_until_it_is_gained),
		TEST(what_is_in_memory_when_it_is_gained_again_is_not_loaded_twice),
		TEST(what_a_clock_that_was_ahead_put_off_is_due),
		TEST(what_a_clock_that_was_ahead_put_off_is_taken_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
