/*
 * kafka_state_rig.h - nodes that own waiting mail, on a mock cluster.
 */
#ifndef TESTS_UNIT_KAFKA_STATE_RIG_H
#define TESTS_UNIT_KAFKA_STATE_RIG_H

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
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#include "shared/queue/kafka/body/kafka_body.h"
#include "shared/queue/kafka/client/kafka_record.h"
#include "shared/queue/kafka/rows/kafka_rows.h"
#include "shared/queue/kafka/rows/kafka_state.h"
#include "shared/queue/kafka/rows/kafka_state_private.h"
#include "shared/queue/kafka/rows/kafka_view.h"

#include "shared/base/log.h"
#include "shared/config/config.h"
#include "shared/metrics/metrics.h"
#include "tests/unit/await.h"

#define API_PRODUCE 0
#define API_FETCH 1

/* One process of the cluster. */
struct node {
	struct config config;
	struct kafka_queue queue;
	struct queue_ops ops;
	char dir[64];
	struct loop *loop;
	struct rows *rows;
	/* under rig.lock */
	int gained, lost, claimed, claim_err;
	int answers, err;
	int finished;
};

static struct {
	rd_kafka_t *rk; /* keeps the cluster */
	rd_kafka_mock_cluster_t *cluster;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct node nodes[2];
} rig = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

/* Conditions that nobody signals. */
#define POLL(condition)                                                                            \
	do {                                                                                       \
		bool held_ = false;                                                                \
		for (int i_ = 0; i_ < 60000 && !(held_ = (condition)); i_++)                       \
			usleep(1000);                                                              \
		assert_true(held_);                                                                \
	} while (0)

#define CHANGE(statement)                                                                          \
	do {                                                                                       \
		pthread_mutex_lock(&rig.lock);                                                     \
		statement;                                                                         \
		pthread_cond_broadcast(&rig.changed);                                              \
		pthread_mutex_unlock(&rig.lock);                                                   \
	} while (0)

/* A record that no consumer has. */
struct letter {
	struct kafka_record head;
	struct node *node;
	Envelope envelope;
	Recipient recipient, *recipients[1];
	uint8_t id[ID_SIZE];
};

static inline void
letter_finish(struct record *record)
{
	CHANGE(((struct letter *)record)->node->finished++);
}

static inline void
letter_init(struct letter *letter, struct node *node)
{
	memset(letter, 0, sizeof *letter);
	letter->node = node;
	id_make(letter->id);
	envelope__init(&letter->envelope);
	recipient__init(&letter->recipient);
	letter->recipient.address = (char *)"a@example.com";
	letter->recipients[0] = &letter->recipient;
	letter->envelope.id = (ProtobufCBinaryData){ ID_SIZE, letter->id };
	letter->envelope.recipients = letter->recipients;
	letter->envelope.n_recipients = 1;
	letter->envelope.body_topic = KAFKA_READY;
	letter->head.base = (struct record){ .ops = &node->ops, .envelope = &letter->envelope };
	letter->head.queue = &node->queue;
}

static inline void
row_of(Row *row, struct letter *letter, const char *site, uint32_t attempts)
{
	row__init(row);
	row->envelope = &letter->envelope;
	row->site = (char *)site;
	row->due_us = 1000;
	row->attempts = attempts;
}

/* Calls on a node's loop. */

struct call {
	struct task task;
	struct node *node;
	void (*fn)(struct call *call);
	struct letter *letter;
	Row *row;
	bool done;
};

static inline void
on_call(struct task *task)
{
	struct call *call = (struct call *)task;

	call->fn(call);
	CHANGE(call->done = true);
}

static inline void
run(struct node *node, void (*fn)(struct call *call), struct letter *letter, Row *row)
{
	struct call call = {
		.task.run = on_call, .node = node, .fn = fn, .letter = letter, .row = row
	};

	loop_post(node->loop, &call.task);
	AWAIT(call.done);
}

static inline void
on_answer(void *arg, int err)
{
	struct node *node = arg;

	CHANGE((node->answers++, node->err = err));
}

static inline void
on_claimed(void *arg, int32_t partition, int err)
{
	struct node *node = arg;

	(void)partition;
	CHANGE((node->claimed++, node->claim_err = err));
}

static inline void
call_claim(struct call *call)
{
	kafka_state_claim(call->node->queue.state, 0, call->node->loop, on_claimed, call->node);
}

static inline void
call_release(struct call *call)
{
	kafka_state_release(call->node->queue.state, 0);
}

static inline void
call_lease(struct call *call)
{
	kafka_state_leased(call->node->queue.state, clock_boot_ms());
}

static inline void
call_defer(struct call *call)
{
	Row *rows[] = { call->row };
	struct letter *letter = call->letter;
	static int64_t offset;

	/* as the consumer of mail.ready has it; the record ends in on_answer() or stays */
	letter->head.loop = call->node->loop;
	letter->head.partition = (int32_t)letter->envelope.partition;
	letter->head.body = kafka_body_keep(call->node->queue.bodies,
		kafka_place_new(KAFKA_READY, 0, offset++, letter->id), "body", 4);
	kafka_body_unpin(letter->head.body);
	kafka_defer(&call->letter->head.base, rows, 1, on_answer, call->node);
}

static inline void
call_put(struct call *call)
{
	kafka_row_put(&call->node->queue.base, call->row, on_answer, call->node);
}

static inline void
call_remove(struct call *call)
{
	kafka_row_remove(&call->node->queue.base, call->row, on_answer, call->node);
}

static inline int
ask(struct node *node, void (*fn)(struct call *call), struct letter *letter, Row *row)
{
	int before = node->answers;

	run(node, fn, letter, row);
	AWAIT(node->answers == before + 1);
	return node->err;
}

static inline void
claim(struct node *node)
{
	int before = node->claimed;

	run(node, call_claim, NULL, NULL);
	AWAIT(node->claimed == before + 1);
	assert_int_equal(node->claim_err, 0);
}

static inline void
own(struct node *node)
{
	claim(node);
	run(node, call_lease, NULL, NULL);
}

static inline void
gained(void *arg, uint32_t partition)
{
	struct node *node = arg;

	assert_int_equal(partition, 0);
	CHANGE(node->gained++);
}

static inline void
lost(void *arg, uint32_t partition)
{
	struct node *node = arg;

	assert_int_equal(partition, 0);
	CHANGE(node->lost++);
}

static inline void
call_open(struct call *call)
{
	static const struct rows_subscriber subscriber = { gained, lost };

	call->node->rows = kafka_rows_open(
		&call->node->queue.base, ROWS_MINE, call->node->loop, &subscriber, call->node);
}

static inline void
node_start(struct node *node)
{
	node->config.queue.brokers = (char *)(uintptr_t)rd_kafka_mock_cluster_bootstraps(
		rig.cluster);
	if (!node->config.queue.map_size)
		node->config.queue.map_size = 1u << 28;
	node->config.queue.partitions = 1;
	node->config.state_dir = node->dir;
	node->ops.finish = letter_finish;
	node->queue.base.ops = &node->ops;
	node->queue.config = &node->config;
	node->queue.late_ms = LATE_MS;
	node->queue.spool_fd = open(node->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	node->loop = loop_new("node");
	loop_start(node->loop);
	node->queue.producer = kafka_producer_new(&node->queue);
	assert_non_null(node->queue.producer);
	node->queue.bodies = kafka_bodies_new(&node->queue);
	node->queue.state = kafka_state_new(&node->queue);
	run(node, call_open, NULL, NULL);
}

static inline void
call_close(struct call *call)
{
	kafka_rows_close(call->node->rows);
}

static inline void
node_stop(struct node *node)
{
	run(node, call_close, NULL, NULL);
	kafka_state_free(&node->queue.state);
	kafka_producer_free(&node->queue.producer);
	kafka_bodies_free(&node->queue.bodies);
	close(node->queue.spool_fd);
	loop_stop(node->loop);
	loop_join(node->loop);
	loop_free(&node->loop);
}

static inline int
remove_file(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

static inline int
setup(void **state)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();

	(void)state;
	kafka_set(conf, "log_level", "2");
	rig.rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, NULL, 0);
	rig.cluster = rd_kafka_mock_cluster_new(rig.rk, 1);
	rd_kafka_mock_topic_create(rig.cluster, "mail.state", 1, 1);
	rd_kafka_mock_topic_create(rig.cluster, "mail.deferred", 1, 1);
	memset(rig.nodes, 0, sizeof rig.nodes);
	for (int i = 0; i < 2; i++) {
		snprintf(rig.nodes[i].dir, sizeof rig.nodes[i].dir, "/tmp/shout-state-XXXXXX");
		if (!mkdtemp(rig.nodes[i].dir))
			return -1;
	}
	node_start(&rig.nodes[0]);
	return 0;
}

static inline int
teardown(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		if (rig.nodes[i].loop)
			node_stop(&rig.nodes[i]);
		umount2(rig.nodes[i].dir, MNT_DETACH); /* what a failed test left */
		nftw(rig.nodes[i].dir, remove_file, 8, FTW_DEPTH | FTW_PHYS);
	}
	rd_kafka_mock_cluster_destroy(rig.cluster);
	rd_kafka_destroy(rig.rk);
	return 0;
}

/* What the view of a node shows. */

static Row *seen;

static inline void
on_row(void *arg, Row *row)
{
	(void)arg;
	row_free(seen);
	seen = row;
}

static inline size_t
look(struct node *node)
{
	return kafka_rows_scan(node->rows, ROWS_ANY, NULL, NULL, 100, on_row, NULL);
}

static inline uint32_t
attempts_seen(struct node *node)
{
	return look(node) == 1 ? seen->attempts : UINT32_MAX;
}

/* A record that a process wrote which is not the owner any more. */

struct stray {
	struct kafka_message message;
	char key[ID_TEXT_SIZE + 16];
	unsigned char value[512];
	bool acked;
};

static inline void
on_stray(struct kafka_message *message, int err, int64_t offset)
{
	(void)offset;
	assert_int_equal(err, 0);
	CHANGE(((struct stray *)message)->acked = true);
}

static inline void
write_stray(struct node *node, struct letter *letter, const Row *row, int64_t epoch)
{
	struct stray stray = {
		.message = { .topic = KAFKA_STATE, .on_ack = on_stray },
	};
	Row zombie = *row;

	zombie.epoch = epoch;
	zombie.due_us = 99;
	id_format(letter->id, stray.key);
	stray.key[ID_TEXT_SIZE - 1] = '/';
	snprintf(stray.key + ID_TEXT_SIZE, 16, "%s", row->site);
	stray.message.key = stray.key;
	stray.message.key_size = strlen(stray.key);
	assert_true(row__get_packed_size(&zombie) <= sizeof stray.value);
	stray.message.value = stray.value;
	stray.message.value_size = row__pack(&zombie, stray.value);
	kafka_produce(node->queue.producer, &stray.message);
	AWAIT(stray.acked);
}

static inline int
forget_seen(void **state)
{
	(void)state;
	row_free(seen);
	return 0;
}

/* librdkafka 2.0.2 keeps what a broker that went away still owed to a handle. */
const char *__lsan_default_suppressions(void);

const char *
__lsan_default_suppressions(void)
{
	return "leak:librdkafka.so";
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
