/*
 * feed.c - takes events to the webhooks.
 *
 * mail.events -> [feed] -> hooks.c
 *
 * A webhook's place is that of the oldest event that it was not sent yet, or of what it missed, or
 * else the head's. A place is taken before each slice of reading, so what is read again after a
 * crash was perhaps sent, but nothing is missed.
 */
#include "control/webhook/feed.h"

#include <stdlib.h>
#include <string.h>

#include "control/webhook/hooks.h"
#include "shared/base/json_text.h"
#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/queue/event_reader.h"
#include "shared/queue/queue.h"

#define ACCOUNT_MAX 64
#define IDLE_MS 200    /* between looks for new events */
#define FAILED_MS 1000 /* after brokers did not answer */

struct feed {
	struct queue *queue;
	struct hooks *hooks;
	struct event_reader *head, *late; /* late: of `hook` */
	char *hook;                       /* the id of the webhook that catches up; NULL: none */
	struct place *place;              /* where the slice began */
	uint64_t look_ms, late_ms;        /* not before */
};

struct feed *
feed_new(struct queue *queue, struct hooks *hooks)
{
	struct feed *feed = xcalloc(1, sizeof *feed);

	*feed = (struct feed){ .queue = queue, .hooks = hooks };
	return feed;
}

static void
late_close(struct feed *feed)
{
	event_reader_close(&feed->late);
	free(feed->hook);
	feed->hook = NULL;
}

void
feed_close(struct feed *feed)
{
	late_close(feed);
	event_reader_close(&feed->head);
}

void
feed_free(struct feed **feed)
{
	if (!*feed)
		return;
	feed_close(*feed);
	free(*feed);
	*feed = NULL;
}

void
feed_open(struct feed *feed, const json_t *state)
{
	const char *place = json_text(state, "head");

	if (place)
		feed->head = queue_events_open(feed->queue, 0, place);
	if (!feed->head)
		feed->head = queue_events_open(feed->queue, clock_us(), NULL);
	hooks_restore(feed->hooks, state);
	feed->look_ms = 0;
}

bool
feed_is_open(const struct feed *feed)
{
	return feed->head != NULL;
}

/* ---- lines ---- */

/* Whether the line is about an account with a webhook, without reading all of it. */
static bool
may_matter(const struct feed *feed, const char *text, size_t length)
{
	static const char name[] = "\"account\":\"";
	const char *at = memmem(text, length, name, sizeof name - 1), *end;
	char account[ACCOUNT_MAX];

	if (!at)
		return false;
	at += sizeof name - 1;
	end = memchr(at, '"', length - (size_t)(at - text));
	if (!end || (size_t)(end - at) >= sizeof account)
		return false;
	memcpy(account, at, (size_t)(end - at));
	account[end - at] = '\0';
	return hooks_of_account(feed->hooks, account);
}

static json_t *
read_line(const struct feed *feed, const char *text, size_t length)
{
	json_t *event = may_matter(feed, text, length)
		? json_loadb(text, length, JSON_ALLOW_NUL, NULL)
		: NULL;

	if (event && json_text(event, "account") && json_text(event, "id"))
		return event;
	json_decref(event);
	return NULL;
}

static bool
on_new(void *arg, const char *text, size_t length)
{
	struct feed *feed = arg;
	json_t *event = read_line(feed, text, length);

	if (event)
		hooks_offer(feed->hooks, json_text(event, "account"), event, feed->place);
	json_decref(event);
	return true;
}

static bool
on_late(void *arg, const char *text, size_t length)
{
	struct feed *feed = arg;
	struct hook *hook = hooks_find(feed->hooks, feed->hook);
	json_t *event = hook ? read_line(feed, text, length) : NULL;

	if (event && strcmp(json_text(event, "account"), hook->account) == 0)
		hook_take(feed->hooks, hook, event, feed->place);
	json_decref(event);
	return hook && hook_has_room(feed->hooks, hook);
}

/* ---- slices ---- */

static enum events_state
slice(struct feed *feed, struct event_reader *reader, unsigned ms,
	bool (*on_line)(void *arg, const char *text, size_t length))
{
	enum events_state state;

	feed->place = place_new(event_reader_place(reader));
	state = event_reader_next(reader, ms, on_line, feed);
	place_release(&feed->place);
	return state;
}

/* The next webhook that is behind begins to catch up. */
static void
late_open(struct feed *feed)
{
	struct hook *hook = hooks_next_behind(feed->hooks);

	if (!hook)
		return;
	feed->late = *hook->behind ? queue_events_open(feed->queue, 0, hook->behind)
				   : queue_events_open(feed->queue, hook->since_us, NULL);
	if (!feed->late) {
		LOG_WARN("webhook: its place is none of this queue: it goes on from now", "webhook",
			hook->id);
		hook_set_behind(hook, NULL);
		return;
	}
	feed->hook = xstrdup(hook->id);
}

static bool
late_run(struct feed *feed, unsigned ms, uint64_t now_ms)
{
	struct hook *hook;
	enum events_state state;

	if (!feed->late)
		late_open(feed);
	if (!feed->late)
		return false;
	state = slice(feed, feed->late, ms, on_late);
	hook = hooks_find(feed->hooks, feed->hook);
	if (hook) /* what was read is in its queue */
		hook_set_behind(hook, state == EVENTS_END ? NULL : event_reader_place(feed->late));
	if (!hook || state != EVENTS_MORE)
		late_close(feed);
	if (state == EVENTS_FAILED)
		feed->late_ms = now_ms + FAILED_MS;
	return state == EVENTS_MORE;
}

bool
feed_run(struct feed *feed, unsigned ms)
{
	const uint64_t now_ms = clock_mono_ms();
	enum events_state state = EVENTS_END;
	bool late = false;

	if (now_ms >= feed->look_ms) {
		state = slice(feed, feed->head, ms, on_new);
		feed->look_ms = state == EVENTS_END ? now_ms + IDLE_MS
			: state == EVENTS_FAILED    ? now_ms + FAILED_MS
						    : 0;
	}
	if (now_ms >= feed->late_ms)
		late = late_run(feed, ms, now_ms);
	return late || state == EVENTS_MORE;
}

json_t *
feed_state(const struct feed *feed)
{
	char *place = event_reader_place(feed->head);
	json_t *state = hooks_state(feed->hooks);

	json_object_set_new(state, "head", json_string(place));
	free(place);
	return state;
}
