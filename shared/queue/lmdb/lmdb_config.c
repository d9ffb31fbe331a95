/*
 * lmdb_config.c - relay.config: writes entries, and tells subscribers of them.
 *
 * A subscription begins after a commit, with a snapshot of that moment. Every later change comes
 * from the writer, in order. So nothing is missed or told twice.
 */
#include "shared/queue/lmdb/lmdb_private.h"

#include <stdlib.h>
#include <string.h>

#include "shared/base/log.h"

struct lmdb_subscriber {
	struct config_subscriber base;
	struct lmdb_queue *queue;
	struct lmdb_subscriber *next; /* under subscribers_lock */
};

void
config_changed(struct lmdb_queue *queue, const struct op *op)
{
	const char *key = (const char *)op->packed, *json = key + strlen(key) + 1;

	pthread_mutex_lock(&queue->subscribers_lock);
	for (struct lmdb_subscriber *subscriber = queue->subscribers; subscriber;
		subscriber = subscriber->next) {
		struct config_news *news = config_news_new(&subscriber->base);

		config_news_add(news, key, strlen(key), json, strlen(json));
		config_news_send(news, false);
	}
	pthread_mutex_unlock(&queue->subscribers_lock);
}

void
config_subscriber_begin(struct lmdb_queue *queue, struct op *op)
{
	struct lmdb_subscriber *subscriber = op->subscriber;
	struct config_news *news = config_news_new(&subscriber->base);
	struct reader *reader = reader_begin(queue);
	MDB_cursor *cursor;
	MDB_val key, value;
	int rc = mdb_cursor_open(reader->txn, queue->config, &cursor);

	if (rc)
		lmdb_die("config", rc);
	while (!(rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT))) {
		config_news_add(news, key.mv_data, key.mv_size, value.mv_data, value.mv_size);
	}
	if (rc != MDB_NOTFOUND)
		lmdb_die("config", rc);
	mdb_cursor_close(cursor);
	reader_end(queue, reader);
	pthread_mutex_lock(&queue->subscribers_lock);
	if (!config_subscriber_ended(&subscriber->base)) {
		subscriber->next = queue->subscribers;
		queue->subscribers = subscriber;
	}
	pthread_mutex_unlock(&queue->subscribers_lock);
	config_news_send(news, true);
	config_subscriber_leave(&subscriber->base); /* for the operation */
}

void
config_close(struct lmdb_queue *queue)
{
	struct lmdb_subscriber *next;

	for (struct lmdb_subscriber *subscriber = queue->subscribers; subscriber;
		subscriber = next) {
		next = subscriber->next;
		config_subscriber_leave(&subscriber->base); /* for an owner who has gone */
	}
	queue->subscribers = NULL;
}

void
lmdb_config_put(struct queue *base, const char *key, const char *json, queue_cb cb, void *arg)
{
	struct lmdb_queue *queue = (struct lmdb_queue *)base;
	size_t key_size = strlen(key) + 1, json_size = strlen(json) + 1;
	struct op *op = op_new(queue, OP_CONFIG, key_size + json_size, cb, arg);

	memcpy(op->packed, key, key_size);
	memcpy(op->packed + key_size, json, json_size);
	op_submit(queue, op);
}

struct config_subscriber *
lmdb_config_subscribe(struct queue *base, struct loop *loop,
	void (*on_entry)(void *arg, const char *key, const char *json), void *arg)
{
	struct lmdb_queue *queue = (struct lmdb_queue *)base;
	struct op *op = op_new(queue, OP_SUBSCRIBE, 0, NULL, NULL);
	struct lmdb_subscriber *subscriber = config_subscriber_new(
		sizeof *subscriber, base->ops, loop, on_entry, arg);

	subscriber->queue = queue;
	op->subscriber = subscriber;
	op_submit(queue, op);
	return &subscriber->base;
}

void
lmdb_config_unsubscribe(struct config_subscriber *base)
{
	struct lmdb_subscriber *subscriber = (struct lmdb_subscriber *)base;
	struct lmdb_queue *queue = subscriber->queue;
	struct lmdb_subscriber **at = &queue->subscribers;

	pthread_mutex_lock(&queue->subscribers_lock);
	config_subscriber_end(base);
	while (*at && *at != subscriber)
		at = &(*at)->next;
	if (*at)
		*at = subscriber->next;
	pthread_mutex_unlock(&queue->subscribers_lock);
	config_subscriber_leave(base);
}
