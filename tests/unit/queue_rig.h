/*
 * queue_rig.h - a queue in a directory of its own, a loop that uses it, and calls that wait for
 * their callbacks. Used by tests that know queue.h only.
 */
#ifndef TESTS_QUEUE_RIG_H
#define TESTS_QUEUE_RIG_H

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
#include <librdkafka/rdkafka.h>

#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/config/config.h"
#include "shared/queue/kafka/kafka_topics.h"
#include "shared/queue/queue.h"
#include "tests/unit/await.h"

#define RECORDS_MAX 4096

struct rig {
	struct config config;
	char dir[64];
	struct queue *queue;
	struct rows *rows; /* ours */
	struct loop *loop;
	struct consumer *consumer[TOPIC_COUNT];
	pthread_mutex_t lock;
	pthread_cond_t changed;
	/* under lock */
	struct record *records[RECORDS_MAX]; /* as they came */
	size_t count;
	int owned; /* partitions */
};

static struct rig rig;

static inline void
changed(void)
{
	pthread_cond_broadcast(&rig.changed);
}

/* A function run on a loop while the test waits. */
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
run_on(struct loop *loop, void (*fn)(void *arg), void *arg)
{
	struct call call = { .task.run = on_call, .fn = fn, .arg = arg };

	loop_post(loop, &call.task);
	AWAIT(call.done);
}

/* Any call of the queue, made on the rig's loop, and its answer. */
struct ask {
	void (*fn)(struct ask *ask);
	enum topic topic;
	const Envelope *envelope;
	struct body body;
	struct record *record;
	Row *const *rows;
	size_t count;
	const char *key, *json;
	unsigned window;
	int err, answers;
};

static inline void
on_answer(void *arg, int err)
{
	struct ask *ask = arg;

	pthread_mutex_lock(&rig.lock);
	ask->err = err;
	ask->answers++;
	changed();
	pthread_mutex_unlock(&rig.lock);
}

static inline void
ask_run(void *arg)
{
	struct ask *ask = arg;

	ask->fn(ask);
}

static inline int
ask_wait(struct ask *ask)
{
	run_on(rig.loop, ask_run, ask);
	AWAIT(ask->answers == 1);
	return ask->err;
}

static inline void
ask_put(struct ask *ask)
{
	queue_put(rig.queue, ask->topic, ask->envelope, &ask->body, on_answer, ask);
}

static inline int
put(enum topic topic, const Envelope *envelope, const void *data, size_t size)
{
	struct ask ask = {
		.fn = ask_put,
		.topic = topic,
		.envelope = envelope,
		.body = { .data = data, .size = size },
	};

	return ask_wait(&ask);
}

static inline int
put_spilled(enum topic topic, const Envelope *envelope, const char *name, uint64_t size)
{
	struct ask ask = {
		.fn = ask_put,
		.topic = topic,
		.envelope = envelope,
		.body = { .spill = name, .size = size },
	};

	return ask_wait(&ask);
}

static inline void
ask_forward(struct ask *ask)
{
	queue_forward(ask->record, ask->topic, ask->envelope, on_answer, ask);
}

static inline int
forward(struct record *record, enum topic topic, const Envelope *envelope)
{
	struct ask ask = {
		.fn = ask_forward, .record = record, .topic = topic, .envelope = envelope
	};

	return ask_wait(&ask);
}

static inline void
ask_defer(struct ask *ask)
{
	queue_defer(ask->record, ask->rows, ask->count, on_answer, ask);
}

static inline int
defer(struct record *record, Row *const *rows, size_t count)
{
	struct ask ask = { .fn = ask_defer, .record = record, .rows = rows, .count = count };

	return ask_wait(&ask);
}

static inline void
ask_row_put(struct ask *ask)
{
	queue_row_put(rig.queue, ask->rows[0], on_answer, ask);
}

static inline int
row_put(Row *row)
{
	struct ask ask = { .fn = ask_row_put, .rows = &row };

	return ask_wait(&ask);
}

static inline void
ask_row_remove(struct ask *ask)
{
	queue_row_remove(rig.queue, ask->rows[0], on_answer, ask);
}

static inline int
row_remove(Row *row)
{
	struct ask ask = { .fn = ask_row_remove, .rows = &row };

	return ask_wait(&ask);
}

static inline void
ask_config_put(struct ask *ask)
{
	queue_config_put(rig.queue, ask->key, ask->json, on_answer, ask);
}

static inline int
config_put(const char *key, const char *json)
{
	struct ask ask = { .fn = ask_config_put, .key = key, .json = json };

	return ask_wait(&ask);
}

static inline void
ask_event_put(struct ask *ask)
{
	queue_event_put(rig.queue, EVENT_OF_MAIL, ask->json, strlen(ask->json), on_answer, ask);
}

static inline int
event_put(const char *json)
{
	struct ask ask = { .fn = ask_event_put, .json = json };

	return ask_wait(&ask);
}

static inline void
finish_run(void *record)
{
	queue_finish(record);
}

static inline void
finish(struct record *record)
{
	run_on(rig.loop, finish_run, record);
}

static inline void
abandon_run(void *record)
{
	record_abandon(record);
}

static inline void
on_record(void *arg, struct record *record)
{
	(void)arg;
	pthread_mutex_lock(&rig.lock);
	assert_true(rig.count < RECORDS_MAX);
	rig.records[rig.count++] = record;
	changed();
	pthread_mutex_unlock(&rig.lock);
}

static inline void
consume(enum topic topic, unsigned window)
{
	rig.consumer[topic] = queue_consume(rig.queue, topic, rig.loop, window, on_record, NULL);
}

static inline void
stop_run(void *consumer)
{
	consumer_stop(consumer);
}

static inline void
stop_consuming(enum topic topic)
{
	if (rig.consumer[topic])
		run_on(rig.loop, stop_run, rig.consumer[topic]);
	rig.consumer[topic] = NULL;
}

static inline struct record *
record_at(size_t index)
{
	AWAIT(rig.count > index);
	return rig.records[index];
}

static inline void
count_owned(int change)
{
	pthread_mutex_lock(&rig.lock);
	rig.owned += change;
	changed();
	pthread_mutex_unlock(&rig.lock);
}

static inline void
on_gained(void *arg, uint32_t partition)
{
	(void)arg, (void)partition;
	count_owned(1);
}

static inline void
on_lost(void *arg, uint32_t partition)
{
	(void)arg, (void)partition;
	count_owned(-1);
}

/* Once mail.ready is consumed: until waiting mail may be worked on, which takes no time but in a
 * cluster. */
static inline void
await_rows(void)
{
	AWAIT(rig.owned > 0);
	for (int i = 0; i < 60000 && !rows_mine(rig.rows, ROWS_ANY); i++)
		usleep(1000);
	assert_true(rows_mine(rig.rows, ROWS_ANY));
}

static inline void
rig_open_queue(void)
{
	static const struct rows_subscriber subscriber = { .gained = on_gained, .lost = on_lost };

	rig.queue = queue_open(&rig.config);
	assert_non_null(rig.queue);
	rig.loop = loop_new("test");
	rig.rows = rows_open(rig.queue, ROWS_MINE, rig.loop, &subscriber, NULL);
	rig.count = 0;
	rig.owned = 0;
	loop_start(rig.loop);
}

/* Whatever records the test names are given back first. */
static inline void
rig_close_queue(void)
{
	for (int topic = 0; topic < TOPIC_COUNT; topic++)
		stop_consuming(topic);
	loop_stop(rig.loop);
	loop_join(rig.loop);
	rows_close(&rig.rows);
	loop_free(&rig.loop);
	queue_close(&rig.queue);
}

static inline void
abandon(struct record *record)
{
	run_on(rig.loop, abandon_run, record);
}

static inline int
remove_topics(const char *brokers)
{
	static const char *const names[] = { "mail.inbound", "mail.ready", "mail.deferred",
		"mail.state", "mail.events", "relay.config" };
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	rd_kafka_DeleteTopic_t *topics[6];
	rd_kafka_queue_t *answers;
	rd_kafka_event_t *event;
	rd_kafka_t *rk;

	rd_kafka_conf_set(conf, "bootstrap.servers", brokers, NULL, 0);
	rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, NULL, 0);
	answers = rd_kafka_queue_new(rk);
	for (int i = 0; i < 6; i++)
		topics[i] = rd_kafka_DeleteTopic_new(names[i]);
	rd_kafka_DeleteTopics(rk, topics, 6, NULL, answers);
	event = rd_kafka_queue_poll(answers, 60000);
	rd_kafka_DeleteTopic_destroy_array(topics, 6);
	rd_kafka_queue_destroy(answers);
	if (!event)
		return -1;
	rd_kafka_event_destroy(event);
	rd_kafka_destroy(rk);
	return 0;
}

/* What only the embedded queue promises. */
#define EMBEDDED_ONLY()                                                                            \
	do {                                                                                       \
		if (rig.config.queue.backend != BACKEND_LMDB)                                      \
			skip();                                                                    \
	} while (0)

/* The same member in every test: another would have to wait until this one's session ends. */
static inline int
rig_be_member(void)
{
	char *path = xasprintf("%s/member", rig.dir);
	FILE *out = fopen(path, "we");

	free(path);
	if (!out)
		return -1;
	fprintf(out, "%0*d", 2 * ID_SIZE, 0);
	return fclose(out);
}

/* With SHOUT_TEST_BROKERS the queue is the cluster's, on brokers that only this test uses: its
 * topics are made anew. */
static inline int
rig_use_brokers(const char *brokers)
{
	FILE *out = fopen("/dev/null", "we");
	int err = -1;

	rig.config.queue.backend = BACKEND_KAFKA;
	rig.config.queue.brokers = (char *)(uintptr_t)brokers;
	rig.config.queue.partitions = 1;
	rig.config.queue.replication = 1;
	if (out)
		err = remove_topics(brokers);
	/* A topic that has just been removed may not be made for a moment. */
	for (int i = 0; out && !err && i < 600; i++) {
		if (!kafka_topics(&rig.config, false, out))
			break;
		usleep(100000);
		err = i == 599;
	}
	if (out)
		fclose(out);
	return err;
}

static inline int
rig_init(void)
{
	memset(&rig, 0, sizeof rig);
	pthread_mutex_init(&rig.lock, NULL);
	pthread_cond_init(&rig.changed, NULL);
	snprintf(rig.dir, sizeof rig.dir, "/tmp/shout-queue-XXXXXX");
	if (!mkdtemp(rig.dir))
		return -1;
	rig.config.state_dir = rig.dir;
	rig.config.queue.map_size = UINT64_C(1) << 30;
	rig.config.queue.min_free = 0;
	rig.config.queue.events_size = rig.config.queue.floods_size = 1 << 30;
	rig.config.queue.events_keep = UINT64_C(30) * 86400 * 1000;
	rig.config.queue.audit_keep = UINT64_C(30) * 86400 * 1000;
	rig.config.queue.audit_size = 1 << 30;
	return 0;
}

static inline int
rig_setup(void **state)
{
	const char *brokers = getenv("SHOUT_TEST_BROKERS");

	(void)state;
	if (rig_init())
		return -1;
	if (brokers && (rig_be_member() || rig_use_brokers(brokers)))
		return -1;
	rig_open_queue();
	return 0;
}

static inline int
rig_remove(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static inline int
rig_teardown(void **state)
{
	(void)state;
	if (rig.queue)
		rig_close_queue();
	return nftw(rig.dir, rig_remove, 16, FTW_DEPTH | FTW_PHYS);
}

/* An envelope of our own making; the id is its owner's array. */
struct letter {
	Envelope envelope;
	uint8_t id[ID_SIZE];
	Recipient recipient, *recipients[1];
};

static inline void
letter_init(struct letter *letter)
{
	envelope__init(&letter->envelope);
	recipient__init(&letter->recipient);
	id_make(letter->id);
	letter->envelope.id.data = letter->id;
	letter->envelope.id.len = ID_SIZE;
	letter->envelope.accepted_us = clock_us();
	letter->envelope.mail_from = (char *)"anna@customer.example";
	letter->recipient.address = (char *)"bob@elsewhere.example";
	letter->recipients[0] = &letter->recipient;
	letter->envelope.n_recipients = 1;
	letter->envelope.recipients = letter->recipients;
}

static inline void
row_init(Row *row, struct letter *letter, const char *site, uint64_t due_us)
{
	row__init(row);
	row->envelope = &letter->envelope;
	row->site = (char *)site;
	row->due_us = due_us;
}

static inline bool
is_letter(const struct record *record, const struct letter *letter)
{
	return !memcmp(record_envelope(record)->id.data, letter->id, ID_SIZE);
}

static inline struct queue_stats
stats(void)
{
	struct queue_stats out;

	queue_stats(rig.queue, &out);
	return out;
}

/* Removals that nobody waits for become visible in their own time. */
#define AWAIT_STATS(condition)                                                                     \
	do {                                                                                       \
		bool held_ = false;                                                                \
		for (int i_ = 0; i_ < 60000 && !held_; i_++) {                                     \
			struct queue_stats now = stats();                                          \
			held_ = (condition);                                                       \
			if (!held_)                                                                \
				usleep(1000);                                                      \
		}                                                                                  \
		assert_true(held_);                                                                \
	} while (0)

static struct letter letters[64];

static inline void
put_letters(enum topic topic, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		letter_init(&letters[i]);
		assert_int_equal(put(topic, &letters[i].envelope, "body", 4), 0);
	}
}

/* A body read piece by piece. */
struct reading {
	const Envelope *envelope;
	uint64_t offset;
	size_t length;
	int err;
	unsigned char *data;
	bool done;
};

static inline void on_piece(void *arg, int err, const void *data, size_t length);

static inline void
read_run(void *arg)
{
	struct reading *reading = arg;

	queue_body(
		rig.queue, reading->envelope, reading->offset, reading->length, on_piece, reading);
}

static inline void
on_piece(void *arg, int err, const void *data, size_t length)
{
	struct reading *reading = arg;

	assert_true(length <= QUEUE_PIECE_MAX);
	if (length) {
		memcpy(reading->data + reading->offset, data, length);
		reading->offset += length;
		read_run(reading);
		return;
	}
	pthread_mutex_lock(&rig.lock);
	reading->err = err;
	reading->done = true;
	changed();
	pthread_mutex_unlock(&rig.lock);
}

static inline void
check_envelope_body(
	const Envelope *envelope, const unsigned char *data, uint64_t size, size_t piece)
{
	struct reading reading = {
		.envelope = envelope, .length = piece, .data = xmalloc(size + 1)
	};

	run_on(rig.loop, read_run, &reading);
	AWAIT(reading.done);
	assert_int_equal(reading.err, 0);
	assert_int_equal(reading.offset, size);
	assert_memory_equal(reading.data, data, size);
	free(reading.data);
}

static inline void
check_body(const struct letter *letter, const unsigned char *data, uint64_t size, size_t piece)
{
	check_envelope_body(&letter->envelope, data, size, piece);
}

#endif
