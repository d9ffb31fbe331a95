/*
 * test_text.c - cleaning of what came from outside.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "shared/base/text.h"

static const struct {
	const char *name, *in, *out;
	size_t room;
} rows[] = {
	{ "plain text", "abc", "abc", 16 },
	{ "CR, LF and tab become blanks", "a\r\n\tb", "a   b", 16 },
	{ "escape sequences lose their escape", "\x1b[2J", " [2J", 16 },
	{ "DEL becomes a blank", "a\x7f", "a ", 16 },
	{ "C1 becomes a blank",
		"a\xc2\x85"
		"b",
		"a b", 16 },
	{ "a no-break space is text", "a\xc2\xa0", "a\xc2\xa0", 16 },
	{ "UTF-8 is kept", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x93\xa7",
		"\xc3\xa9\xe2\x82\xac\xf0\x9f\x93\xa7", 16 },
	{ "Latin-1 becomes question marks",
		"n\xf6"
		"ch",
		"n?ch", 16 },
	{ "cut where it is full", "abcdef", "abc", 4 },
	{ "cut before a character that does not fit", "ab\xe2\x82\xac", "ab", 5 },
	{ "a character that just fits", "ab\xe2\x82\xac", "ab\xe2\x82\xac", 6 },
	{ "no room but for the end", "abc", "", 1 },
};

static void
text_is_cleaned_and_cut(void **state)
{
	char out[16];

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		size_t n = text_clean(out, rows[i].room, 0, rows[i].in, strlen(rows[i].in));

		if (strcmp(out, rows[i].out) != 0 || n != strlen(rows[i].out))
			fail_msg("%s: \"%s\"", rows[i].name, out);
	}
	assert_int_equal(text_clean(out, sizeof out, 0, "a\0b", 3), 3);
	assert_string_equal(out, "a b");
	assert_int_equal(text_clean(NULL, 0, 0, "abc", 3), 0);
}

static void
text_is_appended(void **state)
{
	char out[8];
	size_t n = text_clean(out, sizeof out, 0, "ab", 2);

	(void)state;
	n = text_clean(out, sizeof out, n, "\ncd", 3);
	assert_string_equal(out, "ab cd");
	n = text_clean(out, sizeof out, n, "efgh", 4);
	assert_string_equal(out, "ab cdef");
	assert_int_equal(n, 7);
	assert_int_equal(text_clean(out, sizeof out, n, "x", 1), 7);
}

/* Against the ranges of RFC 3629, for all sequences of two bytes and those of three and four that
 * start at the edges. */
static void
utf8_is_told_from_what_is_none(void **state)
{
	(void)state;
	for (unsigned a = 0x80; a < 0x100; a++)
		for (unsigned b = 0; b < 0x100; b++) {
			const char two[2] = { (char)a, (char)b };
			bool good = a >= 0xc2 && a <= 0xdf && (b & 0xc0) == 0x80;

			assert_int_equal(utf8_length(two, 2), good ? 2 : 0);
			assert_int_equal(utf8_length(two, 1), 0);
		}
	assert_int_equal(utf8_length("\xe0\x9f\xbf", 3), 0);
	assert_int_equal(utf8_length("\xe0\xa0\x80", 3), 3);
	assert_int_equal(utf8_length("\xed\x9f\xbf", 3), 3);
	assert_int_equal(utf8_length("\xed\xa0\x80", 3), 0);
	assert_int_equal(utf8_length("\xee\x80\x80", 3), 3);
	assert_int_equal(utf8_length("\xf0\x8f\xbf\xbf", 4), 0);
	assert_int_equal(utf8_length("\xf0\x90\x80\x80", 4), 4);
	assert_int_equal(utf8_length("\xf4\x8f\xbf\xbf", 4), 4);
	assert_int_equal(utf8_length("\xf4\x90\x80\x80", 4), 0);
	assert_int_equal(utf8_length("\xf5\x80\x80\x80", 4), 0);
	assert_true(utf8_valid("", 0));
	assert_true(utf8_valid("a\xc3\xa9", 3));
	assert_false(utf8_valid("a\xc3", 2));
}

static size_t
encode(unsigned point, char out[5])
{
	if (point < 0x800) {
		out[0] = (char)(0xc0 | point >> 6);
		out[1] = (char)(0x80 | (point & 0x3f));
		return 2;
	}
	out[0] = (char)(point < 0x10000 ? 0xe0 | point >> 12 : 0xf0 | point >> 18);
	for (size_t i = 1, n = point < 0x10000 ? 2 : 3; i <= n; i++)
		out[i] = (char)(0x80 | (point >> 6 * (n - i) & 0x3f));
	return point < 0x10000 ? 3 : 4;
}

/* C1, and Bidi_Control of Unicode's PropList.txt: these of all characters. */
static void
hidden_controls_are_told_from_text(void **state)
{
	(void)state;
	for (unsigned point = 0x80; point <= 0x10ffff; point++) {
		const bool hidden = point <= 0x9f || point == 0x61c || point == 0x200e ||
			point == 0x200f || (point >= 0x202a && point <= 0x202e) ||
			(point >= 0x2066 && point <= 0x2069);
		char text[8] = "a", out[8];
		size_t n = encode(point, text + 1);

		if (point >= 0xd800 && point <= 0xdfff)
			continue;
		text[1 + n] = 'b';
		text[2 + n] = '\0';
		assert_int_equal(text_has_hidden_controls(text, n + 2), hidden);
		text_clean(out, sizeof out, 0, text, n + 2);
		assert_string_equal(out, hidden ? "a b" : text);
	}
	assert_false(text_has_hidden_controls("a\x85\xe2\x80", 4));
	assert_true(text_has_hidden_controls("\xff\xe2\x80\xae", 4));
}

static void
words_are_compared_in_any_case(void **state)
{
	(void)state;
	assert_true(text_is("SiZe", 4, "SIZE"));
	assert_false(text_is("SIZE", 3, "SIZE"));
	assert_false(text_is("SIZE=", 5, "SIZE"));
	assert_true(text_is("", 0, ""));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_is_cleaned_and_cut),
		cmocka_unit_test(text_is_appended),
		cmocka_unit_test(utf8_is_told_from_what_is_none),
		cmocka_unit_test(hidden_controls_are_told_from_text),
		cmocka_unit_test(words_are_compared_in_any_case),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
