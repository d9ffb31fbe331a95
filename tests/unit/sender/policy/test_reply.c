/*
 * test_reply.c - SMTP replies, line by line, good and strange.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sender/policy/reply.h"

static char *
exact(const char *text, size_t length)
{
	char *copy = malloc(length ? length : 1);

	memcpy(copy, text, length);
	return copy;
}

/* Feeds lines parted by "\n". The result of the last one fed: of the first that is not 0. */
static int
feed(const char *lines, struct reply *reply)
{
	int result = 0;

	reply_start(reply);
	while (result == 0 && *lines) {
		size_t length = strcspn(lines, "\n");
		char *line = exact(lines, length);

		result = reply_line(reply, line, length, NULL, NULL);
		free(line);
		lines += length + (lines[length] == '\n');
	}
	return result;
}

static const struct {
	const char *name, *lines;
	int result, code;
	const char *enhanced, *text;
} replies[] = {
	{ "a plain reply", "250 OK", 1, 250, "2.0.0", "250 OK" },
	{ "a code alone", "250", 1, 250, "2.0.0", "250" },
	{ "a code and a blank", "250 ", 1, 250, "2.0.0", "250" },
	{ "a code and a hyphen goes on", "250-", 0, 250, "2.0.0", "250" },
	{ "an enhanced code", "550 5.1.1 no such user", 1, 550, "5.1.1", "550 5.1.1 no such user" },
	{ "an enhanced code alone", "250 2.1.5", 1, 250, "2.1.5", "250 2.1.5" },
	{ "a long enhanced code", "550 5.123.456 x", 1, 550, "5.123.456", "550 5.123.456 x" },
	{ "an enhanced code behind a hash", "550 #5.1.0 Address rejected", 1, 550, "5.1.0",
		"550 #5.1.0 Address rejected" },
	{ "one of another class is none", "550 4.1.1 x", 1, 550, "5.0.0", "550 4.1.1 x" },
	{ "one with too many digits is none", "550 5.1234.1 x", 1, 550, "5.0.0", "550 5.1234.1 x" },
	{ "one with text at its end is none", "550 5.1.1x", 1, 550, "5.0.0", "550 5.1.1x" },
	{ "an address is none", "220 2.1.1.1 ready", 1, 220, "2.0.0", "220 2.1.1.1 ready" },
	{ "half of one is none", "550 5.1", 1, 550, "5.0.0", "550 5.1" },
	{ "one with an empty part is none", "550 5..1 x", 1, 550, "5.0.0", "550 5..1 x" },
	{ "an intermediate reply has none", "354 3.0.0 go on", 1, 354, "", "354 3.0.0 go on" },
	{ "a transient one", "421 closing", 1, 421, "4.0.0", "421 closing" },
	{ "several lines", "550-5.1.1 a\n550 5.1.1 b", 1, 550, "5.1.1", "550 5.1.1 a 5.1.1 b" },
	{ "an enhanced code may come later", "550-a\n550 5.1.1 b", 1, 550, "5.1.1",
		"550 a 5.1.1 b" },
	{ "the first enhanced code counts", "550-5.1.2 a\n550 5.1.1 b", 1, 550, "5.1.2",
		"550 5.1.2 a 5.1.1 b" },
	{ "a last line without text", "250-a\n250", 1, 250, "2.0.0", "250 a" },
	{ "the code changes, the last one counts", "250-a\n251 b", 1, 251, "2.0.0", "250 a 251 b" },
	{ "with its enhanced code", "550-5.1.1 a\n554 5.7.1 b", 1, 554, "5.7.1",
		"550 5.1.1 a 554 5.7.1 b" },
	{ "or without one", "550-5.1.1 a\n554 b", 1, 554, "5.0.0", "550 5.1.1 a 554 b" },
	{ "the class changes", "220-hi\n521 no mail", 1, 521, "5.0.0", "220 hi 521 no mail" },
	{ "a 3xx takes no 2xx back", "250-a\n354 b", 1, 250, "2.0.0", "250 a 354 b" },
	{ "and back", "250-a\n451-b\n250 c", 1, 250, "2.0.0", "250 a 451 b 250 c" },
	{ "a line without a code in between", "250-a\nb\n250 c", 1, 250, "2.0.0", "250 a b c" },
	{ "an empty one", "250-a\n\n250 c", 1, 250, "2.0.0", "250 a c" },
	{ "one with a short number", "550-try\n2 times\n550 c", 1, 550, "5.0.0",
		"550 try 2 times c" },
	{ "one with a long number", "550-in\n2500 years\n550 c", 1, 550, "5.0.0",
		"550 in 2500 years c" },
	{ "an indented code is text", "550-a\n 250 b\n550 c", 1, 550, "5.0.0", "550 a  250 b c" },
	{ "a line without a code at the end goes on", "250-a\nb", 0, 250, "2.0.0", "250 a b" },
	{ "control characters become blanks", "550 a\tb\x1b[0m\rc", 1, 550, "5.0.0",
		"550 a b [0m c" },
	{ "bytes that are no UTF-8 become question marks", "550 n\xf6", 1, 550, "5.0.0", "550 n?" },
	{ "UTF-8 is kept", "550 n\xc3\xb6", 1, 550, "5.0.0", "550 n\xc3\xb6" },
	{ "a code of two digits is its class", "25 OK", 1, 200, "2.0.0", "25 OK" },
	{ "a code of one digit", "5 no", 1, 500, "5.0.0", "5 no" },
	{ "a digit alone", "4", 1, 400, "4.0.0", "4" },
	{ "an enhanced code in place of the code", "2.0.0 OK", 1, 200, "2.0.0", "2.0.0 OK" },
	{ "a code of four digits", "2500 OK", 1, 200, "2.0.0", "2500 OK" },
	{ "letters in the code", "2a0 OK", 1, 200, "2.0.0", "2a0 OK" },
	{ "a code under 200", "199 OK", -1, 0, NULL, NULL },
	{ "a code over 599", "600 OK", -1, 0, NULL, NULL },
	{ "a tab behind the code", "250\tOK", 1, 250, "2.0.0", "250 OK" },
	{ "a low line", "550_5.1.1 no", 1, 550, "5.1.1", "550 5.1.1 no" },
	{ "nothing", "250OK", 1, 250, "2.0.0", "250 OK" },
	{ "a CR too many", "250\r", 1, 250, "2.0.0", "250" },
	{ "a blank before the code", " 250 OK", 1, 250, "2.0.0", "250 OK" },
	{ "many of them, and lines", "\n \t 550 5.1.1 no", 1, 550, "5.1.1", "550 5.1.1 no" },
	{ "a blank before a line that goes on", "\t250-a\n250 b", 1, 250, "2.0.0", "250 a b" },
	{ "an HTTP answer", "HTTP/1.1 400 Bad Request", -1, 0, NULL, NULL },
	{ "an SSH banner", "SSH-2.0-OpenSSH_9.2", -1, 0, NULL, NULL },
	{ "a TLS alert", "\x15\x03\x01", -1, 0, NULL, NULL },
};

static void
replies_are_read_or_refused(void **state)
{
	struct reply reply;

	(void)state;
	for (size_t i = 0; i < sizeof replies / sizeof *replies; i++) {
		int result = feed(replies[i].lines, &reply);

		if (result != replies[i].result)
			fail_msg("%s: %d", replies[i].name, result);
		if (result < 0)
			continue;
		assert_int_equal(reply.more, result == 0);
		if (reply.code != replies[i].code || strcmp(reply.text, replies[i].text) != 0 ||
			strcmp(reply_enhanced(&reply), replies[i].enhanced) != 0)
			fail_msg("%s: %d (%s) \"%s\"", replies[i].name, reply.code,
				reply_enhanced(&reply), reply.text);
		assert_int_equal(reply.text_length, strlen(reply.text));
	}
}

static void
an_empty_line_and_a_nul_say_nothing(void **state)
{
	struct reply reply;

	(void)state;
	reply_start(&reply);
	assert_int_equal(reply_line(&reply, "", 0, NULL, NULL), 0);
	assert_int_equal(reply_line(&reply,
				 "\0"
				 "250\0OK",
				 7, NULL, NULL),
		1);
	assert_int_equal(reply.code, 250);
	assert_string_equal(reply.text, "250 OK");
	reply_start(&reply);
	assert_int_equal(reply_line(&reply, "25\0 OK", 6, NULL, NULL), 1);
	assert_int_equal(reply.code, 200);
	reply_start(&reply);
	assert_int_equal(reply_line(&reply, "250 a\0b", 7, NULL, NULL), 1);
	assert_string_equal(reply.text, "250 a b");
}

static void
what_is_kept_of_a_long_reply_is_cut(void **state)
{
	static char line[REPLY_TEXT_MAX + 100] = "250-";
	struct reply reply;

	(void)state;
	memset(line + 4, 'x', sizeof line - 4);
	reply_start(&reply);
	assert_int_equal(reply_line(&reply, line, sizeof line, NULL, NULL), 0);
	assert_int_equal(reply.text_length, REPLY_TEXT_MAX - 1);
	assert_int_equal(reply_line(&reply, "250 end", 7, NULL, NULL), 1);
	assert_int_equal(strlen(reply.text), REPLY_TEXT_MAX - 1);
}

static void
too_many_lines_are_no_reply(void **state)
{
	struct reply reply;

	(void)state;
	reply_start(&reply);
	for (int i = 0; i < REPLY_LINES_MAX; i++)
		assert_int_equal(reply_line(&reply, "250-x", 5, NULL, NULL), 0);
	assert_int_equal(reply_line(&reply, "250 x", 5, NULL, NULL), -1);
	assert_int_equal(reply.code, 250);
	reply_start(&reply);
	for (int i = 0; i < REPLY_LINES_MAX; i++)
		assert_int_equal(reply_line(&reply, "", 0, NULL, NULL), 0);
	assert_int_equal(reply_line(&reply, "250 x", 5, NULL, NULL), -1);
}

static void
what_begins_no_reply_leaves_it_as_it_was(void **state)
{
	struct reply reply;

	(void)state;
	reply_start(&reply);
	assert_int_equal(reply_line(&reply, "please wait", 11, NULL, NULL), -1);
	assert_int_equal(reply.code, 0);
	assert_int_equal(reply_line(&reply, "250-ok", 6, NULL, NULL), 0);
	assert_int_equal(reply_line(&reply, "250 ok", 6, NULL, NULL), 1);
	assert_string_equal(reply.text, "please wait 250 ok ok");
}

static void
collect(void *arg, const char *text, size_t length)
{
	char *out = arg;
	size_t at = strlen(out);

	snprintf(out + at, 100 - at, "[%.*s]", (int)length, text);
}

static void
each_line_is_shown_without_its_code(void **state)
{
	char seen[100] = "";
	struct reply reply;

	(void)state;
	reply_start(&reply);
	reply_line(&reply, "250-mx.example", 14, collect, seen);
	reply_line(&reply, "250-SIZE 1000", 13, collect, seen);
	reply_line(&reply, "250-", 4, collect, seen);
	assert_int_equal(reply_line(&reply, "250", 3, collect, seen), 1);
	assert_string_equal(seen, "[mx.example][SIZE 1000][][]");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(replies_are_read_or_refused),
		cmocka_unit_test(an_empty_line_and_a_nul_say_nothing),
		cmocka_unit_test(what_is_kept_of_a_long_reply_is_cut),
		cmocka_unit_test(too_many_lines_are_no_reply),
		cmocka_unit_test(what_begins_no_reply_leaves_it_as_it_was),
		cmocka_unit_test(each_line_is_shown_without_its_code),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
