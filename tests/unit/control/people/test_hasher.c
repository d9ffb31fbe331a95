/*
 * test_hasher.c - passwords are hashed and checked, and what waits is bounded.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "control/account/person_entry.h"
#include "control/people/hasher.h"
#include "shared/base/loop.h"

static struct loop *loop;
static struct hasher *hasher;
static char made[VERIFIER_SIZE];
static unsigned answers, right;

static int
setup(void **state)
{
	(void)state;
	loop = loop_new("test");
	hasher = hasher_new(loop);
	answers = right = 0;
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	hasher_free(&hasher);
	loop_free(&loop);
	return 0;
}

/* Runs the loop until so many answers have come. */
static void
on_answer(void *arg, bool good, const char *verifier)
{
	const unsigned *wanted = arg;

	right += good;
	if (*verifier)
		snprintf(made, sizeof made, "%s", verifier);
	if (++answers == *wanted)
		loop_stop(loop);
}

static void
a_password_is_known_by_its_verifier(void **state)
{
	static unsigned first = 1, all = 4;

	(void)state;
	assert_true(hasher_make(hasher, "a", "correct horse", on_answer, &first));
	loop_run(loop);
	assert_true(person_verifier_valid(made));
	right = 0;
	assert_true(hasher_check(hasher, "a", "correct horse", made, on_answer, &all));
	assert_true(hasher_check(hasher, "a", "correct horsf", made, on_answer, &all));
	assert_true(hasher_check(hasher, "a", "correct horse", NULL, on_answer, &all));
	loop_run(loop);
	assert_int_equal(right, 1);
}

static void
one_client_leaves_room_for_others(void **state)
{
	static unsigned all;
	unsigned taken = 0;

	(void)state;
	while (hasher_check(hasher, "a", "x", NULL, on_answer, &all))
		taken++;
	assert_in_range(taken, 2, HASHES_MAX - 2);
	assert_true(hasher_check(hasher, "b", "x", NULL, on_answer, &all));
	all = taken + 1;
	loop_run(loop);
	assert_int_equal(answers, taken + 1);
	assert_int_equal(right, 0);
	assert_true(hasher_check(hasher, "a", "x", NULL, on_answer, &all));
	all = taken + 2;
	loop_run(loop);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			a_password_is_known_by_its_verifier, setup, teardown),
		cmocka_unit_test_setup_teardown(one_client_leaves_room_for_others, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
