/*
 * test_header.c - header fields, and the mailboxes in From, Sender and Resent-From.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "shared/mail/header.h"

static char *
exact(const char *text, size_t length)
{
	char *copy = malloc(length ? length : 1);

	memcpy(copy, text, length);
	return copy;
}

/* "name=value|name=value|@offset of the body" */
static void
describe(const char *data, size_t size, char *out, size_t room)
{
	struct header_field field;
	size_t at = 0, n = 0;

	while (header_next(data, size, &at, &field)) {
		assert_ptr_equal(field.start, field.name);
		assert_true(field.start + field.length == data + at);
		n += (size_t)snprintf(out + n, room - n, "%.*s=%.*s|", (int)field.name_length,
			field.name, (int)field.value_length, field.value);
	}
	snprintf(out + n, room - n, "@%zu", at);
}

static const struct {
	const char *name, *data, *fields;
} headers[] = {
	{ "two fields and a body", "A: 1\r\nB: 2\r\n\r\nbody", "A= 1|B= 2|@14" },
	{ "lines that end in LF", "A: 1\nB: 2\n\nbody", "A= 1|B= 2|@11" },
	{ "a folded field", "A: 1\r\n 2\r\n\t3\r\n\r\n", "A= 1\r\n 2\r\n\t3|@16" },
	{ "a field without a value", "A:\r\n\r\n", "A=|@6" },
	{ "blanks before the colon", "A \t: 1\r\n\r\n", "A= 1|@10" },
	{ "a header without a body", "A: 1\r\n", "A= 1|@6" },
	{ "a header cut in the middle", "A: 1\r\nB: 2", "A= 1|B= 2|@10" },
	{ "a CR at the end", "A: 1\r", "A= 1|@5" },
	{ "an empty value and a CR", "A:\r", "A=|@3" },
	{ "no header at all", "\r\nbody", "@2" },
	{ "a body at once, with LF", "\nbody", "@1" },
	{ "nothing", "", "@0" },
	{ "a line that is no field ends the header", "A: 1\r\nno field\r\nB: 2\r\n", "A= 1|@6" },
	{ "a line without a name ends the header", ": 1\r\n", "@0" },
	{ "a first line that starts with a blank", " A: 1\r\n", "@0" },
	{ "a mailbox file's From line ends the header", "From a@b Mon\r\nA: 1\r\n", "@0" },
	{ "a colon in the value", "A: b:c\r\n\r\n", "A= b:c|@10" },
	{ "8-bit in a name is no field", "\xc3\xa9: 1\r\n", "@0" },
	{ "DEL in a name is no field", "A\x7f: 1\r\n", "@0" },
	{ "8-bit in a value", "A: \xc3\xa9\r\n\r\n", "A= \xc3\xa9|@9" },
	{ "a blank line that folds belongs to its field", "A: 1\r\n \r\nB: 2\r\n\r\n",
		"A= 1\r\n |B= 2|@17" },
	{ "a lone CR is no end of a line", "A: 1\rB: 2\r\n\r\n", "A= 1\rB: 2|@13" },
};

static void
fields_are_found(void **state)
{
	char got[200];

	(void)state;
	for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
		size_t size = strlen(headers[i].data);
		char *data = exact(headers[i].data, size);

		describe(data, size, got, sizeof got);
		if (strcmp(got, headers[i].fields) != 0)
			fail_msg("%s: %s", headers[i].name, got);
		for (size_t cut = 0; cut < size; cut++) {
			char *piece = exact(headers[i].data, cut);

			describe(piece, cut, got, sizeof got);
			free(piece);
		}
		free(data);
	}
}

/* The colon of a field stands within a line as long as RFC 5322 allows. */
static void
a_name_is_no_longer_than_a_line_may_be(void **state)
{
	static const struct {
		size_t name, blanks;
		int found;
	} rows[] = {
		{ 997, 0, 1 },
		{ 998, 0, 0 },
		{ 2, 995, 1 },
		{ 2, 996, 0 },
		{ 100000, 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		size_t size = rows[i].name + rows[i].blanks + 3, at = 0;
		char *data = malloc(size);
		struct header_field field;

		memset(data, 'x', size);
		memset(data + rows[i].name, ' ', rows[i].blanks);
		memcpy(data + size - 3, ":\r\n", 3);
		assert_int_equal(header_next(data, size, &at, &field), rows[i].found);
		assert_int_equal(at, rows[i].found ? size : 0);
		free(data);
	}
}

static void
names_are_compared_in_any_case(void **state)
{
	struct header_field field;
	size_t at = 0;

	(void)state;
	assert_int_equal(header_next("rEsEnT-fRoM: x\r\n", 16, &at, &field), 1);
	assert_true(header_is(&field, "Resent-From"));
	assert_false(header_is(&field, "Resent"));
	assert_false(header_is(&field, "Resent-From2"));
}

static const struct {
	const char *name, *value, *addresses; /* joined by "|"; NULL: refused */
} lists[] = {
	{ "a mailbox alone", "a@b.c", "a@b.c" },
	{ "blanks around it", "  a@b.c\t", "a@b.c" },
	{ "brackets", "<a@b.c>", "a@b.c" },
	{ "a display name", "Joe <a@b.c>", "a@b.c" },
	{ "a display name of several words", "Joe Q. Public <a@b.c>", "a@b.c" },
	{ "a quoted display name", "\"Public, Joe\" <a@b.c>", "a@b.c" },
	{ "a bracket in quotes", "\"<x@y.z>\" <a@b.c>", "a@b.c" },
	{ "an escaped quote", "\"a\\\" <x@y.z>\" <a@b.c>", "a@b.c" },
	{ "an encoded word", "=?utf-8?q?J=C3=B6?= <a@b.c>", "a@b.c" },
	{ "8-bit in the display name", "J\xf6 <a@b.c>", "a@b.c" },
	{ "square brackets in the display name", "[External] Joe <a@b.c>", "a@b.c" },
	{ "two mailboxes", "a@b.c, Joe <d@e.f>", "a@b.c|d@e.f" },
	{ "no blank between them", "a@b.c,d@e.f", "a@b.c|d@e.f" },
	{ "empty elements", ",a@b.c,,d@e.f,", "a@b.c|d@e.f" },
	{ "comments everywhere", "(x) Joe (y(z)) <(q)a@b.c(w)> (v)", "a@b.c" },
	{ "an address in a comment is none", "(x@y.z) a@b.c", "a@b.c" },
	{ "a bracket in a comment", "a@b.c (<x@y.z>)", "a@b.c" },
	{ "an escaped parenthesis in a comment", "(\\)) a@b.c", "a@b.c" },
	{ "a comment inside the address", "a(x)@b(y).c", "a@b.c" },
	{ "a fold inside the address", "a\r\n @b.c", "a@b.c" },
	{ "a fold between name and address", "Joe\r\n <a@b.c>", "a@b.c" },
	{ "a quoted local part", "\"a b\"@c.d", "\"a b\"@c.d" },
	{ "a literal", "<a@[192.0.2.1]>", "a@[192.0.2.1]" },
	{ "a source route", "<@x.y,@z.w:a@b.c>", "a@b.c" },
	{ "a group", "Team: a@b.c, d@e.f;", "a@b.c|d@e.f" },
	{ "an empty group", "undisclosed-recipients:;", "" },
	{ "a group that does not end", "Re: Joe <a@b.c>", "a@b.c" },
	{ "a mailbox behind a group", "g: a@b.c;, d@e.f", "a@b.c|d@e.f" },
	{ "an address as display name counts", "x@y.z <a@b.c>", "x@y.z|a@b.c" },
	{ "a bare name counts as an address without domain", "root", "root" },
	{ "an unquoted comma makes one", "Public, Joe <a@b.c>", "Public|a@b.c" },
	{ "empty brackets, as in notices of Exchange", "Mail Delivery System <>", "" },
	{ "nothing at all", "", "" },
	{ "two brackets", "<a@b.c> <d@e.f>", NULL },
	{ "brackets in brackets", "<<a@b.c>>", NULL },
	{ "no closing bracket", "<a@b.c", NULL },
	{ "text behind the brackets", "<a@b.c> x", NULL },
	{ "several words without brackets", "Joe Public", NULL },
	{ "two addresses with a blank", "a@b.c d@e.f", NULL },
	{ "two at signs", "a@b@c", NULL },
	{ "a quote that does not end", "\"Joe <a@b.c>", NULL },
	{ "a comment that does not end", "(x <a@b.c>", NULL },
	{ "a parenthesis too many", "a@b.c )", NULL },
	{ "a group in a group", "g: h: a@b.c;;", NULL },
	{ "a semicolon without a group", "a@b.c;", NULL },
	{ "a control character", "a\x01@b.c", NULL },
	{ "an address with a bad domain", "a@b..c", NULL },
	{ "no local part", "@b.c", NULL },
	{ "a route alone", "<@x.y:>", "" },
	{ "a backslash outside quotes", "a\\@b.c", NULL },
	{ "words before the at sign", "Joe Public@b.c", NULL },
	{ "words before the at sign in brackets", "<Joe Public@b.c>", NULL },
	{ "a comment behind the address that does not end", "a@b.c (x <d@e.f>", NULL },
	{ "a comment behind the at sign that does not end", "a@(x", NULL },
	{ "a comment in brackets that does not end", "<(x a@b.c>", NULL },
	{ "an escaped parenthesis at the end", "a@b.c (x\\)", NULL },
	{ "a comment behind a local part with a dot", "a.b(x)@c.d", "a.b@c.d" },
	{ "two groups", "g: a@b.c;, h: d@e.f;", "a@b.c|d@e.f" },
	{ "a literal that does not end", "a@[192.0.2.1", NULL },
};

static long
addresses(const char *value, size_t length, char *out, size_t room)
{
	char *copy = exact(value, length), *scratch = malloc(length ? length : 1);
	struct address found[8];
	long count = header_addresses(copy, length, found, 8, scratch);
	size_t n = 0;

	out[0] = '\0';
	for (long i = 0; i < count && i < 8; i++)
		n += (size_t)snprintf(out + n, room - n, "%s%.*s", i ? "|" : "",
			(int)found[i].length, found[i].text);
	free(copy);
	free(scratch);
	return count;
}

static void
address_lists_are_read_or_refused(void **state)
{
	char got[200];

	(void)state;
	for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
		size_t length = strlen(lists[i].value);
		long count = addresses(lists[i].value, length, got, sizeof got);

		if (lists[i].addresses && !*lists[i].addresses && count)
			fail_msg("%s: %ld", lists[i].name, count);
		if ((count < 0) != !lists[i].addresses)
			fail_msg("%s: %ld", lists[i].name, count);
		if (count >= 0 && strcmp(got, lists[i].addresses) != 0)
			fail_msg("%s: %s", lists[i].name, got);
		for (size_t cut = 0; cut < length; cut++)
			addresses(lists[i].value, cut, got, sizeof got);
	}
}

static void
all_addresses_are_counted_when_there_is_no_room(void **state)
{
	char scratch[32];
	struct address out[2];

	(void)state;
	assert_int_equal(header_addresses("a@b,c@d,e@f", 11, out, 2, scratch), 3);
	assert_int_equal(header_addresses("a@b,c@d,e@f", 11, NULL, 0, scratch), 3);
	assert_memory_equal(out[1].text, "c@d", 3);
}

static const struct {
	const char *name, *value;
	bool utf8;
} utf8_lists[] = {
	{ "an ASCII address", "a@b.c", false },
	{ "a local part", "ä@b.c", true },
	{ "a local part in brackets", "Joe <ä@b.c>", true },
	{ "a quoted local part", "\"ä b\"@b.c", true },
	{ "a domain", "<a@ä.c>", true },
	{ "an A-label", "<a@xn--4ca.c>", false },
	{ "a display name", "Jörg <a@b.c>", false },
	{ "a quoted display name with an at sign", "\"ä@b.c\" <a@b.c>", false },
	{ "a comment", "a@b.c (ä@b.c)", false },
	{ "a group's name", "Gäste: a@b.c;", false },
	{ "an address in a group", "g: a@b.c, ä@b.c;", true },
	{ "the last of many", "a@b.c, c@d.e, Joe <f@g.h>,\r\n ä@b.c", true },
	{ "an address as display name", "ä@b.c <a@b.c>", true },
	{ "a word alone", "Verteilergäste", false },
	{ "a word in brackets", "<gäste>", false },
	{ "Latin-1", "J\xf6rg <j\xf6rg@b.c>", false },
	{ "behind what cannot be read", "Müller, Jörg ?, b c, <ä@b.c>", true },
	{ "behind a comment that does not end", "a@b.c, (x, ä@b.c", false },
	{ "a folded address", "<ä\r\n @b.c>", true },
	{ "nothing", "", false },
	{ "marks alone", ";:,<>@é", false },
};

static void
addresses_in_utf8_are_found(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof utf8_lists / sizeof *utf8_lists; i++) {
		size_t length = strlen(utf8_lists[i].value);

		for (size_t cut = 0; cut <= length; cut++) {
			char *copy = exact(utf8_lists[i].value, cut),
			     *scratch = malloc(cut ? cut : 1);
			bool utf8 = header_has_utf8_address(copy, cut, scratch);

			if (cut == length && utf8 != utf8_lists[i].utf8)
				fail_msg("%s: %d", utf8_lists[i].name, utf8);
			free(copy);
			free(scratch);
		}
	}
}

static const struct {
	const char *name, *value, *text;
	size_t room;
} texts[] = {
	{ "outer blanks are dropped", "  Hello \t", "Hello", 64 },
	{ "folds are undone", " Hello\r\n world", "Hello world", 64 },
	{ "control characters become blanks", "a\x01\x1b[2Jb", "a  [2Jb", 64 },
	{ "C1 controls as well",
		"a\xc2\x9b"
		"b",
		"a b", 64 },
	{ "bytes that are no UTF-8 become question marks",
		"a\xff"
		"b",
		"a?b", 64 },
	{ "UTF-8 is kept", "\xe2\x82\xac", "\xe2\x82\xac", 64 },
	{ "text is cut", "abcdef", "abc", 4 },
	{ "never inside a character", "ab\xe2\x82\xac", "ab", 5 },
	{ "nothing stays nothing", "", "", 64 },
	{ "blanks alone are nothing", " \r\n ", "", 64 },
};

static void
header_text_is_clean(void **state)
{
	char out[64];

	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		struct header_field field = { .value = texts[i].value,
			.value_length = strlen(texts[i].value) };

		header_text(&field, out, texts[i].room);
		if (strcmp(out, texts[i].text) != 0)
			fail_msg("%s: \"%s\"", texts[i].name, out);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fields_are_found),
		cmocka_unit_test(a_name_is_no_longer_than_a_line_may_be),
		cmocka_unit_test(names_are_compared_in_any_case),
		cmocka_unit_test(address_lists_are_read_or_refused),
		cmocka_unit_test(all_addresses_are_counted_when_there_is_no_room),
		cmocka_unit_test(addresses_in_utf8_are_found),
		cmocka_unit_test(header_text_is_clean),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
