/*
 * test_event_pick.c - which events somebody asks for.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <cmocka.h>

#include "control/look/event_pick.h"

#define ID "01jdq4v0m3e8k5r2t7w9y1b6c0"
#define TIME "\"time\":\"2026-11-24T03:56:48.123Z\""
#define TIME_US UINT64_C(1795492608123000)

static const char accepted[] =
	"{" TIME ",\"event\":\"accepted\",\"id\":\"" ID "\",\"account\":\"acme\","
	"\"credential\":\"Joe@acme.example\",\"client\":\"192.0.2.7\",\"from\":\"Ann@ACME.example\","
	"\"to\":[\"x@dest.example\",\"\\\"y z\\\"@b\u00fccher.example\"],\"header_from\":\"boss@head.example\"}";
static const char rejected[] =
	"{" TIME ",\"event\":\"rejected\",\"client\":\"2001:db8::7\",\"username\":\"s\","
	"\"from\":\"\",\"to\":[\"two words@dest.example\"]}";
static const char held[] =
	"{" TIME
	",\"event\":\"held\",\"to\":[{\"address\":\"x@dest.example\"},\"w@\uff57ide.example\"]}";

/* What a field's text finds: letters of a(ccepted), r(ejected), h(eld); NULL: it is refused. */
static const struct {
	enum pick_field field;
	const char *text, *finds;
} rows[] = {
	{ PICK_ID, ID, "a" },
	{ PICK_ID, "01jdq4v0m3e8k5r2t7w9y1b6c1", "" },
	{ PICK_ID, "x", NULL },
	{ PICK_EVENT, "accepted", "a" },
	{ PICK_EVENT, "rejected,held", "rh" },
	{ PICK_EVENT, "accepte", NULL },
	{ PICK_EVENT, "rejected,", NULL },
	{ PICK_EVENT, ",rejected", NULL },
	{ PICK_EVENT, "", NULL },
	{ PICK_ACCOUNT, "acme", "a" },
	{ PICK_ACCOUNT, "acm", "" },
	{ PICK_USERNAME, "joe@ACME.example", "a" },
	{ PICK_USERNAME, "S", "r" },
	{ PICK_CLIENT, "192.0.2.7", "a" },
	{ PICK_CLIENT, "192.0.2.0/29", "a" },
	{ PICK_CLIENT, "192.0.2.8/29", "" },
	{ PICK_CLIENT, "2001:DB8:0::7", "r" },
	{ PICK_CLIENT, "2001:db8::/64", "r" },
	{ PICK_CLIENT, "192.0.2", NULL },
	{ PICK_FROM, "ann@acme.example", "a" },
	{ PICK_FROM, "<ann@acme.example>", "a" },
	{ PICK_FROM, "boss@head.example", "a" },
	{ PICK_FROM, "acme.example", "" },
	{ PICK_FROM, "<>", "r" },
	{ PICK_FROM, "", NULL },
	{ PICK_TO, "x@dest.example", "ah" },
	{ PICK_TO, "\"x\"@DEST.example", "ah" },
	{ PICK_TO, "\"y z\"@b\u00fccher.example", "a" },
	{ PICK_TO, "\"y z\"@xn--bcher-kva.example", "a" },
	{ PICK_TO, "two words@dest.example", "r" },
	{ PICK_TO, "<>", NULL },
	{ PICK_DOMAIN, "dest.example", "arh" },
	{ PICK_DOMAIN, "@Acme.example", "a" },
	{ PICK_DOMAIN, "head.example.", "a" },
	{ PICK_DOMAIN, "xn--bcher-kva.example", "a" },
	{ PICK_DOMAIN, "B\u00dcCHER.example", "a" },
	{ PICK_DOMAIN, "example", "" },
	{ PICK_DOMAIN, "wide.example", "h" },
	{ PICK_TO, "w@wide.example", "h" },
	{ PICK_DOMAIN, "a..b", NULL },
};

static bool
finds(const struct event_pick *pick, const char *line)
{
	json_t *event = json_loads(line, 0, NULL);
	const bool matches = pick_matches(pick, event);

	assert_non_null(event);
	if (matches) /* the quick look passes nothing over */
		assert_true(pick_may(pick, line, strlen(line)));
	json_decref(event);
	return matches;
}

static void
each_key_finds_what_it_means(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct event_pick pick;
		char found[4] = { 0 }, *at = found;

		pick_init(&pick);
		assert_int_equal(
			pick_set(&pick, rows[i].field, rows[i].text), rows[i].finds ? 0 : -EINVAL);
		if (rows[i].finds) {
			if (finds(&pick, accepted))
				*at++ = 'a';
			if (finds(&pick, rejected))
				*at++ = 'r';
			if (finds(&pick, held))
				*at++ = 'h';
			assert_string_equal(found, rows[i].finds);
		}
		pick_wipe(&pick);
	}
}

static void
all_that_is_given_must_match(void **state)
{
	struct event_pick pick;

	(void)state;
	pick_init(&pick);
	assert_true(finds(&pick, accepted));
	assert_int_equal(pick_set(&pick, PICK_DOMAIN, "dest.example"), 0);
	assert_int_equal(pick_set(&pick, PICK_ACCOUNT, "acme"), 0);
	assert_true(finds(&pick, accepted));
	assert_false(finds(&pick, rejected));
	pick.since_us = TIME_US;
	assert_true(finds(&pick, accepted));
	pick.since_us = TIME_US + 1;
	assert_false(finds(&pick, accepted));
	pick.since_us = 0;
	pick.until_us = TIME_US;
	assert_false(finds(&pick, accepted));
	pick.until_us = TIME_US + 1;
	assert_true(finds(&pick, accepted));
	pick_wipe(&pick);
}

/* Files hold what a crash or a stranger left there. */
static void
odd_events_match_nothing_and_break_nothing(void **state)
{
	static const char *const odd[] = { "{}", "[]", "5", "\"x\"", "null",
		"{\"time\":5,\"event\":5,\"id\":{},\"to\":\"x\",\"client\":[],\"from\":{}}",
		"{" TIME ",\"to\":[5,null,{},{\"address\":5},[]],\"from\":null,\"client\":\"\"}",
		"{" TIME ",\"from\":\"@\",\"to\":[\"@\",\"\",\">\"],\"client\":\"x\"}" };
	struct event_pick pick;

	(void)state;
	for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
		pick_init(&pick);
		if (pick_set(&pick, rows[r].field, rows[r].text) == 0)
			for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
				json_t *event = json_loads(odd[i], JSON_DECODE_ANY, NULL);

				assert_false(pick_matches(&pick, event));
				json_decref(event);
			}
		pick_wipe(&pick);
	}
}

static bool
holds(const char *text, size_t length, const char *needle)
{
	const size_t size = strlen(needle);

	for (size_t at = 0; at + size <= length; at++)
		if (strncasecmp(text + at, needle, size) == 0)
			return true;
	return false;
}

static void
text_is_found_as_by_looking_everywhere(void **state)
{
	char text[40], needle[6];
	unsigned seed = 1;

	(void)state;
	for (int round = 0; round < 200000; round++) {
		const size_t length = (size_t)rand_r(&seed) % sizeof text;
		const size_t size = (size_t)rand_r(&seed) % sizeof needle;

		for (size_t i = 0; i < length; i++)
			text[i] = "aAbB@\xc3"[rand_r(&seed) % 6];
		for (size_t i = 0; i < size; i++)
			needle[i] = "ab@"[rand_r(&seed) % 3];
		needle[size] = '\0';
		assert_int_equal(text_holds(text, length, needle), holds(text, length, needle));
	}
}

static void
times_are_ago_or_as_they_are(void **state)
{
	uint64_t us;

	(void)state;
	assert_int_equal(pick_time("10m", TIME_US, &us), 0);
	assert_int_equal(us, TIME_US - 600000000);
	assert_int_equal(pick_time("9999d", 5, &us), 0);
	assert_int_equal(us, 0);
	assert_int_equal(pick_time("2026-11-24T03:56:48.123Z", 0, &us), 0);
	assert_int_equal(us, TIME_US);
	assert_int_equal(pick_time("10", TIME_US, &us), -EINVAL);
	assert_int_equal(pick_time("10 m", TIME_US, &us), -EINVAL);
	assert_int_equal(pick_time("", TIME_US, &us), -EINVAL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_key_finds_what_it_means),
		cmocka_unit_test(all_that_is_given_must_match),
		cmocka_unit_test(odd_events_match_nothing_and_break_nothing),
		cmocka_unit_test(text_is_found_as_by_looking_everywhere),
		cmocka_unit_test(times_are_ago_or_as_they_are),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
