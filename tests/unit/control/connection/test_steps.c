/*
 * test_steps.c - how far a server came, from the records of its sessions.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "control/connection/sessions.h"
#include "control/connection/steps.h"

#define S "\"at\":1000,\"seen\":1500,\"address\":\"192.0.2.1\""
#define REFUSED(command, result)                                                                   \
	"\"refused\":1,\"accepted\":0,\"command\":\"" command "\",\"result\":\"" result "\""

static json_t *records, *sorted, *steps;
static const char *message;

static void
look_at(const char *text, uint64_t now_us)
{
	struct steps_asked asked = {
		.since_us = 900, .until_us = 2000, .now_us = now_us, .host = "h", .ports = "25"
	};

	json_decref(records);
	json_decref(sorted);
	json_decref(steps);
	records = json_loads(text, 0, NULL);
	assert_non_null(records);
	asked.sessions = sorted = sessions_sort(records);
	steps = steps_see(&asked, &message);
	assert_int_equal(json_array_size(steps), STEPS);
}

static const char *
of(const char *key, const char *field)
{
	json_t *step;
	size_t i;

	json_array_foreach(steps, i, step)
	{
		if (strcmp(json_string_value(json_object_get(step, "key")), key) == 0)
			return json_string_value(json_object_get(step, field));
	}
	fail();
	return NULL;
}

static void
nothing_yet_is_waited_for_and_at_the_end_is_a_firewall(void **state)
{
	(void)state;
	look_at("[]", 1999);
	assert_string_equal(of("connection", "state"), "waiting");
	assert_string_equal(of("name", "state"), "unknown");
	look_at("[]", 2000);
	assert_string_equal(of("connection", "state"), "failed");
	assert_string_equal(of("connection", "cause"), "no-connection");
	assert_string_equal(of("tls", "state"), "waiting");
}

static void
sessions_of_another_time_are_not_seen(void **state)
{
	(void)state;
	look_at("[{\"at\":100,\"seen\":800,\"address\":\"a\"},{\"at\":2000,\"seen\":2001,"
		"\"address\":\"a\"}]",
		1000);
	assert_string_equal(of("connection", "state"), "waiting");
	/* One that was open before the test, and goes on. */
	look_at("[{\"at\":100,\"seen\":950,\"address\":\"a\"}]", 1000);
	assert_string_equal(of("connection", "state"), "seen");
}

static void
each_refusal_fails_its_step_and_has_its_cause(void **state)
{
	static const struct {
		const char *record, *step, *cause;
	} rows[] = {
		{ "[{" S "," REFUSED("TLS", "unsupported protocol") "}]", "tls", "tls" },
		{ "[{" S "," REFUSED("MAIL", "530 5.7.0 Must issue a STARTTLS command first") "}]",
			"tls", "starttls-needed" },
		{ "[{" S "," REFUSED("AUTH", "538 5.7.11 Encryption is required") "}]", "tls",
			"starttls-needed" },
		{ "[{" S
		  ",\"tls\":\"TLSv1.3\"," REFUSED("MAIL", "530 5.7.0 Authentication required") "}]",
			"auth", "unknown-address" },
		{ "[{" S ",\"tls\":\"TLSv1.3\"," REFUSED("AUTH", "535 5.7.8 Wrong") "}]", "auth",
			"wrong-password" },
		{ "[{" S "," REFUSED("AUTH", "454 4.7.0 Too many failures") "}]", "auth", "later" },
		{ "[{" S ",\"login\":true," REFUSED("MAIL", "550 5.7.1 <x> is not yours") "}]",
			"domain", "not-yours" },
		{ "[{" S ",\"login\":true,\"mail\":true," REFUSED(
			  "end of data", "550 5.7.1 From <x> is not yours") "}]",
			NULL, NULL },
		{ "[{" S
		  ",\"login\":true,\"mail\":true," REFUSED("DATA", "451 4.7.1 Your limit") "}]",
			"delivered", "limit" },
		{ "[{" S
		  ",\"login\":true,\"mail\":true," REFUSED("end of data", "552 5.3.4 Larger") "}]",
			"delivered", "size" },
		{ "[{" S ",\"login\":true,\"mail\":true," REFUSED("RCPT", "501 5.1.3 odd") "}]",
			"delivered", "refused" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		look_at(rows[i].record, 1600);
		assert_string_equal(of("connection", "state"), "seen");
		if (!rows[i].step)
			continue;
		assert_string_equal(of(rows[i].step, "state"), "failed");
		assert_string_equal(of(rows[i].step, "cause"), rows[i].cause);
		assert_null(message);
	}
}

static void
a_header_that_is_not_ours_fails_at_the_last_step(void **state)
{
	(void)state;
	look_at("[{" S ",\"login\":true,\"mail\":true," REFUSED(
			"end of data", "550 5.7.1 From <x> is not yours") "}]",
		1600);
	assert_string_equal(of("domain", "state"), "seen");
	assert_string_equal(of("delivered", "state"), "failed");
	assert_string_equal(of("delivered", "cause"), "not-yours");
}

static void
a_later_session_makes_a_failure_good(void **state)
{
	(void)state;
	look_at("[{" S "," REFUSED("AUTH",
			"535 5.7.8 Wrong") "},"
					   "{\"at\":1200,\"seen\":1300,\"address\":\"192.0.2.1\",\"tls\":\"TLSv1.3\","
					   "\"login\":true,\"username\":\"joe\",\"mail\":true,\"accepted\":1,\"refused\":0,"
					   "\"id\":\"01m8r6jhk6bgvzrf9v0wdd0280\"}]",
		1600);
	assert_string_equal(of("tls", "state"), "seen");
	assert_string_equal(of("auth", "detail"), "joe");
	assert_string_equal(of("delivered", "state"), "waiting");
	assert_string_equal(message, "01m8r6jhk6bgvzrf9v0wdd0280");
}

static void
the_trace_tells_the_end(void **state)
{
	static const struct {
		const char *state, *shown, *cause;
	} rows[] = {
		{ "delivered", "seen", NULL },
		{ "sandboxed", "seen", NULL },
		{ "bounced", "failed", "bounced" },
		{ "expired", "failed", "bounced" },
		{ "deferred", "waiting", NULL },
		{ "accepted", "waiting", NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		json_t *trace = json_pack("{s:[{s:s, s:s}]}", "to", "state", rows[i].state, "since",
			"2026-12-01T00:00:00.000Z");

		look_at("[{" S ",\"login\":true,\"mail\":true,\"accepted\":1,\"id\":\"x\"}]", 1600);
		steps_deliver(steps, trace);
		assert_string_equal(of("delivered", "state"), rows[i].shown);
		if (rows[i].cause)
			assert_string_equal(of("delivered", "cause"), rows[i].cause);
		json_decref(trace);
	}
	steps_deliver(steps, NULL);
}

static void
a_session_is_listed_once_with_its_dialogue(void **state)
{
	json_t *shown;

	(void)state;
	look_at("[{\"at\":5,\"seen\":6,\"address\":\"a\",\"dialogue\":\"C: x\\n\"},"
		"{\"at\":5,\"seen\":9,\"address\":\"a\"},{\"at\":7,\"seen\":8,\"address\":\"a\"},"
		"{\"at\":5,\"seen\":6,\"address\":\"b\"}]",
		1600);
	shown = sessions_shown(sorted);
	assert_int_equal(json_array_size(shown), 3);
	assert_true(json_is_null(json_object_get(json_array_get(shown, 0), "dialogue")));
	assert_string_equal(
		json_string_value(json_object_get(json_array_get(shown, 1), "dialogue")), "C: x\n");
	json_decref(shown);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_yet_is_waited_for_and_at_the_end_is_a_firewall),
		cmocka_unit_test(sessions_of_another_time_are_not_seen),
		cmocka_unit_test(each_refusal_fails_its_step_and_has_its_cause),
		cmocka_unit_test(a_header_that_is_not_ours_fails_at_the_last_step),
		cmocka_unit_test(a_later_session_makes_a_failure_good),
		cmocka_unit_test(the_trace_tells_the_end),
		cmocka_unit_test(a_session_is_listed_once_with_its_dialogue),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
