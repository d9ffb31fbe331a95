/*
 * test_retry.c - when mail is tried again, expires, and is told as late.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sender/policy/retry.h"

#define SECOND 1000000ull

static const struct retry_times times = {
	.first_us = 300 * SECOND,
	.max_us = 14400 * SECOND,
	.lifetime_us = 5 * 86400 * SECOND,
	.null_lifetime_us = 86400 * SECOND,
	.held_lifetime_us = 14 * 86400 * SECOND,
	.delay_dsn_us = 14400 * SECOND,
};

static void
retries_double_up_to_the_longest_wait(void **state)
{
	static const unsigned minutes[] = { 5, 10, 20, 40, 80, 160, 240, 240 };

	(void)state;
	for (unsigned i = 0; i < sizeof minutes / sizeof *minutes; i++) {
		uint64_t wait = minutes[i] * 60 * SECOND;

		for (uint32_t random = 0; random < 5000; random += 7) {
			uint64_t got = retry_wait_us(&times, times.max_us, i + 1, random);

			assert_in_range(got, wait - wait / 10, wait + wait / 10);
		}
		assert_int_equal(retry_wait_us(&times, times.max_us, i + 1, 0), wait - wait / 10);
	}
	assert_in_range(retry_wait_us(&times, times.max_us, 4000000000u, 3), 12960 * SECOND,
		15840 * SECOND);
}

static void
mail_of_nobody_lives_for_a_day(void **state)
{
	Envelope envelope = ENVELOPE__INIT;

	(void)state;
	envelope.accepted_us = 7;
	assert_int_equal(
		retry_expiry_us(&times, &envelope, RETRY_WAITING), 7 + times.null_lifetime_us);
	envelope.mail_from = (char *)"a@b.example";
	assert_int_equal(retry_expiry_us(&times, &envelope, RETRY_WAITING), 7 + times.lifetime_us);
	assert_int_equal(
		retry_expiry_us(&times, &envelope, RETRY_HELD), 7 + times.held_lifetime_us);
	assert_int_equal(retry_expiry_us(&times, &envelope, RETRY_RELEASED),
		7 + times.held_lifetime_us + times.lifetime_us);
	envelope.kind = ENVELOPE__KIND__DSN;
	assert_int_equal(
		retry_expiry_us(&times, &envelope, RETRY_WAITING), 7 + times.null_lifetime_us);
}

static void
only_mail_of_somebody_is_reported_as_delayed(void **state)
{
	Envelope envelope = ENVELOPE__INIT;

	(void)state;
	assert_false(retry_delay_due(&times, &envelope, RETRY_WAITING, times.delay_dsn_us + 1));
	envelope.mail_from = (char *)"a@b.example";
	assert_false(retry_delay_due(&times, &envelope, RETRY_WAITING, times.delay_dsn_us - 1));
	assert_true(retry_delay_due(&times, &envelope, RETRY_WAITING, times.delay_dsn_us));
	assert_false(retry_delay_due(&times, &envelope, RETRY_WAITING, times.lifetime_us));
	envelope.kind = ENVELOPE__KIND__DSN;
	assert_false(retry_delay_due(&times, &envelope, RETRY_WAITING, times.delay_dsn_us));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(retries_double_up_to_the_longest_wait),
		cmocka_unit_test(mail_of_nobody_lives_for_a_day),
		cmocka_unit_test(only_mail_of_somebody_is_reported_as_delayed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
