/*
 * test_stuff.c - dot-stuffing: whole, byte by byte, cut at every place.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "sender/smtp/stuff.h"

static const struct {
	const char *in, *out;
} rows[] = {
	{ "", ".\r\n" },
	{ "a\r\n", "a\r\n.\r\n" },
	{ "a", "a\r\n.\r\n" },
	{ "a\r", "a\r\r\n.\r\n" },
	{ "a\n", "a\n\r\n.\r\n" },
	{ "\r\n", "\r\n.\r\n" },
	{ ".", "..\r\n.\r\n" },
	{ ".\r\n", "..\r\n.\r\n" },
	{ "..\r\n", "...\r\n.\r\n" },
	{ "a.\r\n", "a.\r\n.\r\n" },
	{ "a\r\n.\r\nb\r\n", "a\r\n..\r\nb\r\n.\r\n" },
	{ "\r\n.\r\n.\r\n.x\r\n", "\r\n..\r\n..\r\n..x\r\n.\r\n" },
	{ "a\r\nb\r\n.c\r\n\r\n", "a\r\nb\r\n..c\r\n\r\n.\r\n" },
	{ "a\n.\r\n", "a\n..\r\n.\r\n" },
};

static size_t
add(struct stuff *stuff, const char *in, size_t length, char *out, size_t at)
{
	bool dot;

	while (length) {
		size_t run = stuff_run(stuff, in, length, &dot);

		assert_true(run > 0 && run <= length);
		if (dot)
			out[at++] = '.';
		memcpy(out + at, in, run);
		at += run;
		in += run;
		length -= run;
	}
	return at;
}

static void
check(size_t row, const char *out, size_t at, const struct stuff *stuff)
{
	char all[200];
	const char *end = stuff_end(stuff);

	memcpy(all, out, at);
	memcpy(all + at, end, strlen(end) + 1);
	assert_string_equal(all, rows[row].out);
}

static void
whole_and_cut_at_every_place(void **state)
{
	(void)state;
	for (size_t row = 0; row < sizeof rows / sizeof *rows; row++) {
		size_t length = strlen(rows[row].in);

		for (size_t cut = 0; cut <= length; cut++) {
			struct stuff stuff;
			char out[100];
			size_t at;

			stuff_start(&stuff);
			at = add(&stuff, rows[row].in, cut, out, 0);
			at = add(&stuff, rows[row].in + cut, length - cut, out, at);
			check(row, out, at, &stuff);
		}
	}
}

static void
byte_by_byte(void **state)
{
	(void)state;
	for (size_t row = 0; row < sizeof rows / sizeof *rows; row++) {
		struct stuff stuff;
		char out[100];
		size_t at = 0;

		stuff_start(&stuff);
		for (const char *in = rows[row].in; *in; in++)
			at = add(&stuff, in, 1, out, at);
		check(row, out, at, &stuff);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whole_and_cut_at_every_place),
		cmocka_unit_test(byte_by_byte),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
