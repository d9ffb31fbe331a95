/*
 * config_watch.h - a subscription to relay.config, above the backends: what a backend reads goes to
 * the subscriber's loop.
 *
 * thread of a backend -> config_news -> task -> on_entry on the subscriber's loop
 *
 * A subscription ends on its loop. News are posted to that loop under the watch's lock, so nothing
 * is posted after the end. The watch is freed when its owner, its reader and the posted news have
 * left it.
 */
#ifndef SHARED_CONFIG_WATCH_H
#define SHARED_CONFIG_WATCH_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

struct config_news;
struct loop;
struct queue_ops;

/* The first member of a backend's own watch. */
struct config_watch {
	const struct queue_ops *ops;
	struct loop *loop;
	void (*on_entry)(void *arg, const char *key, const char *json);
	void *arg;
	pthread_mutex_t lock;
	unsigned users; /* under lock: the owner, the reader, posted news */
	bool ended;     /* set on its loop, under lock */
};

/* Makes a watch of `size` bytes, zeros behind this struct, with two users: the owner and the
 * reader. */
void *config_watch_new(size_t size, const struct queue_ops *ops, struct loop *loop,
	void (*on_entry)(void *arg, const char *key, const char *json), void *arg);
/* A user lets go of the watch. The last user frees it. */
void config_watch_leave(struct config_watch *watch);
/* Ends the calls of on_entry. On the watch's loop. The owner also calls config_watch_leave(). */
void config_watch_end(struct config_watch *watch);
bool config_watch_ended(struct config_watch *watch);

/* Entries that one task tells. `json_length` 0: the entry was removed. */
struct config_news *config_news_new(struct config_watch *watch);
void config_news_add(struct config_news *news, const char *key, size_t key_length, const char *json,
	size_t json_length);
/* Takes `news` over and posts them. `snapshot`: they are all entries, and the end of the snapshot
 * is told behind them. */
void config_news_send(struct config_news *news, bool snapshot);

#endif
