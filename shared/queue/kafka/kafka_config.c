/*
 * kafka_config.c - relay.config: those who watch it.
 *
 * broker -> [thread of the watch] -> task -> on_entry on the watcher's loop
 *
 * A watch reads the topic from its start with a handle of its own: up to the end it gathers the
 * last value of each key, tells them in key order, and then every change as it comes. Closing the
 * queue waits for the threads.
 */
#include "shared/queue/kafka/kafka_config.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include <uthash.h>

#include "shared/base/log.h"
#include "shared/queue/kafka/client/kafka_client.h"
#include "shared/queue/kafka/client/kafka_queue.h"

#define POLL_MS 100
#define BATCH 256

struct kafka_watch {
	struct config_watch base;
	struct kafka_queue *queue;
	struct kafka_watch *next, **at; /* of the queue, under its watches_lock */
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
entry_drop(struct kafka_watch *watch, struct entry *entry)
{
	HASH_DEL(watch->entries, entry);
	free(entry);
}

static void
entry_set(struct kafka_watch *watch, const char *key, const char *json, size_t json_length)
{
	size_t key_size = strlen(key) + 1;
	struct entry *entry;

	HASH_FIND(hh, watch->entries, key, key_size, entry);
	if (entry)
		entry_drop(watch, entry);
	if (!json_length)
		return;
	entry = xmalloc(sizeof *entry + key_size + json_length + 1);
	memcpy(entry->key, key, key_size);
	entry->json = entry->key + key_size;
	memcpy(entry->json, json, json_length);
	entry->json[json_length] = '\0';
	HASH_ADD(hh, watch->entries, key, key_size, entry);
}

static int
by_key(const struct entry *a, const struct entry *b)
{
	return strcmp(a->key, b->key);
}

static void
tell_snapshot(struct kafka_watch *watch)
{
	struct config_news *news = config_news_new(&watch->base);
	struct entry *entry, *next;

	HASH_SORT(watch->entries, by_key);
	HASH_ITER (hh, watch->entries, entry, next) {
		config_news_add(
			news, entry->key, strlen(entry->key), entry->json, strlen(entry->json));
		entry_drop(watch, entry);
	}
	watch->told = true;
	config_news_send(news, true);
}

static void
change_add(struct kafka_watch *watch, const char *key, const char *json, size_t json_length)
{
	if (!watch->news)
		watch->news = config_news_new(&watch->base);
	config_news_add(watch->news, key, strlen(key), json, json_length);
}

static void
changes_send(struct kafka_watch *watch)
{
	if (watch->news)
		config_news_send(watch->news, false);
	watch->news = NULL;
}

static void
take(struct kafka_watch *watch, const rd_kafka_message_t *message)
{
	char key[512];
	const char *json = message->payload ? message->payload : "";
	size_t length = message->payload ? strnlen(json, message->len) : 0;

	if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
		if (!watch->told)
			tell_snapshot(watch);
		return;
	}
	if (message->err || !message->key_len || message->key_len >= sizeof key) {
		LOG_WARN("an entry of relay.config cannot be read", "offset",
			log_int(message->offset), "error", rd_kafka_err2str(message->err));
		return;
	}
	memcpy(key, message->key, message->key_len);
	key[message->key_len] = '\0';
	if (watch->told)
		change_add(watch, key, json, length);
	else
		entry_set(watch, key, json, length);
}

static rd_kafka_t *
handle_new(struct kafka_queue *queue)
{
	rd_kafka_conf_t *conf = kafka_conf(queue->config);
	char why[256];
	rd_kafka_t *rk;

	kafka_set(conf, "enable.partition.eof", "true");
	kafka_set(conf, "auto.offset.reset", "earliest");
	kafka_set(conf, "queued.max.messages.kbytes", "4096");
	rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, why, sizeof why);
	if (!rk)
		die("cannot make a consumer", why);
	return rk;
}

/* News go out as they come: consuming by batches waits for more of them. */
static void
follow(struct kafka_watch *watch, rd_kafka_topic_t *topic)
{
	rd_kafka_message_t *message;

	while (!config_watch_ended(&watch->base)) {
		for (int i = 0; i < BATCH; i++) {
			message = rd_kafka_consume(topic, 0, i ? 0 : POLL_MS);
			if (!message)
				break;
			take(watch, message);
			rd_kafka_message_destroy(message);
		}
		changes_send(watch);
	}
}

/* The owner may be gone by now; the queue is not. */
static void
unlist(struct kafka_watch *watch)
{
	struct kafka_queue *queue = watch->queue;

	pthread_mutex_lock(&queue->watches_lock);
	*watch->at = watch->next;
	if (watch->next)
		watch->next->at = watch->at;
	pthread_cond_signal(&queue->watches_changed);
	pthread_mutex_unlock(&queue->watches_lock);
}

static void *
run(void *arg)
{
	struct kafka_watch *watch = arg;
	rd_kafka_t *rk = handle_new(watch->queue);
	rd_kafka_topic_t *topic = rd_kafka_topic_new(rk, kafka_topic_name[KAFKA_CONFIG], NULL);
	struct entry *entry, *next;

	pthread_setname_np(pthread_self(), "queue-config");
	log_set_role("queue");
	if (rd_kafka_consume_start(topic, 0, RD_KAFKA_OFFSET_BEGINNING))
		die("cannot read relay.config", rd_kafka_err2str(rd_kafka_last_error()));
	follow(watch, topic);
	rd_kafka_consume_stop(topic, 0);
	rd_kafka_topic_destroy(topic);
	rd_kafka_destroy(rk);
	HASH_ITER (hh, watch->entries, entry, next)
		entry_drop(watch, entry);
	unlist(watch);
	config_watch_leave(&watch->base);
	return NULL;
}

static void
start_thread(struct kafka_watch *watch)
{
	sigset_t all, before;
	pthread_t thread;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	if (pthread_create(&thread, NULL, run, watch))
		die("cannot start a thread", "queue-config");
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_detach(thread);
}

struct config_watch *
kafka_config_watch(struct queue *base, struct loop *loop,
	void (*on_entry)(void *arg, const char *key, const char *json), void *arg)
{
	struct kafka_queue *queue = (struct kafka_queue *)base;
	struct kafka_watch *watch = config_watch_new(sizeof *watch, base->ops, loop, on_entry, arg);

	watch->queue = queue;
	pthread_mutex_lock(&queue->watches_lock);
	watch->next = queue->watches;
	watch->at = &queue->watches;
	if (watch->next)
		watch->next->at = &watch->next;
	queue->watches = watch;
	pthread_mutex_unlock(&queue->watches_lock);
	start_thread(watch);
	return &watch->base;
}

void
kafka_config_unwatch(struct config_watch *base)
{
	config_watch_end(base);
	config_watch_leave(base);
}

void
kafka_config_close(struct kafka_queue *queue)
{
	pthread_mutex_lock(&queue->watches_lock);
	while (queue->watches)
		pthread_cond_wait(&queue->watches_changed, &queue->watches_lock);
	pthread_mutex_unlock(&queue->watches_lock);
}
