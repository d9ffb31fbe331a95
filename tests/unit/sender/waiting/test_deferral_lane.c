/*
 * test_deferral_lane.c - waiting mail of several accounts: whose comes into memory.
 */
#include "tests/unit/deferral_rig.h"

/* 999 of one account at a site, and then one of another. */
static const char *
the_last_of_bolt(size_t i)
{
	return i < 999 ? "acme" : "bolt";
}

static void
who_has_many_due_keeps_nobody_out(void **state)
{
	(void)state;
	make_rows_of(1000, 1, due_long_ago, the_last_of_bolt);
	open_deferral(100);
	AWAIT(t.loads == 76);
	assert_memory_equal(t.id[75], t.letters[999].id, ID_SIZE);
	settle();
	assert_int_equal(t.loads, 76);
}

static const char *
acme_or_bolt(size_t i)
{
	return i % 2 ? "acme" : "bolt";
}

static void
lanes_that_have_their_share_are_left_alone(void **state)
{
	(void)state;
	make_rows_of(1000, 1, due_long_ago, acme_or_bolt);
	open_deferral(100);
	AWAIT(t.loads >= 90);
	settle();
	run_on(rig.loop, poke_run, (void *)names[0]);
	assert_in_range(t.loads, 90, 100);
}

static size_t
place_of(size_t letter)
{
	size_t i = 0;

	while (i < t.loads && memcmp(t.id[i], t.letters[letter].id, ID_SIZE) != 0)
		i++;
	return i;
}

/* The first tenth of the rows, by due time, is acme's. */
static const char *
many_of_acme(size_t i)
{
	static const char *const others[] = { "bolt", "corp", "dale", "east" };

	return i < 1000 ? "acme" : others[i % 4];
}

static void
lanes_take_turns_and_none_is_forgotten(void **state)
{
	(void)state;
	make_rows_of(1400, 1, due_long_ago, many_of_acme);
	t.removes = true;
	open_deferral(100);
	AWAIT(t.loads == 1400 && !t.count);
	for (size_t i = 1000; i < 1004; i++)
		assert_in_range(place_of(i), 0, 300);
	assert_in_range(t.most, 1, 100);
	assert_each_came_once(1400);
	assert_int_equal(numbers().sites, 0);
}

/* acme's rows fill all sites' windows, as far as one account may; bolt's comes all the same. */
static void
an_account_leaves_room_in_memory_for_others(void **state)
{
	(void)state;
	make_rows_of(1000, SITES, due_long_ago, the_last_of_bolt);
	open_deferral(100);
	AWAIT(t.loads >= 151);
	settle();
	assert_int_equal(t.loads, 151);
	assert_memory_equal(t.id[150], t.letters[999].id, ID_SIZE);
}

static void
leave_all_run(void *arg)
{
	struct loaded *loaded;

	(void)arg;
	t.removes = true;
	TAILQ_FOREACH (loaded, &t.in_hand, link)
		queue_row_remove(rig.queue, loaded->row, on_removed, loaded);
}

/* A site rests when its turn would have come. */
static void
what_was_blocked_by_its_own_account_comes_when_that_has_room(void **state)
{
	(void)state;
	make_rows_of(1000, SITES, due_long_ago, the_last_of_bolt);
	open_deferral(100);
	AWAIT(t.loads == 151);
	settle();
	t.rest_until_us[2] = UINT64_MAX;
	run_on(rig.loop, leave_all_run, NULL);
	AWAIT(!t.count && t.loads >= 750);
	settle();
	t.rest_until_us[2] = 0;
	run_on(rig.loop, poke_run, (void *)names[2]);
	AWAIT(t.loads == 1000 && !t.count);
	assert_each_came_once(1000);
	assert_int_equal(numbers().sites, 0);
}

/* The first `count` rows of the site that are in memory. */
struct some {
	const char *site;
	size_t count;
};

static void
remove_run(void *arg)
{
	const struct some *some = arg;
	struct loaded *loaded;
	size_t n = 0;

	TAILQ_FOREACH (loaded, &t.in_hand, link)
		if (!strcmp(loaded->row->site, some->site) && n++ < some->count)
			queue_row_remove(rig.queue, loaded->row, on_bulk, NULL);
}

static void
leave_run(void *arg)
{
	const struct some *some = arg;
	struct loaded *loaded = TAILQ_FIRST(&t.in_hand), *next;

	for (size_t n = 0; loaded && n < some->count; loaded = next) {
		next = TAILQ_NEXT(loaded, link);
		if (strcmp(loaded->row->site, some->site) != 0)
			continue;
		n++;
		deferral_removed(t.deferral, loaded->row->envelope);
		leave(loaded);
	}
}

/* The rows are delivered, and all of them leave in one turn of the loop. */
static void
deliver(const char *site, size_t count)
{
	struct some some = { site, count };
	const size_t answers = t.answers + count;

	run_on(rig.loop, remove_run, &some);
	AWAIT(t.answers == answers);
	run_on(rig.loop, leave_run, &some);
	settle();
}

/* Three sites, each with as many rows as one lane may have in memory; acme may have two sites'. */
static void
a_lane_whose_last_rows_go_while_it_is_blocked_goes_too(void **state)
{
	(void)state;
	make_rows(225, 3, due_long_ago);
	open_deferral(100);
	AWAIT(t.loads == 150);
	settle();
	deliver(names[0], 38); /* the third site takes the room; the first one's lane is blocked */
	AWAIT(t.loads == 188);
	deliver(names[0], 37);
	assert_int_equal(numbers().sites, 2);
	deliver(names[1], 75);
	assert_int_equal(numbers().sites, 1);
	deliver(names[2], 38);
	AWAIT(t.loads == 225);
	deliver(names[2], 37);
	assert_int_equal(numbers().sites, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(who_has_many_due_keeps_nobody_out),
		TEST(lanes_that_have_their_share_are_left_alone),
		TEST(lanes_take_turns_and_none_is_forgotten),
		TEST(an_account_leaves_room_in_memory_for_others),
		TEST(what_was_blocked_by_its_own_account_comes_when_that_has_room),
		TEST(a_lane_whose_last_rows_go_while_it_is_blocked_goes_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
