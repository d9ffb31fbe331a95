/*
 * test_limit_watch.c - how much of a limit is used, and which part that is.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "control/mails/limit_watch.h"

#define HOUR_US UINT64_C(3600000000)
#define NOW UINT64_C(1800000000000000)

static void
what_is_used_follows_from_the_arrival_time(void **state)
{
	static const struct {
		uint64_t limit, ahead_us;
		double used;
	} rows[] = {
		{ 10, 0, 0 },
		{ 10, HOUR_US / 2, 5 },
		{ 10, HOUR_US, 10 },
		{ 10, 2 * HOUR_US, 10 }, /* a limit that was lowered */
		{ 1000000, HOUR_US / 4, 250000 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		assert_true(limit_used(rows[i].limit, HOUR_US, NOW + rows[i].ahead_us, NOW) ==
			rows[i].used);
	assert_true(limit_used(10, HOUR_US, NOW - 1, NOW) == 0);
	assert_true(limit_used(10, HOUR_US, 0, NOW) == 0);
}

static void
the_greatest_part_that_is_reached_counts(void **state)
{
	static const struct {
		uint64_t limit;
		double used;
		unsigned reached;
	} rows[] = {
		{ 10, 0, 0 },
		{ 10, 7.4, 0 },
		{ 10, 7.9, 80 }, /* eight, a moment later */
		{ 10, 9, 80 },
		{ 10, 9.1, 100 }, /* not one more fits */
		{ 10, 10, 100 },
		{ 1, 0, 0 },
		{ 1, 0.5, 100 },
		{ 1000, 799, 0 },
		{ 1000, 800, 80 },
		{ 1000, 998.9, 80 },
	};
	json_t *percents = json_pack("[i, i]", 100, 80), *none = json_array();

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		assert_int_equal(
			limit_reached(percents, rows[i].limit, rows[i].used), rows[i].reached);
		assert_int_equal(limit_reached(none, rows[i].limit, rows[i].used), 0);
	}
	json_decref(percents);
	json_decref(none);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_used_follows_from_the_arrival_time),
		cmocka_unit_test(the_greatest_part_that_is_reached_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
