/*
 * prune.c - takes out of relay.config what is over.
 *
 * directory -> [prune] -> relay.config
 *
 * Several control processes may do it at once: an entry goes once. What the queue does not take is
 * tried again an hour later.
 */
#include "control/config/prune.h"

#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "control/config/directory.h"
#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/queue/queue.h"

#define RULES_KEPT_US (UINT64_C(6) * 24 * 3600 * 1000000)
#define EVERY_S 3600

struct prune {
	struct queue *queue;
	struct directory *directory;
	struct event *timer;
};

/* When the oldest mail was accepted that is no row yet; UINT64_MAX: there is none. */
static uint64_t
oldest_us(struct queue *queue)
{
	struct queue_stats stats;
	uint64_t oldest = UINT64_MAX;

	queue_stats(queue, &stats);
	for (enum topic topic = 0; topic < TOPIC_COUNT; topic++)
		if (stats.oldest_us[topic] && stats.oldest_us[topic] < oldest)
			oldest = stats.oldest_us[topic];
	return oldest;
}

static bool
is_over(const struct prune *prune, const char *key, const json_t *entry, uint64_t now)
{
	const uint64_t before = (uint64_t)json_integer_value(
		json_object_get(entry, "accepted_before_us"));
	const json_t *until = json_object_get(entry, "until_us");

	if (strncmp(key, "rule/", 5) == 0)
		return before + RULES_KEPT_US < now && oldest_us(prune->queue) >= before;
	return strncmp(key, "suspension/", 11) == 0 && json_integer_value(until) &&
		(uint64_t)json_integer_value(until) < now;
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	const struct timeval hour = { .tv_sec = EVERY_S };
	const uint64_t now = clock_us();
	struct prune *prune = arg;
	const char *key;
	json_t *entry;

	(void)fd, (void)what;
	event_add(prune->timer, &hour);
	json_object_foreach(directory_entries(prune->directory), key,
		entry) if (is_over(prune, key, entry, now))
		queue_config_put(prune->queue, key, "", NULL, NULL);
}

struct prune *
prune_new(struct loop *loop, struct queue *queue, struct directory *directory)
{
	struct prune *prune = xmalloc(sizeof *prune);

	*prune = (struct prune){ .queue = queue, .directory = directory };
	prune->timer = evtimer_new(loop_base(loop), on_timer, prune);
	return prune;
}

void
prune_start(struct prune *prune)
{
	on_timer(-1, 0, prune);
}

void
prune_free(struct prune **prune)
{
	if (!*prune)
		return;
	event_free((*prune)->timer);
	free(*prune);
	*prune = NULL;
}
