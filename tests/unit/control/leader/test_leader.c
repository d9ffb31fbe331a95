/*
 * test_leader.c - who leads, against a real Redis. Each process has a loop of its own, which turns
 * only when the test turns it: one that does not turn stands still.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "control/config/directory.h"
#include "control/leader/leader.h"
#include "shared/metrics/metrics.h"
#include "tests/unit/redis_rig.h"

#define OWNER "0123456789abcdef0123456789abcdef"
#define KEY "leader:{control}:" OWNER
#define LEASE_MS 1200

struct process {
	struct loop *loop;
	struct redis *redis;
	struct leader *leader;
};

static struct directory *directory;
static struct process one, two;

static void
process_start(struct process *process, const char *name, bool alone)
{
	const struct redis_options options = { .address = server.unix_address,
		.password = REDIS_SERVER_PASSWORD };

	process->loop = loop_new(name);
	process->redis = redis_new(process->loop, &options);
	process->leader = leader_new(process->loop, process->redis, directory,
		&(struct leader_options){ name, alone, LEASE_MS });
	assert_false(leader_leads(process->leader));
	leader_start(process->leader);
}

static void
process_turn(const struct process *process)
{
	const struct timeval soon = { .tv_usec = 10000 };

	if (!process->loop)
		return;
	event_base_loopexit(loop_base(process->loop), &soon);
	event_base_loop(loop_base(process->loop), EVLOOP_ONCE | EVLOOP_NO_EXIT_ON_EMPTY);
}

/* As kill -9 does. */
static void
process_end(struct process *process)
{
	redis_free(&process->redis);
	leader_free(&process->leader);
	loop_free(&process->loop);
}

#define TURN_UNTIL(condition)                                                                      \
	do {                                                                                       \
		const uint64_t end_ = clock_mono_ms() + PATIENCE_MS;                               \
		while (!(condition)) {                                                             \
			if (clock_mono_ms() > end_)                                                \
				fail_msg("waited in vain for: %s", #condition);                    \
			process_turn(&one);                                                        \
			process_turn(&two);                                                        \
		}                                                                                  \
	} while (0)

static bool
leads(const struct process *process)
{
	return process->leader && leader_leads(process->leader);
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
	directory = directory_new();
	return directory_set(directory, "owner", json_pack("{s:s}", "id", OWNER));
}

static int
teardown(void **state)
{
	(void)state;
	process_end(&one);
	process_end(&two);
	redis_free(&redis);
	directory_free(&directory);
	loop_free(&loop);
	return 0;
}

static void
one_of_two_leads(void **state)
{
	struct answer a;

	(void)state;
	process_start(&one, "one.example", false);
	process_start(&two, "two.example", false);
	TURN_UNTIL(leads(&one) || leads(&two));
	for (int i = 0; i < 50; i++) {
		process_turn(&one);
		process_turn(&two);
		assert_true(leads(&one) != leads(&two));
	}
	ASK(&a, "GET", KEY);
	assert_non_null(strstr(a.text, leads(&one) ? "one.example " : "two.example "));
	assert_int_equal(metric_value(metric_find("shout_control_leader", NULL)) > 1, 0);
}

static void
who_is_killed_is_followed_within_ten_seconds(void **state)
{
	uint64_t killed_ms;

	(void)state;
	process_start(&one, "one.example", false);
	TURN_UNTIL(leads(&one));
	process_start(&two, "two.example", false);
	process_end(&one);
	killed_ms = clock_mono_ms();
	assert_true(LEADER_LEASE_MS + LEADER_LEASE_MS / 3 < 10000);
	TURN_UNTIL(leads(&two));
	assert_true(clock_mono_ms() - killed_ms < PATIENCE_MS);
}

static void
who_stops_in_order_is_followed_at_its_successors_next_question(void **state)
{
	struct answer a;

	(void)state;
	process_start(&one, "one.example", false);
	TURN_UNTIL(leads(&one));
	leader_close(one.leader);
	assert_false(leads(&one));
	do {
		process_turn(&one);
		ASK(&a, "EXISTS", KEY);
	} while (a.number != 0);
	process_start(&two, "two.example", false);
	TURN_UNTIL(leads(&two));
	leader_close(one.leader); /* a lease that is another's stays */
	for (int i = 0; i < 20; i++)
		process_turn(&one);
	ASK(&a, "GET", KEY);
	assert_non_null(strstr(a.text, "two.example "));
}

static void
who_stood_still_leads_no_longer(void **state)
{
	(void)state;
	process_start(&one, "one.example", false);
	TURN_UNTIL(leads(&one));
	process_start(&two, "two.example", false);
	while (!leads(&two)) {
		process_turn(&two);
		assert_false(leads(&one) && leads(&two));
	}
	assert_false(leads(&one)); /* before it has turned even once */
	for (int i = 0; i < 100; i++) {
		process_turn(&one);
		process_turn(&two);
		assert_false(leads(&one));
	}
}

static void
a_redis_that_forgot_has_one_leader_soon(void **state)
{
	struct answer a;

	(void)state;
	process_start(&one, "one.example", false);
	TURN_UNTIL(leads(&one));
	process_start(&two, "two.example", false);
	ASK(&a, "FLUSHALL");
	for (int i = 0; i < 100; i++) { /* longer than a third of the lease */
		process_turn(&one);
		process_turn(&two);
	}
	assert_true(leads(&one) != leads(&two));
}

static void
who_is_alone_leads_without_redis(void **state)
{
	(void)state;
	redis_free(&redis);
	redis_server_kill(&server);
	process_start(&one, "one.example", true);
	assert_true(leads(&one));
	process_start(&two, "two.example", false);
	for (int i = 0; i < 20; i++)
		process_turn(&two);
	assert_true(leads(&one) && !leads(&two));
	leader_close(one.leader);
	assert_false(leads(&one));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(one_of_two_leads, setup, teardown),
		cmocka_unit_test_setup_teardown(
			who_is_killed_is_followed_within_ten_seconds, setup, teardown),
		cmocka_unit_test_setup_teardown(
			who_stops_in_order_is_followed_at_its_successors_next_question, setup,
			teardown),
		cmocka_unit_test_setup_teardown(who_stood_still_leads_no_longer, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_redis_that_forgot_has_one_leader_soon, setup, teardown),
		cmocka_unit_test_setup_teardown(who_is_alone_leads_without_redis, setup, teardown),
	};
	const int failed = cmocka_run_group_tests(tests, NULL, NULL);

	redis_server_remove(&server);
	return failed;
}
