/*
 * test_spelling.c - what clamd gets of a message: whole, byte by byte, and cut at every place.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "scanner/spelling.h"

#define PART "\r\n--b\r\n"
#define REST "\r\nWDVP : x;\r\n"

static const struct {
	const char *what, *in, *out; /* NULL: as it is */
} rows[] = {
	{ "a plain message", "A: 1\r\nContent-Type: text/plain; name=\"x;  y\"\r\n\r\nhello \t\r\n",
		NULL },
	{ "nothing", "", NULL },
	{ "a part",
		"A: 1\r\n" PART
		"Content-Type: a/b;\r\n name=x\r\nContent-Disposition: inline\r\n" REST "--b--\r\n",
		NULL },
	{ "text with blanks, quotes and semicolons",
		"\r\n \r\nA : 1;\r\ncontent : x;\r\n-\t-\r\nsay \"x\r\n\t\r\nContent-y z:\r\n",
		NULL },
	{ "a blank before the colon", PART "Content-Type : a/b\r\n" REST,
		PART "Content-Type: a/b\r\n" REST },
	{ "several, in any field of the header",
		"X \t : y\r\n" PART "CONTENT-type\t \t: a/b\r\nY : z\r\n" REST,
		"X \t : y\r\n" PART "CONTENT-type: a/b\r\nY: z\r\n" REST },
	{ "in a message inside",
		PART "Content-Type: Message/RFC822\r\n\r\nA : 1\r\nContent-Type : a/b\r\n" REST,
		PART "Content-Type: Message/RFC822\r\n\r\nA: 1\r\nContent-Type: a/b\r\n" REST },
	{ "a field in a text begins a header", "\r\ntext\r\nContent-Type : a/b\r\nX : y\r\n" REST,
		"\r\ntext\r\nContent-Type: a/b\r\nX: y\r\n" REST },
	{ "no blank behind the colon", PART "Content-Type:a/b\r\n" REST,
		PART "Content-Type: a/b\r\n" REST },
	{ "a semicolon last", PART "Content-Type: a/b; ;\t\r\nX: y;\r\n" REST,
		PART "Content-Type: a/b\r\nX: y\r\n" REST },
	{ "semicolons in a row", PART "Content-Type: a/b;; ;c=d\r\n" REST,
		PART "Content-Type: a/b; c=d\r\n" REST },
	{ "a quote that does not end", PART "Content-Type: a/b; c=\"d;\r\nX: 19\"\r\n" REST,
		PART "Content-Type: a/b; c=\"d;\"\r\nX: 19\"\"\r\n" REST },
	{ "no value", PART "Content-Type:\r\nX: ; \r\n \t;\r\n" REST,
		PART "Content-Type: x\r\nX: x\r\n" REST },
	{ "folds of blanks",
		PART
		"Content-Type:\r\n \r\n\ta/b;\r\n \t\r\n c=\"\r\n \r\n d\"\r\n \r\nX: y\r\n" REST,
		PART "Content-Type: a/b;\r\n c=\"\r\n d\"\r\nX: y\r\n" REST },
	{ "a line of blanks in a header",
		PART "no field\r\n \t\r\n\tx\r\nContent-Type: a/b\r\n" REST,
		PART "no field\r\n x\r\nContent-Type: a/b\r\n" REST },
	{ "tabs behind a boundary", "\r\n--b\t \t\r\nContent-Type: a/b\r\n" REST "--b--\t\r\n",
		"\r\n--b   \r\nContent-Type: a/b\r\n" REST "--b-- \r\n" },
	{ "kinds of multipart",
		"Content-Type: multipart/signed; b=c\r\nContent-Type: (x) multipart/signed\r\n\r\n",
		"Content-Type: multipart/xigned; b=c\r\nContent-Type: (x) multipart/signed\r\n\r\n" },
	{ "the last line without its end", PART "Content-Type: a/b;",
		PART "Content-Type: a/b\r\n" },
	{ "lines that end in LF", "A: 1\nContent-Type : a/b\nX : y\n\ntext\n",
		"A: 1\nContent-Type: a/b\r\nX: y\r\n\r\ntext\n" },
};

/* In pieces of `step`, the first one of `first`; to be freed. */
static char *
respell(const char *in, size_t size, size_t first, size_t step, size_t *out_size)
{
	char *out = malloc(2 * size + 64);
	struct spelling spelling;
	size_t at = 0, n = 0;

	spelling_start(&spelling);
	for (size_t piece = first; at < size; at += piece, piece = step) {
		char *copy, *part;
		size_t made;

		piece = piece < size - at ? piece : size - at;
		copy = malloc(piece ? piece : 1);
		part = malloc(SPELLING_ROOM(piece));
		memcpy(copy, in + at, piece);
		made = spelling_feed(&spelling, copy, piece, part);
		assert_true(made <= SPELLING_ROOM(piece));
		memcpy(out + n, part, made);
		n += made;
		free(copy);
		free(part);
	}
	n += spelling_end(&spelling, out + n);
	out[n] = '\0';
	*out_size = n;
	return out;
}

static void
fields_are_spelled_as_clamd_knows_them(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		const char *expected = rows[i].out ? rows[i].out : rows[i].in;
		size_t size = strlen(rows[i].in), got;

		for (size_t first = 0; first <= size; first++) {
			char *out = respell(rows[i].in, size, first, first ? size : 1, &got);

			if (strcmp(out, expected) != 0)
				fail_msg("%s, cut at %zu: %s", rows[i].what, first, out);
			free(out);
		}
	}
}

static size_t
longest_line(const char *text, size_t size)
{
	size_t longest = 0, line = 0;

	for (size_t i = 0; i < size; i++) {
		line = text[i] == '\n' ? 0 : line + 1;
		longest = line > longest ? line : longest;
	}
	return longest;
}

static void
lines_of_a_header_are_short(void **state)
{
	static const char *const starts[] = { "--b\r\nX: ", "Content-Type: a/b; c=\"",
		"--b\r\nno field ", "--b\r\n", "Content-Type:" };
	char in[5100];

	(void)state;
	for (size_t i = 0; i < sizeof starts / sizeof *starts; i++) {
		size_t length = strlen(starts[i]), got;
		char *out;

		memset(in, i == 4 ? ' ' : 'y', sizeof in);
		memcpy(in, starts[i], length);
		memcpy(in + 5000, "x\r\n\r\n", 5);
		out = respell(in, 5005, 0, 7, &got);
		assert_true(longest_line(out, got) < 1000);
		assert_null(strstr(out, "\r\n \r\n"));
		free(out);
	}
}

static void
a_body_stays_as_it_is(void **state)
{
	size_t size = 100000, got;
	char *in = malloc(size), *out;

	(void)state;
	memset(in, 'x', size);
	memcpy(in, "\r\n", 2);
	for (size_t i = 5000; i < size; i += 997)
		in[i] = (char)(i % 256);
	out = respell(in, size, 1000, 333, &got);
	assert_int_equal(got, size);
	assert_memory_equal(in, out, size);
	free(in);
	free(out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fields_are_spelled_as_clamd_knows_them),
		cmocka_unit_test(lines_of_a_header_are_short),
		cmocka_unit_test(a_body_stays_as_it_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
