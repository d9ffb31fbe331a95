/*
 * test_dialogue.c - a dialogue has what helps, no secret, and an end.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "ingress/session/dialogue.h"

static struct dialogue dialogue;

static void
said(const char *line, bool secret)
{
	dialogue_client(&dialogue, line, strlen(line), secret);
}

static void
answered(const char *text)
{
	dialogue_server(&dialogue, text, strlen(text));
}

static void
expect(const char *text)
{
	assert_int_equal(dialogue.length, strlen(text));
	assert_memory_equal(dialogue.text, text, strlen(text));
	dialogue_free(&dialogue);
}

static void
names_and_addresses_are_shown(void **state)
{
	(void)state;
	answered("220 shout.test ESMTP Shout");
	said("ehlo Client.example", false);
	answered("250-shout.test\r\n250 SIZE 1000");
	said("MAIL FROM:<me@a.example> SIZE=5", false);
	dialogue_note(&dialogue, "a message of 7 bytes");
	said("QUIT", false);
	expect("S: 220 shout.test ESMTP Shout\nC: ehlo Client.example\nS: 250-shout.test\n"
	       "S: 250 SIZE 1000\nC: MAIL FROM:<me@a.example> SIZE=5\n(a message of 7 bytes)\n"
	       "C: QUIT\n");
}

static void
no_secret_gets_in(void **state)
{
	static const struct {
		const char *line;
		bool secret;
		const char *shown;
	} rows[] = {
		{ "AUTH PLAIN AGpvZQBzZWNyZXQ=", false, "C: AUTH PLAIN (secret)\n" },
		{ "auth login am9l", false, "C: AUTH LOGIN (secret)\n" },
		{ "AUTH PLAIN", false, "C: AUTH PLAIN\n" },
		{ "AUTH c2VjcmV0", false, "C: AUTH (unknown)\n" },
		{ "AUTH c2VjcmV0 c2VjcmV0", false, "C: AUTH (unknown) (secret)\n" },
		{ "AUTH", false, "C: AUTH \n" },
		{ "c2VjcmV0", true, "C: (secret)\n" },
		{ "QUIT", true, "C: (secret)\n" },
		{ "c2VjcmV0", false, "C: (no command, 8 bytes)\n" }, /* a password that came late */
		{ "secret word", false, "C: (no command, 11 bytes)\n" },
		{ "", false, "C: (no command, 0 bytes)\n" },
		{ "NOOP secret", false, "C: NOOP\n" },
		{ "HELP secret", false, "C: HELP\n" },
		{ "VRFY secret", false, "C: VRFY\n" },
		{ "DATA secret", false, "C: DATA\n" },
		{ "RSET secret", false, "C: RSET\n" },
		{ "QUIT secret", false, "C: QUIT\n" },
		{ "STARTTLS secret", false, "C: STARTTLS\n" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		said(rows[i].line, rows[i].secret);
		expect(rows[i].shown);
	}
	answered("334 cj1ub25jZSxzPXNhbHQ=");
	expect("S: 334 (secret)\n");
}

static void
bytes_from_outside_are_made_harmless(void **state)
{
	(void)state;
	said("EHLO a\x1b[2Jb\xff", false);
	expect("C: EHLO a [2Jb?\n");
}

static void
a_long_line_is_cut(void **state)
{
	char line[1000];

	(void)state;
	memset(line, 'x', sizeof line);
	memcpy(line, "EHLO ", 5);
	dialogue_client(&dialogue, line, sizeof line, false);
	assert_in_range(dialogue.length, 150, 220);
	assert_memory_equal(dialogue.text + dialogue.length - 4, "...\n", 4);
	dialogue_free(&dialogue);
}

static void
a_full_one_keeps_its_beginning_and_its_end(void **state)
{
	char line[64];

	(void)state;
	for (int i = 0; i < 5000; i++) {
		snprintf(line, sizeof line, "MAIL FROM:<a%d@b.example>", i);
		said(line, false);
		assert_true(dialogue.length <= DIALOGUE_MAX);
		assert_int_equal(dialogue.text[dialogue.length - 1], '\n');
	}
	assert_memory_equal(dialogue.text, "C: MAIL FROM:<a0@b.example>\n", 28);
	snprintf(line, sizeof line, "C: MAIL FROM:<a4999@b.example>\n");
	assert_memory_equal(dialogue.text + dialogue.length - strlen(line), line, strlen(line));
	assert_non_null(memmem(dialogue.text, dialogue.length, "\n(...)\n", 7));
	assert_true(dialogue.length > 2000);
	dialogue_free(&dialogue);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_and_addresses_are_shown),
		cmocka_unit_test(no_secret_gets_in),
		cmocka_unit_test(bytes_from_outside_are_made_harmless),
		cmocka_unit_test(a_long_line_is_cut),
		cmocka_unit_test(a_full_one_keeps_its_beginning_and_its_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
