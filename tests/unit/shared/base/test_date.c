/*
 * test_date.c - the date of a message header, at the borders of months, leap years and numbers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "shared/base/date.h"

static const struct {
	uint64_t s;
	const char *text;
} dates[] = {
	{0,	     "Thu, 1 Jan 1970 00:00:00 +0000" },
	{ 951782399,    "Mon, 28 Feb 2000 23:59:59 +0000"},
	{ 951782400,    "Tue, 29 Feb 2000 00:00:00 +0000"},
	{ 1795492608,   "Tue, 24 Nov 2026 03:56:48 +0000"},
	{ 2147483648,   "Tue, 19 Jan 2038 03:14:08 +0000"},
	{ 4102444799,   "Thu, 31 Dec 2099 23:59:59 +0000"},
	{ 253402300800, "Sat, 1 Jan 10000 00:00:00 +0000"},
};

static void
dates_are_those_of_rfc_5322(void **state)
{
	char text[DATE_SIZE];

	(void)state;
	for (size_t i = 0; i < sizeof dates / sizeof *dates; i++) {
		date_format(dates[i].s * 1000000, text);
		assert_string_equal(text, dates[i].text);
		date_format(dates[i].s * 1000000 + 999999, text);
		assert_string_equal(text, dates[i].text);
	}
}

static void
the_last_date_of_all_fits(void **state)
{
	char text[DATE_SIZE];

	(void)state;
	date_format(UINT64_MAX, text);
	assert_non_null(memchr(text, '\0', sizeof text));
	assert_string_equal(text + strlen(text) - 5, "+0000");
}

static void
other_dates_are_iso_8601(void **state)
{
	char text[DATE_SIZE];

	(void)state;
	date_iso(0, text);
	assert_string_equal(text, "1970-01-01T00:00:00.000Z");
	date_iso(1795492608123999, text);
	assert_string_equal(text, "2026-11-24T03:56:48.123Z");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dates_are_those_of_rfc_5322),
		cmocka_unit_test(the_last_date_of_all_fits),
		cmocka_unit_test(other_dates_are_iso_8601),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
