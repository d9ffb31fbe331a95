/*
 * test_said.c - a log that names each reason, but none of them without end.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "shared/base/said.h"

#define LONG_MS 3600000

static void
a_new_reason_is_named_while_another_is_throttled(void **state)
{
	struct said said = { 0 };
	unsigned left_out;

	(void)state;
	assert_true(said_now(&said, "no connection", LONG_MS, &left_out));
	assert_false(said_now(&said, "no connection", LONG_MS, &left_out));
	assert_true(said_now(&said, "AlertExceedsMax", LONG_MS, &left_out));
	assert_false(said_now(&said, "no connection", LONG_MS, &left_out));
	assert_false(said_now(&said, "AlertExceedsMax", LONG_MS, &left_out));
}

static void
what_was_left_out_is_counted_by_reason(void **state)
{
	struct said said = { 0 };
	unsigned left_out = 99;

	(void)state;
	assert_true(said_now(&said, "a", LONG_MS, &left_out));
	assert_int_equal(left_out, 0);
	for (int i = 0; i < 3; i++)
		said_now(&said, "a", LONG_MS, &left_out);
	said_now(&said, "b", LONG_MS, &left_out);
	said_now(&said, "b", LONG_MS, &left_out);
	assert_true(said_now(&said, "a", 0, &left_out));
	assert_int_equal(left_out, 3);
	assert_true(said_now(&said, "a", 0, &left_out));
	assert_int_equal(left_out, 0);
	said_now(&said, "a", SAID_ONCE, &left_out);
	assert_true(said_clear(&said, &left_out));
	assert_int_equal(left_out, 2);
	assert_false(said_clear(&said, &left_out));
	assert_int_equal(left_out, 0);
	assert_true(said_now(&said, "a", SAID_ONCE, &left_out));
}

static void
other_numbers_are_no_news(void **state)
{
	struct said said = { 0 };
	unsigned left_out;

	(void)state;
	assert_true(said_now(&said, "12K of room", SAID_ONCE, &left_out));
	assert_false(said_now(&said, "8K of room", SAID_ONCE, &left_out));
	assert_true(said_now(&said, "", SAID_ONCE, &left_out));
	assert_false(said_now(&said, "7", SAID_ONCE, &left_out));
	assert_true(said_same("a1", "a22"));
	assert_false(said_same("a", "b"));
}

/* More reasons than are kept: each new one is named, and none is taken for another. */
static void
many_reasons_hide_none(void **state)
{
	struct said said = { 0 };
	char reason[8];
	unsigned left_out;

	(void)state;
	for (int i = 0; i < 3 * SAID_MAX; i++) {
		snprintf(reason, sizeof reason, "%c%c", 'a' + i / 26, 'a' + i % 26);
		assert_true(said_now(&said, reason, SAID_ONCE, &left_out));
		assert_int_equal(left_out, 0);
		assert_false(said_now(&said, reason, SAID_ONCE, &left_out));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_new_reason_is_named_while_another_is_throttled),
		cmocka_unit_test(what_was_left_out_is_counted_by_reason),
		cmocka_unit_test(other_numbers_are_no_news),
		cmocka_unit_test(many_reasons_hide_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
