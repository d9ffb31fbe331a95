/*
 * sentinels.c - whom to ask, in which order, and what many answers mean.
 *
 * redis_master -> [sentinels] -> redis_master asks one sentinel -> [sentinels] -> the master
 *
 * A search asks in turn and takes the first address, for the server there is asked for its role
 * anyway. Leaving a master that works needs more than half of all sentinels (those that do not
 * answer count): one of them may have been cut off, and know an old master only.
 */
#include "shared/redis/sentinels.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/log.h"
#include "shared/base/said.h"
#include "shared/base/timer.h"
#include "shared/metrics/metrics.h"

#define POLL_MS 5000

struct sentinel {
	struct sentinels *sentinels;
	char *address;
	struct metric *up;
	struct said said;
	char named[SENTINEL_ADDRESS_SIZE]; /* in this round of the poll; "": nothing */
};

struct sentinels {
	char *master;
	struct sentinel *list;
	unsigned count;
	unsigned next; /* the one to ask first */
	sentinels_ask_fn ask;
	void *ask_arg;
	redis_sentinel_cb cb; /* of the search or the poll */
	void *arg;
	unsigned asked; /* in this search */
	char whys[SENTINEL_WHY_SIZE];
	struct timer poll;
	char ours[SENTINEL_ADDRESS_SIZE];
	unsigned open; /* questions of this round of the poll */
};

const char *
sentinels_address(const struct sentinels *sentinels, unsigned i)
{
	return sentinels->list[i].address;
}

void
sentinels_measure(struct sentinels *sentinels, unsigned i, const char *why)
{
	struct sentinel *sentinel = &sentinels->list[i];
	unsigned left_out;

	metric_set(sentinel->up, !*why);
	if (*why && said_now(&sentinel->said, why, SAID_ONCE, &left_out))
		LOG_WARN("redis: a sentinel names no master", "sentinel", sentinel->address,
			"master", sentinels->master, "error", why);
	else if (!*why && said_clear(&sentinel->said, &left_out))
		LOG_INFO("redis: a sentinel names the master again", "sentinel", sentinel->address,
			SAID_LEFT_OUT(left_out));
}

/* A search */

static void on_searched(void *arg, const char *address, const char *why);

static void
search_next(struct sentinels *sentinels)
{
	sentinels->ask(sentinels->ask_arg, sentinels->next, on_searched, sentinels);
}

static void
note_why(struct sentinels *sentinels, const char *why)
{
	const size_t used = strlen(sentinels->whys);

	snprintf(sentinels->whys + used, sizeof sentinels->whys - used, "%s%s: %s",
		used ? "; " : "no sentinel names it: ", sentinels->list[sentinels->next].address,
		why);
}

static void
on_searched(void *arg, const char *address, const char *why)
{
	struct sentinels *sentinels = arg;

	if (address) {
		sentinels->cb(sentinels->arg, address, "");
		return;
	}
	note_why(sentinels, why);
	sentinels_distrust(sentinels);
	if (++sentinels->asked < sentinels->count)
		search_next(sentinels);
	else
		sentinels->cb(sentinels->arg, NULL, sentinels->whys);
}

void
sentinels_search(struct sentinels *sentinels, redis_sentinel_cb cb, void *arg)
{
	sentinels->cb = cb;
	sentinels->arg = arg;
	sentinels->asked = 0;
	sentinels->whys[0] = '\0';
	search_next(sentinels);
}

void
sentinels_distrust(struct sentinels *sentinels)
{
	sentinels->next = (sentinels->next + 1) % sentinels->count;
}

/* A poll */

static unsigned
votes(const struct sentinels *sentinels, const char *address)
{
	unsigned count = 0;

	for (unsigned i = 0; i < sentinels->count; i++)
		count += strcmp(sentinels->list[i].named, address) == 0;
	return count;
}

/* The next search begins with one of the majority. */
static void
count_votes(struct sentinels *sentinels)
{
	for (unsigned i = 0; i < sentinels->count; i++) {
		const char *named = sentinels->list[i].named;

		if (*named && strcmp(named, sentinels->ours) != 0 &&
			votes(sentinels, named) > sentinels->count / 2) {
			sentinels->next = i;
			sentinels->cb(sentinels->arg, named, "");
			return;
		}
	}
	timer_set(&sentinels->poll, POLL_MS);
}

static void
on_vote(void *arg, const char *address, const char *why)
{
	struct sentinel *sentinel = arg;

	(void)why;
	snprintf(sentinel->named, sizeof sentinel->named, "%s", address ? address : "");
	if (--sentinel->sentinels->open == 0)
		count_votes(sentinel->sentinels);
}

static void
on_poll(void *arg)
{
	struct sentinels *sentinels = arg;

	sentinels->open = sentinels->count;
	for (unsigned i = 0; i < sentinels->count; i++)
		sentinels->ask(sentinels->ask_arg, i, on_vote, &sentinels->list[i]);
}

void
sentinels_poll(struct sentinels *sentinels, const char *ours, redis_sentinel_cb cb, void *arg)
{
	sentinels->cb = cb;
	sentinels->arg = arg;
	snprintf(sentinels->ours, sizeof sentinels->ours, "%s", ours);
	timer_set(&sentinels->poll, POLL_MS);
}

void
sentinels_rest(struct sentinels *sentinels)
{
	timer_cancel(&sentinels->poll);
}

/* All of them */

static void
sentinel_init(struct sentinel *sentinel, struct sentinels *sentinels, const char *address)
{
	char labels[METRIC_LABELS_MAX] = "";

	sentinel->sentinels = sentinels;
	sentinel->address = xstrdup(address);
	metric_label(labels, "sentinel", address);
	sentinel->up = metric_gauge("shout_redis_sentinel_up",
		"Whether the sentinel named a master when it was asked last", labels);
}

struct sentinels *
sentinels_new(
	struct loop *loop, const struct redis_options *options, sentinels_ask_fn ask, void *arg)
{
	struct sentinels *sentinels = xcalloc(1, sizeof *sentinels);

	sentinels->ask = ask;
	sentinels->ask_arg = arg;
	sentinels->master = xstrdup(options->master);
	sentinels->count = options->sentinels_count;
	sentinels->list = xcalloc(sentinels->count, sizeof *sentinels->list);
	for (unsigned i = 0; i < sentinels->count; i++)
		sentinel_init(&sentinels->list[i], sentinels, options->sentinels[i]);
	timer_init(&sentinels->poll, loop, on_poll, sentinels);
	return sentinels;
}

void
sentinels_free(struct sentinels **sentinels_ref)
{
	struct sentinels *sentinels = *sentinels_ref;

	if (!sentinels)
		return;
	*sentinels_ref = NULL;
	timer_cancel(&sentinels->poll);
	for (unsigned i = 0; i < sentinels->count; i++)
		free(sentinels->list[i].address);
	free(sentinels->list);
	free(sentinels->master);
	free(sentinels);
}
