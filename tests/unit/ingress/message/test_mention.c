/*
 * test_mention.c - what a header field shows: its encoded words, and the domains behind an "@".
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ingress/message/mention.h"

#define WIDE_AT "\xef\xbc\xa0"

static const struct {
	const char *what, *value, *text; /* without edges */
} texts[] = {
	{ "plain text", "Joe <a@b.c>", "Joe <a@b.c>" },
	{ "folds", "a\r\n b\r\n\tc", "a b c" },
	{ "a charset with signs in it", "=?UTF@_7?q?a+AEA-b?=", "a@b" },
	{ "a word in Q", "=?utf-8?q?a=40b_c=3d?=", "a@b c=" },
	{ "a word in B", "=?UTF-8?B?YUBi?=", "a@b" },
	{ "B without its end", "=?utf-8?b?YUBiYw?=", "a@bc" },
	{ "B with an end in the middle", "=?utf-8?b?YQ==QGI=?=", "a@b" },
	{ "B with a fold", "=?utf-8?b?YU\r\n Bi?=", "a@b" },
	{ "a language", "=?utf-8*de-AT?q?a?=", "a" },
	{ "two words", "=?utf-8?q?a=40?= \r\n =?x?b?Yg==?=", "a@b" },
	{ "a word and text", "=?utf-8?q?a?= b =?utf-8?q?c?=", "a b c" },
	{ "a word within an atom", "a=?utf-8?q?=40?=b", "a@b" },
	{ "a word in quotes", "\"=?utf-8?q?a=40b?=\"", "a@b" },
	{ "blanks in a word", "=?utf-8?q?a b?=", "a b" },
	{ "a character cut in two", "=?utf-8?q?=C3?= =?utf-8?q?=A9?=", "\xc3\xa9" },
	{ "Latin-1", "=?iso-8859-1?q?=E9?=", "\xc3\xa9" },
	{ "Latin-1 without a word", "\xe9", "\xc3\xa9" },
	{ "UTF-7", "=?utf-7?q?a+AEA-b+-c+AGQ?=", "a@b+cd" },
	{ "UTF-16, big first", "=?utf-16?b?AGEAQABi?=", "a@b" },
	{ "UTF-16, little first", "=?utf-16le?b?YQBAAGIA?=", "a@b" },
	{ "UTF-16 with a mark", "=?utf-16?b?//5hAEAAYgA=?=", "a@b" },
	{ "UTF-32", "=?utf-32be?b?AAAAYQAAAEAAAABi?=", "a@b" },
	{ "ISO-2022-JP, ASCII", "=?iso-2022-jp?q?a=1B(J@=1B(Bb?=", "a@b" },
	{ "ISO-2022-JP, wide", "=?iso-2022-jp?q?=1B$B#a!w#b=1B(B?=", "a@b" },
	{ "ISO-2022-JP, Japanese", "=?iso-2022-jp?q?a=1B$B;3@n=1B(Bb?=",
		"a?"
		"?b" },
	{ "EUC, wide", "=?euc-jp?q?=A3=E1=A1=F7=A3=E2?=", "a@b" },
	{ "another encoding", "=?utf-8?x?a?=", "=?utf-8?x?a?=" },
	{ "no end", "=?utf-8?q?a=40b <c>", "a@b <c>" },
	{ "no text",
		"=?utf-8?q?"
		"?=",
		"" },
	{ "wide ASCII", "a" WIDE_AT "b", "a@b" },
	{ "dots of other scripts",
		"a\xe3\x80\x82"
		"b\xef\xbd\xa1"
		"c",
		"a.b.c" },
	{ "what does not show",
		"a\xe2\x80\x8d\xc2\xad\xef\xbb\xbf"
		"b\x01"
		"c\x7f",
		"abc" },
};

/* Exactly as much room as is promised: the sanitizer sees a byte too many. */
static size_t
text_of(const char *value, char **out)
{
	size_t length = strlen(value);
	char *scratch = malloc(MENTION_ROOM(length)), *copy = malloc(length + 1);

	*out = malloc(MENTION_ROOM(length));
	memcpy(copy, value, length);
	length = mention_text(copy, length, true, *out, scratch);
	free(scratch);
	free(copy);
	return length;
}

static size_t
without_edges(char *text, size_t length)
{
	size_t n = 0;

	for (size_t i = 0; i < length; i++)
		if (text[i] != WORDS_EDGE)
			text[n++] = text[i];
	return n;
}

static void
a_field_is_read_as_mail_programs_show_it(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		char *got;
		size_t length = text_of(texts[i].value, &got);

		length = without_edges(got, length);
		if (length != strlen(texts[i].text) || memcmp(got, texts[i].text, length) != 0)
			fail_msg("%s: \"%.*s\"", texts[i].what, (int)length, got);
		free(got);
	}
}

/* What may be shown as two words, or as one. */
static void
words_and_lines_have_edges(void **state)
{
	static const char *const rows[][2] = {
		{ "a=?x?q?b?=c", "a\"b\"c" },
		{ "=?x?q?a?= =?x?q?b?= c", "\"ab\" c" },
		{ "=?x?q?a=0Ab?=", "\"a\"b\"" },
		{ "=?x?b?YQ==Yg==?=", "\"a\"b\"" },
		{ "a\r\n b", "a\"\" b" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		char *got;
		size_t length = text_of(rows[i][0], &got);

		if (length != strlen(rows[i][1]) || memcmp(got, rows[i][1], length) != 0)
			fail_msg("%s: %.*s", rows[i][0], (int)length, got);
		free(got);
	}
}

static const struct {
	const char *what, *text, *domains, *joined; /* each followed by "|" */
} names[] = {
	{ "none", "Joe", "", "" },
	{ "an address", "a@b.example", "b.example|", "b.example|" },
	{ "in capitals, with a dot behind it", "a@B.Example.", "b.example|", "b.example|" },
	{ "two", "a@b.c <d@e.f>", "b.c|e.f|", "b.c|e.f|" },
	{ "punctuation behind it", "(a@b.c), a@d.e's", "b.c|d.e|", "b.c|d.e|" },
	{ "quotes of other scripts",
		"\xc2\xab"
		"a@b.c\xc2\xbb",
		"b.c|", "b.c|" },
	{ "a blank behind the sign", "a @ b.c", "b.c|", "b.c|" },
	{ "a blank in the name", "a@b. c", "b|", "b.c|" },
	{ "a quote in the name", "a@b\"c\".d", "b|", "bc.d|" },
	{ "two dots", "a@b..c", "|", "b.c|" },
	{ "nothing behind it", "a@", "|", "|" },
	{ "a literal", "a@[192.0.2.1]", "|", "|" },
	{ "a percent sign", "a%b.c@d.e", "b.c|d.e|", "b.c|d.e|" },
	{ "a number", "50% off", "off|", "off|" },
	{ "not ASCII", "a@b\xc3\xbc.example", "xn--b-eha.example|", "xn--b-eha.example|" },
	{ "a picture", "a@\xf0\x9f\x98\x80", "|", "|" },
};

static void
list(const char *text, size_t length, bool ascii, char *out, size_t size)
{
	size_t at = 0, n = 0;
	char domain[256];

	out[0] = '\0';
	while (mention_next(text, length, ascii, &at, domain))
		n += (size_t)snprintf(out + n, size - n, "%s|", domain);
}

static void
the_names_behind_signs_are_found(void **state)
{
	char got[200];

	(void)state;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		char *text;
		size_t length = text_of(names[i].text, &text);

		list(text, length, false, got, sizeof got);
		if (strcmp(got, names[i].domains) != 0)
			fail_msg("%s: %s", names[i].what, got);
		length = mention_join(text, length);
		list(text, length, false, got, sizeof got);
		if (strcmp(got, names[i].joined) != 0)
			fail_msg("%s, joined: %s", names[i].what, got);
		free(text);
	}
}

static void
a_name_ends_where_another_script_begins(void **state)
{
	const char *text = "a@b.example\xe3\x81\x95\xe3\x82\x93 c@\xc3\xbc.d";
	char got[200];

	(void)state;
	list(text, strlen(text), true, got, sizeof got);
	assert_string_equal(got, "b.example||");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_field_is_read_as_mail_programs_show_it),
		cmocka_unit_test(words_and_lines_have_edges),
		cmocka_unit_test(the_names_behind_signs_are_found),
		cmocka_unit_test(a_name_ends_where_another_script_begins),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
