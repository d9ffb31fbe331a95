/*
 * test_tally.c - a minute's events are few, whatever comes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ingress/door/tally.h"
#include "tests/unit/queue_fake.h"

static struct {
	unsigned floods, mail, of_customers, others, merged, count;
} seen;

static void
on_call(enum op kind)
{
	const char *json = fake.last[kind];

	*(fake.class == EVENT_FLOOD ? &seen.floods : &seen.mail) += 1;
	seen.of_customers += strstr(json, "\"account\":\"acme\"") != NULL;
	seen.others += strstr(json, "\"client\"") == NULL;
	seen.merged += strstr(json, "\"merged\":true") != NULL;
	seen.count += (unsigned)strtoul(strstr(json, "\"count\":") + 8, NULL, 10);
}

static int
setup(void **state)
{
	memset(&seen, 0, sizeof seen);
	queue_fake_reset();
	fake.on_call = on_call;
	*state = tally_new(&fake.queue);
	return 0;
}

static int
teardown(void **state)
{
	struct tally *tally = *state;

	tally_free(&tally);
	return 0;
}

static void
failed_login(struct tally *tally, const char *client, const char *name)
{
	tally_add(tally,
		&(struct tally_case){ .kind = TALLY_AUTH_FAILED,
			.client = client,
			.username = name,
			.command = "AUTH",
			.reason = "wrong password",
			.reply = "535 5.7.8 No" });
}

static struct tally_case
refused(const char *reply)
{
	return (struct tally_case){ .kind = TALLY_REJECTED,
		.client = "192.0.2.1",
		.account = "acme",
		.username = "joe@acme.example",
		.helo = "mail.acme.example",
		.command = "RCPT",
		.from = "a@acme.example",
		.to = "x@dest.example\0y@dest.example\0",
		.recipients = 2,
		.reason = "quota",
		.reply = reply };
}

static void
one_event_a_minute_for_each_client_and_name(void **state)
{
	for (int i = 0; i < 1000; i++)
		failed_login(*state, "192.0.2.1", "joe");
	failed_login(*state, "192.0.2.1", "ann");
	assert_int_equal(seen.floods, 0);
	tally_flush(*state);
	assert_int_equal(seen.floods, 2);
	tally_flush(*state);
	assert_int_equal(seen.floods, 2);
}

static void
an_event_says_who_wanted_what_and_what_was_said_last(void **state)
{
	struct tally_case given = refused("451 4.7.1 Your limit is reached, try again in 37 s");

	tally_add(*state, &given);
	given.reply = "451 4.7.1 Your limit is reached, try again in 6 s";
	given.helo = "other.acme.example";
	tally_add(*state, &given);
	tally_flush(*state);
	assert_int_equal(seen.floods, 1);
	assert_non_null(strstr(fake.last[OP_EVENT],
		"\"client\":\"192.0.2.1\",\"account\":\"acme\",\"username\":\"joe@acme.example\","
		"\"helo\":\"other.acme.example\",\"from\":\"a@acme.example\","
		"\"to\":[\"x@dest.example\",\"y@dest.example\"],\"recipients\":2,"
		"\"command\":\"RCPT\",\"reason\":\"quota\","
		"\"reply\":\"451 4.7.1 Your limit is reached, try again in 6 s\",\"count\":2,"));
}

static void
what_differs_for_an_operator_is_an_event_of_its_own(void **state)
{
	struct tally_case given = refused("550 5.7.1 No"), other;
	unsigned events = 1;

	tally_add(*state, &given);
#define DIFFERS(field, value)                                                                      \
	do {                                                                                       \
		other = given;                                                                     \
		other.field = value;                                                               \
		tally_add(*state, &other);                                                         \
		events++;                                                                          \
	} while (0)
	DIFFERS(reply, "451 5.7.1 No");
	DIFFERS(reply, "550 5.7.2 No");
	DIFFERS(reply, "550 5.7.1 Never");
	DIFFERS(reason, "originator");
	DIFFERS(command, "MAIL");
	DIFFERS(username, "ann@acme.example");
	DIFFERS(from, "b@acme.example");
	DIFFERS(from, "");
	DIFFERS(from, NULL);
	DIFFERS(to, "x@dest.example\0z@dest.example\0");
	DIFFERS(account, "other");
	DIFFERS(client, "192.0.2.2");
	tally_flush(*state);
	assert_int_equal(seen.floods, events);
}

static void
who_looks_at_once_sees_the_first_and_all_in_the_end(void **state)
{
	assert_true(tally_add(*state, &(struct tally_case){ .client = "192.0.2.1" }));
	tally_news(*state);
	assert_int_equal(seen.floods, 1);
	assert_false(tally_add(*state, &(struct tally_case){ .client = "192.0.2.1" }));
	assert_false(tally_add(*state, &(struct tally_case){ .client = "192.0.2.1" }));
	tally_news(*state);
	assert_int_equal(seen.floods, 1);
	tally_flush(*state);
	assert_int_equal(seen.floods, 2);
	assert_non_null(strstr(fake.last[OP_EVENT], "\"count\":2,"));
	tally_flush(*state);
	assert_int_equal(seen.floods, 2);
}

/* A newsletter to thousands, refused for each: found by some of them, and by all that is the same.
 */
static void
a_client_with_many_different_ones_has_its_share(void **state)
{
	struct tally_case given = refused("550 5.7.1 <x> is not yours"), quota = given;
	char to[64] = "";

	quota.reply = "451 4.7.1 Wait 9 s";
	for (int i = 0; i < 5000; i++) {
		snprintf(to, sizeof to - 1, "user%d@dest.example", i);
		to[strlen(to) + 1] = '\0';
		given.to = quota.to = to;
		tally_add(*state, i % 2 ? &quota : &given);
	}
	failed_login(*state, "192.0.2.7", "joe");
	tally_flush(*state);
	assert_in_range(seen.floods, 3, 16 + 2 + 1);
	assert_int_equal(seen.merged, 2);
	assert_int_equal(seen.count, 5001);
	assert_non_null(strstr(fake.last[OP_EVENT], "192.0.2.7"));
}

static void
long_lists_of_recipients_are_cut_between_them(void **state)
{
	struct tally_case given = refused("550 5.7.1 No");
	char to[4000];
	size_t at = 0;

	for (int i = 0; i < 100; i++)
		at += (size_t)snprintf(to + at, 40, "user-with-a-name%03d@dest.example", i) + 1;
	to[at] = '\0';
	given.to = to;
	given.recipients = 100;
	tally_add(*state, &given);
	tally_flush(*state);
	assert_non_null(strstr(fake.last[OP_EVENT], "@dest.example\"],\"recipients\":100,"));
}

/* Nor do they take a customer's place. */
static void
strangers_by_the_thousand_cause_few_events(void **state)
{
	const struct tally_case customer = refused("550 5.7.1 No");
	char client[32], name[32];

	for (unsigned i = 0; i < 84700; i++) {
		snprintf(client, sizeof client, "198.51.%u.%u", i / 256 % 256, i % 256);
		snprintf(name, sizeof name, "name%u", i);
		tally_add(*state,
			&(struct tally_case){ .kind = i % 3,
				.client = client,
				.username = i % 3 == TALLY_AUTH_FAILED ? name : NULL,
				.reply = "no" });
	}
	tally_add(*state, &customer);
	assert_int_equal(seen.floods, 0);
	tally_flush(*state);
	assert_in_range(seen.floods, 4, 256 + 48);
	assert_int_equal(seen.mail, 0);
	assert_int_equal(seen.of_customers, 1);
	assert_int_equal(seen.others, 3);
	assert_int_equal(seen.count, 84701);
	assert_null(strstr(fake.last[OP_EVENT], "\"client\""));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		TEST(one_event_a_minute_for_each_client_and_name),
		TEST(an_event_says_who_wanted_what_and_what_was_said_last),
		TEST(what_differs_for_an_operator_is_an_event_of_its_own),
		TEST(who_looks_at_once_sees_the_first_and_all_in_the_end),
		TEST(a_client_with_many_different_ones_has_its_share),
		TEST(long_lists_of_recipients_are_cut_between_them),
		TEST(strangers_by_the_thousand_cause_few_events),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
