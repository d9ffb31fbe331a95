/*
 * test_limits.c - limits against a real Redis, several loops' worth of them, and without it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "shared/account/limits.h"
#include "tests/unit/redis_rig.h"

static struct limits *limits, *other;
static struct limits_user by; /* none */
static struct account account = { .id = (char *)"acme", .active = true };

struct verdict {
	unsigned count, passed, refused;
	unsigned wait_s;
	const char *which;
};

static void
on_verdict(void *arg, unsigned wait_s, const char *which)
{
	struct verdict *v = arg;

	v->count++;
	*(wait_s ? &v->refused : &v->passed) += 1;
	v->wait_s = wait_s;
	v->which = which;
}

static struct verdict
take(struct limits *from, unsigned n, unsigned recipients)
{
	struct verdict v = { 0 };

	for (unsigned i = 1; i <= n; i++) {
		limits_take(from, &account, &by, recipients, on_verdict, &v);
		WAIT_FOR(v.count == i);
	}
	return v;
}

static void
open_limits(unsigned in_flight_max, unsigned waiting_max)
{
	const struct limits_options options = { .in_flight_max = in_flight_max,
		.waiting_max = waiting_max };

	limits_free(&limits);
	limits_free(&other);
	limits = limits_new(loop, redis, &options);
	other = limits_new(loop, redis, &options);
}

static int
setup(void **state)
{
	struct answer a;

	(void)state;
	loop = loop_new("test");
	if (!server.pid && redis_server_start(&server) < 0)
		return -1;
	open_at(server.unix_address, REDIS_SERVER_PASSWORD);
	ASK(&a, "FLUSHALL");
	memset(&account.limits, 0, sizeof account.limits);
	by = (struct limits_user){ 0 };
	open_limits(10000, 200000);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	limits_free(&limits);
	limits_free(&other);
	redis_free(&redis);
	loop_free(&loop);
	return 0;
}

static void
each_limit_holds_across_instances_and_says_which_it_is(void **state)
{
	static const struct row {
		struct account_limits limits;
		unsigned recipients, passes, longest_wait_s;
		const char *which;
	} rows[] = {
		{ { .messages_hour = 10 }, 1, 10, 360, "messages per hour" },
		{ { .messages_day = 10 }, 3, 10, 8640, "messages per day" },
		{ { .recipients_hour = 20 }, 2, 10, 360, "recipients per hour" },
		{ { .recipients_day = 20 }, 2, 10, 8640, "recipients per day" },
		{ { .messages_hour = 100, .recipients_day = 7 }, 1, 7, 12343,
			"recipients per day" },
		{ { .messages_hour = 3, .messages_day = 100 }, 1, 3, 1200, "messages per hour" },
	};
	struct answer a;

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		const unsigned half = rows[i].passes / 2;
		struct verdict v;

		ASK(&a, "FLUSHALL");
		open_limits(10000, 200000);
		account.limits = rows[i].limits;
		assert_int_equal(take(limits, half, rows[i].recipients).passed, half);
		assert_int_equal(take(other, rows[i].passes - half, rows[i].recipients).passed,
			rows[i].passes - half);
		v = take(other, 1, rows[i].recipients);
		assert_int_equal(v.refused, 1);
		assert_string_equal(v.which, rows[i].which);
		assert_in_range(v.wait_s, 1, rows[i].longest_wait_s);
		v = take(other, 1, rows[i].recipients); /* remembered */
		assert_string_equal(v.which, rows[i].which);
		assert_int_equal(take(limits, 1, rows[i].recipients).refused, 1);
	}
}

/* In whatever case the name is said, and on whichever loop. */
static void
a_user_has_limits_of_its_own_beside_the_accounts(void **state)
{
	struct verdict v;

	(void)state;
	account.limits.messages_hour = 10;
	by = (struct limits_user){ .name = "printer", .messages_hour = 3 };
	assert_int_equal(take(limits, 2, 1).passed, 2);
	by.name = "Printer";
	v = take(other, 2, 1);
	assert_int_equal(v.passed, 1);
	assert_string_equal(v.which, "messages per hour for this username");
	assert_in_range(v.wait_s, 1, 1200);
	by = (struct limits_user){ .name = "scanner", .messages_day = 2 };
	assert_string_equal(take(limits, 3, 1).which, "messages per day for this username");
	by = (struct limits_user){ 0 }; /* 5 of the account's 10 were used by the two */
	assert_int_equal(take(limits, 10, 1).passed, 5);
	by = (struct limits_user){ .name = "third", .messages_hour = 100 };
	v = take(other, 1, 1);
	assert_int_equal(v.refused, 1);
	assert_string_equal(v.which, "messages per hour");
}

static void
what_a_user_gave_back_is_its_own_again(void **state)
{
	(void)state;
	by = (struct limits_user){ .name = "printer", .messages_hour = 1 };
	assert_int_equal(take(limits, 1, 1).passed, 1);
	assert_int_equal(take(limits, 1, 1).refused, 1);
	limits_give_back(limits, &account, &by, 1);
	assert_int_equal(take(limits, 1, 1).passed, 1);
}

/* The account's share counts once, however many of its users have limits of their own. */
static void
without_redis_a_users_limit_and_the_accounts_hold(void **state)
{
	static const char *const names[] = { "a", "b", "c" };
	unsigned passed = 0;

	(void)state;
	account.limits.messages_hour = 5;
	WAIT_FOR(redis_up(redis));
	redis_server_kill(&server);
	WAIT_FOR(!redis_up(redis));
	for (size_t i = 0; i < 3; i++) {
		by = (struct limits_user){ .name = names[i], .messages_hour = 2 };
		passed += take(limits, 5, 1).passed;
	}
	assert_int_equal(passed, 5); /* 2, 2, and 1 */
	assert_int_equal(redis_server_start(&server), 0);
}

/* Each limit that the account says nothing about is that of the configuration. */
static void
accounts_without_limits_of_their_own_have_the_default_ones(void **state)
{
	const struct limits_options options = {
		.defaults = { .messages_hour = 5, .recipients_day = 30 },
		.in_flight_max = 10000,
		.waiting_max = 200000,
	};
	const struct row {
		uint64_t messages_hour, recipients_day;
		unsigned passes;
	} rows[] = {
		{ LIMIT_DEFAULT, LIMIT_DEFAULT, 5 },
		{ 8, LIMIT_DEFAULT, 8 },
		{ 2, LIMIT_DEFAULT, 2 },
		{ 0, LIMIT_DEFAULT, 10 }, /* as many messages as it likes */
		{ 0, 0, 20 },
		{ LIMIT_DEFAULT, 6, 2 },
	};
	struct answer a;

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		ASK(&a, "FLUSHALL");
		limits_free(&limits);
		limits = limits_new(loop, redis, &options);
		account.limits = (struct account_limits){ .messages_hour = rows[i].messages_hour,
			.messages_day = LIMIT_DEFAULT,
			.recipients_hour = LIMIT_DEFAULT,
			.recipients_day = rows[i].recipients_day };
		assert_int_equal(take(limits, 20, 3).passed, rows[i].passes);
	}
}

static void
a_message_to_more_recipients_than_the_limit_goes_when_all_of_it_is_free(void **state)
{
	(void)state;
	account.limits.recipients_hour = 10;
	assert_int_equal(take(limits, 1, 50).passed, 1);
	assert_int_equal(take(limits, 1, 1).refused, 1);
}

static void
a_refusal_of_many_recipients_does_not_refuse_few(void **state)
{
	(void)state;
	account.limits.recipients_hour = 100;
	assert_int_equal(take(limits, 1, 40).passed, 1);
	assert_int_equal(take(limits, 1, 90).refused, 1);
	assert_int_equal(take(limits, 1, 10).passed, 1);
}

/* Since the statistics were reset. */
static int64_t
calls(void)
{
	struct answer a;

	ASK(&a, "EVAL",
		"return tonumber(string.match(redis.call('INFO', 'commandstats'), "
		"'cmdstat_evalsha:calls=(%d+)') or 0)",
		"0");
	return a.number;
}

static void
a_thousand_messages_under_load_cost_few_calls(void **state)
{
	struct verdict v = { 0 };
	struct answer a;

	(void)state;
	account.limits.messages_hour = 1000000;
	ASK(&a, "CONFIG", "RESETSTAT");
	for (int burst = 0; burst < 100; burst++) {
		for (int i = 0; i < 10; i++)
			limits_take(limits, &account, &by, 2, on_verdict, &v);
		event_base_loop(loop_base(loop), EVLOOP_NONBLOCK);
	}
	WAIT_FOR(v.count == 1000);
	assert_int_equal(v.passed, 1000);
	assert_in_range(calls(), 1, 50);
}

static void
what_lies_idle_goes_back(void **state)
{
	struct answer a;

	(void)state;
	account.limits.messages_hour = 10000;
	assert_int_equal(take(limits, 30, 1).passed, 30);
	do
		ASK(&a, "HGET", "rate:{acme}:flight", "n");
	while (strcmp(a.text, "30") != 0);
}

static void
giving_back_frees_an_allowance(void **state)
{
	(void)state;
	account.limits.messages_hour = 2;
	assert_int_equal(take(limits, 2, 1).passed, 2);
	limits_give_back(limits, &account, &by, 1);
	assert_int_equal(take(limits, 1, 1).passed, 1);
	assert_int_equal(take(limits, 1, 1).refused, 1);
}

static void
messages_in_flight_are_capped_until_they_are_attempted(void **state)
{
	struct verdict v;

	(void)state;
	open_limits(5, 200000);
	assert_int_equal(take(limits, 5, 1).passed, 5);
	v = take(limits, 1, 1);
	assert_int_equal(v.refused, 1);
	assert_string_equal(v.which, "messages in flight");
	limits_attempted(other, "acme", 3);
	for (int i = 0; i < 3; i++)
		WAIT_FOR(take(limits, 1, 1).passed);
	assert_int_equal(take(limits, 1, 1).refused, 1);
}

static unsigned
flight_count(const char *generation)
{
	struct answer a;

	ASK(&a, "HGET", "rate:{acme}:flight", generation);
	return (unsigned)strtoul(a.text, NULL, 10);
}

/* 1000 recipients weigh as much as 21 messages, whoever counts them. */
static void
recipients_in_flight_are_capped_as_well(void **state)
{
	struct verdict v;

	(void)state;
	open_limits(100, 200000);
	v = take(limits, 50, 1000);
	assert_in_range(v.passed, 5, 10); /* some are granted ahead */
	WAIT_FOR(flight_count("n") == 21 * v.passed);
	limits_attempted(other, "acme", 21 * v.passed);
	WAIT_FOR(flight_count("n") == 0);
	v = take(limits, 1, 1000);
	assert_int_equal(v.passed, 1);
	limits_give_back(limits, &account, &by, 1000);
	WAIT_FOR(flight_count("n") == 0);
}

/* As if the count had begun so many seconds ago. */
static void
flight_age(unsigned seconds)
{
	struct answer a;
	char since[24];

	ASK(&a, "HGET", "rate:{acme}:flight", "since");
	snprintf(since, sizeof since, "%lld", strtoll(a.text, NULL, 10) - seconds);
	ASK(&a, "HSET", "rate:{acme}:flight", "since", since);
}

#define DAY 86400

static void
what_nobody_takes_off_the_count_is_forgotten_after_two_days(void **state)
{
	(void)state;
	open_limits(5, 200000);
	assert_int_equal(take(limits, 5, 1).passed, 5);
	flight_age(DAY);
	assert_int_equal(take(other, 1, 1).refused, 1);
	assert_int_equal(flight_count("old"), 5);
	flight_age(DAY);
	open_limits(5, 200000);
	assert_int_equal(take(limits, 5, 1).passed, 5);
	assert_int_equal(take(limits, 1, 1).refused, 1);
	assert_int_equal(flight_count("old"), 0);
}

/* Else what was lost would be handed on from day to day, as long as the account is busy. */
static void
an_attempt_is_taken_off_the_newer_count(void **state)
{
	struct answer a;

	(void)state;
	open_limits(0, 200000);
	assert_int_equal(take(limits, 1, 1).passed, 1);
	ASK(&a, "HSET", "rate:{acme}:flight", "old", "7");
	assert_int_equal(take(limits, 20, 1).passed, 20);
	limits_attempted(other, "acme", 21);
	WAIT_FOR(flight_count("n") == 0); /* what lay idle went back, too */
	assert_int_equal(flight_count("old"), 7);
}

static uint64_t
two_are_queued(void *arg)
{
	(void)arg;
	return 2;
}

/* A process that was killed told nobody what it had attempted. */
static void
messages_in_flight_are_no_more_than_the_queue_holds(void **state)
{
	const struct limits_options options = {
		.in_flight_max = 100, .waiting_max = 200000, .queued = two_are_queued
	};

	(void)state;
	limits_free(&limits);
	limits = limits_new(loop, redis, &options);
	assert_int_equal(take(other, 150, 1).passed, 150);
	assert_int_equal(take(limits, 5, 1).passed, 5);
	assert_true(take(limits, 100, 1).refused > 0);
}

static void
waiting_messages_are_capped(void **state)
{
	struct verdict v;

	(void)state;
	open_limits(0, 10);
	limits_waiting(other, "acme", 10);
	WAIT_FOR(take(limits, 1, 1).refused);
	v = take(limits, 1, 1);
	assert_string_equal(v.which, "messages waiting");
	limits_waiting(other, "acme", 9);
	WAIT_FOR(take(limits, 1, 1).passed);
}

static void
more_attempts_than_messages_make_no_debt(void **state)
{
	struct answer a;

	(void)state;
	limits_attempted(limits, "acme", 60);
	ASK(&a, "HGET", "rate:{acme}:flight", "n");
	assert_string_equal(a.text, "0");
}

static void
without_redis_a_share_is_applied_and_told_later(void **state)
{
	struct answer a;

	(void)state;
	account.limits.messages_hour = 10;
	WAIT_FOR(redis_up(redis));
	redis_server_kill(&server);
	WAIT_FOR(!redis_up(redis));
	assert_int_equal(take(limits, 10, 1).passed, 10);
	assert_string_equal(take(limits, 1, 1).which, "messages per hour");
	assert_int_equal(redis_server_start(&server), 0);
	WAIT_FOR(redis_up(redis));
	do
		ASK(&a, "HGET", "rate:{acme}:flight", "n");
	while (strcmp(a.text, "10") != 0);
	assert_int_equal(take(other, 1, 1).refused, 1);
}

/* AUTH */

#define FAILURES 20 /* of an address at once */
#define WIDE 16     /* an IPv6 /48: so many addresses' */

static const struct net_address *
client(const char *ip)
{
	static struct net_address address;

	assert_int_equal(net_parse_ip(ip, 25, &address), 0);
	return &address;
}

static struct verdict
allowed(struct limits *from, const char *ip, const char *user)
{
	struct verdict v = { 0 };

	limits_auth_allowed(from, client(ip), user, on_verdict, &v);
	WAIT_FOR(v.count == 1);
	return v;
}

static void
guess(const char *ip, unsigned times)
{
	for (unsigned i = 0; i < times; i++)
		limits_auth_failed(limits, client(ip));
}

/* A number that Redis has of a key. */
static int64_t
count(const char *command, const char *key)
{
	struct answer a;

	ASK(&a, command, key);
	return a.number;
}

static int64_t
keys(void)
{
	struct answer a;

	ASK(&a, "DBSIZE");
	return a.number;
}

static void
failures_count_by_address_whatever_name_they_try(void **state)
{
	char user[16];

	(void)state;
	for (int i = 0; i < FAILURES; i++) {
		snprintf(user, sizeof user, "user%d", i);
		assert_int_equal(allowed(limits, "192.0.2.1", user).passed, 1);
		guess("192.0.2.1", 1);
	}
	assert_in_range(allowed(limits, "192.0.2.1", "new").wait_s, 1, 6);
	assert_in_range(allowed(other, "192.0.2.1", "new").wait_s, 1, 6); /* from Redis */
	assert_int_equal(allowed(limits, "::ffff:192.0.2.1", "new").refused, 1);
	assert_int_equal(allowed(limits, "192.0.2.2", "new").passed, 1);
	assert_int_equal(allowed(other, "192.0.2.2", "user1").passed, 1);
}

static void
an_ipv6_network_is_one_address(void **state)
{
	char ip[64];

	(void)state;
	for (int i = 0; i < FAILURES; i++) {
		snprintf(ip, sizeof ip, "2001:db8:0:1::%x", i);
		assert_int_equal(allowed(limits, ip, "user").passed, 1);
		guess(ip, 1);
	}
	assert_int_equal(allowed(limits, "2001:db8:0:1:ffff::1", "user").refused, 1);
	assert_int_equal(allowed(limits, "2001:db8:0:2::1", "user").passed, 1);
}

/* What has a /48 has 65,536 addresses: memory, keys and checks are bounded by the network. */
static void
a_whole_ipv6_site_is_limited_too(void **state)
{
	unsigned passed = 0;
	char ip[64];

	(void)state;
	for (unsigned i = 0; i < 3 * FAILURES * WIDE; i++) {
		snprintf(ip, sizeof ip, "2001:db8:0:%x::1", i);
		if (allowed(limits, ip, "user").passed) {
			passed++;
			guess(ip, 1);
		}
	}
	assert_in_range(passed, FAILURES * WIDE, FAILURES * WIDE + WIDE);
	assert_in_range(keys(), 1, FAILURES * WIDE + WIDE + 2);
	assert_int_equal(allowed(limits, "2001:db8:1:1::1", "user").passed, 1);
}

static void
who_logged_in_from_an_address_is_always_heard_there(void **state)
{
	(void)state;
	limits_auth_succeeded(other, client("192.0.2.1"), "Server");
	guess("192.0.2.1", 10 * FAILURES);
	assert_int_equal(allowed(limits, "192.0.2.1", "SERVER").passed, 1);
	assert_int_equal(allowed(limits, "192.0.2.1", "printer").refused, 1);
	/* Not even its own failures keep it out: they are answered late. */
	assert_in_range(limits_auth_failed(limits, client("192.0.2.1")), 1000, 10000);
	assert_int_equal(allowed(limits, "192.0.2.1", "server").passed, 1);
	/* IPv6: known in all of its /64. */
	limits_auth_succeeded(other, client("2001:db8:0:1::1"), "server");
	guess("2001:db8:0:1::5", 2 * FAILURES);
	assert_int_equal(allowed(limits, "2001:db8:0:1::9", "server").passed, 1);
}

static void
whoever_guesses_at_a_user_keeps_it_out_nowhere_else(void **state)
{
	char ip[32];

	(void)state;
	for (int i = 1; i < 50; i++) {
		snprintf(ip, sizeof ip, "198.51.100.%d", i);
		guess(ip, 2 * FAILURES);
	}
	assert_int_equal(allowed(limits, "198.51.100.1", "user").refused, 1);
	assert_int_equal(allowed(limits, "203.0.113.1", "user").passed, 1);
}

static void
failures_leave_one_key_an_address_for_minutes(void **state)
{
	(void)state;
	guess("192.0.2.1", 1000);
	assert_int_equal(keys(), 1);
	assert_in_range(
		count("PTTL", "auth:{192.0.2.1}:failed:192.0.2.1"), 100000, 2 * FAILURES * 6000);
	limits_auth_succeeded(limits, client("192.0.2.2"), "user");
	limits_auth_succeeded(limits, client("192.0.2.2"), "USER");
	assert_int_equal(count("ZCARD", "auth:{192.0.2.2}:known:192.0.2.2"), 1);
}

static void
users_known_at_an_address_are_the_latest_hundred(void **state)
{
	char user[16];

	(void)state;
	for (int i = 0; i < 150; i++) {
		snprintf(user, sizeof user, "user%d", i);
		limits_auth_succeeded(limits, client("192.0.2.1"), user);
	}
	assert_int_equal(count("ZCARD", "auth:{192.0.2.1}:known:192.0.2.1"), 100);
	guess("192.0.2.1", 2 * FAILURES);
	assert_int_equal(allowed(other, "192.0.2.1", "user149").passed, 1);
	assert_int_equal(allowed(other, "192.0.2.1", "user0").refused, 1);
	assert_int_equal(allowed(limits, "192.0.2.1", "user149").passed, 1);
}

static void
an_address_in_use_costs_few_questions(void **state)
{
	struct answer a;

	(void)state;
	ASK(&a, "CONFIG", "RESETSTAT");
	for (int i = 0; i < 200; i++) {
		assert_int_equal(allowed(limits, "192.0.2.1", "user").passed, 1);
		limits_auth_succeeded(limits, client("192.0.2.1"), "user");
	}
	assert_in_range(calls(), 1, 10);
}

static void
without_redis_each_loop_counts_alone(void **state)
{
	struct answer a;

	(void)state;
	limits_auth_succeeded(limits, client("192.0.2.1"), "server");
	ASK(&a, "PING");
	redis_server_kill(&server);
	WAIT_FOR(!redis_up(redis));
	guess("192.0.2.1", FAILURES);
	assert_int_equal(allowed(limits, "192.0.2.1", "user").refused, 1);
	assert_int_equal(allowed(limits, "192.0.2.1", "server").passed, 1);
	assert_int_equal(allowed(limits, "192.0.2.2", "user").passed, 1);
	assert_int_equal(redis_server_start(&server), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		TEST(each_limit_holds_across_instances_and_says_which_it_is),
		TEST(accounts_without_limits_of_their_own_have_the_default_ones),
		TEST(a_user_has_limits_of_its_own_beside_the_accounts),
		TEST(what_a_user_gave_back_is_its_own_again),
		TEST(without_redis_a_users_limit_and_the_accounts_hold),
		TEST(a_message_to_more_recipients_than_the_limit_goes_when_all_of_it_is_free),
		TEST(a_refusal_of_many_recipients_does_not_refuse_few),
		TEST(a_thousand_messages_under_load_cost_few_calls),
		TEST(what_lies_idle_goes_back),
		TEST(giving_back_frees_an_allowance),
		TEST(messages_in_flight_are_capped_until_they_are_attempted),
		TEST(recipients_in_flight_are_capped_as_well),
		TEST(messages_in_flight_are_no_more_than_the_queue_holds),
		TEST(what_nobody_takes_off_the_count_is_forgotten_after_two_days),
		TEST(an_attempt_is_taken_off_the_newer_count),
		TEST(waiting_messages_are_capped),
		TEST(more_attempts_than_messages_make_no_debt),
		TEST(without_redis_a_share_is_applied_and_told_later),
		TEST(failures_count_by_address_whatever_name_they_try),
		TEST(an_ipv6_network_is_one_address),
		TEST(a_whole_ipv6_site_is_limited_too),
		TEST(who_logged_in_from_an_address_is_always_heard_there),
		TEST(whoever_guesses_at_a_user_keeps_it_out_nowhere_else),
		TEST(failures_leave_one_key_an_address_for_minutes),
		TEST(users_known_at_an_address_are_the_latest_hundred),
		TEST(an_address_in_use_costs_few_questions),
		TEST(without_redis_each_loop_counts_alone),
	};
	int failed;

	log_set_level(LOG_LEVEL_WARN);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	redis_server_remove(&server);
	return failed;
}
