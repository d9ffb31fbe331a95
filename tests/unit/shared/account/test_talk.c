/*
 * test_talk.c - records of sessions in a real Redis: bounded, replaced, and none of a stranger too
 * many.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "shared/account/talk.h"
#include "tests/unit/redis_rig.h"

static struct talks *talks;
static unsigned flushed;

static void
on_flush(void *arg)
{
	(void)arg;
	flushed++;
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
	talks = talks_new(loop, redis, on_flush, NULL);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	talks_free(&talks);
	redis_free(&redis);
	loop_free(&loop);
	return 0;
}

struct read {
	unsigned count;
	int err;
	size_t records;
	json_int_t sum;
};

static void
on_read(void *arg, int err, const json_t *records)
{
	struct read *read = arg;
	json_t *one;
	size_t i;

	read->count++;
	read->err = err;
	read->records = json_array_size(records);
	json_array_foreach(records, i, one)
		read->sum += json_integer_value(json_object_get(one, "n"));
}

static struct read
read_all(const char *account, const char *address)
{
	struct read read = { 0 };

	talks_read(redis, account, &address, address ? 1 : 0, on_read, &read);
	WAIT_FOR(read.count == 1);
	return read;
}

static void
note(enum talk_shelf shelf, const char *whose, unsigned session, unsigned n)
{
	char text[64];

	snprintf(text, sizeof text, "{\"n\":%u}", n);
	talks_note(talks, shelf, whose, session, 1000 + session, text);
}

/* Sends what is gathered, as the end of ingress does. */
static void
send_all(void)
{
	talks_free(&talks);
	talks = talks_new(loop, redis, on_flush, NULL);
}

static void
a_session_has_one_record_the_last(void **state)
{
	(void)state;
	note(TALK_SHELF_SESSIONS, "acme", 1, 5);
	note(TALK_SHELF_SESSIONS, "acme", 1, 7);
	note(TALK_SHELF_SESSIONS, "acme", 2, 100);
	WAIT_FOR(read_all("acme", NULL).records == 2); /* by the timer */
	assert_true(flushed > 0);
	assert_int_equal(read_all("acme", NULL).sum, 107);
	note(TALK_SHELF_SESSIONS, "acme", 1, 9);
	WAIT_FOR(read_all("acme", NULL).sum == 109);
	assert_int_equal(read_all("other", NULL).records, 0);
}

static void
the_last_ones_stay(void **state)
{
	struct answer a;

	(void)state;
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < 40; i++)
			note(TALK_SHELF_FAILED, "acme", round * 100 + i, 1);
		assert_false(talks_wanted(talks, TALK_SHELF_FAILED, "acme", 999));
		assert_true(talks_wanted(talks, TALK_SHELF_FAILED, "acme", round * 100));
		send_all();
	}
	assert_int_equal(read_all("acme", NULL).records, TALK_FAILED);
	ASK(&a, "ZCARD", "talk:{acme}:failed:order");
	assert_int_equal(a.number, TALK_FAILED);
	ASK(&a, "TTL", "talk:{acme}:failed");
	assert_in_range(a.number, 86000, 86400);
	ASK(&a, "TTL", "talk:{acme}:failed:order");
	assert_in_range(a.number, 86000, 86400);
}

static void
strangers_cost_bounded_keys(void **state)
{
	char address[32];
	struct answer a;

	(void)state;
	for (unsigned i = 0; i < 3000; i++) {
		snprintf(address, sizeof address, "10.0.%u.%u", i / 250, i % 250);
		for (unsigned session = 0; session < 7; session++)
			note(TALK_SHELF_STRANGER, address, i * 10 + session, 1);
		if (i % 150 == 149)
			send_all();
	}
	send_all();
	ASK(&a, "ZCARD", "talk:addresses");
	assert_int_equal(a.number, TALK_ADDRESSES);
	ASK(&a, "DBSIZE");
	assert_in_range(a.number, 2 * TALK_ADDRESSES, 2 * TALK_ADDRESSES + 10);
	assert_int_equal(read_all("acme", address).records, TALK_STRANGER);
	assert_int_equal(read_all("acme", "10.0.0.0").records, 0); /* it gave way */
}

static void
too_many_in_one_second_are_dropped(void **state)
{
	char address[32];
	struct answer a;

	(void)state;
	for (unsigned i = 0; i < 1000; i++) {
		snprintf(address, sizeof address, "10.0.%u.%u", i / 250, i % 250);
		note(TALK_SHELF_STRANGER, address, i, 1);
	}
	note(TALK_SHELF_SESSIONS, "acme", 1, 1); /* there is room for customers still */
	send_all();
	ASK(&a, "ZCARD", "talk:addresses");
	assert_int_equal(a.number, 200);
	assert_int_equal(read_all("acme", NULL).records, 1);
}

static void
without_redis_the_gathered_ones_wait(void **state)
{
	(void)state;
	WAIT_FOR(redis_up(redis));
	redis_server_kill(&server);
	WAIT_FOR(!redis_up(redis));
	for (unsigned i = 0; i < 500; i++)
		note(TALK_SHELF_SESSIONS, "acme", i, 1);
	assert_int_not_equal(read_all("acme", NULL).err, 0);
	assert_int_equal(redis_server_start(&server), 0);
	WAIT_FOR(redis_up(redis));
	WAIT_FOR(read_all("acme", NULL).records == TALK_SESSIONS);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		TEST(a_session_has_one_record_the_last),
		TEST(the_last_ones_stay),
		TEST(strangers_cost_bounded_keys),
		TEST(too_many_in_one_second_are_dropped),
		TEST(without_redis_the_gathered_ones_wait),
	};
	const int failed = cmocka_run_group_tests(tests, NULL, NULL);

	redis_server_remove(&server);
	return failed;
}
