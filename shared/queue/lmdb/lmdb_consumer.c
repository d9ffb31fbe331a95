/*
 * lmdb_consumer.c - hands the records of a topic to the roles.
 *
 * A consumer reads on from the topic's position while its window has room: when the writer wakes it
 * after a commit, or when finished records made room. All consumers of a topic share one position,
 * so each record goes to one of them. When the last consumer stops, the position starts over:
 * unfinished records come again.
 */
#include "shared/base/container_of.h"
#include "shared/queue/lmdb/lmdb_private.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/log.h"

#define READ_MAX 64 /* records of one turn of the loop */

struct lmdb_record {
	struct record base;
	struct lmdb_consumer *consumer;
	uint64_t sequence;
	unsigned weight;
};

struct lmdb_consumer {
	struct consumer base;
	struct lmdb_consumer *next; /* under consumers_lock */
	struct lmdb_queue *queue;
	enum topic topic;
	struct loop *loop;
	void (*on_record)(void *arg, struct record *record);
	void *arg;
	struct task wake;
	atomic_bool waking;
	/* only the loop uses these */
	unsigned window, unfinished; /* by weight */
	bool behind;                 /* the topic may have more than fitted into the window */
	bool stopped, reading;
	uint64_t redelivered_to;
};

static void
wake(struct lmdb_consumer *consumer)
{
	if (!atomic_exchange(&consumer->waking, true))
		loop_post(consumer->loop, &consumer->wake);
}

void
consumers_wake(struct lmdb_queue *queue, enum topic topic)
{
	pthread_mutex_lock(&queue->consumers_lock);
	for (struct lmdb_consumer *c = queue->consumers; c; c = c->next)
		if (c->topic == topic)
			wake(c);
	pthread_mutex_unlock(&queue->consumers_lock);
}

static void
free_if_over(struct lmdb_consumer *consumer)
{
	if (consumer->stopped && !consumer->unfinished && !consumer->reading &&
		!atomic_load(&consumer->waking))
		free(consumer);
}

static void
record_free(struct lmdb_record *record)
{
	struct lmdb_consumer *consumer = record->consumer;

	envelope_free(record->base.envelope);
	consumer->unfinished -= record->weight;
	free(record);
	if (consumer->behind && !consumer->stopped &&
		consumer->unfinished <= consumer->window - queue_refill(consumer->window))
		wake(consumer);
	free_if_over(consumer);
}

static struct lmdb_record *
record_read(struct lmdb_consumer *consumer, const MDB_val *key, const MDB_val *value)
{
	Envelope *envelope = envelope_unpack(value->mv_data, value->mv_size);
	struct lmdb_record *record;

	if (!envelope) {
		report_bad(consumer->queue, consumer->queue->topics[consumer->topic].name, key);
		return NULL;
	}
	record = xmalloc(sizeof *record);
	record->base.ops = consumer->base.ops;
	record->consumer = consumer;
	record->base.envelope = envelope;
	record->weight = recipients_weight(envelope->n_recipients);
	record->sequence = get_be64(key->mv_data);
	record->base.redelivered = record->sequence <= consumer->redelivered_to;
	return record;
}

/* Takes the next records of the topic. Sets `behind` when there may be more. */
static size_t
read_on(struct lmdb_consumer *consumer, struct lmdb_record *records[READ_MAX])
{
	struct topic_state *topic = &consumer->queue->topics[consumer->topic];
	struct reader *reader;
	unsigned char from[8];
	MDB_val key = { sizeof from, from }, value;
	MDB_cursor *cursor;
	size_t count = 0;
	int rc;

	pthread_mutex_lock(&topic->lock);
	put_be64(from, topic->position + 1);
	reader = reader_begin(consumer->queue);
	rc = mdb_cursor_open(reader->txn, topic->dbi, &cursor);
	if (rc)
		lmdb_die(topic->name, rc);
	rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
	while (!rc && count < READ_MAX && consumer->unfinished < consumer->window) {
		topic->position = get_be64(key.mv_data);
		records[count] = record_read(consumer, &key, &value);
		if (records[count])
			consumer->unfinished += records[count++]->weight;
		rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
	}
	if (rc && rc != MDB_NOTFOUND)
		lmdb_die(topic->name, rc);
	if (topic->handed < topic->position)
		topic->handed = topic->position;
	mdb_cursor_close(cursor);
	reader_end(consumer->queue, reader);
	pthread_mutex_unlock(&topic->lock);
	consumer->behind = rc == 0;
	return count;
}

static void
consumer_read(struct lmdb_consumer *consumer)
{
	struct lmdb_record *records[READ_MAX];
	size_t count = read_on(consumer, records);

	consumer->reading = true;
	for (size_t i = 0; i < count; i++) {
		if (consumer->stopped)
			record_free(records[i]);
		else
			consumer->on_record(consumer->arg, &records[i]->base);
	}
	consumer->reading = false;
	if (consumer->behind && !consumer->stopped && consumer->unfinished < consumer->window)
		wake(consumer);
	free_if_over(consumer);
}

static void
on_wake(struct task *task)
{
	struct lmdb_consumer *consumer = container_of(task, struct lmdb_consumer, wake);

	atomic_store(&consumer->waking, false);
	if (consumer->stopped)
		free_if_over(consumer);
	else if (consumer->unfinished < consumer->window)
		consumer_read(consumer);
	else
		consumer->behind = true;
}

struct consumer *
lmdb_consume(struct queue *base, enum topic topic, struct loop *loop, unsigned window,
	void (*on_record)(void *arg, struct record *record), void *arg)
{
	struct lmdb_queue *queue = (struct lmdb_queue *)base;
	struct lmdb_consumer *consumer = xcalloc(1, sizeof *consumer);
	struct topic_state *state = &queue->topics[topic];

	assert(window > 0);
	*consumer = (struct lmdb_consumer){ .base.ops = base->ops,
		.queue = queue,
		.topic = topic,
		.loop = loop,
		.on_record = on_record,
		.arg = arg,
		.window = window,
		.wake.run = on_wake };
	pthread_mutex_lock(&state->lock);
	if (!state->consumers++)
		state->position = 0;
	consumer->redelivered_to = state->handed;
	pthread_mutex_unlock(&state->lock);
	pthread_mutex_lock(&queue->consumers_lock);
	consumer->next = queue->consumers;
	queue->consumers = consumer;
	wake(consumer);
	pthread_mutex_unlock(&queue->consumers_lock);
	return &consumer->base;
}

/* The writer only wakes consumers in the list. */
static void
unlist(struct lmdb_consumer *consumer)
{
	struct lmdb_queue *queue = consumer->queue;
	struct lmdb_consumer **at;

	pthread_mutex_lock(&queue->consumers_lock);
	for (at = &queue->consumers; *at; at = &(*at)->next) {
		if (*at == consumer) {
			*at = consumer->next;
			break;
		}
	}
	pthread_mutex_unlock(&queue->consumers_lock);
}

void
lmdb_consumer_stop(struct consumer *base)
{
	struct lmdb_consumer *consumer = (struct lmdb_consumer *)base;
	struct topic_state *topic = &consumer->queue->topics[consumer->topic];

	unlist(consumer);
	pthread_mutex_lock(&topic->lock);
	topic->consumers--;
	pthread_mutex_unlock(&topic->lock);
	consumer->stopped = true;
	free_if_over(consumer);
}

void
consumers_close(struct lmdb_queue *queue)
{
	while (queue->consumers)
		lmdb_consumer_stop(&queue->consumers->base);
}

void
lmdb_abandon(struct record *base)
{
	record_free((struct lmdb_record *)base);
}

void
record_done(struct lmdb_record *record, int err)
{
	if (!err)
		record_free(record);
}

static struct op *
record_op(struct lmdb_record *record, enum op_kind kind, size_t packed_size, queue_cb cb, void *arg)
{
	struct op *op = op_new(record->consumer->queue, kind, packed_size, cb, arg);

	op->from = record->consumer->topic;
	op->sequence = record->sequence;
	memcpy(op->id, record->base.envelope->id.data, ID_SIZE);
	if (kind != OP_FINISH) {
		op->record = record;
		op->loop = record->consumer->loop;
	}
	return op;
}

void
lmdb_forward(
	struct record *base, enum topic topic, const Envelope *envelope, queue_cb cb, void *arg)
{
	struct lmdb_record *record = (struct lmdb_record *)base;
	struct op *op = record_op(record, OP_FORWARD, envelope__get_packed_size(envelope), cb, arg);

	assert(!memcmp(envelope->id.data, op->id, ID_SIZE));
	op->topic = topic;
	envelope__pack(envelope, op->packed);
	op_submit(record->consumer->queue, op);
}

/* Nobody waits for the removal: a crash before it is durable only brings the record again. */
void
lmdb_finish(struct record *base)
{
	struct lmdb_record *record = (struct lmdb_record *)base;

	op_submit(record->consumer->queue, record_op(record, OP_FINISH, 0, NULL, NULL));
	record_free(record);
}

void
lmdb_defer(struct record *base, Row *const *rows, size_t count, queue_cb cb, void *arg)
{
	struct lmdb_record *record = (struct lmdb_record *)base;
	struct op *op;
	size_t size = 0, at = 0;

	for (size_t i = 0; i < count; i++)
		size += row_pack(NULL, rows[i]);
	op = record_op(record, OP_DEFER, size, cb, arg);
	for (size_t i = 0; i < count; i++)
		at += row_pack(op->packed + at, rows[i]);
	op_submit(record->consumer->queue, op);
}

/* Looking. */

#define LOOK_STEP 64 /* envelopes of one transaction, each with up to a thousand recipients */

/* Reads the records behind *after, and moves *after on. */
static size_t
look_step(struct lmdb_queue *queue, const struct topic_state *topic, uint64_t *after,
	Envelope *envelopes[LOOK_STEP])
{
	struct reader *reader = reader_begin(queue);
	unsigned char from[8];
	MDB_val key = { sizeof from, from }, value;
	MDB_cursor *cursor;
	size_t count = 0;
	int rc = mdb_cursor_open(reader->txn, topic->dbi, &cursor);

	if (rc)
		lmdb_die(topic->name, rc);
	put_be64(from, *after + 1);
	rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
	for (; !rc && count < LOOK_STEP; rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) {
		*after = get_be64(key.mv_data);
		/* NULL for what cannot be read, which the consumer will set aside */
		envelopes[count++] = envelope_unpack(value.mv_data, value.mv_size);
	}
	if (rc && rc != MDB_NOTFOUND)
		lmdb_die(topic->name, rc);
	mdb_cursor_close(cursor);
	reader_end(queue, reader);
	return count;
}

bool
lmdb_look(struct queue *base, enum topic number, queue_seen_cb on_seen, void *arg)
{
	struct lmdb_queue *queue = (struct lmdb_queue *)base;
	const struct topic_state *topic = &queue->topics[number];
	Envelope *envelopes[LOOK_STEP];
	uint64_t after = 0, seen = 0;
	size_t count;
	bool more = true;

	do {
		count = look_step(queue, topic, &after, envelopes);
		for (size_t i = 0; i < count; i++) {
			if (more && envelopes[i])
				more = on_seen(arg,
					&(struct queue_seen){ .envelope = envelopes[i],
						.topic = number,
						.since_us = number == TOPIC_INBOUND
							? envelopes[i]->accepted_us
							: 0 });
			envelope_free(envelopes[i]);
		}
		seen += count;
	} while (more && count == LOOK_STEP && seen < QUEUE_SEEN_MAX);
	return more && count < LOOK_STEP;
}
