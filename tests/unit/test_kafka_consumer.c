/*
 * test_kafka_consumer.c - members of a group, their records and bodies, against librdkafka's mock
 * cluster. A member is a queue and a loop of its own, as in a process.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "shared/kafka_consumer.h"
#include <librdkafka/rdkafka_mock.h>

#include "shared/config.h"
#include "shared/log.h"
#include "shared/metrics.h"

#define API_OFFSET_COMMIT 8
#define PARTITIONS 4
#define RECORDS_MAX 4096
#define LARGE 3000000 /* the mock keeps 5 MB of a partition */

struct member {
	struct config config;
	struct kafka_queue queue;
	struct loop *loop;
	struct consumer *consumer;
	char dir[64];
	/* under the rig's lock */
	struct record *records[RECORDS_MAX]; /* as they came; NULL once finished */
	size_t count, redelivered;
};

static struct {
	rd_kafka_t *rk; /* keeps the cluster */
	rd_kafka_mock_cluster_t *cluster;
	struct member producer; /* of the records */
	struct member members[3];
	pthread_mutex_t lock;
	pthread_cond_t changed;
} rig = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

#define AWAIT(condition)                                                                           \
	do {                                                                                       \
		struct timespec until_;                                                            \
		bool held_;                                                                        \
		clock_gettime(CLOCK_REALTIME, &until_);                                            \
		until_.tv_sec += 60;                                                               \
		pthread_mutex_lock(&rig.lock);                                                     \
		while (!(condition) && !pthread_cond_timedwait(&rig.changed, &rig.lock, &until_))  \
			;                                                                          \
		held_ = (condition);                                                               \
		pthread_mutex_unlock(&rig.lock);                                                   \
		assert_true(held_);                                                                \
	} while (0)

static void
changed(void)
{
	pthread_cond_broadcast(&rig.changed);
}

/* A function run on a member's loop while the test waits. */
struct call {
	struct task task;
	void (*fn)(void *arg);
	void *arg;
	bool done;
};

static void
on_call(struct task *task)
{
	struct call *call = (struct call *)task;

	call->fn(call->arg);
	pthread_mutex_lock(&rig.lock);
	call->done = true;
	changed();
	pthread_mutex_unlock(&rig.lock);
}

static void
run_on(struct member *member, void (*fn)(void *arg), void *arg)
{
	struct call call = { .task.run = on_call, .fn = fn, .arg = arg };

	loop_post(member->loop, &call.task);
	AWAIT(call.done);
}

static void
on_record(void *arg, struct record *record)
{
	struct member *member = arg;

	pthread_mutex_lock(&rig.lock);
	assert_true(member->count < RECORDS_MAX);
	member->redelivered += record->redelivered;
	member->records[member->count++] = record;
	changed();
	pthread_mutex_unlock(&rig.lock);
}

static void
member_open(struct member *member)
{
	memset(member, 0, sizeof *member);
	snprintf(member->dir, sizeof member->dir, "/tmp/shout-member-XXXXXX");
	assert_non_null(mkdtemp(member->dir));
	member->config.state_dir = member->dir;
	member->config.queue.partitions = PARTITIONS;
	member->config.queue.brokers = (char *)(uintptr_t)rd_kafka_mock_cluster_bootstraps(
		rig.cluster);
	member->queue.config = &member->config;
	member->queue.late_ms = LATE_MS;
	member->queue.session_ms = 3000;
	member->queue.spool_fd = open(member->dir, O_RDONLY | O_DIRECTORY);
	member->queue.bodies = kafka_bodies_new(&member->queue);
	member->loop = loop_new("member");
	loop_start(member->loop);
}

static void
consume(struct member *member, enum topic topic, unsigned window)
{
	member->consumer = kafka_consume(
		&member->queue.base, topic, member->loop, window, on_record, member);
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static void
member_close(struct member *member)
{
	if (!member->loop)
		return;
	loop_stop(member->loop);
	loop_join(member->loop);
	loop_free(&member->loop);
	kafka_consumers_close(&member->queue);
	kafka_bodies_free(&member->queue.bodies);
	close(member->queue.spool_fd);
	nftw(member->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* librdkafka 2.0.2 keeps one queue of a handle that is destroyed while its group's coordinator owes
 * it an answer, as after member_crash(). */
const char *__lsan_default_suppressions(void);

const char *
__lsan_default_suppressions(void)
{
	return "leak:librdkafka.so";
}

/* Nothing is committed any more. */
static void
member_crash(struct member *member)
{
	loop_stop(member->loop);
	loop_join(member->loop);
	for (struct kafka_consumer *c = member->queue.consumers; c; c = c->next)
		partitions_lose(c);
	member_close(member);
}

static int
setup(void **state)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();

	(void)state;
	kafka_set(conf, "log_level", "2");
	log_set_level(getenv("V") ? LOG_LEVEL_DEBUG : LOG_LEVEL_ERROR);
	rig.rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, NULL, 0);
	rig.cluster = rd_kafka_mock_cluster_new(rig.rk, 1);
	rd_kafka_mock_topic_create(rig.cluster, "mail.inbound", PARTITIONS, 1);
	rd_kafka_mock_topic_create(rig.cluster, "mail.ready", PARTITIONS, 1);
	memset(rig.members, 0, sizeof rig.members);
	member_open(&rig.producer);
	rig.producer.queue.producer = kafka_producer_new(&rig.producer.queue);
	return rig.producer.queue.producer ? 0 : -1;
}

static int
teardown(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof rig.members / sizeof *rig.members; i++)
		member_close(&rig.members[i]);
	kafka_producer_free(&rig.producer.queue.producer);
	member_close(&rig.producer);
	rd_kafka_mock_cluster_destroy(rig.cluster);
	rd_kafka_destroy(rig.rk);
	return 0;
}

struct sending {
	struct kafka_message message;
	bool done;
};

static void
on_ack(struct kafka_message *message, int err, int64_t offset)
{
	(void)offset;
	assert_int_equal(err, 0);
	pthread_mutex_lock(&rig.lock);
	((struct sending *)message)->done = true;
	changed();
	pthread_mutex_unlock(&rig.lock);
}

static uint8_t last_id[ID_SIZE]; /* of what was put */

static void
produce(enum kafka_topic topic, int32_t partition, const void *header, size_t header_size,
	const void *body, size_t size)
{
	struct sending sending = {
		.message = {.topic = topic,
			    .partition = partition,
			    .key = last_id,
			    .key_size = ID_SIZE,
			    .header = header,
			    .header_size = header_size,
			    .value = body,
			    .value_size = size,
			    .on_ack = on_ack}
	};

	kafka_produce(rig.producer.queue.producer, &sending.message);
	AWAIT(sending.done);
}

static void
put(enum kafka_topic topic, int32_t partition, const char *from, const void *body, size_t size)
{
	uint8_t packed[512];
	Envelope envelope = ENVELOPE__INIT;

	id_make(last_id);
	envelope.id.data = last_id;
	envelope.id.len = ID_SIZE;
	envelope.accepted_us = clock_us();
	envelope.size = size;
	envelope.mail_from = (char *)(uintptr_t)from;
	produce(topic, partition, packed, envelope__pack(&envelope, packed), body, size);
}

static void
put_numbered(enum kafka_topic topic, size_t count, int32_t partitions)
{
	char from[20];

	for (size_t i = 0; i < count; i++) {
		snprintf(from, sizeof from, "%zu", i);
		put(topic, (int32_t)(i % (size_t)partitions), from, "body", 4);
	}
}

static size_t
number_of(const struct record *record)
{
	return (size_t)atol(record->envelope->mail_from);
}

static bool
has(const struct member *member, size_t number)
{
	for (size_t i = 0; i < member->count; i++)
		if (member->records[i] && number_of(member->records[i]) == number)
			return true;
	return false;
}

/* Finishing by the number a record was sent with. */
struct finishing {
	struct member *member;
	size_t number;
};

static void
finish_run(void *arg)
{
	struct finishing *finishing = arg;
	struct member *member = finishing->member;

	for (size_t i = 0; i < member->count; i++) {
		if (!member->records[i] || number_of(member->records[i]) != finishing->number)
			continue;
		kafka_finish(member->records[i]);
		member->records[i] = NULL;
		return;
	}
	fail_msg("record %zu is not in hand", finishing->number);
}

static void
finish(struct member *member, size_t number)
{
	struct finishing finishing = { member, number };

	run_on(member, finish_run, &finishing);
}

static size_t
came(const struct member *member)
{
	size_t count;

	pthread_mutex_lock(&rig.lock);
	count = member->count;
	pthread_mutex_unlock(&rig.lock);
	return count;
}

static int64_t
commits(void)
{
	return metric_value(
		metric_counter("shout_queue_commits_total", "", "topic=\"mail.inbound\""));
}

static void
await_commit(void)
{
	int64_t before = commits();

	for (int i = 0; i < 60000 && commits() < before + 2; i++)
		usleep(1000);
	assert_true(commits() >= before + 2);
}

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
what_was_handed_on_again_is_told(void **state)
{
	struct member *member = &rig.members[0];
	uint8_t id[ID_SIZE], packed[64];
	Envelope envelope = ENVELOPE__INIT;

	(void)state;
	id_make(id);
	envelope.id.data = id;
	envelope.id.len = ID_SIZE;
	envelope.again = true;
	produce(KAFKA_INBOUND, 0, packed, envelope__pack(&envelope, packed), "body", 4);
	put(KAFKA_INBOUND, 0, "1", "body", 4);
	member_open(member);
	consume(member, TOPIC_INBOUND, 10);
	AWAIT(member->count == 2);
	assert_int_equal(member->redelivered, 1);
	assert_true(record_redelivered(member->records[0]));
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

	kafka_body_read(&reading->member->queue.base, reading->envelope, reading->offset,
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
		data = kafka_body_data(kafka_record_body(member->records[i]), &size);
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

static void
nothing_is_handed_out_that_no_commit_has_promised(void **state)
{
	struct member *member = &rig.members[0];
	struct metric *failures = metric_counter(
		"shout_queue_commit_failures_total", "", "topic=\"mail.inbound\"");
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
	event_del(&consumer->second);
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
	struct metric *failures = metric_counter(
		"shout_queue_commit_failures_total", "", "topic=\"mail.inbound\"");
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

int
main(int argc, char **argv)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(records_come_in_order_and_once),
		TEST(after_a_crash_only_what_was_unfinished_comes_again),
		TEST(what_was_handed_on_again_is_told),
		TEST(no_more_than_the_window_is_in_hand),
		TEST(members_share_and_whoever_leaves_hands_over),
		TEST(a_record_in_hand_does_not_come_twice),
		TEST(a_record_without_an_envelope_is_put_aside),
		TEST(bodies_of_any_size_are_read_from_hand_and_by_offset),
		TEST(a_body_that_is_not_there_is_said_so),
		TEST(a_broker_that_is_down_is_a_timeout_for_bodies),
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
