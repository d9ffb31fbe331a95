/*
 * test_limits_use.c - what people are told of limits is what the limits do.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "shared/account/limits.h"
#include "shared/account/limits_use.h"
#include "tests/unit/redis_rig.h"

#define HOUR_US (UINT64_C(3600) * 1000000)

static struct limits *limits;
static struct account account = { .id = (char *)"acme", .active = true };

static void
what_is_used_and_when_the_next_one_frees(void **state)
{
	static const struct {
		uint64_t ahead_us, limit, used, frees_in_us;
	} rows[] = {
		{ 0, 10, 0, 0 },
		{ HOUR_US / 10, 10, 1, 0 },
		{ HOUR_US / 10 - 1, 10, 1, 0 }, /* it frees bit by bit */
		{ HOUR_US / 10 * 9, 10, 9, 0 },
		{ HOUR_US, 10, 10, HOUR_US / 10 },
		{ HOUR_US / 10 * 12, 10, 12, HOUR_US / 10 * 3 }, /* many recipients at once */
		{ HOUR_US, 1, 1, HOUR_US },
		{ 5, 0, 0, 0 },
	};
	const uint64_t now = 7 * HOUR_US;
	uint64_t frees_us;

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		assert_int_equal(
			limits_used(now + rows[i].ahead_us, now, HOUR_US, rows[i].limit, &frees_us),
			rows[i].used);
		assert_int_equal(frees_us, rows[i].frees_in_us ? now + rows[i].frees_in_us : 0);
	}
	assert_int_equal(limits_used(now - 1, now, HOUR_US, 3, &frees_us), 0);
}

static void
on_verdict(void *arg, unsigned wait_s, const char *which)
{
	unsigned *count = arg;

	(void)which;
	assert_int_equal(wait_s, 0);
	(*count)++;
}

static void
on_use(void *arg, int err, const struct limits_use *use)
{
	struct limits_use *out = arg;

	assert_int_equal(err, 0);
	*out = *use;
}

static void
what_was_taken_is_shown_of_the_account_and_its_user(void **state)
{
	static const char *const users[] = { "printer" };
	const struct limits_options options = { .in_flight_max = 1000, .waiting_max = 1000 };
	struct limits_user by = { .name = "Printer", .messages_hour = 5 };
	struct limits_use use = { 0 };
	uint64_t frees_us;
	unsigned count = 0;

	(void)state;
	loop = loop_new("test");
	assert_int_equal(redis_server_start(&server), 0);
	open_at(server.unix_address, REDIS_SERVER_PASSWORD);
	WAIT_FOR(redis_up(redis));
	account.limits = (struct account_limits){ .messages_hour = 10, .recipients_day = 100 };
	limits = limits_new(loop, redis, &options);
	for (unsigned i = 1; i <= 3; i++) {
		limits_take(limits, &account, &by, 2, on_verdict, &count);
		WAIT_FOR(count == i);
	}
	limits_free(&limits); /* what it was granted and did not spend goes back */
	limits_use_read(redis, "acme", users, 1, on_use, &use);
	WAIT_FOR(use.now_us > 0);
	assert_int_equal(limits_used(use.full_us[0][0], use.now_us, HOUR_US, 10, &frees_us), 3);
	assert_int_equal(
		limits_used(use.full_us[0][3], use.now_us, 24 * HOUR_US, 100, &frees_us), 6);
	assert_int_equal(limits_used(use.full_us[1][0], use.now_us, HOUR_US, 5, &frees_us), 3);
	assert_int_equal(use.in_flight, 3);
	assert_int_equal(use.waiting, 0);
	redis_free(&redis);
	loop_free(&loop);
	redis_server_remove(&server);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_used_and_when_the_next_one_frees),
		cmocka_unit_test(what_was_taken_is_shown_of_the_account_and_its_user),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
