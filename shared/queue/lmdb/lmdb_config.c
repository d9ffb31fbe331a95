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

struct watcher {
	struct config_watch base;
	struct lmdb_queue *queue;
	struct watcher *next; /* under watchers_lock */
};

void
config_changed(struct lmdb_queue *queue, const struct op *op)
{
	const char *key = (const char *)op->packed, *json = key + strlen(key) + 1;

	pthread_mutex_lock(&queue->watchers_lock);
	for (struct watcher *watcher = queue->watchers; watcher; watcher = watcher->next) {
		struct config_news *news = config_news_new(&watcher->base);

		config_news_add(news, key, strlen(key), json, strlen(json));
		config_news_send(news, false);
	}
	pthread_mutex_unlock(&queue->watchers_lock);
}

void
config_watch_begin(struct lmdb_queue *queue, struct op *op)
{
	struct watcher *watcher = op->watcher;
	struct config_news *news = config_news_new(&watcher->base);
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
	pthread_mutex_lock(&queue->watchers_lock);
	if (!config_watch_ended(&watcher->base)) {
		watcher->next = queue->watchers;
		queue->watchers = watcher;
	}
	pthread_mutex_unlock(&queue->watchers_lock);
	config_news_send(news, true);
	config_watch_leave(&watcher->base); /* for the operation */
}

void
config_close(struct lmdb_queue *queue)
{
	struct watcher *next;

	for (struct watcher *watcher = queue->watchers; watcher; watcher = next) {
		next = watcher->next;
		config_watch_leave(&watcher->base); /* for an owner who has gone */
	}
	queue->watchers = NULL;
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

struct config_watch *
lmdb_config_watch(struct queue *base, struct loop *loop,
	void (*on_entry)(void *arg, const char *key, const char *json), void *arg)
{
	struct lmdb_queue *queue = (struct lmdb_queue *)base;
	struct op *op = op_new(queue, OP_WATCH, 0, NULL, NULL);
	struct watcher *watcher = config_watch_new(sizeof *watcher, base->ops, loop, on_entry, arg);

	watcher->queue = queue;
	op->watcher = watcher;
	op_submit(queue, op);
	return &watcher->base;
}

void
lmdb_config_unwatch(struct config_watch *base)
{
	struct watcher *watcher = (struct watcher *)base;
	struct lmdb_queue *queue = watcher->queue;
	struct watcher **at = &queue->watchers;

	pthread_mutex_lock(&queue->watchers_lock);
	config_watch_end(base);
	while (*at && *at != watcher)
		at = &(*at)->next;
	if (*at)
		*at = watcher->next;
	pthread_mutex_unlock(&queue->watchers_lock);
	config_watch_leave(base);
}
