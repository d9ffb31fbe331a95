/*
 * config_subscriber.c - from the thread that reads relay.config to the loop that wants to know.
 */
#include "shared/queue/config_subscriber.h"

#include <stdlib.h>
#include <string.h>

#include "shared/base/log.h"
#include "shared/base/loop.h"

/* Entries as text, key NUL json NUL; an empty json: removed. */
struct config_news {
	struct task task;
	struct config_subscriber *subscriber;
	bool snapshot;
	size_t size, space;
	char *text;
};

void *
config_subscriber_new(size_t size, const struct queue_ops *ops, struct loop *loop,
	void (*on_entry)(void *arg, const char *key, const char *json), void *arg)
{
	struct config_subscriber *subscriber = xcalloc(1, size);

	*subscriber = (struct config_subscriber){
		.ops = ops, .loop = loop, .on_entry = on_entry, .arg = arg, .users = 2
	};
	pthread_mutex_init(&subscriber->lock, NULL);
	return subscriber;
}

void
config_subscriber_leave(struct config_subscriber *subscriber)
{
	bool last;

	pthread_mutex_lock(&subscriber->lock);
	last = --subscriber->users == 0;
	pthread_mutex_unlock(&subscriber->lock);
	if (!last)
		return;
	pthread_mutex_destroy(&subscriber->lock);
	free(subscriber);
}

void
config_subscriber_end(struct config_subscriber *subscriber)
{
	pthread_mutex_lock(&subscriber->lock);
	subscriber->ended = true;
	pthread_mutex_unlock(&subscriber->lock);
}

bool
config_subscriber_ended(struct config_subscriber *subscriber)
{
	bool ended;

	pthread_mutex_lock(&subscriber->lock);
	ended = subscriber->ended;
	pthread_mutex_unlock(&subscriber->lock);
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
	struct config_subscriber *subscriber = news->subscriber;
	const char *key = news->text, *end = news->size ? key + news->size : key, *json;

	/* `ended` is set on this loop. */
	for (; key < end && !subscriber->ended; key = json + strlen(json) + 1) {
		json = key + strlen(key) + 1;
		subscriber->on_entry(subscriber->arg, key, *json ? json : NULL);
	}
	if (news->snapshot && !subscriber->ended)
		subscriber->on_entry(subscriber->arg, NULL, NULL);
	news_free(news);
	config_subscriber_leave(subscriber);
}

struct config_news *
config_news_new(struct config_subscriber *subscriber)
{
	struct config_news *news = xcalloc(1, sizeof *news);

	news->task.run = on_news;
	news->subscriber = subscriber;
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
	struct config_subscriber *subscriber = news->subscriber;
	bool ended;

	news->snapshot = snapshot;
	pthread_mutex_lock(&subscriber->lock);
	ended = subscriber->ended;
	if (!ended) {
		subscriber->users++;
		loop_post(subscriber->loop, &news->task);
	}
	pthread_mutex_unlock(&subscriber->lock);
	if (ended)
		news_free(news);
}
