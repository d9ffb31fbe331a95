/*
 * test_kafka_producer.c - the producer against librdkafka's mock cluster, which fails as told.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include <cmocka.h>

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#include "shared/base/log.h"
#include "shared/config/config.h"
#include "shared/metrics/metrics.h"
#include "shared/queue/kafka/client/kafka_client.h"
#include "shared/queue/kafka/client/kafka_queue.h"
#include "shared/queue/kafka/produce/kafka_producer.h"
#include "tests/unit/await.h"

#define API_PRODUCE 0
#define API_INIT_PRODUCER_ID 22
#define MIB ((size_t)1 << 20)

static struct {
	rd_kafka_t *rk; /* keeps the cluster */
	rd_kafka_mock_cluster_t *cluster;
	struct config config;
	struct kafka_queue queue;
	pthread_mutex_t lock;
	pthread_cond_t changed;
} rig = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

struct ask {
	struct kafka_message message;
	int err, answers, let_go;
	int64_t offset;
	bool on_queue_thread;
};

static void
on_ack(struct kafka_message *message, int err, int64_t offset)
{
	struct ask *ask = (struct ask *)message;
	char name[16];

	pthread_getname_np(pthread_self(), name, sizeof name);
	pthread_mutex_lock(&rig.lock);
	ask->on_queue_thread = strcmp(name, "queue") == 0;
	ask->err = err;
	ask->offset = offset;
	ask->answers++;
	pthread_cond_broadcast(&rig.changed);
	pthread_mutex_unlock(&rig.lock);
}

static void
on_let_go(struct kafka_message *message)
{
	pthread_mutex_lock(&rig.lock);
	((struct ask *)message)->let_go++;
	pthread_cond_broadcast(&rig.changed);
	pthread_mutex_unlock(&rig.lock);
}

static void
ask_of(struct ask *ask, int32_t partition, const void *value, size_t size)
{
	ask->message = (struct kafka_message){
		.topic = KAFKA_INBOUND,
		.partition = partition,
		.key = "k",
		.key_size = 1,
		.header = "h",
		.header_size = 1,
		.value = value,
		.value_size = size,
		.on_ack = on_ack,
		.on_let_go = on_let_go,
	};
	kafka_produce(rig.queue.producer, &ask->message);
}

static void
ask_start(struct ask *ask, const void *value, size_t size)
{
	ask_of(ask, 1, value, size);
}

static int
ask_wait(struct ask *ask)
{
	ask_start(ask, "value", 5);
	AWAIT(ask->answers == 1 && ask->let_go == 1);
	assert_true(ask->on_queue_thread);
	return ask->err;
}

static void
start_cluster(void)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();

	kafka_set(conf, "log_level", "2");
	rig.rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, NULL, 0);
	rig.cluster = rd_kafka_mock_cluster_new(rig.rk, 1);
	assert_int_equal(rd_kafka_mock_topic_create(rig.cluster, "mail.inbound", 4, 1), 0);
}

static void
start_producer(unsigned late_ms)
{
	rig.config.queue.brokers = (char *)(uintptr_t)rd_kafka_mock_cluster_bootstraps(rig.cluster);
	rig.queue.config = &rig.config;
	rig.queue.late_ms = late_ms;
	rig.queue.producer = kafka_producer_new(&rig.queue);
	assert_non_null(rig.queue.producer);
}

static void
start(unsigned late_ms)
{
	start_cluster();
	start_producer(late_ms);
}

static void
stop(void)
{
	kafka_producer_free(&rig.queue.producer);
	assert_null(rig.queue.producer);
	rd_kafka_mock_cluster_destroy(rig.cluster);
	rd_kafka_destroy(rig.rk);
}

static void
a_record_is_acknowledged_with_its_offset(void **state)
{
	struct ask first = { 0 }, second = { 0 };

	(void)state;
	start(LATE_MS);
	assert_int_equal(ask_wait(&first), 0);
	assert_int_equal(ask_wait(&second), 0);
	assert_int_equal(second.offset, first.offset + 1);
	stop();
}

static void
a_tombstone_and_an_empty_body_are_taken(void **state)
{
	struct ask tombstone = { 0 }, empty = { 0 };

	(void)state;
	start(LATE_MS);
	ask_start(&tombstone, NULL, 0);
	ask_start(&empty, "", 0);
	AWAIT(tombstone.answers && empty.answers);
	assert_int_equal(tombstone.err, 0);
	assert_int_equal(empty.err, 0);
	stop();
}

static void
an_error_that_passes_is_tried_again(void **state)
{
	struct ask ask = { 0 };

	(void)state;
	start(LATE_MS);
	rd_kafka_mock_push_request_errors(rig.cluster, API_PRODUCE, 3,
		RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS, RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE,
		RD_KAFKA_RESP_ERR__TRANSPORT);
	assert_int_equal(ask_wait(&ask), 0);
	stop();
}

static void
a_broker_that_is_down_is_a_timeout(void **state)
{
	struct ask before = { 0 }, ask = { 0 };

	(void)state;
	start(1000);
	assert_int_equal(ask_wait(&before), 0);
	rd_kafka_mock_broker_set_down(rig.cluster, 1);
	assert_int_equal(ask_wait(&ask), -ETIMEDOUT);
	stop();
}

/* How many records the partition has. */
static int64_t
end_of(int32_t partition)
{
	int64_t low = -1, high = -1;
	rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_CONSUMER, kafka_conf(&rig.config), NULL, 0);

	assert_int_equal(
		rd_kafka_query_watermark_offsets(rk, "mail.inbound", partition, &low, &high, 30000),
		0);
	rd_kafka_destroy(rk);
	return high;
}

static void
a_record_whose_answer_is_lost_is_counted(void **state)
{
	struct metric *unknown = metric_find("shout_queue_unknown_total", "topic=\"mail.inbound\"");
	struct ask before = { 0 }, ask = { 0 };
	int64_t count = metric_value(unknown);

	(void)state;
	start(1000);
	assert_int_equal(ask_wait(&before), 0);
	rd_kafka_mock_broker_set_rtt(rig.cluster, 1, 5000);
	assert_int_equal(ask_wait(&ask), -ETIMEDOUT);
	assert_int_equal(metric_value(unknown), count + 1);
	rd_kafka_mock_broker_set_rtt(rig.cluster, 1, 0);
	assert_int_equal(end_of(1), 2);
	stop();
}

/* The first ones take 2.5 s, whoever waits for them is not answered at all. librdkafka gives a
 * record 8 s from when it gets it, so the record that waited is answered before that. */
static void
wait_behind(size_t firsts, const void *value, size_t size)
{
	struct metric *unknown = metric_find("shout_queue_unknown_total", "topic=\"mail.inbound\"");
	struct ask before = { 0 }, first[2] = { 0 }, ask = { 0 };
	int64_t count = metric_value(unknown);

	start(10000);
	ask_of(&before, 0, "value", 5); /* of another partition, so the first waits for none */
	AWAIT(before.let_go);
	assert_int_equal(before.err, 0);
	for (size_t i = 0; i < firsts; i++)
		rd_kafka_mock_broker_push_request_error_rtts(
			rig.cluster, 1, API_PRODUCE, 1, RD_KAFKA_RESP_ERR_NO_ERROR, 3500);
	rd_kafka_mock_broker_push_request_error_rtts(
		rig.cluster, 1, API_PRODUCE, 1, RD_KAFKA_RESP_ERR_NO_ERROR, 7500);
	for (size_t i = 0; i < firsts; i++)
		ask_start(&first[i], value, size);
	ask_start(&ask, value, size);
	AWAIT(ask.let_go);
	for (size_t i = 0; i < firsts; i++)
		assert_int_equal(first[i].err, 0);
	assert_int_equal(ask.answers, 1);
	assert_int_equal(ask.err, -ETIMEDOUT);
	assert_int_equal(metric_value(unknown), count + 1);
	stop();
}

static void
a_record_that_waited_for_another_is_answered_in_time(void **state)
{
	(void)state;
	wait_behind(1, "value", 5);
}

static void
a_large_record_that_waited_for_its_turn_is_answered_in_time(void **state)
{
	void *value = mmap(NULL, 50 * MIB, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)state;
	assert_true(value != MAP_FAILED);
	wait_behind(2, value, 50 * MIB);
	munmap(value, 50 * MIB);
}

static void
after_a_fatal_error_another_producer_takes_over(void **state)
{
	struct metric *replaced = metric_find("shout_queue_producers_replaced_total", NULL);
	int64_t count = metric_value(replaced);
	struct ask first = { 0 };
	int err;

	(void)state;
	start_cluster();
	for (int i = 0; i < 3; i++) /* one for each of its handles */
		rd_kafka_mock_push_request_errors(rig.cluster, API_INIT_PRODUCER_ID, 1,
			RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED);
	start_producer(LATE_MS);
	assert_int_equal(ask_wait(&first), -EIO);
	do {
		struct ask again = { 0 };
		err = ask_wait(&again);
	} while (err == -EIO);
	assert_int_equal(err, 0);
	assert_true(metric_value(replaced) > count);
	stop();
}

static void
what_does_not_fit_is_refused_at_once(void **state)
{
	enum { COUNT = 100001 };
	struct ask *asks = xcalloc(COUNT, sizeof *asks);
	size_t full = 0;

	(void)state;
	start(3000);
	rd_kafka_mock_broker_set_down(rig.cluster, 1);
	for (size_t i = 0; i < COUNT; i++)
		ask_start(&asks[i], "value", 5);
	for (size_t i = 0; i < COUNT; i++) {
		AWAIT(asks[i].answers == 1);
		full += asks[i].err == -ENOSPC;
		assert_true(asks[i].err == -ENOSPC || asks[i].err == -ETIMEDOUT);
	}
	assert_true(full > 0);
	stop();
	free(asks);
}

static void
large_records_take_their_turn(void **state)
{
	enum { COUNT = 8 };
	struct metric *waiting = metric_find("shout_queue_large_waiting", NULL);
	struct ask asks[COUNT] = { 0 };
	void *value = mmap(NULL, 50 * MIB, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)state;
	assert_true(value != MAP_FAILED);
	start(LATE_MS);
	rd_kafka_mock_broker_set_down(rig.cluster, 1);
	for (size_t i = 0; i < COUNT; i++)
		ask_start(&asks[i], value, 50 * MIB);
	assert_int_equal(metric_value(waiting), COUNT - 2);
	rd_kafka_mock_broker_set_up(rig.cluster, 1);
	for (size_t i = 0; i < COUNT; i++) {
		AWAIT(asks[i].answers == 1);
		assert_int_equal(asks[i].err, 0);
	}
	stop();
	munmap(value, 50 * MIB);
}

static void
a_large_record_that_never_gets_its_turn_is_a_timeout(void **state)
{
	enum { COUNT = 6 };
	struct ask asks[COUNT] = { 0 };
	void *value = mmap(NULL, 50 * MIB, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)state;
	start(1000);
	rd_kafka_mock_broker_set_down(rig.cluster, 1);
	for (size_t i = 0; i < COUNT; i++)
		ask_start(&asks[i], value, 50 * MIB);
	for (size_t i = 0; i < COUNT; i++) {
		AWAIT(asks[i].answers == 1);
		assert_int_equal(asks[i].err, -ETIMEDOUT);
	}
	stop();
	munmap(value, 50 * MIB);
}

/* Answers of one turn for one loop come as one task, in the order they were given. */
static struct {
	struct loop *loop;
	unsigned answers;
	int wrong;
} answered;

static void
on_answer(void *arg, int err)
{
	answered.wrong += loop_current() != answered.loop || err != -ENOENT ||
		(uintptr_t)arg != answered.answers;
	if (++answered.answers == 100)
		loop_stop(answered.loop);
}

/* On the queue thread. */
static void
on_ack_answer(struct kafka_message *message, int err, int64_t offset)
{
	(void)message, (void)err, (void)offset;
	for (uintptr_t i = 0; i < 100; i++)
		kafka_answer(rig.queue.producer, answered.loop, on_answer, (void *)i, -ENOENT);
}

static void
answers_come_on_their_loop_in_order(void **state)
{
	struct kafka_message message = {
		.topic = KAFKA_INBOUND,
		.key = "k",
		.key_size = 1,
		.on_ack = on_ack_answer,
	};

	(void)state;
	start(LATE_MS);
	answered.loop = loop_new("test");
	kafka_produce(rig.queue.producer, &message);
	loop_run(answered.loop);
	assert_int_equal(answered.answers, 100);
	assert_int_equal(answered.wrong, 0);
	stop();
	loop_free(&answered.loop);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_record_is_acknowledged_with_its_offset),
		cmocka_unit_test(a_tombstone_and_an_empty_body_are_taken),
		cmocka_unit_test(an_error_that_passes_is_tried_again),
		cmocka_unit_test(a_broker_that_is_down_is_a_timeout),
		cmocka_unit_test(a_record_whose_answer_is_lost_is_counted),
		cmocka_unit_test(a_record_that_waited_for_another_is_answered_in_time),
		cmocka_unit_test(a_large_record_that_waited_for_its_turn_is_answered_in_time),
		cmocka_unit_test(after_a_fatal_error_another_producer_takes_over),
		cmocka_unit_test(what_does_not_fit_is_refused_at_once),
		cmocka_unit_test(large_records_take_their_turn),
		cmocka_unit_test(a_large_record_that_never_gets_its_turn_is_a_timeout),
		cmocka_unit_test(answers_come_on_their_loop_in_order),
	};

	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
