/*
 * test_trust.c - whether our clock may be believed, by a real Redis and by a queue that says what
 * time it is.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "sender/waiting/trust.h"
#include "tests/unit/queue_fake.h"
#include "tests/unit/redis_rig.h"

#define SECOND_US 1000000

/* How far the brokers' clock is from ours; unknown when `silent`. */
static int64_t apart_us;
static bool silent;

static uint64_t
brokers_clock(struct queue *base)
{
	(void)base;
	return silent ? 0 : clock_us() + (uint64_t)apart_us;
}

static struct trust *
trust_at(const char *address)
{
	loop = loop_new("test");
	open_at(address, REDIS_SERVER_PASSWORD);
	return trust_new(loop, redis, &fake.queue);
}

static void
done(struct trust **trust)
{
	trust_free(trust);
	redis_free(&redis);
	loop_free(&loop);
}

static void
nobody_else_is_no_reason_to_believe_it(void **state)
{
	struct trust *trust = trust_at("127.0.0.1:1");

	(void)state;
	silent = true;
	for (int i = 0; i < 5; i++)
		turn();
	assert_false(trust_clock(trust));
	done(&trust);
}

static void
redis_is_believed(void **state)
{
	struct trust *trust = trust_at(server.unix_address);

	(void)state;
	silent = true;
	assert_false(trust_clock(trust));
	WAIT_FOR(trust_clock(trust));
	/* one that agrees is enough */
	silent = false;
	apart_us = -86400ll * SECOND_US;
	assert_true(trust_clock(trust));
	done(&trust);
}

static void
the_brokers_are_believed_up_to_a_minute(void **state)
{
	static const struct {
		int64_t seconds;
		bool trusted;
	} rows[] = {
		{ 0, true },
		{ 55, true },
		{ -55, true },
		{ 65, false },
		{ -65, false },
		{ -86400, false },
	};
	struct trust *trust = trust_at("127.0.0.1:1");

	(void)state;
	silent = false;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		apart_us = rows[i].seconds * SECOND_US;
		assert_int_equal(trust_clock(trust), rows[i].trusted);
	}
	done(&trust);
}

static int
start_server(void **state)
{
	(void)state;
	queue_fake_reset();
	fake.ops.clock_us = brokers_clock;
	return redis_server_start(&server);
}

static int
stop_server(void **state)
{
	(void)state;
	redis_server_remove(&server);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nobody_else_is_no_reason_to_believe_it),
		cmocka_unit_test(redis_is_believed),
		cmocka_unit_test(the_brokers_are_believed_up_to_a_minute),
	};

	return cmocka_run_group_tests(tests, start_server, stop_server);
}
