/*
 * test_poison.c - who is blamed for the death of a process: children that die at work, by SIGKILL.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <event2/event.h>

#include "shared/base/loop.h"
#include "shared/work/poison.h"
#include "tests/unit/child.h"

#define WORKS 5

static struct {
	char dir[32];
	struct loop *loop;
	struct poison *poison;
	struct poison_work works[WORKS];
	unsigned begun[WORKS], begun_count;
	bool ends; /* a message is over as soon as it has begun */
} t;

static const uint8_t ids[WORKS][ID_SIZE] = { { 1 }, { 2 }, { 3 }, { 4 }, { 5 } };

static int
setup(void **state)
{
	(void)state;
	memset(&t, 0, sizeof t);
	snprintf(t.dir, sizeof t.dir, "%s", "/tmp/shout-poison-XXXXXX");
	return mkdtemp(t.dir) ? 0 : -1;
}

static int
teardown(void **state)
{
	(void)state;
	child_remove(t.dir);
	return 0;
}

static void
open_it(void)
{
	memset(t.works, 0, sizeof t.works);
	t.begun_count = 0;
	t.loop = loop_new("test");
	t.poison = poison_open(t.dir, "test", t.loop);
}

static void
close_it(void)
{
	poison_stop(t.poison);
	for (unsigned i = 0; i < WORKS; i++)
		poison_end(t.poison, &t.works[i]);
	poison_close(&t.poison);
	loop_free(&t.loop);
}

static void
begin(struct poison_work *work)
{
	t.begun[t.begun_count++] = (unsigned)(work - t.works);
	if (t.ends)
		poison_end(t.poison, work);
}

static void
start(unsigned i)
{
	poison_start(t.poison, &t.works[i], ids[i], begin);
}

static void
run_until_begun(unsigned count)
{
	while (t.begun_count < count)
		event_base_loop(loop_base(t.loop), EVLOOP_ONCE);
}

/* In a process that dies in the middle: `work` with a file as it was left. */
static void
die_in(void (*work)(void))
{
	const pid_t pid = fork();
	int status;

	if (!pid) {
		open_it();
		work();
		raise(SIGKILL);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void
three_at_once(void)
{
	for (unsigned i = 0; i < 3; i++)
		start(i);
}

static void
two_and_one_over(void)
{
	three_at_once();
	poison_end(t.poison, &t.works[2]);
}

static void
only_two(void)
{
	start(1);
	run_until_begun(1);
}

static void
two_comes_first(void)
{
	start(1);
	start(0);
	start(2);
	run_until_begun(1);
}

static void
test_everything_begins_at_once_in_normal_running(void **state)
{
	(void)state;
	open_it();
	three_at_once();
	assert_int_equal(t.begun_count, 3);
	close_it();
	open_it();
	three_at_once();
	assert_int_equal(t.begun_count, 3);
	close_it();
}

static void
test_after_a_death_suspects_go_first_and_one_at_a_time(void **state)
{
	(void)state;
	die_in(two_and_one_over);
	open_it();
	start(2);
	start(3);
	start(0);
	start(1);
	assert_int_equal(t.begun_count, 0);
	run_until_begun(1);
	assert_int_equal(t.begun[0], 0);
	poison_end(t.poison, &t.works[0]);
	run_until_begun(2);
	assert_int_equal(t.begun[1], 1);
	assert_int_equal(t.begun_count, 2);
	poison_end(t.poison, &t.works[1]);
	run_until_begun(4);
	assert_int_equal(t.begun[2], 2);
	assert_int_equal(t.begun[3], 3);
	close_it();
}

static void
test_nobody_is_blamed_for_a_death_in_company(void **state)
{
	(void)state;
	for (int i = 0; i < 5; i++)
		die_in(three_at_once);
	open_it();
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(poison_strikes(t.poison, ids[i]), 0);
	close_it();
}

static void
test_each_death_of_a_lone_suspect_counts(void **state)
{
	(void)state;
	die_in(three_at_once);
	for (unsigned deaths = 1; deaths <= POISON_STRIKES; deaths++)
		die_in(only_two);
	open_it();
	assert_int_equal(poison_strikes(t.poison, ids[1]), POISON_STRIKES);
	assert_int_equal(poison_strikes(t.poison, ids[0]), 0);
	poison_forget(t.poison, ids[1]);
	assert_int_equal(poison_strikes(t.poison, ids[1]), 0);
	close_it();
}

static void
test_who_was_blamed_goes_last(void **state)
{
	(void)state;
	die_in(three_at_once);
	die_in(two_comes_first);
	t.ends = true;
	open_it();
	assert_int_equal(poison_strikes(t.poison, ids[1]), 1);
	start(1);
	start(0);
	start(2);
	run_until_begun(3);
	assert_int_equal(t.begun[2], 1);
	close_it();
	t.ends = false;
}

static void
test_a_suspect_that_ends_well_is_none_any_more(void **state)
{
	(void)state;
	die_in(only_two);
	t.ends = true;
	open_it();
	start(1);
	run_until_begun(1);
	t.ends = false;
	start(1);
	assert_false(t.works[1].suspect);
	close_it();
}

static void
one_rests(void)
{
	three_at_once();
	poison_pause(t.poison, &t.works[1]);
}

static void
one_rests_and_goes_on(void)
{
	one_rests();
	poison_resume(t.poison, &t.works[1], ids[1]);
}

static bool
is_suspected(unsigned i)
{
	bool suspect;

	open_it();
	start(i);
	suspect = t.works[i].suspect;
	close_it();
	return suspect;
}

static void
test_only_what_is_under_work_is_suspected(void **state)
{
	(void)state;
	die_in(one_rests);
	assert_false(is_suspected(1));
	die_in(one_rests);
	assert_true(is_suspected(0));
	die_in(one_rests_and_goes_on);
	assert_true(is_suspected(1));
}

static void
test_what_waits_for_its_turn_can_be_taken_back(void **state)
{
	(void)state;
	die_in(three_at_once);
	open_it();
	start(0);
	start(1);
	start(3);
	start(4);
	poison_end(t.poison, &t.works[0]);
	poison_end(t.poison, &t.works[3]);
	run_until_begun(1);
	assert_int_equal(t.begun[0], 1);
	poison_end(t.poison, &t.works[1]);
	run_until_begun(2);
	assert_int_equal(t.begun[1], 4);
	close_it();
}

static void
test_a_file_of_another_kind_is_begun_anew(void **state)
{
	char path[64];
	FILE *file;

	(void)state;
	snprintf(path, sizeof path, "%s/work.test", t.dir);
	file = fopen(path, "w");
	assert_non_null(file);
	for (int i = 0; i < 10000; i++)
		fputs("garbage that is no such file", file);
	fclose(file);
	open_it();
	three_at_once();
	assert_int_equal(t.begun_count, 3);
	close_it();
}

static void
test_without_a_file_all_begins_at_once(void **state)
{
	char dir[sizeof t.dir];

	(void)state;
	memcpy(dir, t.dir, sizeof dir);
	snprintf(t.dir, sizeof t.dir, "%s", "/nowhere");
	open_it();
	three_at_once();
	assert_int_equal(t.begun_count, 3);
	close_it();
	memcpy(t.dir, dir, sizeof dir);
}

static void
both_roles_at_work(void)
{
	struct poison *other = poison_open(t.dir, "other", t.loop);

	poison_start(other, &t.works[4], ids[4], begin);
	three_at_once();
}

static void
test_two_roles_have_no_suspects_alone_together(void **state)
{
	struct poison *other;

	(void)state;
	die_in(both_roles_at_work);
	open_it();
	other = poison_open(t.dir, "other", t.loop);
	poison_start(other, &t.works[4], ids[4], begin);
	start(0);
	run_until_begun(1);
	for (int i = 0; i < 20; i++)
		event_base_loop(loop_base(t.loop), EVLOOP_ONCE);
	assert_int_equal(t.begun_count, 1);
	poison_end(t.begun[0] == 4 ? other : t.poison, &t.works[t.begun[0]]);
	run_until_begun(2);
	assert_int_not_equal(t.begun[0], t.begun[1]);
	poison_end(other, &t.works[4]);
	poison_close(&other);
	close_it();
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_everything_begins_at_once_in_normal_running),
		TEST(test_after_a_death_suspects_go_first_and_one_at_a_time),
		TEST(test_nobody_is_blamed_for_a_death_in_company),
		TEST(test_each_death_of_a_lone_suspect_counts),
		TEST(test_who_was_blamed_goes_last),
		TEST(test_a_suspect_that_ends_well_is_none_any_more),
		TEST(test_only_what_is_under_work_is_suspected),
		TEST(test_what_waits_for_its_turn_can_be_taken_back),
		TEST(test_a_file_of_another_kind_is_begun_anew),
		TEST(test_without_a_file_all_begins_at_once),
		TEST(test_two_roles_have_no_suspects_alone_together),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
