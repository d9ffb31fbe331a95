/*
 * test_tally.c - a minute's events are few, whatever comes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "ingress/door/tally.h"
#include "shared/queue/queue_backend.h"

static struct {
	unsigned floods, mail, of_customers, others;
	char last[1024];
} seen;

static void
fake_event_put(struct queue *queue, enum event_class class, const char *json, size_t length,
	queue_cb cb, void *arg)
{
	(void)queue, (void)cb, (void)arg;
	*(class == EVENT_FLOOD ? &seen.floods : &seen.mail) += 1;
	seen.of_customers += strstr(json, "\"account\":\"acme\"") != NULL;
	seen.others += strstr(json, "\"of further clients\"") != NULL;
	assert_true(length < sizeof seen.last);
	memcpy(seen.last, json, length + 1);
}

static const struct queue_ops fake_ops = { .event_put = fake_event_put };
static struct queue fake_queue = { &fake_ops };

static int
setup(void **state)
{
	memset(&seen, 0, sizeof seen);
	*state = tally_new(&fake_queue);
	return 0;
}

static int
teardown(void **state)
{
	struct tally *tally = *state;

	tally_free(&tally);
	return 0;
}

static void
one_event_a_minute_for_each_client_and_name(void **state)
{
	for (int i = 0; i < 1000; i++)
		tally_add(*state, TALLY_AUTH_FAILED, "192.0.2.1", "joe", "wrong password");
	tally_add(*state, TALLY_AUTH_FAILED, "192.0.2.1", "ann", "wrong password");
	assert_int_equal(seen.floods, 0);
	tally_flush(*state);
	assert_int_equal(seen.floods, 2);
	tally_flush(*state);
	assert_int_equal(seen.floods, 2);
}

/* Nor do they take a customer's place. */
static void
strangers_by_the_thousand_cause_few_events(void **state)
{
	char client[32], name[32];

	for (unsigned i = 0; i < 84700; i++) {
		snprintf(client, sizeof client, "198.51.%u.%u", i / 256 % 256, i % 256);
		snprintf(name, sizeof name, "name%u", i);
		tally_add(*state, i % 3, client, i % 3 == TALLY_AUTH_FAILED ? name : NULL, "no");
	}
	tally_add(*state, TALLY_REJECTED, "192.0.2.1", "acme", "550 5.7.1 No");
	assert_int_equal(seen.floods, 0);
	tally_flush(*state);
	assert_in_range(seen.floods, 4, 256 + 3);
	assert_int_equal(seen.mail, 0);
	assert_int_equal(seen.of_customers, 1);
	assert_int_equal(seen.others, 3);
	assert_non_null(strstr(seen.last, "\"count\":28"));
	assert_null(strstr(seen.last, "\"client\""));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		TEST(one_event_a_minute_for_each_client_and_name),
		TEST(strangers_by_the_thousand_cause_few_events),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
