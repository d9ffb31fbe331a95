/*
 * test_gather.c - whose notices come together, and how many, against a real Redis.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "shared/work/gather.h"
#include "tests/unit/redis_rig.h"

#define LIST "notices:{held}:list:"
#define DUE "notices:{held}:due"
#define MANY 500

static struct {
	struct gather *gather;
	char order[16]; /* the first letter of each mailbox that was told */
	size_t mails, most;
	unsigned told[2][2000]; /* how often, by entry */
} t;

static void
on_due(void *arg, struct gathered *gathered)
{
	(void)arg;
	assert_true(t.mails < sizeof t.order - 1);
	t.order[t.mails++] = *gathered->to;
	if (gathered->count > t.most)
		t.most = gathered->count;
	for (size_t i = 0; i < gathered->count; i++)
		t.told[*gathered->to - 'a'][strtoul(gathered->entries[i].key, NULL, 10)]++;
	gather_done(t.gather, gathered, 0);
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
	memset(&t, 0, sizeof t);
	t.gather = gather_new(loop, redis, on_due, NULL);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	gather_free(&t.gather);
	redis_free(&redis);
	loop_free(&loop);
	return 0;
}

/* As gather_add() leaves it, all at one moment: a's are due first. */
static void
gather_many(void)
{
	static const char script[] =
		"for i = 0, 1699 do redis.call('HSET', KEYS[1], string.format('%026d', i), ARGV[1]) "
		"end\n"
		"for i = 0, 2 do redis.call('HSET', KEYS[2], string.format('%026d', i), ARGV[1]) end\n"
		"redis.call('ZADD', KEYS[3], 1, 'a@customer.example', 2, 'b@customer.example')\n"
		"return 1";
	struct answer a;

	ASK(&a, "EVAL", script, "3", LIST "a@customer.example", LIST "b@customer.example", DUE,
		"A virus from somebody@customer.example, and more than Redis packs tightly");
	assert_int_equal(a.number, 1);
}

static bool
all_told(size_t mailbox, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		assert_in_range(t.told[mailbox][i], 0, 1);
		if (!t.told[mailbox][i])
			return false;
	}
	return true;
}

static void
mailboxes_take_turns_and_a_mail_has_a_bound(void **state)
{
	struct answer a;

	(void)state;
	gather_many();
	WAIT_FOR(all_told(1, 3));
	assert_memory_equal(t.order, "ab", 2);
	WAIT_FOR(t.mails >= 3);
	while (!all_told(0, 1700)) { /* a few wait for an hour */
		const size_t before = t.mails;

		ASK(&a, "ZADD", DUE, "1", "a@customer.example");
		WAIT_FOR(t.mails > before || all_told(0, 1700));
	}
	assert_in_range(t.most, MANY, 2 * MANY + 100);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(mailboxes_take_turns_and_a_mail_has_a_bound),
	};

	int failed;

	log_set_level(LOG_LEVEL_ERROR);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	redis_server_remove(&server);
	return failed;
}
