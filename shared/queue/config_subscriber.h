/*
 * config_subscriber.h - who hears the changes of relay.config, above the backends: what a backend
 * reads goes to the subscriber's loop.
 *
 * thread of a backend -> config_news -> task -> on_entry on the subscriber's loop
 *
 * A subscription ends on its loop. News are posted to that loop under the subscriber's lock, so
 * nothing is posted after the end. The subscriber is freed when its owner, its reader and the
 * posted news have left it.
 */
#ifndef SHARED_CONFIG_SUBSCRIBER_H
#define SHARED_CONFIG_SUBSCRIBER_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

struct config_news;
struct loop;
struct queue_ops;

/* The first member of a backend's own subscriber. */
struct config_subscriber {
	const struct queue_ops *ops;
	struct loop *loop;
	void (*on_entry)(void *arg, const char *key, const char *json);
	void *arg;
	pthread_mutex_t lock;
	unsigned users; /* under lock: the owner, the reader, posted news */
	bool ended;     /* set on its loop, under lock */
};

/* Makes a subscriber of `size` bytes, zeros behind this struct, with two users: the owner and the
 * reader. */
void *config_subscriber_new(size_t size, const struct queue_ops *ops, struct loop *loop,
	void (*on_entry)(void *arg, const char *key, const char *json), void *arg);
/* A user lets go of the subscriber. The last user frees it. */
void config_subscriber_leave(struct config_subscriber *subscriber);
/* Ends the calls of on_entry. On the subscriber's loop. The owner also calls
 * config_subscriber_leave(). */
void config_subscriber_end(struct config_subscriber *subscriber);
bool config_subscriber_ended(struct config_subscriber *subscriber);

/* Entries that one task tells. `json_length` 0: the entry was removed. */
struct config_news *config_news_new(struct config_subscriber *subscriber);
void config_news_add(struct config_news *news, const char *key, size_t key_length, const char *json,
	size_t json_length);
/* Takes `news` over and posts them. `snapshot`: they are all entries, and the end of the snapshot
 * is told behind them. */
void config_news_send(struct config_news *news, bool snapshot);

#endif
