/*
 * test_tls_memory.c - which hosts had TLS: alone, for two senders on one Redis, and without it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sender/smtp/host_memory.h"
#include "sender/smtp/tls_memory.h"
#include "tests/unit/redis_rig.h"

#define HOST "mx.example"
#define MINUTE UINT64_C(60000)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)
#define START (30 * DAY)

/* A sender. */
struct side {
	struct host_memory *hosts;
	struct tls_memory *memory;
};

static struct side one, two;

struct verdict {
	bool came;
	enum tls_lack lack;
	uint64_t since_ms;
};

static void
on_lack(void *arg, const char *host, enum tls_lack lack, uint64_t since_ms)
{
	struct verdict *verdict = arg;

	assert_string_equal(host, HOST);
	assert_false(verdict->came);
	*verdict = (struct verdict){ true, lack, since_ms };
}

static enum tls_lack
lacks(struct side *side, uint64_t now_ms)
{
	struct verdict verdict = { 0 };

	tls_memory_lacks(side->memory, HOST, now_ms, on_lack, &verdict);
	WAIT_FOR(verdict.came);
	return verdict.lack;
}

static void
side_open(struct side *side, struct redis *with)
{
	side->hosts = host_memory_new();
	side->memory = tls_memory_new(with, side->hosts);
}

static void
side_close(struct side *side)
{
	tls_memory_free(&side->memory);
	host_memory_free(&side->hosts);
}

static int
setup(void **state)
{
	struct answer answer;

	(void)state;
	loop = loop_new("test");
	open_at(server.unix_address, REDIS_SERVER_PASSWORD);
	ASK(&answer, "FLUSHALL");
	side_open(&one, redis);
	side_open(&two, redis);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	side_close(&one);
	side_close(&two);
	redis_free(&redis);
	loop_free(&loop);
	return 0;
}

/* Writes how long ago, in seconds, somebody had TLS with the host. */
static void
had_tls(unsigned ago_s)
{
	struct answer answer;
	char then[24];

	snprintf(then, sizeof then, "%llu", (unsigned long long)(clock_us() / 1000000 - ago_s));
	ASK(&answer, "SET", "tls:{" HOST "}", then);
}

static void
a_host_without_tls_is_nothing_new(void **state)
{
	(void)state;
	for (uint64_t t = START; t < START + 3 * HOUR; t += 20 * MINUTE)
		assert_int_equal(lacks(&one, t), TLS_LACK_USUAL);
}

static void
one_that_had_it_is_waited_for_an_hour(void **state)
{
	(void)state;
	had_tls(2 * 3600);
	for (uint64_t t = START; t < START + HOUR; t += 5 * MINUTE)
		assert_int_equal(lacks(&one, t), TLS_LACK_NEW);
	assert_int_equal(lacks(&one, START + HOUR), TLS_LACK_LASTS);
	assert_int_equal(lacks(&one, START + 5 * HOUR), TLS_LACK_LASTS);
	/* one failure a day is no failure for an hour */
	assert_int_equal(lacks(&one, START + DAY), TLS_LACK_NEW);
	assert_int_equal(lacks(&one, START + 2 * DAY), TLS_LACK_NEW);
}

static void
a_success_ends_the_hour(void **state)
{
	(void)state;
	had_tls(2 * 3600);
	assert_int_equal(lacks(&one, START), TLS_LACK_NEW);
	tls_memory_done(one.memory, HOST, START + 30 * MINUTE);
	assert_int_equal(lacks(&one, START + 70 * MINUTE), TLS_LACK_NEW);
}

static void
also_that_of_another_sender(void **state)
{
	struct answer answer;

	(void)state;
	had_tls(2 * 3600);
	assert_int_equal(lacks(&one, START), TLS_LACK_NEW);
	tls_memory_done(two.memory, HOST, START + 59 * MINUTE);
	ASK(&answer, "GET", "tls:{" HOST "}");
	assert_true(strtoull(answer.text, NULL, 10) + 60 > clock_us() / 1000000);
	assert_int_equal(lacks(&one, START + HOUR), TLS_LACK_NEW);
}

static void
what_one_sender_saw_another_knows_also_after_a_restart(void **state)
{
	struct answer answer;

	(void)state;
	tls_memory_done(one.memory, HOST, START);
	assert_int_equal(lacks(&two, START), TLS_LACK_NEW);
	side_close(&one);
	side_open(&one, redis);
	assert_int_equal(lacks(&one, START), TLS_LACK_NEW);
	ASK(&answer, "TTL", "tls:{" HOST "}");
	assert_in_range(answer.number, 7 * 86400 - 60, 7 * 86400);
}

static void
redis_is_told_every_ten_minutes_at_most(void **state)
{
	struct answer answer;

	(void)state;
	tls_memory_done(one.memory, HOST, START);
	ASK(&answer, "SET", "tls:{" HOST "}", "17");
	tls_memory_done(one.memory, HOST, START + 9 * MINUTE);
	ASK(&answer, "GET", "tls:{" HOST "}");
	assert_string_equal(answer.text, "17");
	tls_memory_done(one.memory, HOST, START + 10 * MINUTE);
	ASK(&answer, "GET", "tls:{" HOST "}");
	assert_string_not_equal(answer.text, "17");
}

static void
without_redis_each_knows_what_it_saw(void **state)
{
	struct side alone;

	(void)state;
	side_open(&alone, NULL);
	assert_int_equal(lacks(&alone, START), TLS_LACK_USUAL);
	tls_memory_done(alone.memory, HOST, START);
	assert_int_equal(lacks(&alone, START), TLS_LACK_NEW);
	assert_int_equal(lacks(&alone, START + HOUR), TLS_LACK_LASTS);
	tls_memory_done(alone.memory, HOST, START + 2 * HOUR);
	assert_int_equal(lacks(&alone, START + 7 * DAY), TLS_LACK_NEW);
	assert_int_equal(lacks(&alone, START + 8 * DAY), TLS_LACK_USUAL);
	side_close(&alone);
}

static void
a_flood_of_other_hosts_does_not_begin_the_hour_anew(void **state)
{
	struct side alone;

	(void)state;
	side_open(&alone, NULL);
	tls_memory_done(alone.memory, HOST, START);
	assert_int_equal(lacks(&alone, START), TLS_LACK_NEW);
	for (unsigned i = 0; i < 20000; i++) {
		char name[32];

		snprintf(name, sizeof name, "mx%u.example", i);
		tls_memory_done(alone.memory, name, START);
	}
	host_memory_add(alone.hosts, HOST, HOST_HAD_TLS, START); /* as Redis would say */
	assert_int_equal(lacks(&alone, START + HOUR), TLS_LACK_LASTS);
	side_close(&alone);
}

static void
a_question_may_outlive_its_memory(void **state)
{
	struct verdict verdict = { 0 };
	struct answer answer;

	(void)state;
	tls_memory_lacks(one.memory, HOST, START, on_lack, &verdict);
	side_close(&one);
	ASK(&answer, "PING");
	assert_false(verdict.came);
	side_open(&one, redis);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_host_without_tls_is_nothing_new, setup, teardown),
		cmocka_unit_test_setup_teardown(
			one_that_had_it_is_waited_for_an_hour, setup, teardown),
		cmocka_unit_test_setup_teardown(a_success_ends_the_hour, setup, teardown),
		cmocka_unit_test_setup_teardown(also_that_of_another_sender, setup, teardown),
		cmocka_unit_test_setup_teardown(
			what_one_sender_saw_another_knows_also_after_a_restart, setup, teardown),
		cmocka_unit_test_setup_teardown(
			redis_is_told_every_ten_minutes_at_most, setup, teardown),
		cmocka_unit_test_setup_teardown(
			without_redis_each_knows_what_it_saw, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_flood_of_other_hosts_does_not_begin_the_hour_anew, setup, teardown),
		cmocka_unit_test_setup_teardown(a_question_may_outlive_its_memory, setup, teardown),
	};
	int failed;

	log_set_level(LOG_LEVEL_ERROR);
	if (redis_server_start(&server))
		return 1;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	redis_server_remove(&server);
	return failed;
}
