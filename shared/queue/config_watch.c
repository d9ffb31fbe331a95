/*
 * config_watch.c - from the thread that reads relay.config to the loop that wants to know.
 */
#include "shared/queue/config_watch.h"

#include <stdlib.h>
#include <string.h>

#include "shared/base/log.h"
#include "shared/base/loop.h"

/* Entries as text, key NUL json NUL; an empty json: removed. */
struct config_news {
	struct task task;
	struct config_watch *watch;
	bool snapshot;
	size_t size, space;
	char *text;
};

void *
config_watch_new(size_t size, const struct queue_ops *ops, struct loop *loop,
	void (*on_entry)(void *arg, const char *key, const char *json), void *arg)
{
	struct config_watch *watch = xcalloc(1, size);

	*watch = (struct config_watch){
		.ops = ops, .loop = loop, .on_entry = on_entry, .arg = arg, .users = 2
	};
	pthread_mutex_init(&watch->lock, NULL);
	return watch;
}

void
config_watch_leave(struct config_watch *watch)
{
	bool last;

	pthread_mutex_lock(&watch->lock);
	last = --watch->users == 0;
	pthread_mutex_unlock(&watch->lock);
	if (!last)
		return;
	pthread_mutex_destroy(&watch->lock);
	free(watch);
}

void
config_watch_end(struct config_watch *watch)
{
	pthread_mutex_lock(&watch->lock);
	watch->ended = true;
	pthread_mutex_unlock(&watch->lock);
}

bool
config_watch_ended(struct config_watch *watch)
{
	bool ended;

	pthread_mutex_lock(&watch->lock);
	ended = watch->ended;
	pthread_mutex_unlock(&watch->lock);
	return ended;
}

static void
news_free(struct config_news *news)
{
	free(news->text);
	free(news);
}

static void
on_news(struct task *task)
{
	struct config_news *news = (struct config_news *)task;
	struct config_watch *watch = news->watch;
	const char *key = news->text, *end = news->size ? key + news->size : key, *json;

	/* `ended` is set on this loop. */
	for (; key < end && !watch->ended; key = json + strlen(json) + 1) {
		json = key + strlen(key) + 1;
		watch->on_entry(watch->arg, key, *json ? json : NULL);
	}
	if (news->snapshot && !watch->ended)
		watch->on_entry(watch->arg, NULL, NULL);
	news_free(news);
	config_watch_leave(watch);
}

struct config_news *
config_news_new(struct config_watch *watch)
{
	struct config_news *news = xcalloc(1, sizeof *news);

	news->task.run = on_news;
	news->watch = watch;
	return news;
}

static void
add_text(struct config_news *news, const char *text, size_t length)
{
	if (news->space - news->size < length + 1) {
		news->space = (news->size + length + 1) * 2;
		news->text = xrealloc(news->text, news->space);
	}
	if (length)
		memcpy(news->text + news->size, text, length);
	news->text[news->size + length] = '\0';
	news->size += length + 1;
}

void
config_news_add(struct config_news *news, const char *key, size_t key_length, const char *json,
	size_t json_length)
{
	add_text(news, key, key_length);
	add_text(news, json, json_length);
}

void
config_news_send(struct config_news *news, bool snapshot)
{
	struct config_watch *watch = news->watch;
	bool ended;

	news->snapshot = snapshot;
	pthread_mutex_lock(&watch->lock);
	ended = watch->ended;
	if (!ended) {
		watch->users++;
		loop_post(watch->loop, &news->task);
	}
	pthread_mutex_unlock(&watch->lock);
	if (ended)
		news_free(news);
}
