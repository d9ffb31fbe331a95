/*
 * kafka_consumer_rig.h - members of a group, on a mock cluster.
 */
#ifndef TESTS_UNIT_KAFKA_CONSUMER_RIG_H
#define TESTS_UNIT_KAFKA_CONSUMER_RIG_H

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

#include "shared/queue/kafka/body/kafka_body.h"
#include "shared/queue/kafka/consume/kafka_consumer_private.h"
#include "shared/queue/kafka/produce/kafka_producer.h"
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#include "shared/base/log.h"
#include "shared/config/config.h"
#include "shared/metrics/metrics.h"
#include "tests/unit/await.h"

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

static inline void
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

static inline void
on_call(struct task *task)
{
	struct call *call = (struct call *)task;

	call->fn(call->arg);
	pthread_mutex_lock(&rig.lock);
	call->done = true;
	changed();
	pthread_mutex_unlock(&rig.lock);
}

static inline void
run_on(struct member *member, void (*fn)(void *arg), void *arg)
{
	struct call call = { .task.run = on_call, .fn = fn, .arg = arg };

	loop_post(member->loop, &call.task);
	AWAIT(call.done);
}

static inline void
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

static inline void
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

static inline void
consume(struct member *member, enum topic topic, unsigned window)
{
	member->consumer = kafka_consume(
		&member->queue.base, topic, member->loop, window, on_record, member);
}

static inline int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static inline void
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
static inline void
member_crash(struct member *member)
{
	loop_stop(member->loop);
	loop_join(member->loop);
	for (struct kafka_consumer *c = member->queue.consumers; c; c = c->next)
		partitions_lose(c);
	member_close(member);
}

static inline int
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

static inline int
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

static inline void
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

static inline void
produce(enum kafka_topic topic, int32_t partition, const void *header, size_t header_size,
	const void *body, size_t size)
{
	struct sending sending = {
		.message = { .topic = topic,
			.partition = partition,
			.key = last_id,
			.key_size = ID_SIZE,
			.header = header,
			.header_size = header_size,
			.value = body,
			.value_size = size,
			.on_ack = on_ack },
	};

	kafka_produce(rig.producer.queue.producer, &sending.message);
	AWAIT(sending.done);
}

static inline void
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

static inline void
put_numbered(enum kafka_topic topic, size_t count, int32_t partitions)
{
	char from[20];

	for (size_t i = 0; i < count; i++) {
		snprintf(from, sizeof from, "%zu", i);
		put(topic, (int32_t)(i % (size_t)partitions), from, "body", 4);
	}
}

static inline size_t
number_of(const struct record *record)
{
	return (size_t)atol(record->envelope->mail_from);
}

static inline bool
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

static inline void
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

static inline void
finish(struct member *member, size_t number)
{
	struct finishing finishing = { member, number };

	run_on(member, finish_run, &finishing);
}

static inline size_t
came(const struct member *member)
{
	size_t count;

	pthread_mutex_lock(&rig.lock);
	count = member->count;
	pthread_mutex_unlock(&rig.lock);
	return count;
}

static inline int64_t
commits(void)
{
	return metric_value(metric_find("shout_queue_commits_total", "topic=\"mail.inbound\""));
}

static inline void
await_commit(void)
{
	int64_t before = commits();

	for (int i = 0; i < 60000 && commits() < before + 2; i++)
		usleep(1000);
	assert_true(commits() >= before + 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
