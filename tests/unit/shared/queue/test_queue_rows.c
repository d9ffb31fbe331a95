/*
 * test_queue_rows.c - what queue.h promises about waiting mail, relay.config and events, whatever
 * the backend; like test_queue.c.
 */
#include "tests/unit/events_read.h"
#include "tests/unit/queue_rig.h"

#include <errno.h>
#include <sys/stat.h>

static Row *found[16];
static size_t found_count;

static void
on_row(void *arg, Row *row)
{
	(void)arg;
	assert_true(found_count < 16);
	found[found_count++] = row;
}

static void
forget_rows(void)
{
	while (found_count)
		row_free(found[--found_count]);
}

/* A message's body is where its row says. */
static void
check_row_body(const struct letter *letter)
{
	assert_true(rows_of(rig.rows, letter->id, on_row, NULL) > 0);
	check_envelope_body(found[0]->envelope, (const unsigned char *)"body", 4, 100);
	forget_rows();
}

/* In a cluster bodies go with the start of mail.deferred, by and by. */
static void
assert_bodies(uint64_t count)
{
	if (rig.config.queue.backend == BACKEND_LMDB)
		assert_int_equal(stats().bodies, count);
}

/* Two messages; the first waits at two sites. */
static void
defer_two(Row rows[3])
{
	Row *first[] = { &rows[0], &rows[1] }, *second[] = { &rows[2] };

	put_letters(TOPIC_READY, 2);
	row_init(&rows[0], &letters[0], "google", 2000);
	row_init(&rows[1], &letters[0], "mx.example", 1000);
	row_init(&rows[2], &letters[1], "google", 1000);
	consume(TOPIC_READY, 10);
	record_at(1);
	await_rows();
	assert_int_equal(defer(rig.records[0], first, 2), 0);
	assert_int_equal(defer(rig.records[1], second, 1), 0);
}

static size_t
due_from(const char *site, uint64_t due_us, const uint8_t *id, size_t limit)
{
	struct rows_place from = { .site = site, .due_us = due_us, .id = id };

	from.lane = rows_lane("");
	return rows_due(rig.rows, &from, limit, on_row, NULL);
}

static void
deferring_leaves_rows_and_the_body_until_the_last_row_goes(void **state)
{
	Row rows[3];

	(void)state;
	defer_two(rows);
	AWAIT_STATS(now.records[TOPIC_READY] == 0 && now.rows == 3);
	check_row_body(&letters[0]);
	rig_close_queue();
	rig_open_queue();
	consume(TOPIC_READY, 10);
	await_rows();
	assert_int_equal(rows_of(rig.rows, letters[0].id, on_row, NULL), 2);
	forget_rows();
	assert_int_equal(row_remove(&rows[1]), 0);
	check_row_body(&letters[0]);
	assert_int_equal(row_remove(&rows[0]), 0);
	assert_bodies(1);
	assert_int_equal(row_remove(&rows[2]), 0);
	assert_int_equal(row_remove(&rows[2]), 0);
	assert_bodies(0);
	assert_int_equal(stats().rows, 0);
}

static void
rows_come_by_due_time_and_site(void **state)
{
	Row rows[3];

	(void)state;
	defer_two(rows);
	assert_int_equal(due_from("google", 0, NULL, 10), 2);
	assert_int_equal(found[0]->due_us, 1000);
	assert_int_equal(found[1]->due_us, 2000);
	assert_memory_equal(found[1]->envelope->id.data, letters[0].id, ID_SIZE);
	forget_rows();
	assert_int_equal(due_from("google", 1000, letters[1].id, 10), 1);
	forget_rows();
	assert_int_equal(due_from("google", 1000, NULL, 1), 1);
	forget_rows();
	assert_int_equal(due_from("goog", 0, NULL, 10), 0);
	rows[0].due_us = 500;
	rows[0].attempts = 3;
	rows[0].envelope->recipients[0]->ambiguous = 2;
	assert_int_equal(row_put(&rows[0]), 0);
	assert_int_equal(due_from("google", 0, NULL, 10), 2);
	assert_int_equal(found[0]->attempts, 3);
	assert_int_equal(found[0]->envelope->recipients[0]->ambiguous, 2);
	forget_rows();
	rows[0].due_us = 0; /* held: no due time */
	assert_int_equal(row_put(&rows[0]), 0);
	assert_int_equal(due_from("google", 1, NULL, 10), 1);
	forget_rows();
	assert_int_equal(due_from("google", 0, NULL, 10), 2);
	assert_int_equal(found[0]->due_us, 0);
	forget_rows();
	assert_int_equal(stats().rows, 3);
}

static void
rows_are_scanned_by_message(void **state)
{
	Row rows[3];

	(void)state;
	defer_two(rows);
	assert_int_equal(rows_scan(rig.rows, ROWS_ANY, NULL, NULL, 2, on_row, NULL), 2);
	assert_int_equal(rows_scan(rig.rows, ROWS_ANY, found[1]->envelope->id.data, found[1]->site,
				 9, on_row, NULL),
		1);
	assert_int_equal(found_count, 3);
	for (size_t i = 1; i < 3; i++) {
		int order = memcmp(
			found[i - 1]->envelope->id.data, found[i]->envelope->id.data, ID_SIZE);

		assert_true(
			order < 0 || (!order && strcmp(found[i - 1]->site, found[i]->site) < 0));
	}
	forget_rows();
}

static void
rows_are_counted_and_seen_by_everybody(void **state)
{
	struct rows *all = rows_open(rig.queue, ROWS_ALL, rig.loop, NULL, NULL);
	Row rows[3];

	(void)state;
	defer_two(rows);
	assert_int_equal(rows_count(rig.rows, NULL), 3);
	assert_int_equal(rows_count(rig.rows, "google"), 2);
	assert_int_equal(rows_count(rig.rows, "goog"), 0);
	assert_true(rows_mine(rig.rows, 0));
	assert_int_equal(rows_scan(rig.rows, 0, NULL, NULL, 9, on_row, NULL), 3);
	forget_rows();
	AWAIT_STATS(now.rows == 3 && rows_count(all, NULL) == 3 && rows_complete(all));
	assert_int_equal(rows_scan(all, ROWS_ANY, NULL, NULL, 9, on_row, NULL), 3);
	assert_string_equal(found[0]->envelope->mail_from, "anna@customer.example");
	forget_rows();
	rows_close(&all);
}

static void
ask_bad_remove(struct ask *ask)
{
	queue_bad_remove(rig.queue, ask->key, strlen(ask->key), on_answer, ask);
}

static void
on_bad(void *arg, const void *key, size_t key_length, const void *value, size_t length)
{
	(void)arg, (void)key, (void)key_length, (void)value, (void)length;
	fail();
}

static void
nothing_is_set_aside_of_what_can_be_read(void **state)
{
	struct ask ask = { .fn = ask_bad_remove, .key = "rows/unknown" };
	Row rows[3];

	(void)state;
	defer_two(rows);
	assert_int_equal(queue_bad_scan(rig.queue, "", 0, 10, on_bad, NULL), 0);
	assert_int_equal(stats().bad, 0);
	assert_int_equal(ask_wait(&ask), -ENOENT);
}

static void
a_row_needs_its_body(void **state)
{
	Row row;

	(void)state;
	EMBEDDED_ONLY();
	letter_init(&letters[0]);
	row_init(&row, &letters[0], "google", 1);
	assert_int_equal(row_put(&row), -ENOENT);
	assert_int_equal(stats().rows, 0);
}

static void
a_row_that_goes_before_its_record_leaves_the_body(void **state)
{
	Row row;

	(void)state;
	EMBEDDED_ONLY();
	put_letters(TOPIC_READY, 1);
	row_init(&row, &letters[0], "google", 1);
	assert_int_equal(row_put(&row), 0);
	assert_int_equal(row_remove(&row), 0);
	assert_int_equal(stats().bodies, 1);
	assert_int_equal(row_put(&row), 0);
	consume(TOPIC_READY, 1);
	finish(record_at(0));
	AWAIT_STATS(now.records[TOPIC_READY] == 0);
	assert_int_equal(stats().bodies, 1);
	assert_int_equal(row_remove(&row), 0);
	assert_int_equal(stats().bodies, 0);
}

static char told[2000];
static struct config_subscriber *subscriber;
static const char *unsubscribe_at; /* on_entry unsubscribes at this key */

static void
on_entry(void *arg, const char *key, const char *json)
{
	const char *name = key ? key : "END", *value = json ? json : "-";
	size_t length;

	(void)arg;
	pthread_mutex_lock(&rig.lock);
	length = strlen(told);
	snprintf(told + length, sizeof told - length, "%s=%s;", name, value);
	changed();
	pthread_mutex_unlock(&rig.lock);
	if (unsubscribe_at && !strcmp(name, unsubscribe_at))
		queue_config_unsubscribe(&subscriber);
}

static void
unsubscribe_run(void *arg)
{
	(void)arg;
	queue_config_unsubscribe(&subscriber);
}

static void
config_is_told_from_its_snapshot_on(void **state)
{
	(void)state;
	told[0] = '\0';
	unsubscribe_at = NULL;
	assert_int_equal(config_put("b", "{\"n\":1}"), 0);
	assert_int_equal(config_put("a", "{}"), 0);
	assert_int_equal(config_put("b", "{\"n\":2}"), 0);
	assert_int_equal(config_put("gone", "{}"), 0);
	assert_int_equal(config_put("gone", ""), 0);
	rig_close_queue();
	rig_open_queue();
	subscriber = queue_config_subscribe(rig.queue, rig.loop, on_entry, NULL);
	AWAIT(strstr(told, "END=-;"));
	assert_string_equal(told, "a={};b={\"n\":2};END=-;");
	assert_int_equal(config_put("c", "{}"), 0);
	assert_int_equal(config_put("a", ""), 0);
	AWAIT(strstr(told, "a=-;"));
	assert_string_equal(told, "a={};b={\"n\":2};END=-;c={};a=-;");
	run_on(rig.loop, unsubscribe_run, NULL);
}

static void
a_subscription_and_its_loop_end_before_the_queue(void **state)
{
	struct loop *loop = loop_new("subscriber");

	(void)state;
	told[0] = '\0';
	unsubscribe_at = NULL;
	loop_start(loop);
	subscriber = queue_config_subscribe(rig.queue, loop, on_entry, NULL);
	AWAIT(strstr(told, "END=-;"));
	run_on(loop, unsubscribe_run, NULL);
	assert_int_equal(config_put("a", "{}"), 0);
	loop_stop(loop);
	loop_join(loop);
	loop_free(&loop);
	assert_int_equal(config_put("b", "{}"), 0);
	assert_string_equal(told, "END=-;");
	assert_null(subscriber);
	queue_config_unsubscribe(&subscriber);
}

static void
subscribe_and_unsubscribe_run(void *arg)
{
	struct loop *loop = arg;

	for (int i = 0; i < 100; i++) {
		subscriber = queue_config_subscribe(rig.queue, loop, on_entry, NULL);
		queue_config_unsubscribe(&subscriber);
	}
}

static void
a_subscription_that_ends_at_once_is_told_nothing(void **state)
{
	(void)state;
	told[0] = '\0';
	unsubscribe_at = NULL;
	assert_int_equal(config_put("a", "{}"), 0);
	run_on(rig.loop, subscribe_and_unsubscribe_run, rig.loop);
	assert_int_equal(config_put("b", "{}"), 0);
	assert_string_equal(told, "");
}

static void
subscribe_run(void *arg)
{
	subscriber = queue_config_subscribe(rig.queue, arg, on_entry, NULL);
}

static void
a_subscription_ends_in_the_middle_of_what_it_is_told(void **state)
{
	(void)state;
	told[0] = '\0';
	unsubscribe_at = "b";
	assert_int_equal(config_put("a", "1"), 0);
	assert_int_equal(config_put("b", "2"), 0);
	assert_int_equal(config_put("c", "3"), 0);
	run_on(rig.loop, subscribe_run, rig.loop);
	AWAIT(strstr(told, "b=2;"));
	assert_int_equal(config_put("d", "4"), 0);
	assert_string_equal(told, "a=1;b=2;");
}

/* A loop that does not run has its tasks run when it is freed. */
static void
what_was_posted_before_the_end_is_not_told_after_it(void **state)
{
	struct loop *loop = loop_new("subscriber");

	(void)state;
	told[0] = '\0';
	unsubscribe_at = NULL;
	subscriber = queue_config_subscribe(rig.queue, loop, on_entry, NULL);
	assert_int_equal(config_put("a", "1"), 0);
	assert_int_equal(config_put("b", "2"), 0);
	queue_config_unsubscribe(&subscriber);
	loop_free(&loop);
	assert_string_equal(told, "");
}

static bool
on_event(void *arg, const char *json, size_t length)
{
	char *text = arg;
	size_t used = strlen(text);

	assert_int_equal(strlen(json), length);
	assert_true(used + length + 2 < 1000);
	memcpy(text + used, json, length);
	memcpy(text + used + length, "\n", 2);
	return strstr(json, "stop") == NULL;
}

static void
events_are_read_back_in_order_and_by_time(void **state)
{
	static const char first[] = "{\"time\":\"2026-01-02T03:04:05.678Z\",\"event\":\"a\"}";
	static const char second[] = "{\"time\":\"2026-01-02T03:04:06.000Z\",\"event\":\"stop\"}";
	static const char third[] = "{\"time\":\"2026-01-02T03:04:07.000Z\",\"event\":\"c\"}";
	char text[1000] = "", *expected;

	(void)state;
	assert_int_equal(event_put(first), 0);
	assert_int_equal(event_put(second), 0);
	assert_int_equal(event_put(third), 0);
	rig_close_queue();
	rig_open_queue();
	events_read(rig.queue, 0, on_event, text);
	expected = xasprintf("%s\n%s\n", first, second);
	assert_string_equal(text, expected);
	free(expected);
	/* In a cluster an event's time is when it was put; these claim to be older. */
	if (rig.config.queue.backend != BACKEND_LMDB)
		return;
	text[0] = '\0';
	events_read(rig.queue, UINT64_C(1767323047000000), on_event, text);
	expected = xasprintf("%s\n", third);
	assert_string_equal(text, expected);
	free(expected);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(deferring_leaves_rows_and_the_body_until_the_last_row_goes),
		TEST(rows_come_by_due_time_and_site),
		TEST(rows_are_scanned_by_message),
		TEST(rows_are_counted_and_seen_by_everybody),
		TEST(nothing_is_set_aside_of_what_can_be_read),
		TEST(a_row_needs_its_body),
		TEST(a_row_that_goes_before_its_record_leaves_the_body),
		TEST(config_is_told_from_its_snapshot_on),
		TEST(a_subscription_and_its_loop_end_before_the_queue),
		TEST(a_subscription_that_ends_at_once_is_told_nothing),
		TEST(a_subscription_ends_in_the_middle_of_what_it_is_told),
		TEST(what_was_posted_before_the_end_is_not_told_after_it),
		TEST(events_are_read_back_in_order_and_by_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
