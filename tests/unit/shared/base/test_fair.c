/*
 * test_fair.c - whose turn it is among accounts, by the costs they cause.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "shared/base/fair.h"

#define QUANTUM 8
#define ENTRIES 2000

struct thing {
	struct fair_entry entry; /* first */
	char account;
	unsigned cost;
};

static struct thing things[ENTRIES];
static struct fair *fair;

static int
set_up(void **state)
{
	(void)state;
	memset(things, 0, sizeof things);
	fair = fair_new(QUANTUM);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	fair_free(&fair);
	return 0;
}

/* Each thing is of the account that its letter names; a capital one was tried before. */
static void
add(unsigned from, const char *letters, unsigned cost)
{
	for (; *letters; letters++, from++) {
		const bool again = *letters < 'a';
		const char name[] = { again ? (char)(*letters + 32) : *letters, '\0' };

		things[from].account = *letters;
		things[from].cost = cost;
		fair_add(fair, &things[from].entry, name, cost, again);
	}
}

static struct thing *
take(unsigned capacity)
{
	return (struct thing *)fair_take(fair, capacity);
}

/* What is taken while at most `capacity` are under way, and each ends at once. */
static void
assert_order(const char *expected)
{
	char order[200] = "";
	struct thing *thing;
	size_t at = 0;

	while (at < strlen(expected) && (thing = take(FAIR_ENDLESS))) {
		order[at++] = thing->account;
		fair_done(fair, &thing->entry, thing->cost);
	}
	assert_string_equal(order, expected);
}

static void
accounts_take_turns_by_what_their_entries_cost(void **state)
{
	static const struct {
		const char *letters;
		unsigned cost;
		const char *order;
	} rows[] = {
		{ "aaaabb", QUANTUM, "ababaa" },
		{ "aaaab", 2 * QUANTUM, "abaaa" },
		{ "bac", 1, "bac" },
		{ "aaaaaaaaaaab", 4, "aabaaaaaaaaa" },
		{ "AaAaAaAaAaAa", 1, "aaaaAaaAAAAA" },
		{ "a", 100000, "a" },
		{ "", 1, "" },
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		tear_down(state);
		set_up(state);
		add(0, rows[i].letters, rows[i].cost);
		assert_order(rows[i].order);
		assert_null(take(FAIR_ENDLESS));
	}
}

static void
what_turns_out_dear_is_paid_later(void **state)
{
	unsigned of[2] = { 0 };
	struct thing *thing;

	(void)state;
	for (unsigned i = 0; i < ENTRIES; i++)
		add(i, i % 2 ? "a" : "b", 1);
	for (unsigned i = 0; i < ENTRIES / 2; i++) {
		thing = take(FAIR_ENDLESS);
		assert_non_null(thing);
		of[thing->account == 'a']++;
		fair_done(fair, &thing->entry, thing->account == 'a' ? 4 : 1);
	}
	/* The time is halved: the dear one gets a fifth of the turns. */
	assert_in_range(of[1], ENTRIES / 10 - 10, ENTRIES / 10 + 10);
	for (unsigned i = 0; i < ENTRIES; i++)
		fair_remove(fair, &things[i].entry);
	assert_int_equal(fair_waiting(fair), 0);
}

static void
who_was_alone_owes_nothing(void **state)
{
	struct thing *thing;

	(void)state;
	for (unsigned i = 0; i < 100; i++) {
		add(i, "a", 1);
		thing = take(FAIR_ENDLESS);
		fair_done(fair, &thing->entry, 1000);
	}
	add(0, "abab", QUANTUM);
	assert_order("abab");
}

static void
one_account_leaves_room_for_the_next(void **state)
{
	static const struct {
		unsigned capacity, most;
	} rows[] = {
		{ 1, 1 },
		{ 2, 1 },
		{ 3, 2 },
		{ 4, 3 },
		{ 10, 8 },
		{ 12, 9 },
		{ 1000, 750 },
	};
	struct thing *other;
	unsigned count;

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		tear_down(state);
		set_up(state);
		for (unsigned j = 0; j < 1001; j++)
			add(j, "a", 1);
		for (count = 0; take(rows[i].capacity); count++)
			;
		assert_int_equal(count, rows[i].most);
		add(1500, "b", 1);
		other = take(rows[i].capacity);
		assert_ptr_equal(other, rows[i].capacity > 1 ? &things[1500] : NULL);
		assert_null(fair_peek(fair, count));
	}
}

static void
what_is_taken_back_is_forgotten(void **state)
{
	(void)state;
	add(0, "aAbb", 1);
	assert_int_equal(fair_fresh_of(fair, "a"), 1);
	assert_int_equal(fair_fresh_of(fair, "c"), 0);
	fair_remove(fair, &things[0].entry);
	fair_remove(fair, &things[0].entry);
	assert_int_equal(fair_fresh_of(fair, "a"), 0);
	assert_int_equal(fair_waiting(fair), 3);
	assert_ptr_equal(take(10), &things[1]);
	fair_remove(fair, &things[1].entry); /* while it is under way */
	assert_null(things[1].entry.account);
	assert_order("bb");
}

static void
room_is_how_often_one_more_is_allowed(void **state)
{
	(void)state;
	for (size_t used = 0; used < 300; used++)
		for (size_t unused = 0; unused < 300; unused++) {
			size_t more = 0;

			while (fair_allows(used + more, unused - more))
				more++;
			assert_int_equal(fair_room(used, unused), more);
		}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			accounts_take_turns_by_what_their_entries_cost, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			what_turns_out_dear_is_paid_later, set_up, tear_down),
		cmocka_unit_test_setup_teardown(who_was_alone_owes_nothing, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			one_account_leaves_room_for_the_next, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_is_taken_back_is_forgotten, set_up, tear_down),
		cmocka_unit_test(room_is_how_often_one_more_is_allowed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
