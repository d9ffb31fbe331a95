/*
 * test_kafka_state.c - waiting mail in a cluster: claims, the lease, zombies and the table, on
 * librdkafka's mock cluster. Records of mail.ready are faked: nothing else of a consumer is needed.
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
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "shared/kafka_state_private.h"
#include <librdkafka/rdkafka_mock.h>

#include "shared/config.h"
#include "shared/log.h"
#include "shared/metrics.h"

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

/* What kafka_rows.c asks of a record. */
struct letter {
	struct record base;
	struct node *node;
	struct kafka_body *body;
	Envelope envelope;
	Recipient recipient, *recipients[1];
	uint8_t id[ID_SIZE];
};

int32_t
kafka_record_partition(const struct record *record)
{
	return (int32_t)record->envelope->partition;
}

struct loop *
kafka_record_loop(const struct record *record)
{
	return ((const struct letter *)record)->node->loop;
}

struct kafka_body *
kafka_record_body(const struct record *record)
{
	return ((const struct letter *)record)->body;
}

struct kafka_queue *
kafka_record_queue(const struct record *record)
{
	return &((const struct letter *)record)->node->queue;
}

void
kafka_finish(struct record *record)
{
	CHANGE(((struct letter *)record)->node->finished++);
}

static void
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
	letter->base.envelope = &letter->envelope;
}

static void
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

static void
on_call(struct task *task)
{
	struct call *call = (struct call *)task;

	call->fn(call);
	CHANGE(call->done = true);
}

static void
run(struct node *node, void (*fn)(struct call *call), struct letter *letter, Row *row)
{
	struct call call = {
		.task.run = on_call, .node = node, .fn = fn, .letter = letter, .row = row
	};

	loop_post(node->loop, &call.task);
	AWAIT(call.done);
}

static void
on_answer(void *arg, int err)
{
	struct node *node = arg;

	CHANGE((node->answers++, node->err = err));
}

static void
on_claimed(void *arg, int32_t partition, int err)
{
	struct node *node = arg;

	(void)partition;
	CHANGE((node->claimed++, node->claim_err = err));
}

static void
call_claim(struct call *call)
{
	kafka_state_claim(call->node->queue.state, 0, call->node->loop, on_claimed, call->node);
}

static void
call_release(struct call *call)
{
	kafka_state_release(call->node->queue.state, 0);
}

static void
call_lease(struct call *call)
{
	kafka_state_leased(call->node->queue.state, clock_boot_ms());
}

static void
call_defer(struct call *call)
{
	Row *rows[] = { call->row };
	struct letter *letter = call->letter;
	static int64_t offset;

	/* as the consumer of mail.ready has it; the record ends in on_answer() or stays */
	letter->body = kafka_body_keep(call->node->queue.bodies,
		kafka_place_new(KAFKA_READY, 0, offset++, letter->id), "body", 4);
	kafka_body_unpin(letter->body);
	kafka_defer(&call->letter->base, rows, 1, on_answer, call->node);
}

static void
call_put(struct call *call)
{
	kafka_row_put(&call->node->queue.base, call->row, on_answer, call->node);
}

static void
call_remove(struct call *call)
{
	kafka_row_remove(&call->node->queue.base, call->row, on_answer, call->node);
}

static int
ask(struct node *node, void (*fn)(struct call *call), struct letter *letter, Row *row)
{
	int before = node->answers;

	run(node, fn, letter, row);
	AWAIT(node->answers == before + 1);
	return node->err;
}

static void
claim(struct node *node)
{
	int before = node->claimed;

	run(node, call_claim, NULL, NULL);
	AWAIT(node->claimed == before + 1);
	assert_int_equal(node->claim_err, 0);
}

static void
own(struct node *node)
{
	claim(node);
	run(node, call_lease, NULL, NULL);
}

static void
gained(void *arg, uint32_t partition)
{
	struct node *node = arg;

	assert_int_equal(partition, 0);
	CHANGE(node->gained++);
}

static void
lost(void *arg, uint32_t partition)
{
	struct node *node = arg;

	assert_int_equal(partition, 0);
	CHANGE(node->lost++);
}

static void
call_open(struct call *call)
{
	static const struct rows_watch watch = { gained, lost };

	call->node->rows = kafka_rows_open(
		&call->node->queue.base, ROWS_MINE, call->node->loop, &watch, call->node);
}

static void
node_start(struct node *node)
{
	node->config.queue.brokers = (char *)(uintptr_t)rd_kafka_mock_cluster_bootstraps(
		rig.cluster);
	if (!node->config.queue.map_size)
		node->config.queue.map_size = 1u << 28;
	node->config.queue.partitions = 1;
	node->config.state_dir = node->dir;
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

static void
call_close(struct call *call)
{
	kafka_rows_close(call->node->rows);
}

static void
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

static int
remove_file(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

static int
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

static int
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

static void
on_row(void *arg, Row *row)
{
	(void)arg;
	row_free(seen);
	seen = row;
}

static size_t
look(struct node *node)
{
	return kafka_rows_scan(node->rows, ROWS_ANY, NULL, NULL, 100, on_row, NULL);
}

static uint32_t
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

static void
on_stray(struct kafka_message *message, int err, int64_t offset)
{
	(void)offset;
	assert_int_equal(err, 0);
	CHANGE(((struct stray *)message)->acked = true);
}

static void
write_stray(struct node *node, struct letter *letter, const Row *row, int64_t epoch)
{
	struct stray stray = {
		.message = {.topic = KAFKA_STATE, .on_ack = on_stray}
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

static void
a_claim_is_told_and_gives_no_lease(void **state)
{
	struct node *node = &rig.nodes[0];
	struct letter letter;
	Row row;

	(void)state;
	letter_init(&letter, node);
	row_of(&row, &letter, "google", 1);
	assert_int_equal(ask(node, call_defer, &letter, &row), -ECANCELED);
	claim(node);
	assert_int_equal(node->gained, 1);
	assert_false(kafka_rows_mine(node->rows, 0));
	assert_int_equal(ask(node, call_defer, &letter, &row), -ETIMEDOUT);
	run(node, call_lease, NULL, NULL);
	assert_true(kafka_rows_mine(node->rows, 0));
	assert_int_equal(ask(node, call_defer, &letter, &row), 0);
	assert_int_equal(node->finished, 1);
	run(node, call_release, NULL, NULL);
	AWAIT(node->lost == 1);
	assert_false(kafka_rows_mine(node->rows, 0));
	assert_int_equal(look(node), 0);
	assert_int_equal(ask(node, call_put, NULL, &row), -ECANCELED);
	own(node);
	assert_int_equal(node->gained, 2);
	assert_int_equal(look(node), 1);
}

static void
rows_are_written_rewritten_and_removed(void **state)
{
	struct node *node = &rig.nodes[0];
	struct letter letter, other;
	struct kafka_place place;
	Row row, stray;

	(void)state;
	own(node);
	letter_init(&letter, node);
	letter_init(&other, node);
	row_of(&row, &letter, "google", 1);
	row_of(&stray, &other, "google", 1);
	assert_int_equal(ask(node, call_put, NULL, &stray), -ENOENT);
	assert_int_equal(ask(node, call_defer, &letter, &row), 0);
	assert_int_equal(attempts_seen(node), 1);
	assert_int_equal(seen->envelope->body_topic, KAFKA_DEFERRED);
	assert_int_equal(seen->envelope->body_offset, 0);
	assert_true(kafka_state_place(node->queue.state, 0, letter.id, &place));
	assert_int_equal(place.offset, 0);
	/* the caller's envelope still says where the body was before */
	row_of(&row, &letter, "google", 2);
	assert_int_equal(ask(node, call_put, NULL, &row), 0);
	assert_int_equal(attempts_seen(node), 2);
	assert_int_equal(seen->envelope->body_offset, 0);
	assert_int_equal(kafka_rows_count(node->rows, "google"), 1);
	assert_int_equal(ask(node, call_remove, NULL, &row), 0);
	assert_int_equal(look(node), 0);
	assert_false(kafka_state_place(node->queue.state, 0, letter.id, &place));
}

static void
a_new_process_has_the_rows_with_its_table_or_without(void **state)
{
	struct node *node = &rig.nodes[0];
	struct letter letter[3];
	Row row[3];
	char *file = xasprintf("%s/rows.mdb", node->dir);

	(void)state;
	own(node);
	for (int i = 0; i < 3; i++) {
		letter_init(&letter[i], node);
		row_of(&row[i], &letter[i], "google", 1);
		assert_int_equal(ask(node, call_defer, &letter[i], &row[i]), 0);
	}
	assert_int_equal(ask(node, call_remove, NULL, &row[1]), 0);
	for (int i = 0; i < 3; i++) {
		node_stop(node);
		if (i == 1)
			assert_int_equal(unlink(file), 0);
		node_start(node);
		own(node);
		assert_int_equal(look(node), 2);
	}
	free(file);
}

static void
a_zombie_changes_nothing_and_is_answered(void **state)
{
	struct node *node = &rig.nodes[0], *next = &rig.nodes[1];
	struct letter letter, unknown;
	Row row, foreign;

	(void)state;
	own(node);
	letter_init(&letter, node);
	letter_init(&unknown, node);
	row_of(&row, &letter, "google", 7);
	row_of(&foreign, &unknown, "google", 5);
	assert_int_equal(ask(node, call_defer, &letter, &row), 0);
	run(node, call_release, NULL, NULL);
	own(node);
	row.attempts = 8;
	write_stray(node, &letter, &row, 0);
	write_stray(node, &unknown, &foreign, 0);
	row.attempts = 9;
	assert_int_equal(ask(node, call_put, NULL, &row), 0);
	assert_int_equal(attempts_seen(node), 9);
	/* another process, which reads the whole log, comes to the same */
	node_start(next);
	own(next);
	assert_int_equal(attempts_seen(next), 9);
	assert_int_not_equal(seen->due_us, 99);
}

/* The offset of the first one that waits for an answer; -1: none does. */
static int64_t
unanswered(struct node *node)
{
	struct kafka_state *state = node->queue.state;
	const struct zombie *zombie;
	int64_t offset;

	pthread_mutex_lock(&state->lock);
	zombie = TAILQ_FIRST(&part_of(state, 0)->zombies);
	offset = zombie ? zombie->offset : -1;
	pthread_mutex_unlock(&state->lock);
	return offset;
}

static int64_t
checkpoint(struct node *node)
{
	char *file = xasprintf("%s/rows.mdb", node->dir);
	struct row_cache *cache = row_cache_open(file);
	struct row_point point;

	assert_non_null(cache);
	assert_true(row_cache_point(cache, 0, &point));
	row_cache_close(&cache);
	free(file);
	return point.next;
}

/* One that only claimed reads it and dies; the owner after that answers, and so does the first one
 * when it comes back: its checkpoint stayed before it. */
static void
a_zombie_is_answered_by_whoever_owns_the_partition_after_it(void **state)
{
	struct node *node = &rig.nodes[0], *other = &rig.nodes[1];
	struct letter letter;
	int64_t offset = -1;
	Row row;

	(void)state;
	own(node);
	letter_init(&letter, node);
	row_of(&row, &letter, "google", 1);
	assert_int_equal(ask(node, call_defer, &letter, &row), 0);
	run(node, call_release, NULL, NULL);
	node_start(other);
	claim(other);
	write_stray(other, &letter, &row, 0);
	POLL((offset = unanswered(other)) >= 0);
	node_stop(other);
	assert_true(checkpoint(other) <= offset);
	own(node);
	POLL(unanswered(node) < 0);
	assert_int_equal(attempts_seen(node), 1);
	assert_int_not_equal(seen->due_us, 99);
	run(node, call_release, NULL, NULL);
	node_start(other);
	own(other);
	POLL(unanswered(other) < 0);
	assert_int_equal(attempts_seen(other), 1);
	assert_int_not_equal(seen->due_us, 99);
}

/* Compaction may have dropped ours for it. */
static void
an_old_zombie_s_row_is_adopted_where_there_is_no_other(void **state)
{
	struct node *node = &rig.nodes[0], *other = &rig.nodes[1];
	int64_t before = metric_value(node->queue.state->zombies);
	struct letter letter;
	Row row;

	(void)state;
	own(node);
	run(node, call_release, NULL, NULL);
	node_start(other);
	other->queue.state->lag_us = 0;
	claim(other);
	letter_init(&letter, other);
	row_of(&row, &letter, "google", 1);
	write_stray(other, &letter, &row, 0);
	row.attempts = 2;
	write_stray(other, &letter, &row, 0);
	POLL(metric_value(other->queue.state->zombies) >= before + 2);
	run(other, call_lease, NULL, NULL);
	POLL(unanswered(other) < 0);
	assert_int_equal(attempts_seen(other), 2);
	assert_int_equal(seen->due_us, 99);
	/* once removed it stays so, also for who reads it all before compaction */
	assert_int_equal(ask(other, call_remove, NULL, &row), 0);
	run(other, call_release, NULL, NULL);
	node->queue.state->lag_us = 0;
	own(node);
	POLL(unanswered(node) < 0);
	assert_int_equal(look(node), 0);
}

static void
the_newest_claim_wins_and_is_taken_back_with_a_commit(void **state)
{
	struct node *node = &rig.nodes[0], *other = &rig.nodes[1];
	struct letter letter;
	Row row;

	(void)state;
	node_start(other);
	own(node);
	letter_init(&letter, node);
	row_of(&row, &letter, "google", 1);
	assert_int_equal(ask(node, call_defer, &letter, &row), 0);
	claim(other);
	POLL(!kafka_rows_mine(node->rows, 0));
	assert_int_equal(ask(node, call_put, NULL, &row), -ETIMEDOUT);
	assert_int_equal(node->lost, 0);
	/* the group kept the first: its commits succeed */
	POLL((run(node, call_lease, NULL, NULL), kafka_rows_mine(node->rows, 0)));
	row.attempts = 2;
	assert_int_equal(ask(node, call_put, NULL, &row), 0);
	assert_int_equal(node->gained, 1);
	assert_int_equal(node->claimed, 1);
	/* and the other one was told by the log */
	run(other, call_release, NULL, NULL);
	AWAIT(other->lost == 1);
}

static void
write_claim(struct node *node)
{
	struct stray stray = {
		.message = {.topic = KAFKA_STATE, .on_ack = on_stray}
	};

	stray.message.key = CLAIM_KEY "0";
	stray.message.key_size = strlen(CLAIM_KEY "0");
	stray.message.value = "{}";
	stray.message.value_size = 2;
	kafka_produce(node->queue.producer, &stray.message);
	AWAIT(stray.acked);
}

static int64_t
doubtful(struct node *node)
{
	struct kafka_state *state = node->queue.state;
	int64_t body;

	pthread_mutex_lock(&state->lock);
	body = part_of(state, 0)->doubtful_body;
	pthread_mutex_unlock(&state->lock);
	return body;
}

static void
the_body_of_a_row_that_may_be_durable_is_kept(void **state)
{
	struct node *node = &rig.nodes[0];
	struct letter letter;
	Row row;

	(void)state;
	own(node);
	letter_init(&letter, node);
	row_of(&row, &letter, "google", 1);
	/* of the body, of the row */
	rd_kafka_mock_push_request_errors(rig.cluster, API_PRODUCE, 2, RD_KAFKA_RESP_ERR_NO_ERROR,
		RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED);
	assert_int_not_equal(ask(node, call_defer, &letter, &row), 0);
	assert_int_equal(node->finished, 0);
	assert_int_equal(doubtful(node), 0);
	POLL((run(node, call_lease, NULL, NULL), ask(node, call_defer, &letter, &row) == 0));
	assert_int_equal(doubtful(node), INT64_MAX);
	assert_int_equal(look(node), 1);
}

/* What is wiped is not taken for what nobody needs. */
static void
a_log_that_was_cut_off_is_read_again_before_anything_is_done(void **state)
{
	struct node *node = &rig.nodes[0];
	struct letter letter;
	Row row;

	(void)state;
	own(node);
	letter_init(&letter, node);
	row_of(&row, &letter, "google", 1);
	assert_int_equal(ask(node, call_defer, &letter, &row), 0);
	/* librdkafka drops an answer to a fetch from before a seek, and the error with it. */
	for (int i = 0; kafka_rows_mine(node->rows, 0); i++) {
		if (i % 2000 == 0)
			rd_kafka_mock_push_request_errors(
				rig.cluster, API_FETCH, 1, RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE);
		usleep(1000);
	}
	row.attempts = 2;
	assert_int_equal(ask(node, call_put, NULL, &row), -ETIMEDOUT);
	POLL((run(node, call_lease, NULL, NULL), kafka_rows_mine(node->rows, 0)));
	AWAIT(node->gained >= 2);
	assert_int_equal(node->lost, 0);
	assert_int_equal(attempts_seen(node), 1);
	assert_int_equal(ask(node, call_put, NULL, &row), 0);
	assert_int_equal(attempts_seen(node), 2);
}

/* Another's claim that came late, and a row that fell behind it before we had read it. */
static void
a_row_behind_a_foreign_claim_is_not_taken_for_written(void **state)
{
	struct node *node = &rig.nodes[0];
	struct letter letter;
	Row row;
	int refused = 0;

	(void)state;
	own(node);
	letter_init(&letter, node);
	row_of(&row, &letter, "google", 1);
	assert_int_equal(ask(node, call_defer, &letter, &row), 0);
	for (int i = 0; i < 20; i++) {
		int err;

		POLL((run(node, call_lease, NULL, NULL), kafka_rows_mine(node->rows, 0)));
		write_claim(node);
		row.attempts++;
		err = ask(node, call_put, NULL, &row);
		if (err)
			assert_int_equal(err, -ETIMEDOUT);
		else
			assert_int_equal(attempts_seen(node), row.attempts);
		refused += err != 0;
	}
	assert_true(refused > 0);
	assert_int_equal(node->lost, 0);
}

static void
a_lease_that_ran_out_stops_writing_until_it_is_renewed(void **state)
{
	struct node *node = &rig.nodes[0];
	struct letter letter;
	Row row;

	(void)state;
	claim(node);
	letter_init(&letter, node);
	row_of(&row, &letter, "google", 1);
	kafka_state_leased(node->queue.state, clock_boot_ms() - 40001);
	assert_false(kafka_rows_mine(node->rows, 0));
	assert_int_equal(ask(node, call_defer, &letter, &row), -ETIMEDOUT);
	kafka_state_leased(node->queue.state, clock_boot_ms() - 30000);
	assert_true(kafka_rows_mine(node->rows, 0));
	assert_int_equal(ask(node, call_defer, &letter, &row), 0);
}

static int64_t
body_seen(struct node *node)
{
	return look(node) ? seen->envelope->body_offset : -1;
}

static void
a_body_that_is_old_is_appended_anew_and_its_rows_follow(void **state)
{
	struct node *node = &rig.nodes[0];
	struct letter letter;
	struct kafka_place place;
	Row row;
	int64_t before;

	(void)state;
	own(node);
	letter_init(&letter, node);
	row_of(&row, &letter, "google", 3);
	assert_int_equal(ask(node, call_defer, &letter, &row), 0);
	before = body_seen(node);
	node->queue.state->renew_us = 1;
	POLL(body_seen(node) > before);
	node->queue.state->renew_us = UINT64_MAX;
	assert_int_equal(seen->attempts, 3);
	/* a write by whoever still has the old envelope does not lead back */
	row.attempts = 4;
	POLL(ask(node, call_put, NULL, &row) == 0 && attempts_seen(node) == 4);
	assert_true(body_seen(node) > before);
	assert_true(kafka_state_place(node->queue.state, 0, letter.id, &place));
	assert_int_equal(place.offset, body_seen(node));
}

/* Whoever only looks asks for partitions by itself, and waits for no broker on its loop. */
static void
a_view_of_all_shows_what_others_own(void **state)
{
	struct node *node = &rig.nodes[0];
	struct letter letter;
	struct rows *all;
	Row row;

	(void)state;
	rd_kafka_mock_broker_set_down(rig.cluster, 1);
	all = kafka_rows_open(&node->queue.base, ROWS_ALL, NULL, NULL, NULL);
	assert_int_equal(kafka_rows_scan(all, ROWS_ANY, NULL, NULL, 100, on_row, NULL), 0);
	rd_kafka_mock_broker_set_up(rig.cluster, 1);
	own(node);
	letter_init(&letter, node);
	row_of(&row, &letter, "google", 1);
	assert_int_equal(ask(node, call_defer, &letter, &row), 0);
	POLL(kafka_rows_scan(all, ROWS_ANY, NULL, NULL, 100, on_row, NULL) == 1);
	kafka_rows_close(all);
}

/* A record for the letter's row that is none. */
static void
write_garbage(struct node *node, struct letter *letter, const char *site)
{
	struct stray stray = {
		.message = {.topic = KAFKA_STATE, .on_ack = on_stray}
	};

	id_format(letter->id, stray.key);
	stray.key[ID_TEXT_SIZE - 1] = '/';
	snprintf(stray.key + ID_TEXT_SIZE, 16, "%s", site);
	stray.message.key = stray.key;
	stray.message.key_size = strlen(stray.key);
	stray.message.value = "\xff\xff";
	stray.message.value_size = 2;
	kafka_produce(node->queue.producer, &stray.message);
	AWAIT(stray.acked);
}

static unsigned char bad_key[5 + ID_SIZE + QUEUE_SITE_MAX];
static size_t bad_key_size;

static void
on_bad(void *arg, const void *key, size_t key_length, const void *value, size_t length)
{
	(void)arg;
	assert_int_equal(length, 2);
	assert_memory_equal(value, "\xff\xff", 2);
	memcpy(bad_key, key, key_length);
	bad_key_size = key_length;
}

static size_t
bad_rows(struct node *node)
{
	return kafka_bad_rows_scan(&node->queue.base, NULL, 0, 100, on_bad, NULL);
}

static void
call_bad_remove(struct call *call)
{
	kafka_bad_rows_remove(
		&call->node->queue.base, bad_key, bad_key_size, on_answer, call->node);
}

static uint64_t
trim_time(struct kafka_state *state)
{
	uint64_t ms;

	pthread_mutex_lock(&state->lock);
	ms = state->trimmed_ms;
	pthread_mutex_unlock(&state->lock);
	return ms;
}

/* Up to where bodies were trimmed, after at least one more look at them. */
static int64_t
trimmed(struct node *node)
{
	struct kafka_state *state = node->queue.state;
	uint64_t before = trim_time(state);
	int64_t offset;

	POLL(trim_time(state) != before);
	before = trim_time(state);
	POLL(trim_time(state) != before);
	pthread_mutex_lock(&state->lock);
	offset = part_of(state, 0)->trimmed;
	pthread_mutex_unlock(&state->lock);
	return offset;
}

static void
a_row_that_cannot_be_read_is_held_with_its_body_until_an_operator_removes_it(void **state)
{
	struct node *node = &rig.nodes[0];
	char *file = xasprintf("%s/rows.mdb", node->dir);
	struct letter letter, other;
	Row row, second;
	int64_t zombies;

	(void)state;
	own(node);
	node->queue.state->trim_ms = 1;
	letter_init(&letter, node);
	letter_init(&other, node);
	row_of(&row, &letter, "google", 1);
	row_of(&second, &other, "google", 1);
	assert_int_equal(ask(node, call_defer, &letter, &row), 0);
	assert_int_equal(ask(node, call_defer, &other, &second), 0);
	write_garbage(node, &letter, "google");
	POLL(bad_rows(node) == 1);
	assert_int_equal(bad_key_size, 5 + ID_SIZE + strlen("google"));
	assert_memory_equal(bad_key, "rows/", 5);
	assert_memory_equal(bad_key + 5, letter.id, ID_SIZE);
	assert_int_equal(look(node), 1);
	assert_int_equal(trimmed(node), 0);
	/* read anew from the log; a zombie does not wash it away */
	node_stop(node);
	assert_int_equal(unlink(file), 0);
	node_start(node);
	own(node);
	node->queue.state->trim_ms = 1;
	assert_int_equal(bad_rows(node), 1);
	zombies = metric_value(node->queue.state->zombies);
	write_stray(node, &letter, &row, 0);
	POLL(metric_value(node->queue.state->zombies) > zombies);
	second.attempts = 2;
	assert_int_equal(ask(node, call_put, NULL, &second), 0);
	assert_int_equal(bad_rows(node), 1);
	assert_int_equal(trimmed(node), 0);
	assert_int_equal(ask(node, call_bad_remove, NULL, NULL), 0);
	POLL(bad_rows(node) == 0);
	POLL(trimmed(node) == 1);
	assert_int_equal(ask(node, call_bad_remove, NULL, NULL), -ENOENT);
	free(file);
}

/* Until the mock broker drops the start of mail.deferred, which it does beyond 5 MB. */
static void
push_bodies_out(struct node *node)
{
	static char value[900000];

	for (int i = 0; i < 8; i++) {
		struct stray stray = {
			.message = {.topic = KAFKA_DEFERRED, .on_ack = on_stray}
		};

		stray.message.key = "k";
		stray.message.key_size = 1;
		stray.message.value = value;
		stray.message.value_size = sizeof value;
		kafka_produce(node->queue.producer, &stray.message);
		AWAIT(stray.acked);
	}
}

static int64_t
body_of(struct node *node, struct letter *letter)
{
	struct kafka_place place;

	return kafka_state_place(node->queue.state, 0, letter->id, &place) ? place.offset : -1;
}

static void
a_body_that_is_gone_keeps_no_other(void **state)
{
	struct node *node = &rig.nodes[0];
	struct letter letter, other;
	int64_t before;
	Row row, second;

	(void)state;
	own(node);
	letter_init(&letter, node);
	letter_init(&other, node);
	row_of(&row, &letter, "google", 1);
	row_of(&second, &other, "google", 1);
	assert_int_equal(ask(node, call_defer, &letter, &row), 0);
	push_bodies_out(node);
	assert_int_equal(ask(node, call_defer, &other, &second), 0);
	before = body_of(node, &other);
	node_stop(node); /* it had them in memory */
	node_start(node);
	node->queue.state->renew_us = 1;
	node->queue.state->trim_ms = 1;
	own(node);
	POLL(body_of(node, &other) > before);
	assert_int_equal(body_of(node, &letter), 0);
	POLL(trimmed(node) > before);
	assert_int_equal(look(node), 2);
	assert_int_equal(metric_value(node->queue.state->bodiless), 1);
}

static void
what_the_owner_before_left_untrimmed_is_trimmed(void **state)
{
	struct node *node = &rig.nodes[0];
	struct letter letter, other;
	Row row, second;

	(void)state;
	own(node);
	letter_init(&letter, node);
	letter_init(&other, node);
	row_of(&row, &letter, "google", 1);
	row_of(&second, &other, "google", 1);
	assert_int_equal(ask(node, call_defer, &letter, &row), 0);
	assert_int_equal(ask(node, call_defer, &other, &second), 0);
	assert_int_equal(ask(node, call_remove, NULL, &row), 0);
	node_stop(node);
	node_start(node);
	node->queue.state->trim_ms = 1;
	own(node);
	POLL(trimmed(node) == 1);
	assert_int_equal(ask(node, call_remove, NULL, &second), 0);
	POLL(trimmed(node) == 2);
	assert_int_equal(ask(node, call_defer, &letter, &row), 0);
	assert_true(trimmed(node) <= 2);
	assert_int_equal(body_of(node, &letter), 2);
}

static void
on_body(void *arg, int err, const void *data, size_t length)
{
	if (!err)
		assert_memory_equal(data, "body", length);
	on_answer(arg, err);
}

static void
call_body(struct call *call)
{
	kafka_body_read(
		&call->node->queue.base, &call->letter->envelope, 0, 100, on_body, call->node);
}

static void
a_body_is_never_that_of_another_message(void **state)
{
	struct node *node = &rig.nodes[0];
	struct letter letter, other;
	Row row;

	(void)state;
	own(node);
	letter_init(&letter, node);
	letter_init(&other, node);
	row_of(&row, &letter, "google", 1);
	assert_int_equal(ask(node, call_defer, &letter, &row), 0);
	letter.envelope.body_topic = other.envelope.body_topic = KAFKA_DEFERRED;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(ask(node, call_body, &other, NULL), -ENOENT);
		assert_int_equal(ask(node, call_body, &letter, NULL), 0);
		assert_int_equal(ask(node, call_body, &other, NULL), -ENOENT);
		node_stop(node); /* it had it in memory */
		node_start(node);
		own(node);
	}
}

/* A row of 60 KB. */
static void
row_heavy(Row *row, struct letter *letter)
{
	static char reply[60000];

	memset(reply, 'x', sizeof reply - 1);
	row_of(row, letter, "google", 1);
	row->last_reply = reply;
}

/* queue.map_size is for the embedded queue. */
static void
the_cache_may_outgrow_the_map_of_an_embedded_queue(void **state)
{
	struct node *node = &rig.nodes[0];
	struct letter letter;
	Row row;

	(void)state;
	node_stop(node);
	node->config.queue.map_size = 1 << 20;
	node_start(node);
	own(node);
	for (size_t i = 1; i <= 30; i++) {
		letter_init(&letter, node);
		row_heavy(&row, &letter);
		assert_int_equal(ask(node, call_defer, &letter, &row), 0);
		assert_int_equal(look(node), i);
	}
}

static bool
unwritable(const char *file)
{
	char labels[64];

	snprintf(labels, sizeof labels, "file=\"%s\"", file);
	return metric_value(metric_gauge("shout_rows_table_unwritable", "", labels)) != 0;
}

/* Takes all the room that is left. */
static void
disk_fill(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	char block[4096] = "";

	assert_true(fd >= 0);
	while (write(fd, block, sizeof block) > 0)
		;
	close(fd);
}

static void
a_full_disk_holds_rows_up_until_there_is_room(void **state)
{
	struct node *node = &rig.nodes[1];
	char *filler = xasprintf("%s/filler", node->dir);
	struct letter letter;
	int answers;
	Row row;

	(void)state;
	if (mount("tmpfs", node->dir, "tmpfs", 0, "size=2m")) {
		free(filler);
		skip();
	}
	node_start(node);
	own(node);
	letter_init(&letter, node);
	row_of(&row, &letter, "google", 1);
	assert_int_equal(ask(node, call_defer, &letter, &row), 0);
	assert_false(unwritable("rows.mdb"));
	disk_fill(filler);
	row_heavy(&row, &letter);
	row.attempts = 2;
	answers = node->answers;
	run(node, call_put, NULL, &row);
	POLL(unwritable("rows.mdb"));
	assert_int_equal(attempts_seen(node), 1);
	assert_int_equal(node->answers, answers);
	assert_int_equal(unlink(filler), 0);
	AWAIT(node->answers == answers + 1);
	assert_int_equal(node->err, 0);
	assert_int_equal(attempts_seen(node), 2);
	POLL(!unwritable("rows.mdb"));
	free(filler);
	node_stop(node);
	assert_int_equal(umount(node->dir), 0);
}

/* Its view is empty until then, and not for ever. */
static void
a_view_of_all_that_found_no_room_comes_once_there_is(void **state)
{
	struct node *node = &rig.nodes[1];
	char *filler = xasprintf("%s/filler", node->dir);
	struct letter letter;
	struct rows *all;
	Row row;

	(void)state;
	if (mount("tmpfs", node->dir, "tmpfs", 0, "size=2m")) {
		free(filler);
		skip();
	}
	node_start(node);
	disk_fill(filler);
	all = kafka_rows_open(&node->queue.base, ROWS_ALL, NULL, NULL, NULL);
	assert_int_equal(kafka_rows_scan(all, ROWS_ANY, NULL, NULL, 100, on_row, NULL), 0);
	own(&rig.nodes[0]);
	letter_init(&letter, &rig.nodes[0]);
	row_of(&row, &letter, "google", 1);
	assert_int_equal(ask(&rig.nodes[0], call_defer, &letter, &row), 0);
	assert_int_equal(unlink(filler), 0);
	POLL(kafka_rows_scan(all, ROWS_ANY, NULL, NULL, 100, on_row, NULL) == 1);
	kafka_rows_close(all);
	free(filler);
	node_stop(node);
	assert_int_equal(umount(node->dir), 0);
}

static int
forget_seen(void **state)
{
	(void)state;
	row_free(seen);
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_claim_is_told_and_gives_no_lease),
		TEST(rows_are_written_rewritten_and_removed),
		TEST(a_new_process_has_the_rows_with_its_table_or_without),
		TEST(a_zombie_changes_nothing_and_is_answered),
		TEST(a_zombie_is_answered_by_whoever_owns_the_partition_after_it),
		TEST(an_old_zombie_s_row_is_adopted_where_there_is_no_other),
		TEST(the_newest_claim_wins_and_is_taken_back_with_a_commit),
		TEST(the_body_of_a_row_that_may_be_durable_is_kept),
		TEST(a_log_that_was_cut_off_is_read_again_before_anything_is_done),
		TEST(a_row_behind_a_foreign_claim_is_not_taken_for_written),
		TEST(a_lease_that_ran_out_stops_writing_until_it_is_renewed),
		TEST(a_body_that_is_old_is_appended_anew_and_its_rows_follow),
		TEST(a_view_of_all_shows_what_others_own),
		TEST(a_row_that_cannot_be_read_is_held_with_its_body_until_an_operator_removes_it),
		TEST(a_body_that_is_gone_keeps_no_other),
		TEST(a_body_is_never_that_of_another_message),
		TEST(what_the_owner_before_left_untrimmed_is_trimmed),
		TEST(the_cache_may_outgrow_the_map_of_an_embedded_queue),
		TEST(a_full_disk_holds_rows_up_until_there_is_room),
		TEST(a_view_of_all_that_found_no_room_comes_once_there_is),
	};

	return cmocka_run_group_tests(tests, NULL, forget_seen);
}
