/*
 * test_pattern.c - patterns that could explode are refused, and the sieve passes over no pattern
 * that matches.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "sender/reply/pattern.h"
#include "sender/reply/plain.h"
#include "sender/reply/sieve.h"

static struct words words; /* large */

static void
these_are_refused(void **state)
{
	static const struct {
		const char *pattern, *why;
	} rows[] = {
		{ "(a+)+b", "can explode" },
		{ "(a|aa)+b", "can explode" },
		{ "(?:x{1,9}y){2,}", "can explode" },
		{ "((a?){5}b)*", "can explode" },
		{ "(?i)user", "of groups only" },
		{ "(?<name>a)", "of groups only" },
		{ "(?#remark)", "of groups only" },
		{ "(*LIMIT_MATCH=9)a", "verbs" },
		{ "(a)\\1", "of letters" },
		{ "a\\K", "of letters" },
		{ "\\Qa+\\E", "of letters" },
		{ "(?:a", "no end" },
		{ "a)", "did not begin" },
		{ "[a", "no end" },
		{ "a\\", "backslash" },
		{ "+a", "quantifier" },
		{ "[z-a]", "order" },
		{ "(((((((((a)))))))))", "too many groups" },
	};
	char why[200];

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct pattern *pattern = pattern_new(rows[i].pattern, &words, why, sizeof why);

		if (pattern)
			fail_msg("%s is taken", rows[i].pattern);
		if (!strstr(why, rows[i].why))
			fail_msg("%s: %s", rows[i].pattern, why);
	}
}

/* Each repeat by itself is harmless. */
static void
what_takes_too_many_steps_does_not_endure(void **state)
{
	struct pattern_room *room = pattern_room_new();
	char why[200];
	struct pattern *bad, *good;

	(void)state;
	bad = pattern_new("a.*a.*a.*a.*a.*a.*b\\d", &words, why, sizeof why);
	assert_non_null(bad);
	assert_false(pattern_endures(bad, room, &words));
	good = pattern_new("user .{0,40}unknown", &words, why, sizeof why);
	assert_non_null(good);
	assert_true(pattern_endures(good, room, &words));
	assert_int_equal(pattern_find(good, room, "550 USER x Unknown", 18), PATTERN_YES);
	assert_int_equal(pattern_find(good, room, "550 user known", 14), PATTERN_NO);
	pattern_free(&bad);
	pattern_free(&good);
	pattern_room_free(&room);
}

static bool
passes(const char *pattern_text, const char *text, bool *matches_out)
{
	struct pattern_room *room = pattern_room_new();
	struct sieve *sieve = sieve_new();
	char why[200];
	struct pattern *pattern = pattern_new(pattern_text, &words, why, sizeof why);
	uint64_t bits;

	if (!pattern)
		fail_msg("%s: %s", pattern_text, why);
	sieve_add(sieve, &words);
	assert_int_equal(sieve_size(sieve), 1);
	sieve_pass(sieve, text, strlen(text), &bits);
	*matches_out = pattern_find(pattern, room, text, strlen(text)) == PATTERN_YES;
	sieve_free(&sieve);
	pattern_free(&pattern);
	pattern_room_free(&room);
	return bits & 1;
}

static void
the_sieve_lets_pass_what_matches_and_little_else(void **state)
{
	static const struct {
		const char *pattern, *text;
		bool passes, matches;
	} rows[] = {
		{ "unknown", "user Unknown", true, true },
		{ "unknown", "user unknow", false, false },
		{ "unknowns?", "unknown", true, true },
		{ "unknown{0,3}", "unknow", true, true },
		{ "(?:no such|unknown) user", "550 No such user", true, true },
		{ "(?:no such|unknown) user", "550 no user", false, false },
		{ "(?:no such|unknown).{0,9}(?:user|mailbox)", "unknown mailbox", true, true },
		{ "(?:no such|unknown).{0,9}(?:user|mailbox)", "unknown sender", false, false },
		{ "(?:abc)?xyz", "xyz", true, true },
		{ "(?:abc)?", "nothing", true, true },
		{ "a|bcdef", "zzz a", true, true },
		{ "(?!unknown)\\d{3} 5", "550 5", true, true },
		{ "(?<=host )down", "host down", true, true },
		{ "^550 5\\.1\\.1 ", "550 5.1.1 x", true, true },
		{ "[[:alpha:]]\\]x{2}", "q]xx", true, true },
		{ "a{,2}b", "a{,2}b", true, true },
		{ "x{2}yz", "xxyz", true, true },
	};
	bool matches;

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		if (passes(rows[i].pattern, rows[i].text, &matches) != rows[i].passes ||
			matches != rows[i].matches)
			fail_msg("%s on \"%s\"", rows[i].pattern, rows[i].text);
	}
}

static void
the_sieve_tells_many_patterns_apart(void **state)
{
	struct sieve *sieve = sieve_new();
	uint64_t bits[3];

	(void)state;
	for (unsigned i = 0; i < 130; i++) {
		words = (struct words){ .sets = { { .count = 1 } } };
		snprintf(words.sets[0].words[0], WORD_MAX + 1, "word%u.", i);
		sieve_add(sieve, &words);
	}
	assert_int_equal(sieve_size(sieve), 3);
	sieve_pass(sieve, "Word0. WORD64. word129.", 23, bits);
	assert_true(bits[0] == 1 && bits[1] == 1 && bits[2] == 2);
	sieve_pass(sieve, "", 0, bits);
	assert_true(!bits[0] && !bits[1] && !bits[2]);
	sieve_free(&sieve);
}

static void
replies_have_one_spelling(void **state)
{
	static const struct {
		const char *text;
		int code;
		const char *plain;
	} rows[] = {
		{ "550 5.1.1 no such user", 0, "550 5.1.1 no such user" },
		{ "550-5.1.1 no such\n550 5.1.1 user", 0, "550 5.1.1 no such user" },
		{ "550-5.1.1 no such 550-5.1.1 user 550 5.1.1 here", 550,
			"550 5.1.1 no such user here" },
		{ "550 5.1.1 no such 5.1.1 user", 550, "550 5.1.1 no such user" },
		{ "550-no\r\n550 user", 0, "550 no user" },
		{ "550 #5.1.0 rejected", 0, "550 5.1.0 rejected" },
		{ "550 <othello@virus.example>: unknown", 0, "550 <@>: unknown" },
		{ "550 rfc822;bob@b.example,(eve@c.example) @ no", 0, "550 rfc822;@,(@) @ no" },
		{ "550 a@b@c d:e@", 0, "550 @ d:@" },
		{ "550  two\t blanks ", 0, "550 two blanks" },
		{ "no code", 421, "421 no code" },
		{ "no code", 0, "no code" },
		{ "5.1.1 bare", 0, "5.1.1 bare" },
		{ "554 IP=192.0.2.1 5.7.1.9", 0, "554 IP=192.0.2.1 5.7.1.9" },
		{ "550 a 421 b", 0, "550 a 421 b" },
		{ "5500 odd", 0, "5500 odd" },
		{ "", 0, "" },
	};
	char plain[PLAIN_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		assert_int_equal(
			plain_reply(plain, rows[i].text, rows[i].code), strlen(rows[i].plain));
		assert_string_equal(plain, rows[i].plain);
	}
	assert_int_equal(plain_code("550 x"), 550);
	assert_int_equal(plain_code("5.1.1 x"), 0);
}

static void
a_long_reply_is_cut(void **state)
{
	char text[3 * PLAIN_MAX], plain[PLAIN_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof text; i++)
		text[i] = i % 10 ? 'x' : ' ';
	text[sizeof text - 1] = '\0';
	assert_in_range(plain_reply(plain, text, 550), PLAIN_MAX - 12, PLAIN_MAX - 1);
	memset(text, 'y', sizeof text - 1);
	assert_int_equal(plain_reply(plain, text, 550), 3);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(these_are_refused),
		cmocka_unit_test(what_takes_too_many_steps_does_not_endure),
		cmocka_unit_test(the_sieve_lets_pass_what_matches_and_little_else),
		cmocka_unit_test(the_sieve_tells_many_patterns_apart),
		cmocka_unit_test(replies_have_one_spelling),
		cmocka_unit_test(a_long_reply_is_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
