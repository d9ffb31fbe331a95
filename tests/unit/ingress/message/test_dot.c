/*
 * test_dot.c - the data stream of DATA: dot-stuffing, line endings, and what must never end it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ingress/message/dot.h"
#include "sender/smtp/stuff.h"

#define ROOM 8192

struct result {
	char out[2 * ROOM + 2];
	size_t size, taken;
	unsigned flags;
	bool ended;
};

/* Feeds `in` in pieces of `step` bytes, the first one of `first` unless that is 0. */
static void
feed(const char *in, size_t size, size_t first, size_t step, struct result *r)
{
	struct dot dot;
	size_t at = 0;

	memset(r, 0, sizeof *r);
	dot_start(&dot);
	while (at < size && !r->ended) {
		size_t piece = at == 0 && first ? first : step, wrote, taken;

		if (piece > size - at)
			piece = size - at;
		taken = dot_feed(&dot, in + at, piece, r->out + r->size, &wrote, &r->ended);
		assert_true(wrote <= 2 * piece + 2);
		assert_true(taken == piece || r->ended);
		at += taken;
		r->size += wrote;
	}
	r->taken = at;
	r->flags = dot.flags;
}

static void
same(const struct result *a, const struct result *b)
{
	assert_int_equal(a->ended, b->ended);
	assert_int_equal(a->taken, b->taken);
	assert_int_equal(a->flags, b->flags);
	assert_int_equal(a->size, b->size);
	assert_memory_equal(a->out, b->out, a->size);
}

/* Whole, byte by byte, at every split; the result is that of the whole. */
static void
feed_every_way(const char *in, size_t size, struct result *whole)
{
	static struct result other;

	feed(in, size, 0, size, whole);
	feed(in, size, 0, 1, &other);
	same(whole, &other);
	for (size_t cut = 1; cut < size; cut++) {
		feed(in, size, cut, size, &other);
		same(whole, &other);
	}
}

static const struct row {
	const char *name, *in, *out;
	unsigned flags;
} rows[] = {
	{ "a message without a line is empty", ".\r\n", "", 0 },
	{ "lines come through as they are", "a\r\nb\r\n.\r\n", "a\r\nb\r\n", 0 },
	{ "an empty line is kept", "\r\n.\r\n", "\r\n", 0 },
	{ "a doubled dot is one dot", "..\r\n.\r\n", ".\r\n", 0 },
	{ "a dot before text is dropped", ".a\r\n.\r\n", "a\r\n", 0 },
	{ "three dots are two", "a\r\n...\r\n.\r\n", "a\r\n..\r\n", 0 },
	{ "a dot inside a line is kept", "a.b.\r\n.\r\n", "a.b.\r\n", 0 },
	{ "a bare LF becomes CRLF", "a\nb\r\n.\r\n", "a\r\nb\r\n", DOT_BARE_LF },
	{ "a bare CR becomes CRLF", "a\rb\r\n.\r\n", "a\r\nb\r\n", DOT_BARE_CR },
	{ "CR CR LF is one line ending", "a\r\r\nb\r\n.\r\n", "a\r\nb\r\n", DOT_BARE_CR },
	{ "LF CR is two line endings", "a\n\rb\r\n.\r\n", "a\r\n\r\nb\r\n",
		DOT_BARE_LF | DOT_BARE_CR },
	{ "a dot behind a bare LF is text", "a\n.b\r\n.\r\n", "a\r\n.b\r\n", DOT_BARE_LF },
	{ "two dots behind a bare LF stay two", "a\n..b\r\n.\r\n", "a\r\n..b\r\n", DOT_BARE_LF },
	{ "a dot behind a bare CR is text", "a\r.b\r\n.\r\n", "a\r\n.b\r\n", DOT_BARE_CR },
	{ "octets above 127 are seen and kept", "\xc3\xa9\r\n.\r\n", "\xc3\xa9\r\n", DOT_8BIT },
	{ "CR CR LF dot CRLF ends, for CRLF.CRLF is there", "a\r\r\n.\r\n", "a\r\n", DOT_BARE_CR },
};

static void
each_row(void **state)
{
	static struct result r;

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		const struct row *row = &rows[i];

		feed_every_way(row->in, strlen(row->in), &r);
		if (!r.ended || r.taken != strlen(row->in) || r.size != strlen(row->out) ||
			memcmp(r.out, row->out, r.size) != 0 || r.flags != row->flags)
			fail_msg("%s: got \"%.*s\", flags %u", row->name, (int)r.size, r.out,
				r.flags);
	}
}

/* Between "a" and what looks like a second message; one of these ended data in some server. */
static const char *const smugglers[] = {
	"\n.\n",
	"\r.\r",
	"\n.\r\n",
	"\r\n.\n",
	"\r\n.\r",
	"\r.\r\n",
	"\n.\r",
	"\r.\n",
	"\n\n.\n\n",
	"\r\r.\r\r",
	"\r\n.\r\r\n",
	"\n\r.\r\n",
	"\n\r.\n\r",
	"\n.\r\r\n",
	"\r\n..\r\n",
	"\r\n. \r\n",
	"\r\n .\r\n",
	"\r\n.\t\r\n",
	"\r\n\t.\r\n",
	"\r\n.\v\r\n",
	"\r\n\xc2\x85.\r\n",
	"\xc2\x85.\xc2\x85",
	"\xe2\x80\xa8.\xe2\x80\xa8",
	"\x8d\x8a.\x8d\x8a",
	"\r\n\xae\r\n",
	"\f.\f",
	"\v.\v",
	"\r\n.\f\r\n",
	"=0D=0A.=0D=0A",
	"\r\n=2E\r\n",
};

static void
nothing_but_crlf_dot_crlf_ends_data(void **state)
{
	static struct result r;
	char in[256];

	(void)state;
	for (size_t i = 0; i < sizeof smugglers / sizeof *smugglers; i++) {
		int n = snprintf(
			in, sizeof in, "a%sMAIL FROM:<b@c>\r\n.\r\nQUIT\r\n", smugglers[i]);

		feed_every_way(in, (size_t)n, &r);
		if (!r.ended || r.taken != (size_t)n - 6)
			fail_msg("smuggler %zu ended the data or swallowed its end", i);
		assert_non_null(memmem(r.out, r.size, "MAIL FROM:<b@c>\r\n", 17));
	}
}

static void
nul_near_a_dot_ends_nothing(void **state)
{
	static const struct {
		const char *bytes;
		size_t size;
	} cases[] = {
		{ "\r\n\0.\r\n", 6 },
		{ "\r\n.\0\r\n", 6 },
		{ "\r\0\n.\r\n", 6 },
		{ "\r\n.\r\0\n", 6 },
		{ "\0\n.\r\n", 5 },
		{ "\0.\0", 3 },
	};
	static struct result r;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char in[64] = "a";

		memcpy(in + 1, cases[i].bytes, cases[i].size);
		memcpy(in + 1 + cases[i].size, "x", 1);
		feed_every_way(in, cases[i].size + 2, &r);
		assert_false(r.ended);
		assert_true(r.flags & DOT_NUL);
	}
}

/* The rule said once more, as simply as can be. */
static size_t
end_of_data(const char *in, size_t size)
{
	const char *end;

	if (size >= 3 && memcmp(in, ".\r\n", 3) == 0)
		return 3;
	end = memmem(in, size, "\r\n.\r\n", 5);
	return end ? (size_t)(end - in) + 5 : 0;
}

/* All strings of 7 letters over the alphabet that matters: 78,125 of them, in two ways each. */
static void
every_short_string_ends_where_the_rule_says(void **state)
{
	static const char letters[] = "\r\n.x\0";
	static struct result r, other;
	char in[7];

	(void)state;
	for (unsigned n = 0; n < 78125; n++) {
		unsigned rest = n;
		size_t end;

		for (size_t i = 0; i < sizeof in; i++, rest /= 5)
			in[i] = letters[rest % 5];
		feed(in, sizeof in, 0, sizeof in, &r);
		feed(in, sizeof in, n % 6 + 1, 1, &other);
		same(&r, &other);
		end = end_of_data(in, sizeof in);
		assert_int_equal(r.ended, end != 0);
		if (end)
			assert_int_equal(r.taken, end);
		/* What comes out has neither a bare CR nor a bare LF. */
		for (size_t i = 0; i < r.size; i++) {
			if (r.out[i] == '\n')
				assert_true(i && r.out[i - 1] == '\r');
			if (r.out[i] == '\r')
				assert_true(i + 1 < r.size && r.out[i + 1] == '\n');
		}
	}
}

static void
bytes_behind_the_end_are_not_looked_at(void **state)
{
	static struct result r;
	static const char in[] = "a\r\n.\r\n\0\xff\n\r";

	(void)state;
	feed(in, sizeof in - 1, 0, sizeof in - 1, &r);
	assert_true(r.ended);
	assert_int_equal(r.taken, 6);
	assert_int_equal(r.flags, 0);
}

static unsigned
flags_of_line(size_t length)
{
	char *in = malloc(length + 5), *out = malloc(2 * length + 16);
	struct dot dot;
	size_t wrote;
	bool ended;

	memset(in, 'x', length);
	memcpy(in + length, "\r\n.\r\n", 5);
	dot_start(&dot);
	dot_feed(&dot, in, length + 5, out, &wrote, &ended);
	assert_true(ended);
	assert_int_equal(wrote, length + 2);
	free(in);
	free(out);
	return dot.flags;
}

static void
long_lines_are_flagged_and_kept(void **state)
{
	(void)state;
	assert_int_equal(flags_of_line(998), 0);
	assert_int_equal(flags_of_line(999), DOT_LONG_LINE);
	assert_int_equal(flags_of_line(DOT_LINE_MAX), DOT_LONG_LINE);
	assert_int_equal(flags_of_line(DOT_LINE_MAX + 1), DOT_LONG_LINE | DOT_TOO_LONG_LINE);
}

/* A line's length is counted over pieces, and from anew behind each line ending. */
static void
line_length_is_counted_over_pieces(void **state)
{
	static struct result r;
	char in[1100];

	(void)state;
	memset(in, 'x', sizeof in);
	feed(in, sizeof in, 0, 10, &r);
	assert_int_equal(r.flags, DOT_LONG_LINE);
	for (size_t i = 500; i < sizeof in; i += 500)
		in[i] = '\n';
	feed(in, sizeof in, 0, 10, &r);
	assert_int_equal(r.flags, DOT_BARE_LF);
}

/* The body as the sender's side puts it on the wire. */
static size_t
stuff(const char *in, size_t size, size_t cut, char *out)
{
	struct stuff state;
	size_t at = 0, length = 0;
	bool dot;

	stuff_start(&state);
	while (at < size) {
		size_t n = stuff_run(&state, in + at, (at < cut ? cut : size) - at, &dot);

		if (dot)
			out[length++] = '.';
		memcpy(out + length, in + at, n);
		length += n;
		at += n;
	}
	memcpy(out + length, stuff_end(&state), strlen(stuff_end(&state)));
	return length + strlen(stuff_end(&state));
}

static size_t
clean_body(unsigned seed, char *out, size_t max)
{
	static const char *const pieces[] = { ".", "..", "\r\n", "x", "line", ".\r\n",
		"\r\n.\r\n" };
	size_t length = 0;

	while (length + 8 < max) {
		const char *piece;

		seed = seed * 1103515245u + 12345u;
		piece = pieces[(seed >> 16) % 7];
		memcpy(out + length, piece, strlen(piece));
		length += strlen(piece);
	}
	memcpy(out + length, "\r\n", 2);
	return length + 2;
}

static void
what_was_stuffed_comes_out_as_it_was(void **state)
{
	static struct result r;
	char body[200], wire[512];

	(void)state;
	for (unsigned seed = 0; seed < 200; seed++) {
		size_t size = clean_body(seed, body, 8 + seed % 190), n;

		for (size_t cut = 0; cut <= size; cut++) {
			n = stuff(body, size, cut, wire);
			feed(wire, n, cut % n, n, &r);
			assert_true(r.ended);
			assert_int_equal(r.taken, n);
			assert_int_equal(r.size, size);
			assert_memory_equal(r.out, body, size);
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_row),
		cmocka_unit_test(nothing_but_crlf_dot_crlf_ends_data),
		cmocka_unit_test(nul_near_a_dot_ends_nothing),
		cmocka_unit_test(every_short_string_ends_where_the_rule_says),
		cmocka_unit_test(bytes_behind_the_end_are_not_looked_at),
		cmocka_unit_test(long_lines_are_flagged_and_kept),
		cmocka_unit_test(line_length_is_counted_over_pieces),
		cmocka_unit_test(what_was_stuffed_comes_out_as_it_was),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
