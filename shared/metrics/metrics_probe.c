/*
 * metrics_probe.c - how well each part of the process is.
 *
 *     roles --> [probes] --> GET /readyz, /metrics (shout_ready, shout_degraded)
 *
 * Probes live as long as the process. A lock guards what each says.
 */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include <event2/buffer.h>

#include "shared/base/log.h"
#include "shared/base/text.h"
#include "shared/metrics/metrics_private.h"

#define WHY_SIZE 512

struct probe {
	struct probe *next;
	const char *name;
	struct metric *ready, *degraded;
	pthread_mutex_t lock;
	enum health health; /* both under the lock */
	char why[WHY_SIZE];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of the list */
static struct probe *probes;

/* Under the lock. The place of the probe `name` in the list, or the list's end. */
static struct probe **
probe_place(const char *name)
{
	struct probe **at = &probes;

	while (*at && strcmp((*at)->name, name) != 0)
		at = &(*at)->next;
	return at;
}

static struct probe *
probe_make(const char *name)
{
	struct probe *probe = xcalloc(1, sizeof *probe);
	char labels[METRIC_LABELS_MAX] = "";

	probe->name = name;
	probe->health = HEALTH_FAILED;
	snprintf(probe->why, sizeof probe->why, "not started yet");
	pthread_mutex_init(&probe->lock, NULL);
	metric_label(labels, "part", name);
	probe->ready = metric_gauge("shout_ready",
		"Whether a part of the process works; 0 where /readyz says that it failed", labels);
	probe->degraded = metric_gauge("shout_degraded",
		"Whether a part lacks what all nodes share, and goes on without it", labels);
	return probe;
}

struct probe *
probe_new(const char *name)
{
	struct probe **at, *probe;

	pthread_mutex_lock(&lock);
	at = probe_place(name);
	if (!*at)
		*at = probe_make(name);
	probe = *at;
	pthread_mutex_unlock(&lock);
	return probe;
}

void
probe_set(struct probe *probe, enum health health, const char *why)
{
	pthread_mutex_lock(&probe->lock);
	probe->health = health;
	text_clean(probe->why, sizeof probe->why, 0, why, why ? strlen(why) : 0);
	metric_set(probe->ready, health != HEALTH_FAILED);
	metric_set(probe->degraded, health == HEALTH_DEGRADED);
	pthread_mutex_unlock(&probe->lock);
}

static enum health
probe_ask(struct probe *probe, char why[WHY_SIZE])
{
	enum health health;

	pthread_mutex_lock(&probe->lock);
	health = probe->health;
	memcpy(why, probe->why, WHY_SIZE);
	pthread_mutex_unlock(&probe->lock);
	return health;
}

enum health
probes_print(struct evbuffer *page)
{
	static const char *const words[] = { "ready", "degraded", "failed" };
	enum health worst = HEALTH_READY, health;
	char why[WHY_SIZE];

	pthread_mutex_lock(&lock);
	for (struct probe *probe = probes; probe; probe = probe->next) {
		health = probe_ask(probe, why);
		if (health > worst)
			worst = health;
		evbuffer_add_printf(
			page, "%s: %s%s%s\n", probe->name, words[health], why[0] ? ": " : "", why);
	}
	pthread_mutex_unlock(&lock);
	evbuffer_prepend(page, "\n", 1);
	evbuffer_prepend(page, words[worst], strlen(words[worst]));
	return worst;
}
