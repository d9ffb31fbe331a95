/*
 * config_watch.h - a watch of relay.config, above the backends: what was read goes to its loop.
 *
 * thread of a backend -> config_news -> task -> on_entry on the watcher's loop
 *
 * A watch ends on its loop. News are posted to that loop under the watch's lock, so that nothing is
 * posted once the watch has ended. The watch itself lives until its owner, whoever reads for it and
 * what was posted are done with it.
 */
#ifndef SHARED_CONFIG_WATCH_H
#define SHARED_CONFIG_WATCH_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

struct config_news;
struct loop;
struct queue_ops;

/* A backend's own watch begins with this. */
struct config_watch {
	const struct queue_ops *ops;
	struct loop *loop;
	void (*on_entry)(void *arg, const char *key, const char *json);
	void *arg;
	pthread_mutex_t lock;
	unsigned users; /* under lock: its owner, who reads for it, news */
	bool ended;     /* set on its loop, under lock */
};

/* Makes a watch of `size` bytes, the rest of them zeros, with two users: its owner, and who reads
 * for it. */
void *config_watch_new(size_t size, const struct queue_ops *ops, struct loop *loop,
	void (*on_entry)(void *arg, const char *key, const char *json), void *arg);
/* A user is done with it; the last one's call frees it. */
void config_watch_leave(struct config_watch *watch);
/* On its loop: nothing is told any more. The owner leaves besides. */
void config_watch_end(struct config_watch *watch);
bool config_watch_ended(struct config_watch *watch);

/* Entries to be told in one task; `json_length` 0: the entry was removed. */
struct config_news *config_news_new(struct config_watch *watch);
void config_news_add(struct config_news *news, const char *key, size_t key_length, const char *json,
	size_t json_length);
/* Takes them over. `snapshot`: they are all there is, and the end of that is told behind them. */
void config_news_send(struct config_news *news, bool snapshot);

#endif
