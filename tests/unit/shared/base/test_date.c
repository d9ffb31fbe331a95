/*
 * test_date.c - the date of a message header, at the borders of months, leap years and numbers.
 */
#include <errno.h>
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
	{ 0, "Thu, 1 Jan 1970 00:00:00 +0000" },
	{ 951782399, "Mon, 28 Feb 2000 23:59:59 +0000" },
	{ 951782400, "Tue, 29 Feb 2000 00:00:00 +0000" },
	{ 1795492608, "Tue, 24 Nov 2026 03:56:48 +0000" },
	{ 2147483648, "Tue, 19 Jan 2038 03:14:08 +0000" },
	{ 4102444799, "Thu, 31 Dec 2099 23:59:59 +0000" },
	{ 253402300800, "Sat, 1 Jan 10000 00:00:00 +0000" },
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

static void
dates_are_read_back_as_people_write_them(void **state)
{
	static const struct {
		const char *text;
		uint64_t us; /* 0: it is none */
	} rows[] = {
		{ "2026-11-24T03:56:48.123Z", 1795492608123000 },
		{ "2026-11-24T03:56:48Z", 1795492608000000 },
		{ "2026-11-24 03:56:48", 1795492608000000 },
		{ "2026-11-24T03:56", 1795492560000000 },
		{ "2026-11-24", 1795478400000000 },
		{ "2026-11-24T04:56:48+01:00", 1795492608000000 },
		{ "2026-11-23T22:26:48.5-05:30", 1795492608500000 },
		{ "03:56", 1795492560000000 },
		{ "03:56:48", 1795492608000000 },
		{ "04:01", 1795406460000000 }, /* yesterday's */
		{ "2026-11-24T03:56:48.1234567Z", 1795492608123456 },
		{ "", 0 },
		{ "now", 0 },
		{ "2026", 0 },
		{ "2026-11", 0 },
		{ "2026-11-", 0 },
		{ "2026-13-01", 0 },
		{ "2026-00-01", 0 },
		{ "2026-11-00", 0 },
		{ "2026-11-32", 0 },
		{ "1969-12-31", 0 },
		{ "2026-11-24T", 0 },
		{ "2026-11-24T03", 0 },
		{ "2026-11-24T24:00", 0 },
		{ "2026-11-24T03:60", 0 },
		{ "2026-11-24T03:56:", 0 },
		{ "2026-11-24T03:56:48.", 0 },
		{ "2026-11-24T03:56:48+1:00", 0 },
		{ "2026-11-24T03:56:48Z ", 0 },
		{ " 2026-11-24", 0 },
		{ "20261-11-24", 0 },
		{ "3:56", 0 },
		{ "03:5", 0 },
		{ "0", 0 },
		{ ":", 0 },
		{ "1970-01-01T00:00:00+01:00", 0 },
	};
	const uint64_t now_us = UINT64_C(1795492800000000); /* 04:00 */

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		uint64_t us = 0;

		assert_int_equal(date_read(rows[i].text, now_us, &us), rows[i].us ? 0 : -EINVAL);
		assert_int_equal(us, rows[i].us);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dates_are_those_of_rfc_5322),
		cmocka_unit_test(the_last_date_of_all_fits),
		cmocka_unit_test(other_dates_are_iso_8601),
		cmocka_unit_test(dates_are_read_back_as_people_write_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
