/* What is seen in two topics counts once, where it was seen last; what has rows is theirs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "control/look/seen.h"

static unsigned dropped;

static void
on_drop(void *arg, void *what)
{
	(void)arg;
	assert_non_null(what);
	dropped++;
}

static uint8_t *
id_of(unsigned number)
{
	static uint8_t id[ID_SIZE];

	memset(id, 0, sizeof id);
	id[0] = (uint8_t)(number * 37); /* not in order */
	id[15] = (uint8_t)number;
	return id;
}

static void
each_message_stays_where_it_was_seen_last(void **state)
{
	struct seen seen = { 0 };
	int counts;

	(void)state;
	for (unsigned i = 0; i < 100; i++)
		seen_add(&seen, id_of(i), TOPIC_INBOUND, i < 90 ? &counts : NULL);
	for (unsigned i = 80; i < 120; i++)
		seen_add(&seen, id_of(i), TOPIC_READY, &counts);
	seen_add(&seen, id_of(119), TOPIC_READY, &counts); /* twice in one topic */
	dropped = 0;
	seen_settle(&seen, on_drop, NULL);
	assert_int_equal(seen.count, 120);
	assert_int_equal(dropped, 11); /* 80 to 89, and 119 */
	assert_int_equal(seen_find(&seen, id_of(79))->topic, TOPIC_INBOUND);
	assert_int_equal(seen_find(&seen, id_of(80))->topic, TOPIC_READY);
	assert_null(seen_find(&seen, id_of(120)));
	assert_ptr_equal(seen_forget(&seen, id_of(95)), &counts);
	assert_null(seen_forget(&seen, id_of(95)));
	assert_null(seen_forget(&seen, id_of(200)));
	seen_wipe(&seen);
}

static void
nothing_seen_is_nothing_found(void **state)
{
	struct seen seen = { 0 };

	(void)state;
	seen_settle(&seen, NULL, NULL);
	assert_null(seen_find(&seen, id_of(1)));
	assert_null(seen_forget(&seen, id_of(1)));
	seen_wipe(&seen);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_message_stays_where_it_was_seen_last),
		cmocka_unit_test(nothing_seen_is_nothing_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
