/*
 * resolve.c - getaddrinfo() on a thread of its own, since getaddrinfo() blocks without a bound.
 *
 * redis_link, clamd_host -> [resolve] -> thread: getaddrinfo() -> the loop's mailbox -> callback
 *
 * Lookups are rare (one each time a connection is made), so each has a thread. A cancelled lookup
 * runs to its end; its answer is dropped, also when the loop has ended meanwhile.
 */
#include "shared/base/resolve.h"

#include <assert.h>
#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/log.h"
#include "shared/base/loop.h"

struct resolve {
	struct task task;
	pthread_mutex_t lock;
	bool cancelled; /* under lock */
	struct loop *loop;
	resolve_cb cb;
	void *arg;
	char *host;
	const char *port; /* in host */
	struct net_address addresses[RESOLVE_MAX];
	size_t count;
	char why[256];
};

static void
resolve_free(struct resolve *resolve)
{
	const int busy = pthread_mutex_destroy(&resolve->lock);

	assert(!busy);
	(void)busy;
	free(resolve->host);
	free(resolve);
}

static void
on_answer(struct task *task)
{
	struct resolve *resolve = (struct resolve *)task;
	bool cancelled;

	pthread_mutex_lock(&resolve->lock); /* waits until the thread that posted the answer has let
					       go of the lock */
	cancelled = resolve->cancelled;
	pthread_mutex_unlock(&resolve->lock);
	if (!cancelled)
		resolve->cb(resolve->arg, resolve->addresses, resolve->count, resolve->why);
	resolve_free(resolve);
}

static void
look_up(struct resolve *resolve)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG };
	struct addrinfo *list = NULL;
	int err = getaddrinfo(resolve->host, resolve->port, &hints, &list);

	if (err) {
		snprintf(resolve->why, sizeof resolve->why, "cannot look up \"%.150s\": %s",
			resolve->host, err == EAI_SYSTEM ? strerror(errno) : gai_strerror(err));
		return;
	}
	for (struct addrinfo *at = list; at && resolve->count < RESOLVE_MAX; at = at->ai_next) {
		struct net_address *out = &resolve->addresses[resolve->count];

		if (at->ai_addrlen > sizeof out->sa)
			continue;
		memcpy(&out->sa, at->ai_addr, at->ai_addrlen);
		out->length = at->ai_addrlen;
		resolve->count++;
	}
	freeaddrinfo(list);
	if (!resolve->count)
		snprintf(resolve->why, sizeof resolve->why, "\"%.150s\" has no address",
			resolve->host);
}

static void *
resolve_run(void *arg)
{
	struct resolve *resolve = arg;
	bool cancelled;

	look_up(resolve);
	pthread_mutex_lock(&resolve->lock);
	cancelled = resolve->cancelled;
	if (!cancelled)
		loop_post(resolve->loop, &resolve->task);
	pthread_mutex_unlock(&resolve->lock);
	if (cancelled)
		resolve_free(resolve);
	return NULL;
}

struct resolve *
resolve_start(struct loop *loop, const char *text, resolve_cb cb, void *arg)
{
	struct resolve *resolve = xcalloc(1, sizeof *resolve);
	pthread_t thread;
	char *colon;

	pthread_mutex_init(&resolve->lock, NULL);
	resolve->task.run = on_answer;
	resolve->loop = loop;
	resolve->cb = cb;
	resolve->arg = arg;
	resolve->host = xstrdup(text);
	colon = strrchr(resolve->host, ':');
	if (net_parse(text, &resolve->addresses[0]) == 0) {
		resolve->count = 1;
	} else if (colon) {
		*colon = '\0';
		resolve->port = colon + 1;
		thread_start(&thread, resolve_run, resolve);
		pthread_detach(thread);
		return resolve;
	} else {
		snprintf(resolve->why, sizeof resolve->why, "\"%.150s\" has no port", text);
	}
	loop_post(loop, &resolve->task);
	return resolve;
}

void
resolve_cancel(struct resolve **resolve_ref)
{
	struct resolve *resolve = *resolve_ref;

	if (!resolve)
		return;
	*resolve_ref = NULL;
	pthread_mutex_lock(&resolve->lock);
	resolve->cancelled = true;
	pthread_mutex_unlock(&resolve->lock);
}
