/*
 * test_notice_text.c - texts of mails to customers: what is wrong is named, and what is filled in.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "control/notices/notice_text.h"
#include "shared/base/log.h"

#define NAMES "A B LONG"

static void
assert_wrong(const char *text, unsigned line, const char *what)
{
	char why[NOTICE_FAULT_MAX] = "";

	assert_int_equal(notice_text_check(text, strlen(text), NAMES, why), line);
	assert_non_null(strstr(why, what));
}

static void
a_wrong_text_is_refused_with_its_line(void **state)
{
	(void)state;
	assert_wrong("", 1, "a subject");
	assert_wrong("\n\nt", 1, "a subject");
	assert_wrong("s", 2, "an empty line");
	assert_wrong("s\n\n", 2, "an empty line");
	assert_wrong("s\nt\n", 2, "an empty line");
	assert_wrong("s {X}\n\nt\n", 1, "{X}");
	assert_wrong("s\n\na\n{B\n", 4, "\"{B\" is no {NAME}");
	assert_wrong("s\n\n{}\n", 3, "{}");
	assert_wrong("s\n\n{AB}\n", 3, "{AB}");
	assert_wrong("s\n\na }\n", 3, "a }");
	assert_wrong("s\n\n[a\n[b]]\n", 4, "a [");
	assert_wrong("s\n\na]\n", 3, "a ]");
	assert_wrong("s\n\n[a\n", 4, "a [");
	assert_wrong("s\n\na\tb\n", 3, "control");
	assert_wrong("s\n\n\xff\n", 1, "UTF-8");
}

static void
assert_filled(
	const char *text, const struct notice_value *values, const char *subject, const char *body)
{
	char why[NOTICE_FAULT_MAX], *got;
	size_t size;
	FILE *out = xopen_memstream(&got, &size);

	assert_int_equal(notice_text_check(text, strlen(text), NAMES, why), 0);
	notice_text_subject(out, text, NOTICE_ENGLISH, values);
	xclose_memstream(out);
	assert_string_equal(got, subject);
	free(got);
	out = xopen_memstream(&got, &size);
	notice_text_body(out, text, NOTICE_ENGLISH, values);
	xclose_memstream(out);
	assert_string_equal(got, body);
	free(got);
}

static void
names_are_replaced_and_parts_without_a_value_go(void **state)
{
	const struct notice_value values[] = { { "A", { "uno", "one" }, false },
		{ "B", { "x" }, false }, { 0 } };

	(void)state;
	assert_filled("s {A}\n\n{A}{B} [and {LONG}][{B}!]\n", values, "s one", "onex x!\r\n");
	assert_filled("s\n\na\n\n[b {LONG}]\n", values, "s", "a\r\n");
	assert_filled("s\n\n{LONG}\n", values, "s", "");
}

static void
a_value_from_outside_stays_in_its_line(void **state)
{
	char value[1000], body[400];
	const struct notice_value values[] = { { "A", { "{B}\r\n\x1b[x]" }, false },
		{ "B", { "never" }, false }, { "LONG", { value }, false }, { 0 } };

	(void)state;
	memset(value, 'x', sizeof value - 1);
	value[sizeof value - 1] = '\0';
	snprintf(body, sizeof body, "%.320s\r\n", value);
	assert_filled("s\n\n{A}\n", values, "s", "{B} [x]\r\n");
	assert_filled("s\n\n{LONG}\n", values, "s", body);
}

static void
lines_of_ours_go_as_they_are(void **state)
{
	const struct notice_value values[] = { { "A", { "  one   two\n  three\n" }, true }, { 0 } };

	(void)state;
	assert_filled("s {A}\n\nt\n", values, "s   one   two   three ", "t\r\n");
	assert_filled("s\n\n{A}\nend\n", values, "s", "  one   two\r\n  three\r\n\r\nend\r\n");
}

#define TEN "\xc3\xa8\xc3\xa8\xc3\xa8\xc3\xa8\xc3\xa8\xc3\xa8\xc3\xa8\xc3\xa8\xc3\xa8"

static void
lines_are_of_76_columns(void **state)
{
	const struct notice_value none[] = { { 0 } };

	(void)state;
	assert_filled("s\n\n" TEN " " TEN " " TEN " " TEN " " TEN " " TEN " " TEN " 123456 7\n",
		none, "s", TEN " " TEN " " TEN " " TEN " " TEN " " TEN " " TEN " 123456\r\n7\r\n");
	assert_filled("s\n\n" TEN " " TEN " " TEN " " TEN " " TEN " " TEN " " TEN " 1234567\n",
		none, "s", TEN " " TEN " " TEN " " TEN " " TEN " " TEN " " TEN "\r\n1234567\r\n");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_wrong_text_is_refused_with_its_line),
		cmocka_unit_test(names_are_replaced_and_parts_without_a_value_go),
		cmocka_unit_test(a_value_from_outside_stays_in_its_line),
		cmocka_unit_test(lines_of_ours_go_as_they_are),
		cmocka_unit_test(lines_are_of_76_columns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
