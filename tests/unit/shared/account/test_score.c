/*
 * test_score.c - rolling counts in a real Redis.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "shared/account/score.h"
#include "tests/unit/redis_rig.h"

#define WEEK (SCORE_WINDOWS - 1) /* no period of it ends while a test runs */
#define WEEK_S UINT64_C(604800)

static struct scores *scores, *other;

struct seen {
	unsigned answers;
	int err;
	uint64_t counts[SCORE_WINDOWS][SCORES];
};

static void
on_seen(void *arg, int err, const uint64_t counts[SCORE_WINDOWS][SCORES])
{
	struct seen *seen = arg;

	seen->answers++;
	seen->err = err;
	if (counts)
		memcpy(seen->counts, counts, sizeof seen->counts);
}

static struct seen
look(const char *account)
{
	struct seen seen = { 0 };

	scores_read(redis, account, on_seen, &seen);
	WAIT_FOR(seen.answers == 1);
	return seen;
}

static void
several_who_count_are_added_up_in_every_window(void **state)
{
	(void)state;
	for (int i = 0; i < 1000; i++)
		scores_add(i % 2 ? scores : other, "acme", SCORE_RECIPIENTS, 3);
	scores_add(scores, "acme", SCORE_VIRUSES, 1);
	scores_add(scores, "beta", SCORE_HARD_BOUNCES, 2);
	scores_add(scores, "", SCORE_RECIPIENTS, 5);
	scores_add(scores, "acme", SCORE_UNKNOWN_USERS, 0);
	WAIT_FOR(look("acme").counts[WEEK][SCORE_RECIPIENTS] == 3000);
	WAIT_FOR(look("beta").counts[WEEK][SCORE_HARD_BOUNCES] == 2);
	for (int i = 0; i < SCORE_WINDOWS; i++) {
		const uint64_t recipients = look("acme").counts[i][SCORE_RECIPIENTS];

		assert_true(recipients <= 3000 && recipients > 2000); /* a period may just end */
		assert_int_equal(look("acme").counts[i][SCORE_VIRUSES], 1);
		assert_int_equal(look("acme").counts[i][SCORE_HARD_BOUNCES], 0);
		assert_int_equal(look("beta").counts[i][SCORE_RECIPIENTS], 0);
	}
}

/* Puts a period's and the former one's viruses into the window of a week. */
static void
pretend(uint64_t periods_ago, unsigned now, unsigned before)
{
	struct answer answer;
	char text[128];

	snprintf(text, sizeof text, "[%llu,[0,0,0,%u],[0,0,0,%u]]",
		(unsigned long long)(clock_us() / 1000000 / WEEK_S - periods_ago), now, before);
	ASK(&answer, "HSET", "score:{acme}", "604800", text);
}

static uint64_t
viruses_of_a_week(void)
{
	return look("acme").counts[WEEK][SCORE_VIRUSES];
}

/* A week has a million parts here, of which a second is less than two. */
static void
what_is_left_of_the_period_before_counts_by_its_share(void **state)
{
	const uint64_t share = 1000000 - clock_us() % (WEEK_S * 1000000) / WEEK_S;
	uint64_t got;

	(void)state;
	pretend(0, 7, 0);
	assert_int_equal(viruses_of_a_week(), 7);
	pretend(0, 0, 1000000);
	got = viruses_of_a_week();
	assert_true(got <= share + 1 && got + 1000 > share);
	pretend(1, 1000000, 5);
	got = viruses_of_a_week();
	assert_true(got <= share + 1 && got + 1000 > share);
	pretend(2, 1000000, 5);
	assert_int_equal(viruses_of_a_week(), 0);
	scores_add(scores, "acme", SCORE_VIRUSES, 1);
	WAIT_FOR(viruses_of_a_week() == 1);
}

static void
reading_leaves_nothing_behind_and_what_is_counted_goes_in_time(void **state)
{
	struct answer answer;

	(void)state;
	assert_int_equal(look("nobody").counts[WEEK][0], 0);
	ASK(&answer, "EXISTS", "score:{nobody}");
	assert_int_equal(answer.number, 0);
	scores_add(scores, "acme", SCORE_VIRUSES, 1);
	WAIT_FOR(look("acme").counts[WEEK][SCORE_VIRUSES] == 1);
	ASK(&answer, "TTL", "score:{acme}");
	assert_true(answer.number > 0);
}

static void
without_redis_it_gathers_and_tells_later(void **state)
{
	(void)state;
	redis_server_kill(&server);
	WAIT_FOR(!redis_up(redis));
	scores_add(scores, "acme", SCORE_VIRUSES, 4);
	assert_int_equal(look("acme").err, -ENOTCONN);
	assert_int_equal(redis_server_start(&server), 0);
	WAIT_FOR(redis_up(redis));
	WAIT_FOR(look("acme").counts[WEEK][SCORE_VIRUSES] == 4);
}

static void
the_end_tells_what_is_left(void **state)
{
	(void)state;
	scores_add(scores, "acme", SCORE_VIRUSES, 9);
	scores_free(&scores);
	assert_int_equal(look("acme").counts[WEEK][SCORE_VIRUSES], 9);
}

static int
setup(void **state)
{
	struct answer answer;

	(void)state;
	if (!server.pid && redis_server_start(&server) < 0)
		return -1;
	loop = loop_new("test");
	open_at(server.unix_address, REDIS_SERVER_PASSWORD);
	scores = scores_new(loop, redis);
	other = scores_new(loop, redis);
	WAIT_FOR(redis_up(redis));
	ASK(&answer, "FLUSHALL");
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	scores_free(&scores);
	scores_free(&other);
	redis_free(&redis);
	loop_free(&loop);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		TEST(several_who_count_are_added_up_in_every_window),
		TEST(what_is_left_of_the_period_before_counts_by_its_share),
		TEST(reading_leaves_nothing_behind_and_what_is_counted_goes_in_time),
		TEST(without_redis_it_gathers_and_tells_later),
		TEST(the_end_tells_what_is_left),
	};
	int failed;

	log_set_level(LOG_LEVEL_ERROR);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	redis_server_remove(&server);
	return failed;
}
