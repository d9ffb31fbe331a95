/*
 * test_kafka_body.c - bodies in a cluster: from hand and by offset, gone, and out of reach.
 */

#include "shared/queue/kafka/kafka_piece.h"
#include "tests/unit/kafka_consumer_rig.h"

/* A body read piece by piece. */
struct reading {
	struct member *member;
	const Envelope *envelope;
	uint64_t offset;
	unsigned char *data;
	int err;
	bool done;
};

static void read_next(void *arg);

static void
on_piece(void *arg, int err, const void *data, size_t length)
{
	struct reading *reading = arg;

	if (!err && length) {
		assert_true(length <= QUEUE_PIECE_MAX);
		memcpy(reading->data + reading->offset, data, length);
		reading->offset += length;
		read_next(reading);
		return;
	}
	pthread_mutex_lock(&rig.lock);
	reading->err = err;
	reading->done = true;
	changed();
	pthread_mutex_unlock(&rig.lock);
}

static void
read_next(void *arg)
{
	struct reading *reading = arg;

	kafka_piece_read(&reading->member->queue.base, reading->envelope, reading->offset,
		QUEUE_PIECE_MAX, on_piece, reading);
}

static int
read_body(struct member *member, const Envelope *envelope, const void *body, size_t size)
{
	struct reading reading = {
		.member = member, .envelope = envelope, .data = xmalloc(size + 1)
	};

	run_on(member, read_next, &reading);
	AWAIT(reading.done);
	if (!reading.err) {
		assert_int_equal(reading.offset, size);
		assert_memory_equal(reading.data, body, size);
	}
	free(reading.data);
	return reading.err;
}

static void
bodies_of_any_size_are_read_from_hand_and_by_offset(void **state)
{
	static const size_t sizes[] = { 0, 1, QUEUE_INLINE_MAX, QUEUE_INLINE_MAX + 1, LARGE };
	enum { COUNT = sizeof sizes / sizeof *sizes };
	struct member *member = &rig.members[0], *other = &rig.members[1];
	unsigned char *body = xmalloc(LARGE);

	(void)state;
	for (size_t i = 0; i < LARGE; i++)
		body[i] = (unsigned char)(i * 31 + i / 4096);
	for (size_t i = 0; i < COUNT; i++)
		put(KAFKA_INBOUND, 3, "0", body, sizes[i]);
	member_open(member);
	member_open(other);
	consume(member, TOPIC_INBOUND, 1000);
	AWAIT(member->count == COUNT);
	for (size_t i = 0; i < COUNT; i++) {
		const Envelope *envelope = member->records[i]->envelope;
		const void *data;
		size_t size;

		assert_int_equal(read_body(member, envelope, body, sizes[i]), 0);
		assert_int_equal(read_body(other, envelope, body, sizes[i]), 0);
		data = kafka_body_data(kafka_record_of(member->records[i])->body, &size);
		assert_int_equal(size, sizes[i]);
		assert_memory_equal(data, body, size);
	}
	free(body);
}

static void
a_body_that_is_not_there_is_said_so(void **state)
{
	struct member *member = &rig.members[0];
	Envelope envelope = ENVELOPE__INIT;

	(void)state;
	envelope.id.data = last_id;
	envelope.id.len = ID_SIZE;
	put(KAFKA_INBOUND, 0, "0", "body", 4);
	member_open(member);
	assert_int_equal(read_body(member, &envelope, "", 0), -ENOENT);
	envelope.body_topic = KAFKA_INBOUND;
	envelope.body_offset = 1000;
	assert_int_equal(read_body(member, &envelope, "", 0), -ENOENT);
	envelope.body_offset = 0;
	assert_int_equal(read_body(member, &envelope, "body", 4), 0);
}

static void
a_broker_that_is_down_is_a_timeout_for_bodies(void **state)
{
	struct member *member = &rig.members[0];
	Envelope envelope = ENVELOPE__INIT;

	(void)state;
	envelope.id.data = last_id;
	envelope.id.len = ID_SIZE;
	put(KAFKA_INBOUND, 0, "0", "body", 4);
	member_open(member);
	member->queue.late_ms = 500;
	rd_kafka_mock_broker_set_down(rig.cluster, 1);
	envelope.body_topic = KAFKA_INBOUND;
	assert_int_equal(read_body(member, &envelope, "body", 4), -ETIMEDOUT);
	rd_kafka_mock_broker_set_up(rig.cluster, 1);
	member->queue.late_ms = LATE_MS;
	assert_int_equal(read_body(member, &envelope, "body", 4), 0);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(bodies_of_any_size_are_read_from_hand_and_by_offset),
		TEST(a_body_that_is_not_there_is_said_so),
		TEST(a_broker_that_is_down_is_a_timeout_for_bodies),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
