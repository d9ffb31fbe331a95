/*
 * queue_lmdb.c - the embedded queue: one LMDB environment in state_dir, one process.
 *
 * ingress -> [mail.inbound] -> scanner -> [mail.ready] -> sender, and the sender's waiting mail.
 *
 * This file opens and closes the queue, reads bodies and numbers, and has the housekeeper;
 * lmdb_private.h names the other files. Reads happen on the caller's thread in short transactions:
 * an open one keeps every page that is freed meanwhile. A failed read of the map ends the process.
 */
#include "shared/queue/lmdb/lmdb_private.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/base/state_dir.h"
#include "shared/config/config.h"
#include "shared/metrics/metrics.h"
#include "shared/queue/lmdb/event_files.h"

static int
open_tables(struct lmdb_queue *queue)
{
	struct {
		const char *name;
		MDB_dbi *dbi;
	} tables[] = {
		{ "body", &queue->body },
		{ "piece", &queue->piece },
		{ "inbound", &queue->topics[TOPIC_INBOUND].dbi },
		{ "ready", &queue->topics[TOPIC_READY].dbi },
		{ "parked", &queue->parked },
		{ "config", &queue->config },
		{ "bad", &queue->bad },
	};
	MDB_txn *txn;
	int rc = mdb_txn_begin(queue->env, NULL, 0, &txn);

	if (rc)
		return rc;
	for (size_t i = 0; i < sizeof tables / sizeof *tables && !rc; i++)
		rc = mdb_dbi_open(txn, tables[i].name, MDB_CREATE, tables[i].dbi);
	if (!rc)
		rc = row_table_open(&queue->rows, txn, "", false);
	if (!rc)
		return mdb_txn_commit(txn);
	mdb_txn_abort(txn);
	return rc;
}

static int
open_environment(struct lmdb_queue *queue, const struct config *config)
{
	char *path = xasprintf("%s/queue.mdb", config->state_dir);
	int rc = mdb_env_create(&queue->env);

	if (!rc)
		rc = mdb_env_set_mapsize(queue->env, config->queue.map_size);
	if (!rc)
		rc = mdb_env_set_maxdbs(queue->env, 16);
	if (!rc)
		rc = mdb_env_set_maxreaders(queue->env, 1024);
	if (!rc)
		rc = mdb_env_open(queue->env, path, MDB_NOSUBDIR | MDB_NOTLS | MDB_NORDAHEAD, 0600);
	if (!rc)
		rc = open_tables(queue);
	if (!rc)
		rc = -directory_sync(path);
	if (rc)
		LOG_ERROR("cannot open the queue", "file", path, "error", mdb_strerror(rc));
	free(path);
	return rc ? -1 : 0;
}

/* Records present at the start may have been in hand before the process began. */
static void
find_last(struct lmdb_queue *queue, struct topic_state *topic)
{
	struct reader *reader = reader_begin(queue);
	MDB_cursor *cursor;
	MDB_val key, value;
	int rc = mdb_cursor_open(reader->txn, topic->dbi, &cursor);

	if (rc)
		lmdb_die(topic->name, rc);
	rc = mdb_cursor_get(cursor, &key, &value, MDB_LAST);
	if (rc && rc != MDB_NOTFOUND)
		lmdb_die(topic->name, rc);
	if (!rc)
		topic->last = topic->handed = get_be64(key.mv_data);
	mdb_cursor_close(cursor);
	reader_end(queue, reader);
}

static uint64_t
events_lost(struct lmdb_queue *queue)
{
	uint64_t lost = 0;

	for (int i = 0; i < EVENT_CLASSES; i++)
		lost += event_file_lost(queue->events[i]);
	return lost;
}

static bool
events_dirty(struct lmdb_queue *queue)
{
	bool dirty = false;

	for (int i = 0; i < EVENT_CLASSES; i++)
		dirty |= event_file_dirty(queue->events[i]);
	return dirty;
}

static void
tidy_events(struct lmdb_queue *queue)
{
	bool submit;

	if (!events_dirty(queue))
		return;
	pthread_mutex_lock(&queue->lock);
	submit = !queue->events_syncing;
	queue->events_syncing = true;
	pthread_mutex_unlock(&queue->lock);
	if (submit)
		spool_submit(queue, op_new(queue, OP_EVENTS, 0, NULL, NULL));
}

static uint64_t
entries(struct reader *reader, MDB_dbi dbi)
{
	MDB_stat stat;
	int rc = mdb_stat(reader->txn, dbi, &stat);

	if (rc)
		lmdb_die("statistics", rc);
	return stat.ms_entries;
}

static uint64_t
oldest(struct reader *reader, MDB_dbi dbi)
{
	Envelope *envelope = NULL;
	MDB_cursor *cursor;
	MDB_val key, value;
	uint64_t accepted_us = 0;

	if (mdb_cursor_open(reader->txn, dbi, &cursor))
		return 0;
	if (!mdb_cursor_get(cursor, &key, &value, MDB_FIRST))
		envelope = envelope_unpack(value.mv_data, value.mv_size);
	if (envelope)
		accepted_us = envelope->accepted_us;
	envelope_free(envelope);
	mdb_cursor_close(cursor);
	return accepted_us;
}

/* 0 for a time ahead of the clock: another clock wrote it. */
static int64_t
age_s(uint64_t accepted_us)
{
	uint64_t now = clock_us();

	return accepted_us && accepted_us < now ? (int64_t)((now - accepted_us) / 1000000) : 0;
}

static struct {
	struct metric *backlog[TOPIC_COUNT], *age[TOPIC_COUNT], *rows, *bad, *events_lost;
} metrics;

static void
metrics_register(const struct lmdb_queue *queue)
{
	char label[64];

	for (int i = 0; i < TOPIC_COUNT; i++) {
		snprintf(label, sizeof label, "topic=\"mail.%s\"", queue->topics[i].name);
		metrics.backlog[i] = metric_gauge(
			"shout_queue_backlog", "Records of a topic that are not finished", label);
		metrics.age[i] = metric_gauge("shout_queue_backlog_age_seconds",
			"How long the oldest of them has waited", label);
	}
	metrics.rows = metric_gauge("shout_queue_rows", "Rows of waiting and held mail", NULL);
	metrics.bad = metric_gauge(
		"shout_queue_bad", "What could not be read, set aside (shoutctl queue bad)", NULL);
	metrics.events_lost = metric_counter("shout_queue_events_lost_total",
		"Events that went to the log, for the queue did not take them", NULL);
}

/*
 * Sets the gauges rather than being asked by the page, which may be read while the queue is closed.
 */
static void
metrics_refresh(struct lmdb_queue *queue)
{
	struct reader *reader = reader_begin(queue);

	for (int i = 0; i < TOPIC_COUNT; i++) {
		metric_set(metrics.backlog[i], (int64_t)entries(reader, queue->topics[i].dbi));
		metric_set(metrics.age[i], age_s(oldest(reader, queue->topics[i].dbi)));
	}
	metric_set(metrics.rows, (int64_t)entries(reader, queue->rows.rows));
	metric_set(metrics.bad, (int64_t)entries(reader, queue->bad));
	reader_end(queue, reader);
	metric_set(metrics.events_lost, (int64_t)events_lost(queue));
}

/* The housekeeper, once a second: late answers, free room, numbers, events to sync, memory. */
static void *
housekeeper_run(void *arg)
{
	struct lmdb_queue *queue = arg;
	struct timespec until;

	pthread_setname_np(pthread_self(), "queue-keeper");
	pthread_mutex_lock(&queue->housekeeper_lock);
	while (!queue->housekeeper_closing) {
		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_sec++;
		if (pthread_cond_timedwait(&queue->housekeeper_wake, &queue->housekeeper_lock,
			    &until) != ETIMEDOUT)
			continue;
		writer_answer_late(queue);
		space_refresh(queue);
		metrics_refresh(queue);
		tidy_events(queue);
		memory_release(queue);
	}
	pthread_mutex_unlock(&queue->housekeeper_lock);
	return NULL;
}

static void
housekeeper_stop(struct lmdb_queue *queue)
{
	pthread_mutex_lock(&queue->housekeeper_lock);
	queue->housekeeper_closing = true;
	pthread_mutex_unlock(&queue->housekeeper_lock);
	pthread_cond_signal(&queue->housekeeper_wake);
	pthread_join(queue->housekeeper, NULL);
}

static void
init(struct lmdb_queue *queue, const struct config *config)
{
	static const char *const names[TOPIC_COUNT] = { "inbound", "ready" };
	pthread_condattr_t monotonic;

	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&queue->wake, &monotonic);
	pthread_cond_init(&queue->housekeeper_wake, &monotonic);
	pthread_cond_init(&queue->spool_wake, NULL);
	pthread_condattr_destroy(&monotonic);
	pthread_mutex_init(&queue->lock, NULL);
	pthread_mutex_init(&queue->housekeeper_lock, NULL);
	pthread_mutex_init(&queue->readers_lock, NULL);
	pthread_mutex_init(&queue->consumers_lock, NULL);
	pthread_mutex_init(&queue->subscribers_lock, NULL);
	for (int i = 0; i < TOPIC_COUNT; i++) {
		pthread_mutex_init(&queue->topics[i].lock, NULL);
		queue->topics[i].name = names[i];
	}
	queue->state_dir = (struct state_dir){ -1, -1, "" };
	queue->spool_fd = -1;
	queue->settings = config;
	queue->min_free = config->queue.min_free;
	queue->spool_dir = xasprintf("%s/spool", config->state_dir);
}

static void
release(struct lmdb_queue *queue)
{
	readers_close(queue);
	if (queue->env)
		mdb_env_close(queue->env);
	if (queue->spool_fd >= 0)
		close(queue->spool_fd);
	state_dir_close(&queue->state_dir);
	for (int i = 0; i < TOPIC_COUNT; i++)
		pthread_mutex_destroy(&queue->topics[i].lock);
	pthread_mutex_destroy(&queue->lock);
	pthread_mutex_destroy(&queue->housekeeper_lock);
	pthread_mutex_destroy(&queue->readers_lock);
	pthread_mutex_destroy(&queue->consumers_lock);
	pthread_mutex_destroy(&queue->subscribers_lock);
	pthread_cond_destroy(&queue->wake);
	pthread_cond_destroy(&queue->housekeeper_wake);
	pthread_cond_destroy(&queue->spool_wake);
	free(queue->spool_dir);
	free(queue);
}

struct cap {
	uint64_t size, keep_ms;
};

static struct cap
events_cap(const struct config *config, enum event_class class)
{
	switch (class) {
	case EVENT_FLOOD:
		return (struct cap){ config->queue.floods_size, config->queue.events_keep };
	case EVENT_AUDIT: return (struct cap){ config->queue.audit_size, config->queue.audit_keep };
	default: return (struct cap){ config->queue.events_size, config->queue.events_keep };
	}
}

static int
events_open(struct lmdb_queue *queue, const struct config *config)
{
	char *dir = xasprintf("%s/events", config->state_dir);
	bool ok = true;

	for (int i = 0; i < EVENT_CLASSES; i++) {
		const struct cap cap = events_cap(config, (enum event_class)i);

		queue->events[i] = event_file_open(dir, (enum event_class)i, cap.size, cap.keep_ms);
		ok = ok && queue->events[i];
	}
	free(dir);
	return ok ? 0 : -1;
}

static void
lmdb_reload(struct queue *base)
{
	struct lmdb_queue *queue = (struct lmdb_queue *)base;

	for (int i = 0; i < EVENT_CLASSES; i++) {
		const struct cap cap = events_cap(queue->settings, (enum event_class)i);

		event_file_cap(queue->events[i], cap.size, cap.keep_ms);
	}
	atomic_store(&queue->min_free, queue->settings->queue.min_free);
}

static void
events_close(struct lmdb_queue *queue)
{
	for (int i = 0; i < EVENT_CLASSES; i++)
		event_file_close(&queue->events[i]);
}

static int
open_parts(struct lmdb_queue *queue, const struct config *config)
{
	if (state_dir_open(&queue->state_dir, config->state_dir) || open_environment(queue, config))
		return -1;
	space_open(queue, config->queue.map_size);
	memory_open(queue);
	for (int i = 0; i < TOPIC_COUNT; i++)
		find_last(queue, &queue->topics[i]);
	return events_open(queue, config) ? -1 : spool_open(queue);
}

/* The pool's last puts go to the writer, the writer's last unlinks go to the pool. */
static void
drain_pool(struct lmdb_queue *queue)
{
	bool busy = true;

	while (busy) {
		pthread_mutex_lock(&queue->lock);
		busy = queue->spooling.first || queue->working[0] || queue->working[1];
		pthread_mutex_unlock(&queue->lock);
		if (busy)
			usleep(1000);
	}
}

static void
lmdb_close(struct queue *base)
{
	struct lmdb_queue *queue = (struct lmdb_queue *)base;

	consumers_close(queue);
	housekeeper_stop(queue);
	drain_pool(queue);
	writer_stop(queue);
	spool_close(queue);
	config_close(queue);
	events_close(queue);
	release(queue);
}

static const char *
lmdb_spool_dir(const struct queue *base)
{
	return ((const struct lmdb_queue *)base)->spool_dir;
}

static void
lmdb_put(struct queue *base, enum topic topic, const Envelope *envelope, const struct body *body,
	queue_cb cb, void *arg)
{
	struct lmdb_queue *queue = (struct lmdb_queue *)base;
	size_t size = envelope__get_packed_size(envelope);
	size_t name_size = body->spill ? strlen(body->spill) + 1 : 0;
	struct op *op = op_new(queue, OP_PUT, size + name_size, cb, arg);

	assert(envelope->id.len == ID_SIZE && (body->spill || body->size <= QUEUE_INLINE_MAX));
	memcpy(op->id, envelope->id.data, ID_SIZE);
	op->topic = topic;
	op->data = body->data;
	op->size = body->size;
	envelope__pack(envelope, op->packed);
	if (!body->spill) {
		op_submit(queue, op);
		return;
	}
	memcpy(op->packed + size, body->spill, name_size);
	op->spill = (const char *)op->packed + size;
	spool_submit(queue, op);
}

/* 0 or -ENOENT: a body with a missing piece counts as none. */
static int
copy_pieces(struct lmdb_queue *queue, struct reader *reader, const uint8_t *id, uint64_t offset,
	size_t length, unsigned char *out)
{
	int rc = body_copy(queue, reader->txn, id, offset, length, out);
	char text[ID_TEXT_SIZE];

	if (rc && rc != MDB_NOTFOUND)
		lmdb_die("body", rc);
	if (!rc)
		return 0;
	id_format(id, text);
	LOG_ERROR("a body is not whole", "id", text);
	return -ENOENT;
}

static void
lmdb_body(struct queue *base, const Envelope *envelope, uint64_t offset, size_t length,
	queue_body_cb cb, void *arg)
{
	struct lmdb_queue *queue = (struct lmdb_queue *)base;
	struct reader *reader = reader_begin(queue);
	const uint8_t *id = envelope->id.data;
	unsigned char *piece;
	struct body_info body;
	int err = body_find(queue, reader->txn, id, &body);

	if (err)
		lmdb_die("body", err);
	err = body.there ? 0 : -ENOENT;
	if (length > QUEUE_PIECE_MAX)
		length = QUEUE_PIECE_MAX;
	if (offset > body.size)
		offset = body.size;
	if (length > body.size - offset)
		length = (size_t)(body.size - offset);
	piece = xmalloc(length);
	if (body.there && !body.spilled)
		err = copy_pieces(queue, reader, id, offset, length, piece);
	reader_end(queue, reader);
	if (body.spilled)
		err = spool_read(queue, id, offset, length, piece, &length);
	cb(arg, err, piece, err ? 0 : length);
	free(piece);
}

static void
lmdb_event_put(struct queue *base, enum event_class class, const char *json, size_t length,
	queue_cb cb, void *arg)
{
	struct lmdb_queue *queue = (struct lmdb_queue *)base;
	struct op *op = op_new(queue, OP_EVENT, length, cb, arg);

	op->event = class;
	memcpy(op->packed, json, length);
	op_submit(queue, op);
}

static struct event_reader *
lmdb_events_open(struct queue *base, uint64_t since_us, const char *place)
{
	struct lmdb_queue *queue = (struct lmdb_queue *)base;

	return event_files_open(queue->events, since_us, place);
}

static void
lmdb_stats(struct queue *base, struct queue_stats *out)
{
	struct lmdb_queue *queue = (struct lmdb_queue *)base;
	struct reader *reader = reader_begin(queue);

	for (int i = 0; i < TOPIC_COUNT; i++) {
		out->records[i] = entries(reader, queue->topics[i].dbi);
		out->oldest_us[i] = oldest(reader, queue->topics[i].dbi);
	}
	out->rows = entries(reader, queue->rows.rows);
	out->bodies = entries(reader, queue->body);
	out->bad = entries(reader, queue->bad);
	reader_end(queue, reader);
	out->events_lost = events_lost(queue);
}

static void
lmdb_body_place(struct queue *base, const Envelope *envelope, char *out)
{
	char id[ID_TEXT_SIZE];

	(void)base;
	id_format(envelope->id.data, id);
	if (envelope->size > QUEUE_INLINE_MAX)
		snprintf(out, QUEUE_PLACE_MAX, "spool/%s", id);
	else
		snprintf(out, QUEUE_PLACE_MAX, "queue.mdb");
}

static const struct queue_ops lmdb_ops = {
	.close = lmdb_close,
	.reload = lmdb_reload,
	.spool_dir = lmdb_spool_dir,
	.space = lmdb_space,
	.put = lmdb_put,
	.consume = lmdb_consume,
	.consumer_stop = lmdb_consumer_stop,
	.abandon = lmdb_abandon,
	.forward = lmdb_forward,
	.finish = lmdb_finish,
	.defer = lmdb_defer,
	.look = lmdb_look,
	.body = lmdb_body,
	.body_place = lmdb_body_place,
	.row_put = lmdb_row_put,
	.row_remove = lmdb_row_remove,
	.rows_open = lmdb_rows_open,
	.rows_close = lmdb_rows_close,
	.rows_mine = lmdb_rows_mine,
	.rows_due = lmdb_rows_due,
	.rows_scan = lmdb_rows_scan,
	.rows_of = lmdb_rows_of,
	.rows_count = lmdb_rows_count,
	.config_put = lmdb_config_put,
	.config_subscribe = lmdb_config_subscribe,
	.config_unsubscribe = lmdb_config_unsubscribe,
	.bad_scan = lmdb_bad_scan,
	.bad_remove = lmdb_bad_remove,
	.event_put = lmdb_event_put,
	.events_open = lmdb_events_open,
	.stats = lmdb_stats,
};

struct queue *
queue_lmdb_open(const struct config *config)
{
	struct lmdb_queue *queue;

	queue = xcalloc(1, sizeof *queue);
	queue->base.ops = &lmdb_ops;
	init(queue, config);
	if (open_parts(queue, config)) {
		events_close(queue);
		release(queue);
		return NULL;
	}
	metrics_register(queue);
	space_refresh(queue);
	writer_start(queue);
	thread_start(&queue->housekeeper, housekeeper_run, queue);
	return &queue->base;
}
