/*
 * test_kafka_consumer.c - members of a group, their records and bodies, against librdkafka's mock
 * cluster. A member is a queue and a loop of its own, as in a process.
 */

#include "shared/queue/kafka/consume/kafka_bad.h"
#include "shared/queue/kafka/consume/kafka_look.h"
#include "shared/queue/kafka/kafka_piece.h"
#include "tests/unit/kafka_consumer_rig.h"

static void
records_come_in_order_and_once(void **state)
{
	struct member *member = &rig.members[0];
	size_t newest[PARTITIONS] = { 0 };

	(void)state;
	put_numbered(KAFKA_INBOUND, 40, PARTITIONS);
	member_open(member);
	consume(member, TOPIC_INBOUND, 1000);
	AWAIT(member->count == 40);
	for (size_t i = 0; i < 40; i++) {
		const Envelope *envelope = member->records[i]->envelope;

		assert_true(envelope->partition < PARTITIONS);
		assert_true(number_of(member->records[i]) + 1 > newest[envelope->partition]);
		newest[envelope->partition] = number_of(member->records[i]) + 1;
		assert_int_equal(envelope->body_topic, KAFKA_INBOUND);
		assert_int_equal(envelope->body_offset, number_of(member->records[i]) / PARTITIONS);
	}
	assert_int_equal(member->redelivered, 0);
	put(KAFKA_INBOUND, 1, "40", "body", 4);
	AWAIT(member->count == 41);
}

static void
after_a_crash_only_what_was_unfinished_comes_again(void **state)
{
	struct member *first = &rig.members[0], *second = &rig.members[1];
	bool came[40] = { false };

	(void)state;
	put_numbered(KAFKA_INBOUND, 40, PARTITIONS);
	member_open(first);
	consume(first, TOPIC_INBOUND, 1000);
	AWAIT(first->count == 40);
	for (size_t i = 1; i < 40; i += 2)
		finish(first, i);
	finish(first, 0);
	await_commit();
	member_crash(first);
	put(KAFKA_INBOUND, 2, "99", "body", 4);
	member_open(second);
	consume(second, TOPIC_INBOUND, 1000);
	AWAIT(second->count == 20);
	for (size_t i = 0; i < 20; i++)
		if (number_of(second->records[i]) < 40)
			came[number_of(second->records[i])] = true;
	for (size_t i = 0; i < 40; i++)
		assert_int_equal(came[i], i % 2 == 0 && i > 0);
	assert_true(second->redelivered >= 19);
}

static void
hand_on(const uint8_t *id, bool again)
{
	uint8_t packed[64];
	Envelope envelope = ENVELOPE__INIT;

	envelope.id.data = (uint8_t *)id;
	envelope.id.len = ID_SIZE;
	envelope.again = again;
	produce(KAFKA_INBOUND, 0, packed, envelope__pack(&envelope, packed), "body", 4);
}

static void
what_was_handed_on_again_is_told(void **state)
{
	struct member *member = &rig.members[0];
	uint8_t id[ID_SIZE];

	(void)state;
	id_make(id);
	hand_on(id, true);
	put(KAFKA_INBOUND, 0, "1", "body", 4);
	hand_on(id, false); /* the first of the two may come late */
	member_open(member);
	consume(member, TOPIC_INBOUND, 10);
	AWAIT(member->count == 3);
	assert_int_equal(member->redelivered, 2);
	assert_true(record_redelivered(member->records[0]));
	assert_false(record_redelivered(member->records[1]));
	assert_true(record_redelivered(member->records[2]));
}

static void
no_more_than_the_window_is_in_hand(void **state)
{
	struct member *member = &rig.members[0];

	(void)state;
	put_numbered(KAFKA_INBOUND, 60, PARTITIONS);
	member_open(member);
	consume(member, TOPIC_INBOUND, 8);
	for (size_t finished = 0; finished < 60; finished++) {
		AWAIT(member->count > finished);
		assert_true(member->count - finished <= 8);
		finish(member, number_of(member->records[finished]));
	}
	AWAIT(member->count == 60);
}

struct reading {
	struct member *member;
	size_t number;
	char body[16];
	size_t size;
};

static void
on_piece(void *arg, int err, const void *data, size_t length)
{
	struct reading *reading = arg;

	assert_int_equal(err, 0);
	pthread_mutex_lock(&rig.lock);
	memcpy(reading->body, data, length);
	reading->size = length;
	changed();
	pthread_mutex_unlock(&rig.lock);
}

static void
read_run(void *arg)
{
	struct reading *reading = arg;
	struct member *member = reading->member;

	kafka_piece_read(&member->queue.base, member->records[reading->number]->envelope, 0,
		sizeof reading->body, on_piece, reading);
}

/* Nothing is finished: what is in hand is slow. */
static void
behind_what_is_slow_records_come_without_their_bodies(void **state)
{
	struct member *member = &rig.members[0];
	struct kafka_consumer *consumer;
	struct reading reading = { .member = member };
	size_t kept = 0;

	(void)state;
	put_numbered(KAFKA_INBOUND, 60, PARTITIONS);
	member_open(member);
	consume(member, TOPIC_INBOUND, 20000);
	consumer = (struct kafka_consumer *)member->consumer;
	consumer->near = 20;
	consumer->kept_bytes_max = 40;
	AWAIT(member->count == 60);
	for (size_t i = 0; i < 60; i++)
		kept += kafka_record_of(member->records[i])->body != NULL;
	assert_int_equal(kept, 8); /* three quarters of 40 bytes, 4 each */
	reading.number = 59;
	assert_null(kafka_record_of(member->records[59])->body);
	run_on(member, read_run, &reading);
	AWAIT(reading.size);
	assert_memory_equal(reading.body, "body", 4);
}

static void
members_share_and_whoever_leaves_hands_over(void **state)
{
	struct member *first = &rig.members[0], *second = &rig.members[1];

	(void)state;
	member_open(first);
	consume(first, TOPIC_INBOUND, 1000);
	put_numbered(KAFKA_INBOUND, 4, PARTITIONS);
	AWAIT(first->count == 4);
	finish(first, 0);
	finish(first, 1);
	finish(first, 2);
	member_open(second);
	consume(second, TOPIC_INBOUND, 1000);
	/* Until the second has its share, the first gets everything. */
	for (int i = 0; i < 100 && !came(second); i++) {
		put_numbered(KAFKA_INBOUND, 4, PARTITIONS);
		usleep(100000);
	}
	AWAIT(second->count > 0);
	member_close(first);
	put(KAFKA_INBOUND, 0, "100", "body", 4);
	put(KAFKA_INBOUND, 3, "103", "body", 4);
	AWAIT(has(second, 100) && has(second, 103));
}

static void
a_record_in_hand_does_not_come_twice(void **state)
{
	struct member *first = &rig.members[0], *second = &rig.members[1];

	(void)state;
	put_numbered(KAFKA_INBOUND, 8, PARTITIONS);
	member_open(first);
	consume(first, TOPIC_INBOUND, 1000);
	AWAIT(first->count == 8);
	member_open(second);
	consume(second, TOPIC_INBOUND, 1000);
	AWAIT(second->count == 4); /* the others are still the first's */
	member_close(second);
	put_numbered(KAFKA_INBOUND, 4, PARTITIONS);
	AWAIT(first->count == 12);
	for (size_t i = 0; i < 8; i++)
		finish(first, i);
}

static struct {
	char key[64], value[16];
} scanned;

static void
on_bad(void *arg, const void *key, size_t key_length, const void *value, size_t length)
{
	(void)arg;
	memset(&scanned, 0, sizeof scanned);
	memcpy(scanned.key, key, key_length);
	memcpy(scanned.value, value, length);
}

static size_t
scan_bad(struct member *member, const char *from, size_t length)
{
	return kafka_bad_scan(&member->queue.base, from, length, 10, on_bad, NULL);
}

static void
on_removed(void *arg, int err)
{
	*(int *)arg = err;
}

static int
remove_bad(struct member *member, const char *key)
{
	int err = 1;

	kafka_bad_remove(&member->queue.base, key, strlen(key), on_removed, &err);
	return err;
}

static void
a_record_without_an_envelope_is_put_aside(void **state)
{
	struct member *member = &rig.members[0];
	char path[200], text[8] = "";
	int fd;

	(void)state;
	produce(KAFKA_INBOUND, 0, NULL, 0, "bad one", 7);
	produce(KAFKA_INBOUND, 0, "?", 1, "bad two", 7);
	put(KAFKA_INBOUND, 0, "7", "body", 4);
	member_open(member);
	consume(member, TOPIC_INBOUND, 1000);
	AWAIT(member->count == 1);
	assert_int_equal(number_of(member->records[0]), 7);
	snprintf(path, sizeof path, "%s/bad/mail.inbound-0-0", member->dir);
	fd = open(path, O_RDONLY);
	assert_true(fd >= 0 && read(fd, text, 7) == 7);
	assert_string_equal(text, "bad one");
	close(fd);
	snprintf(path, sizeof path, "%s/bad/mail.inbound-0-1.envelope", member->dir);
	assert_int_equal(access(path, F_OK), 0);
	assert_int_equal(kafka_bad_count(&member->queue), 3);
	assert_int_equal(scan_bad(member, "", 0), 3);
	assert_string_equal(scanned.key, "mail.inbound/0-1.envelope");
	assert_string_equal(scanned.value, "?");
	assert_int_equal(scan_bad(member, "mail.inbound/0-1", 16), 2);
	assert_int_equal(scan_bad(member, "mail.inbound/0-1", 17), 1);
	assert_int_equal(remove_bad(member, "mail.inbound/0-1"), 0);
	assert_int_equal(remove_bad(member, "mail.inbound/0-1"), -ENOENT);
	assert_int_equal(remove_bad(member, "mail/../member"), -ENOENT);
	assert_int_equal(scan_bad(member, "", 0), 2);
}

static void
nothing_is_handed_out_that_no_commit_has_promised(void **state)
{
	struct member *member = &rig.members[0];
	struct metric *failures = metric_find(
		"shout_queue_commit_failures_total", "topic=\"mail.inbound\"");
	int64_t before = metric_value(failures);

	(void)state;
	put_numbered(KAFKA_INBOUND, 4, PARTITIONS);
	for (int i = 0; i < 3; i++)
		rd_kafka_mock_push_request_errors(rig.cluster, API_OFFSET_COMMIT, 1,
			RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED);
	member_open(member);
	consume(member, TOPIC_INBOUND, 1000);
	AWAIT(member->count == 4);
	assert_true(metric_value(failures) >= before + 3);
}

static void
a_fast_partition_commits_before_its_promise_runs_out(void **state)
{
	struct member *member = &rig.members[0];

	(void)state;
	put_numbered(KAFKA_INBOUND, 4 * PROMISE, 1);
	member_open(member);
	consume(member, TOPIC_INBOUND, RECORDS_MAX);
	AWAIT(member->count == (size_t)4 * PROMISE);
	assert_int_equal(member->redelivered, 0);
}

/* Two commits under way, as when partitions are revoked: the second promises more, and fails. */
struct two_commits {
	struct kafka_consumer *consumer;
	bool sent;
	int64_t first, promised;
};

static void
two_commits_run(void *arg)
{
	struct two_commits *two = arg;
	struct kafka_consumer *consumer = two->consumer;
	struct partition *partition = consumer->partitions[0];

	if (consumer->committing)
		return;
	timer_cancel(&consumer->second);
	rd_kafka_mock_push_request_errors(rig.cluster, API_OFFSET_COMMIT, 2,
		RD_KAFKA_RESP_ERR_NO_ERROR, RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED);
	commit(consumer);
	two->first = partition->promise_asked;
	kafka_offsets_receive(partition->offsets, kafka_offsets_next(partition->offsets) + 99);
	commit(consumer);
	assert_true(partition->promise_asked > two->first);
	two->sent = true;
}

static void
promised_run(void *arg)
{
	struct two_commits *two = arg;

	two->promised = two->consumer->partitions[0]->promised;
}

static void
a_commit_promises_nothing_for_the_one_behind_it(void **state)
{
	struct member *member = &rig.members[0];
	struct metric *failures = metric_find(
		"shout_queue_commit_failures_total", "topic=\"mail.inbound\"");
	int64_t before = metric_value(failures);
	struct two_commits two = { 0 };

	(void)state;
	put(KAFKA_INBOUND, 0, "0", "body", 4);
	member_open(member);
	consume(member, TOPIC_INBOUND, 1000);
	AWAIT(member->count == 1);
	two.consumer = (struct kafka_consumer *)member->consumer;
	while (!two.sent)
		run_on(member, two_commits_run, &two);
	while (metric_value(failures) == before)
		usleep(1000);
	run_on(member, promised_run, &two);
	assert_true(two.promised <= two.first);
}

static void
stop_run(void *consumer)
{
	kafka_consumer_stop(consumer);
}

static void
after_a_stop_nothing_comes_and_what_is_in_hand_may_end(void **state)
{
	struct member *first = &rig.members[0], *second = &rig.members[1];

	(void)state;
	put_numbered(KAFKA_INBOUND, 4, PARTITIONS);
	member_open(first);
	consume(first, TOPIC_INBOUND, 1000);
	AWAIT(first->count == 4);
	run_on(first, stop_run, first->consumer);
	put(KAFKA_INBOUND, 0, "9", "body", 4);
	for (size_t i = 0; i < 4; i++)
		finish(first, i);
	assert_int_equal(first->count, 4);
	member_close(first);
	member_open(second);
	consume(second, TOPIC_INBOUND, 1000);
	AWAIT(second->count == 1);
	assert_int_equal(number_of(second->records[0]), 9);
}

static void
a_consumer_after_a_stopped_one_gets_what_was_given_back(void **state)
{
	struct member *member = &rig.members[0];

	(void)state;
	put_numbered(KAFKA_INBOUND, 4, PARTITIONS);
	member_open(member);
	consume(member, TOPIC_INBOUND, 1000);
	AWAIT(member->count == 4);
	finish(member, 2);
	run_on(member, stop_run, member->consumer);
	consume(member, TOPIC_INBOUND, 1000);
	AWAIT(member->count == 7);
	assert_int_equal(member->redelivered, 3);
}

/* What a look saw, by the number a record was sent with. */
struct looked {
	size_t count, most;
	bool saw[200];
};

static bool
on_seen(void *arg, const struct queue_seen *seen)
{
	struct looked *looked = arg;

	assert_int_equal(seen->topic, TOPIC_INBOUND);
	assert_true(seen->since_us > 0);
	looked->saw[atol(seen->envelope->mail_from)] = true;
	return ++looked->count < looked->most;
}

static void
a_look_sees_what_is_unfinished(void **state)
{
	struct member *member = &rig.members[0];
	struct queue *base = &rig.producer.queue.base;
	struct looked nobody = { .most = 1000 }, in_hand = { .most = 1000 }, some = { .most = 3 };

	(void)state;
	assert_true(kafka_look(base, TOPIC_INBOUND, on_seen, &nobody));
	assert_int_equal(nobody.count, 0);
	put_numbered(KAFKA_INBOUND, 40, PARTITIONS);
	assert_true(kafka_look(base, TOPIC_INBOUND, on_seen, &nobody));
	assert_int_equal(nobody.count, 40);
	assert_false(kafka_look(base, TOPIC_INBOUND, on_seen, &some));
	assert_int_equal(some.count, 3);
	member_open(member);
	consume(member, TOPIC_INBOUND, 1000);
	AWAIT(member->count == 40);
	for (size_t i = 1; i < 40; i += 2)
		finish(member, i);
	finish(member, 0);
	await_commit();
	put(KAFKA_INBOUND, 2, "99", "body", 4);
	assert_true(kafka_look(base, TOPIC_INBOUND, on_seen, &in_hand));
	assert_int_equal(in_hand.count, 20);
	for (size_t i = 1; i < 40; i++)
		assert_int_equal(in_hand.saw[i], i % 2 == 0);
	assert_true(in_hand.saw[99]);
	put(KAFKA_INBOUND, 1, "100", "body", 4);
	AWAIT(member->count == 42); /* the group was not disturbed */
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(records_come_in_order_and_once),
		TEST(a_look_sees_what_is_unfinished),
		TEST(after_a_crash_only_what_was_unfinished_comes_again),
		TEST(what_was_handed_on_again_is_told),
		TEST(no_more_than_the_window_is_in_hand),
		TEST(behind_what_is_slow_records_come_without_their_bodies),
		TEST(members_share_and_whoever_leaves_hands_over),
		TEST(a_record_in_hand_does_not_come_twice),
		TEST(a_record_without_an_envelope_is_put_aside),
		TEST(nothing_is_handed_out_that_no_commit_has_promised),
		TEST(a_fast_partition_commits_before_its_promise_runs_out),
		TEST(a_commit_promises_nothing_for_the_one_behind_it),
		TEST(after_a_stop_nothing_comes_and_what_is_in_hand_may_end),
		TEST(a_consumer_after_a_stopped_one_gets_what_was_given_back),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
