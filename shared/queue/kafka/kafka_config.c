/*
 * kafka_config.c - relay.config: its subscribers.
 *
 * broker -> [thread of a subscriber] -> task -> on_entry on its loop
 *
 * A subscriber reads the topic from its start with a handle of its own: up to the end it gathers
 * the last value of each key, tells them in key order, and then every change as it comes. Closing
 * the queue waits for the threads.
 */
#include "shared/queue/kafka/kafka_config.h"

#include <stdlib.h>
#include <string.h>

#include <uthash.h>

#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/queue/kafka/client/kafka_client.h"
#include "shared/queue/kafka/client/kafka_queue.h"

#define POLL_MS 100
#define BATCH 256

struct kafka_subscriber {
	struct config_subscriber base;
	struct kafka_queue *queue;
	struct kafka_subscriber *next, **at; /* of the queue, under its subscribers_lock */
	/* the thread's */
	struct entry *entries; /* until the snapshot is told */
	struct config_news *news;
	bool told;
};

struct entry {
	UT_hash_handle hh;
	char *json; /* behind the key */
	char key[];
};

static void
entry_drop(struct kafka_subscriber *subscriber, struct entry *entry)
{
	HASH_DEL(subscriber->entries, entry);
	free(entry);
}

static void
entry_set(
	struct kafka_subscriber *subscriber, const char *key, const char *json, size_t json_length)
{
	size_t key_size = strlen(key) + 1;
	struct entry *entry;

	HASH_FIND(hh, subscriber->entries, key, key_size, entry);
	if (entry)
		entry_drop(subscriber, entry);
	if (!json_length)
		return;
	entry = xmalloc(sizeof *entry + key_size + json_length + 1);
	memcpy(entry->key, key, key_size);
	entry->json = entry->key + key_size;
	memcpy(entry->json, json, json_length);
	entry->json[json_length] = '\0';
	HASH_ADD(hh, subscriber->entries, key, key_size, entry);
}

static int
by_key(const struct entry *a, const struct entry *b)
{
	return strcmp(a->key, b->key);
}

static void
tell_snapshot(struct kafka_subscriber *subscriber)
{
	struct config_news *news = config_news_new(&subscriber->base);
	struct entry *entry, *next;

	HASH_SORT(subscriber->entries, by_key);
	HASH_ITER (hh, subscriber->entries, entry, next) {
		config_news_add(
			news, entry->key, strlen(entry->key), entry->json, strlen(entry->json));
		entry_drop(subscriber, entry);
	}
	subscriber->told = true;
	config_news_send(news, true);
}

static void
change_add(
	struct kafka_subscriber *subscriber, const char *key, const char *json, size_t json_length)
{
	if (!subscriber->news)
		subscriber->news = config_news_new(&subscriber->base);
	config_news_add(subscriber->news, key, strlen(key), json, json_length);
}

static void
changes_send(struct kafka_subscriber *subscriber)
{
	if (subscriber->news)
		config_news_send(subscriber->news, false);
	subscriber->news = NULL;
}

static void
take(struct kafka_subscriber *subscriber, const rd_kafka_message_t *message)
{
	char key[512];
	const char *json = message->payload ? message->payload : "";
	size_t length = message->payload ? strnlen(json, message->len) : 0;

	if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
		if (!subscriber->told)
			tell_snapshot(subscriber);
		return;
	}
	if (message->err || !message->key_len || message->key_len >= sizeof key) {
		LOG_WARN("an entry of relay.config cannot be read", "offset",
			log_int(message->offset), "error", rd_kafka_err2str(message->err));
		return;
	}
	memcpy(key, message->key, message->key_len);
	key[message->key_len] = '\0';
	if (subscriber->told)
		change_add(subscriber, key, json, length);
	else
		entry_set(subscriber, key, json, length);
}

static rd_kafka_t *
handle_new(struct kafka_queue *queue)
{
	rd_kafka_conf_t *conf = kafka_conf(queue->config);

	kafka_set(conf, "enable.partition.eof", "true");
	kafka_set(conf, "auto.offset.reset", "earliest");
	kafka_set(conf, "queued.max.messages.kbytes", "4096");
	return kafka_consumer_handle(conf);
}

/* News go out as they come: consuming by batches waits for more of them. */
static void
follow(struct kafka_subscriber *subscriber, rd_kafka_topic_t *topic)
{
	rd_kafka_message_t *message;

	while (!config_subscriber_ended(&subscriber->base)) {
		for (int i = 0; i < BATCH; i++) {
			message = rd_kafka_consume(topic, 0, i ? 0 : POLL_MS);
			if (!message)
				break;
			take(subscriber, message);
			rd_kafka_message_destroy(message);
		}
		changes_send(subscriber);
	}
}

/* The owner may be gone by now; the queue is not. */
static void
unlist(struct kafka_subscriber *subscriber)
{
	struct kafka_queue *queue = subscriber->queue;

	pthread_mutex_lock(&queue->subscribers_lock);
	*subscriber->at = subscriber->next;
	if (subscriber->next)
		subscriber->next->at = subscriber->at;
	pthread_cond_signal(&queue->subscribers_changed);
	pthread_mutex_unlock(&queue->subscribers_lock);
}

static void *
run(void *arg)
{
	struct kafka_subscriber *subscriber = arg;
	rd_kafka_t *rk = handle_new(subscriber->queue);
	rd_kafka_topic_t *topic = rd_kafka_topic_new(rk, kafka_topic_name[KAFKA_CONFIG], NULL);
	struct entry *entry, *next;

	pthread_setname_np(pthread_self(), "queue-config");
	log_set_role("queue");
	if (rd_kafka_consume_start(topic, 0, RD_KAFKA_OFFSET_BEGINNING))
		die("cannot read relay.config", rd_kafka_err2str(rd_kafka_last_error()));
	follow(subscriber, topic);
	rd_kafka_consume_stop(topic, 0);
	rd_kafka_topic_destroy(topic);
	rd_kafka_destroy(rk);
	HASH_ITER (hh, subscriber->entries, entry, next)
		entry_drop(subscriber, entry);
	unlist(subscriber);
	config_subscriber_leave(&subscriber->base);
	return NULL;
}

struct config_subscriber *
kafka_config_subscribe(struct queue *base, struct loop *loop,
	void (*on_entry)(void *arg, const char *key, const char *json), void *arg)
{
	struct kafka_queue *queue = (struct kafka_queue *)base;
	struct kafka_subscriber *subscriber = config_subscriber_new(
		sizeof *subscriber, base->ops, loop, on_entry, arg);
	pthread_t thread;

	subscriber->queue = queue;
	pthread_mutex_lock(&queue->subscribers_lock);
	subscriber->next = queue->subscribers;
	subscriber->at = &queue->subscribers;
	if (subscriber->next)
		subscriber->next->at = &subscriber->next;
	queue->subscribers = subscriber;
	pthread_mutex_unlock(&queue->subscribers_lock);
	thread_start(&thread, run, subscriber);
	pthread_detach(thread);
	return &subscriber->base;
}

void
kafka_config_unsubscribe(struct config_subscriber *base)
{
	config_subscriber_end(base);
	config_subscriber_leave(base);
}

void
kafka_config_close(struct kafka_queue *queue)
{
	pthread_mutex_lock(&queue->subscribers_lock);
	while (queue->subscribers)
		pthread_cond_wait(&queue->subscribers_changed, &queue->subscribers_lock);
	pthread_mutex_unlock(&queue->subscribers_lock);
}
