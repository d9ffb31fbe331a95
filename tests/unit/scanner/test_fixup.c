/*
 * test_fixup.c - dates, and the fields a message came without.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "scanner/fixup.h"
#include "shared/base/date.h"

static const struct {
	uint64_t us;
	const char *date;
} dates[] = {
	{ 0, "Thu, 1 Jan 1970 00:00:00 +0000" },
	{ 1795492608123456, "Tue, 24 Nov 2026 03:56:48 +0000" },
	{ 1709164800000000, "Thu, 29 Feb 2024 00:00:00 +0000" },
	{ 1798761599999999, "Thu, 31 Dec 2026 23:59:59 +0000" },
	{ 253402300799000000, "Fri, 31 Dec 9999 23:59:59 +0000" },
};

static void
dates_are_written_as_in_headers(void **state)
{
	char out[DATE_SIZE];

	(void)state;
	for (size_t i = 0; i < sizeof dates / sizeof *dates; i++) {
		date_format(dates[i].us, out);
		assert_string_equal(out, dates[i].date);
	}
	date_format(UINT64_MAX, out); /* fits, whatever it says */
}

#define DATE "Date: Tue, 24 Nov 2026 03:56:48 +0000\r\n"
#define ID "Message-ID: <00000000000000000000000000@relay.example>\r\n"

static const struct {
	const char *name;
	unsigned missing;
	const char *mail_from, *fields;
} rows[] = {
	{ "nothing is missing", 0, "a@b.c", "" },
	{ "Date", MISSING_DATE, "a@b.c", DATE },
	{ "Message-ID", MISSING_MESSAGE_ID, "a@b.c", ID },
	{ "From", MISSING_FROM, "a@b.c", "From: <a@b.c>\r\n" },
	{ "From of the null sender", MISSING_FROM, "", "From: <MAILER-DAEMON@relay.example>\r\n" },
	{ "From of a quoted sender", MISSING_FROM, "\"a b\"@c.d", "From: <\"a b\"@c.d>\r\n" },
	{ "From of a sender in UTF-8", MISSING_FROM, "ä@c.d", "From: <ä@c.d>\r\n" },
	{ "From of a domain in UTF-8", MISSING_FROM, "a@ä.d", "From: <a@xn--4ca.d>\r\n" },
	{ "all three", MISSING_DATE | MISSING_MESSAGE_ID | MISSING_FROM, "a@b.c",
		DATE ID "From: <a@b.c>\r\n" },
	{ "bits of later versions mean nothing", 1u << 20, "a@b.c", "" },
};

static void
missing_fields_are_written(void **state)
{
	uint8_t id[ID_SIZE] = { 0 };
	char out[FIXUP_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		Envelope envelope = ENVELOPE__INIT;
		size_t n;

		envelope.id = (ProtobufCBinaryData){ ID_SIZE, id };
		envelope.accepted_us = 1795492608123456;
		envelope.missing = rows[i].missing;
		envelope.mail_from = (char *)(uintptr_t)rows[i].mail_from;
		n = fixup_build(&envelope, "relay.example", out);
		if (n != strlen(rows[i].fields) || memcmp(out, rows[i].fields, n) != 0)
			fail_msg("%s: %.*s", rows[i].name, (int)n, out);
	}
}

static void
a_field_that_does_not_fit_is_left_out(void **state)
{
	static char sender[2 * FIXUP_MAX];
	Envelope envelope = ENVELOPE__INIT;
	uint8_t id[ID_SIZE] = { 0 };
	char out[FIXUP_MAX];

	(void)state;
	memset(sender, 'x', sizeof sender - 1);
	envelope.id = (ProtobufCBinaryData){ ID_SIZE, id };
	envelope.accepted_us = 1795492608123456;
	envelope.missing = MISSING_DATE | MISSING_FROM;
	envelope.mail_from = sender;
	assert_int_equal(fixup_build(&envelope, "relay.example", out), strlen(DATE));
}

static void
a_tag_is_one_short_line_whatever_the_signature_is(void **state)
{
	Envelope envelope = ENVELOPE__INIT;
	char out[FIXUP_ALERT_MAX], endless[3000];
	size_t n;

	(void)state;
	envelope.verdict = ENVELOPE__VERDICT__UNWANTED;
	envelope.signature = (char[]){ "PUA.Win.Tool" };
	n = fixup_alert(&envelope, out);
	assert_int_equal(n, strlen(out));
	assert_string_equal(out, "X-Shout-Alert: unwanted, PUA.Win.Tool\r\n");
	envelope.signature = (char[]){ "a\r\nBcc: \xc3\xa4\x7f" };
	fixup_alert(&envelope, out);
	assert_string_equal(out, "X-Shout-Alert: unwanted, a__Bcc:____\r\n");
	memset(endless, 'x', sizeof endless - 1);
	endless[sizeof endless - 1] = '\0';
	envelope.verdict = ENVELOPE__VERDICT__SUSPICIOUS;
	envelope.signature = endless;
	n = fixup_alert(&envelope, out);
	assert_true(n < 300 && n == strlen(out) && memcmp(out + n - 2, "\r\n", 2) == 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dates_are_written_as_in_headers),
		cmocka_unit_test(missing_fields_are_written),
		cmocka_unit_test(a_tag_is_one_short_line_whatever_the_signature_is),
		cmocka_unit_test(a_field_that_does_not_fit_is_left_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
