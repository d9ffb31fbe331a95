/*
 * test_json.c - what the JSON writer and the log make of any bytes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <fcntl.h>
#include <jansson.h>
#include <unistd.h>

#include "shared/base/json.h"
#include "shared/base/log.h"

static const struct {
	const char *name, *value;
	size_t length;
	const char *written;
} strings[] = {
	{ "plain text", "abc", 3, "\"abc\"" },
	{ "nothing", "", 0, "\"\"" },
	{ "a quote and a backslash", "a\"b\\c", 5, "\"a\\\"b\\\\c\"" },
	{ "line ends", "a\r\nb", 4, "\"a\\r\\nb\"" },
	{ "a tab", "a\tb", 3, "\"a\\tb\"" },
	{ "NUL and ESC", "a\0\x1b", 3, "\"a\\u0000\\u001b\"" },
	{ "DEL", "\x7f", 1, "\"\\u007f\"" },
	{ "UTF-8", "\xe2\x82\xac", 3, "\"\xe2\x82\xac\"" },
	{ "four bytes of UTF-8", "\xf0\x9f\x93\xa7", 4, "\"\xf0\x9f\x93\xa7\"" },
	{ "a byte that is no UTF-8",
		"a\xff"
		"b",
		3,
		"\"a\xef\xbf\xbd"
		"b\"" },
	{ "a sequence cut short", "\xe2\x82", 2, "\"\xef\xbf\xbd\xef\xbf\xbd\"" },
	{ "an overlong one", "\xc0\xaf", 2, "\"\xef\xbf\xbd\xef\xbf\xbd\"" },
	{ "a surrogate", "\xed\xa0\x80", 3, "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"" },
	{ "beyond Unicode", "\xf4\x90\x80\x80", 4,
		"\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"" },
};

static void
strings_are_escaped(void **state)
{
	struct json json = { 0 };
	char expected[200];

	(void)state;
	for (size_t i = 0; i < sizeof strings / sizeof *strings; i++) {
		json_begin(&json);
		json_strn(&json, "k", strings[i].value, strings[i].length);
		snprintf(expected, sizeof expected, "{\"k\":%s}", strings[i].written);
		if (strcmp(json_end(&json), expected) != 0)
			fail_msg("%s: %s", strings[i].name, json.text);
	}
	json_free(&json);
}

/* A terminal shows what is written, and a reader gets what it was. */
static void
hidden_controls_are_escaped(void **state)
{
	static const struct {
		const char *text, *written;
	} rows[] = {
		{ "\xc2\x9b[2J", "\\u009b[2J" },
		{ "\xd8\x9c", "\\u061c" },
		{ "\xe2\x80\x8f", "\\u200f" },
		{ "a\xe2\x80\xaemoc", "a\\u202emoc" },
		{ "\xe2\x81\xa6\xe2\x81\xa9", "\\u2066\\u2069" },
		{ "\xc3\xa9\xe2\x82\xac", "\xc3\xa9\xe2\x82\xac" },
	};
	struct json json = { 0 };
	json_t *value;
	char expected[64], *shown;

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		json_begin(&json);
		json_str(&json, "k", rows[i].text);
		snprintf(expected, sizeof expected, "{\"k\":\"%s\"}", rows[i].written);
		assert_string_equal(json_end(&json), expected);
		value = json_pack("{s:s}", "k", rows[i].text);
		shown = json_shown(json_dumps(value, JSON_COMPACT));
		assert_string_equal(shown, expected);
		json_decref(value);
		value = json_loads(shown, 0, NULL);
		assert_string_equal(json_string_value(json_object_get(value, "k")), rows[i].text);
		json_decref(value);
		free(shown);
	}
	json_free(&json);
}

static void
objects_and_arrays_nest(void **state)
{
	struct json json = { 0 };

	(void)state;
	for (int again = 0; again < 2; again++) {
		json_begin(&json);
		json_str(&json, "none", NULL);
		json_int(&json, "n", INT64_MIN);
		json_bool(&json, "b", true);
		json_open(&json, "a", '[');
		json_str(&json, NULL, "x");
		json_open(&json, NULL, '{');
		json_close(&json, '}');
		json_int(&json, NULL, 2);
		json_close(&json, ']');
		json_time(&json, "t", 1795492608123456);
		assert_string_equal(json_end(&json),
			"{\"n\":-9223372036854775808,\"b\":true,\"a\":[\"x\",{},2],"
			"\"t\":\"2026-11-24T03:56:48.123Z\"}");
	}
	json_free(&json);
	json_begin(&json);
	assert_string_equal(json_end(&json), "{}");
	json_free(&json);
}

static void
any_bytes_are_read_back_by_a_json_library(void **state)
{
	struct json json = { 0 };
	unsigned seed = 1;
	char bytes[64];

	(void)state;
	for (int i = 0; i < 2000; i++) {
		json_t *parsed;

		for (size_t j = 0; j < sizeof bytes; j++) {
			seed = seed * 1103515245u + 12345u;
			bytes[j] = (char)(seed >> 16);
		}
		json_begin(&json);
		json_strn(&json, "k", bytes, (size_t)i % sizeof bytes);
		parsed = json_loads(json_end(&json), JSON_ALLOW_NUL, NULL);
		assert_non_null(parsed);
		json_decref(parsed);
	}
	json_free(&json);
}

/* What `write` puts on standard error. */
static size_t
captured(void (*write_lines)(void), char *out, size_t room)
{
	int ends[2], before = dup(STDERR_FILENO);
	ssize_t n;

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	dup2(ends[1], STDERR_FILENO);
	close(ends[1]);
	write_lines();
	dup2(before, STDERR_FILENO);
	close(before);
	n = read(ends[0], out, room - 1);
	close(ends[0]);
	out[n > 0 ? n : 0] = '\0';
	return n > 0 ? (size_t)n : 0;
}

static void
write_hostile_line(void)
{
	LOG_WARN("refused", "reply", "550 a\r\n{\"level\":\"error\"}\x1b[2J", "n", log_int(-5));
}

static void
a_remote_cannot_write_a_line_of_its_own(void **state)
{
	char out[2048];
	size_t n = captured(write_hostile_line, out, sizeof out);
	json_t *line;

	(void)state;
	assert_true(n > 0);
	assert_ptr_equal(strchr(out, '\n'), out + n - 1);
	line = json_loads(out, 0, NULL);
	assert_non_null(line);
	assert_string_equal(json_string_value(json_object_get(line, "level")), "warn");
	assert_string_equal(json_string_value(json_object_get(line, "n")), "-5");
	assert_string_equal(json_string_value(json_object_get(line, "reply")),
		"550 a\r\n{\"level\":\"error\"}\x1b[2J");
	json_decref(line);
}

static char long_value[5000];

static void
write_long_line(void)
{
	memset(long_value, 'x', sizeof long_value - 1);
	LOG_ERROR("long", "value", long_value, "null ends", (char *)NULL, "after", "x");
	LOG_DEBUG("not shown");
}

static void
long_values_are_cut_and_lower_levels_left_out(void **state)
{
	char out[8192];
	size_t n = captured(write_long_line, out, sizeof out);
	json_t *line = json_loads(out, 0, NULL);

	(void)state;
	assert_non_null(line);
	assert_ptr_equal(strchr(out, '\n'), out + n - 1);
	assert_int_equal(json_string_length(json_object_get(line, "value")), 2000);
	assert_null(json_object_get(line, "after"));
	json_decref(line);
}

static void
numbers_as_text_live_for_eight_calls(void **state)
{
	const char *first = log_int(1), *last = NULL;

	(void)state;
	for (int i = 2; i <= 8; i++)
		last = log_int(i);
	assert_string_equal(first, "1");
	assert_string_equal(last, "8");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(strings_are_escaped),
		cmocka_unit_test(hidden_controls_are_escaped),
		cmocka_unit_test(objects_and_arrays_nest),
		cmocka_unit_test(any_bytes_are_read_back_by_a_json_library),
		cmocka_unit_test(a_remote_cannot_write_a_line_of_its_own),
		cmocka_unit_test(long_values_are_cut_and_lower_levels_left_out),
		cmocka_unit_test(numbers_as_text_live_for_eight_calls),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
