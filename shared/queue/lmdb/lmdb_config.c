/*
 * lmdb_config.c - relay.config: writing entries, and those who watch them.
 *
 * A watch begins after a commit with a snapshot of that moment; every later change comes from the
 * writer in order, so nothing is missed or told twice. It ends on its own loop: the writer posts to
 * loops of the list under its lock, so that none is posted to once its watcher has left the list.
 * The watcher itself lives until what was posted has run.
 */
#include "shared/queue/lmdb/lmdb_private.h"

#include <stdlib.h>
#include <string.h>

#include "shared/base/log.h"

struct watcher {
	struct config_watch base;
	struct lmdb_queue *queue;
	struct watcher *next;
	unsigned users; /* its owner, the operation that begins it, tasks; under watchers_lock */
	bool ended;     /* set on its loop, under the lock */
	struct loop *loop;
	void (*on_entry)(void *arg, const char *key, const char *json);
	void *arg;
};

/* What one task tells a watcher: entries as text, key NUL json NUL; an empty json: removed. */
struct news {
	struct task task;
	struct watcher *watcher;
	bool snapshot;
	size_t size, space;
	char *text;
};

static void
watcher_leave(struct watcher *watcher)
{
	struct lmdb_queue *queue = watcher->queue;
	bool last;

	pthread_mutex_lock(&queue->watchers_lock);
	last = --watcher->users == 0;
	pthread_mutex_unlock(&queue->watchers_lock);
	if (last)
		free(watcher);
}

static void
news_free(struct news *news)
{
	watcher_leave(news->watcher);
	free(news->text);
	free(news);
}

static void
on_news(struct task *task)
{
	struct news *news = (struct news *)task;
	struct watcher *watcher = news->watcher;
	const char *key = news->text, *end = news->size ? key + news->size : key, *json;

	for (; key < end && !watcher->ended; key = json + strlen(json) + 1) {
		json = key + strlen(key) + 1;
		watcher->on_entry(watcher->arg, key, *json ? json : NULL);
	}
	if (news->snapshot && !watcher->ended)
		watcher->on_entry(watcher->arg, NULL, NULL);
	news_free(news);
}

static struct news *
news_new(struct watcher *watcher)
{
	struct news *news = xcalloc(1, sizeof *news);

	news->task.run = on_news;
	news->watcher = watcher;
	return news;
}

static void
news_add(struct news *news, const void *text, size_t length)
{
	if (news->space - news->size < length + 1) {
		news->space = (news->size + length + 1) * 2;
		news->text = xrealloc(news->text, news->space);
	}
	memcpy(news->text + news->size, text, length);
	news->text[news->size + length] = '\0';
	news->size += length + 1;
}

void
config_changed(struct lmdb_queue *queue, const struct op *op)
{
	const char *key = (const char *)op->packed, *json = key + strlen(key) + 1;

	pthread_mutex_lock(&queue->watchers_lock);
	for (struct watcher *watcher = queue->watchers; watcher; watcher = watcher->next) {
		struct news *news = news_new(watcher);

		news_add(news, key, strlen(key));
		news_add(news, json, strlen(json));
		watcher->users++;
		loop_post(watcher->loop, &news->task);
	}
	pthread_mutex_unlock(&queue->watchers_lock);
}

void
config_watch_begin(struct lmdb_queue *queue, struct op *op)
{
	struct watcher *watcher = op->watcher;
	struct news *news = news_new(watcher);
	struct reader *reader = reader_begin(queue);
	MDB_cursor *cursor;
	MDB_val key, value;
	bool ended;
	int rc = mdb_cursor_open(reader->txn, queue->config, &cursor);

	if (rc)
		lmdb_die("config", rc);
	while (!(rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT))) {
		news_add(news, key.mv_data, key.mv_size);
		news_add(news, value.mv_data, value.mv_size);
	}
	if (rc != MDB_NOTFOUND)
		lmdb_die("config", rc);
	mdb_cursor_close(cursor);
	reader_end(queue, reader);
	news->snapshot = true;
	pthread_mutex_lock(&queue->watchers_lock);
	ended = watcher->ended;
	if (!ended) {
		watcher->next = queue->watchers;
		queue->watchers = watcher;
		loop_post(watcher->loop, &news->task); /* in the operation's place as a user */
	}
	pthread_mutex_unlock(&queue->watchers_lock);
	if (ended)
		news_free(news);
}

void
config_close(struct lmdb_queue *queue)
{
	struct watcher *next;

	for (struct watcher *watcher = queue->watchers; watcher; watcher = next) {
		next = watcher->next;
		free(watcher);
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
	struct watcher *watcher = xmalloc(sizeof *watcher);

	*watcher = (struct watcher){ .base.ops = base->ops,
		.queue = queue,
		.users = 2,
		.loop = loop,
		.on_entry = on_entry,
		.arg = arg };
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
	watcher->ended = true;
	while (*at && *at != watcher)
		at = &(*at)->next;
	if (*at)
		*at = watcher->next;
	pthread_mutex_unlock(&queue->watchers_lock);
	watcher_leave(watcher);
}
