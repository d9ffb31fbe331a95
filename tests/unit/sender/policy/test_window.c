/*
 * test_window.c - how long records stay in hand, by whose they are.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sender/policy/window.h"

#define SECOND 1000000

static void
whoever_fills_the_window_makes_way_soonest(void **state)
{
	static const struct {
		unsigned one, other;
		uint64_t patience_us, age_us, others_age_us;
	} rows[] = {
		{ 0, 0, 2 * SECOND, 60 * SECOND, 60 * SECOND },
		{ 749, 0, 2 * SECOND, 60 * SECOND, 60 * SECOND },
		{ 750, 0, SECOND / 2, SECOND / 2, 5 * SECOND },
		{ 250, 500, SECOND / 2, SECOND / 2, 5 * SECOND },
		{ 249, 501, 2 * SECOND, 5 * SECOND, 5 * SECOND },
		{ 249, 5000, 2 * SECOND, 5 * SECOND, 5 * SECOND },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct window *window = window_new(1000);

		for (int again = 0; again < 2; again++) {
			if (rows[i].one)
				window_add(window, "one", rows[i].one);
			if (rows[i].other)
				window_add(window, "other", rows[i].other);
			assert_int_equal(window_patience_us(window, "one"), rows[i].patience_us);
			assert_int_equal(window_age_us(window, "one"), rows[i].age_us);
			assert_int_equal(window_age_us(window, "third"), rows[i].others_age_us);
			assert_int_equal(window_patience_us(window, "third"), 2 * SECOND);
			if (rows[i].one)
				window_remove(window, "one", rows[i].one);
			if (rows[i].other)
				window_remove(window, "other", rows[i].other);
			assert_int_equal(window_age_us(window, "one"), 60 * SECOND);
		}
		window_free(&window);
		assert_null(window);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whoever_fills_the_window_makes_way_soonest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
