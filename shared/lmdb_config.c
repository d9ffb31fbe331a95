/*
 * lmdb_config.c - relay.config: writing entries, and those who watch them.
 *
 * The list of watchers is the writer's alone. A watch begins after a commit with a snapshot of that
 * moment; every later change comes from the writer in order, so nothing is missed or told twice.
 */
#include "shared/lmdb_private.h"

#include <stdlib.h>
#include <string.h>

#include "shared/log.h"

struct watcher {
	struct watcher *next;
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
on_news(struct task *task)
{
	struct news *news = (struct news *)task;
	struct watcher *watcher = news->watcher;
	const char *key = news->text, *end = news->text + news->size, *json;

	for (; key < end; key = json + strlen(json) + 1) {
		json = key + strlen(key) + 1;
		watcher->on_entry(watcher->arg, key, *json ? json : NULL);
	}
	if (news->snapshot)
		watcher->on_entry(watcher->arg, NULL, NULL);
	free(news->text);
	free(news);
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

	for (struct watcher *watcher = queue->watchers; watcher; watcher = watcher->next) {
		struct news *news = news_new(watcher);

		news_add(news, key, strlen(key));
		news_add(news, json, strlen(json));
		loop_post(watcher->loop, &news->task);
	}
}

void
config_watch_begin(struct lmdb_queue *queue, struct op *op)
{
	struct watcher *watcher = op->watcher;
	struct news *news = news_new(watcher);
	struct reader *reader = reader_begin(queue);
	MDB_cursor *cursor;
	MDB_val key, value;
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
	watcher->next = queue->watchers;
	queue->watchers = watcher;
	loop_post(watcher->loop, &news->task);
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

void
lmdb_config_watch(struct queue *base, struct loop *loop,
	void (*on_entry)(void *arg, const char *key, const char *json), void *arg)
{
	struct lmdb_queue *queue = (struct lmdb_queue *)base;
	struct op *op = op_new(queue, OP_WATCH, 0, NULL, NULL);

	op->watcher = xcalloc(1, sizeof *op->watcher);
	*op->watcher = (struct watcher){ .loop = loop, .on_entry = on_entry, .arg = arg };
	op_submit(queue, op);
}
