/*
 * test_schedule_steps.c - the scheduler in random steps, with invariants that hold after each.
 */
#include "tests/unit/schedule_world.h"

static void
a_million_random_steps_keep_every_invariant(void **state)
{
	(void)state;
	world_reset(&usual);
	for (int i = 0; i < STEPS; i++) {
		random_step();
		if (i % 64)
			continue;
		check_world();
		check_nobody_is_forgotten();
	}
	assert_true(world.sends > 10000 && world.parks > 1000 && world.opens > 1000);
	drain_world();
	schedule_free(&world.schedule);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_million_random_steps_keep_every_invariant),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
