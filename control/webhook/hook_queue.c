/*
 * hook_queue.c - what waits for a webhook, how it is sent, and when again.
 *
 * feed.c (events) -> [hook_queue] -> post.c -> the account's program
 */
#include "control/webhook/hooks.h"

#include <stdlib.h>
#include <string.h>

#include "control/look/event_pick.h"
#include "control/webhook/hooks_private.h"
#include "control/webhook/payload.h"
#include "control/webhook/post.h"
#include "shared/base/date.h"
#include "shared/base/json_text.h"
#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/config/config.h"
#include "shared/metrics/metrics.h"

#define FAILURES_MIN 8 /* before a webhook is switched off, whatever the clock says */

/* What is waited after the n-th failure in turn, in units of control.webhooks.retry (10 s). */
static const unsigned pauses[] = { 1, 3, 6, 30, 90, 360 };
#define PAUSES (sizeof pauses / sizeof *pauses)

/* ---- places ---- */

struct place *
place_new(char *text)
{
	struct place *place = xmalloc(sizeof *place);

	*place = (struct place){ 1, text };
	return place;
}

void
place_release(struct place **place)
{
	if (*place && --(*place)->references == 0) {
		free((*place)->text);
		free(*place);
	}
	*place = NULL;
}

/* ---- deliveries ---- */

static void
delivery_free(struct delivery *delivery)
{
	place_release(&delivery->place);
	free(delivery->of);
	free(delivery->id);
	free(delivery->event);
	free(delivery->body);
	free(delivery);
}

/* Takes it out of its webhook's queue. One that is under way is freed when its post ends. */
static void
delivery_drop(struct delivery *delivery)
{
	struct hook *hook = delivery->hook;

	TAILQ_REMOVE(&hook->own->queue, delivery, link);
	hook->queued--;
	delivery->hooks->queued--;
	delivery->hook = NULL;
	if (delivery->sending)
		hook->own->sending--;
	else
		delivery_free(delivery);
}

void
hook_queue_clear(struct hook *hook)
{
	struct delivery *delivery;

	while ((delivery = TAILQ_FIRST(&hook->own->queue)))
		delivery_drop(delivery);
}

static uint64_t
hash(const char *text)
{
	uint64_t sum = UINT64_C(14695981039346656037);

	for (; *text; text++)
		sum = (sum ^ (unsigned char)*text) * UINT64_C(1099511628211);
	return sum;
}

static bool
was_sent(const struct hook *hook, const char *id)
{
	const uint64_t sum = hash(id);

	for (size_t i = 0; i < SENT_KNOWN; i++)
		if (hook->own->sent[i] == sum)
			return true;
	return false;
}

static bool
wants(const struct hook *hook, const json_t *event)
{
	const char *name = json_text(event, "event");
	const json_t *one;
	size_t i;

	json_array_foreach(hook->own->events, i,
		one) if (name && strcmp(json_string_value(one), name) == 0) return true;
	return false;
}

/* False: the queue is full. */
static bool
append(struct hooks *hooks, struct hook *hook, const json_t *event, struct place *place)
{
	struct delivery *delivery;
	char *id, *body;

	if (!wants(hook, event) || event_time_us(event) < hook->since_us)
		return true;
	if (!hook_has_room(hooks, hook))
		return false;
	body = payload_new(event, &id);
	if (was_sent(hook, id)) {
		free(body);
		free(id);
		return true;
	}
	delivery = xcalloc(1, sizeof *delivery);
	*delivery = (struct delivery){ .hooks = hooks,
		.hook = hook,
		.id = id,
		.event = xstrdup(json_text(event, "event")),
		.body = body,
		.place = place };
	place->references++;
	TAILQ_INSERT_TAIL(&hook->own->queue, delivery, link);
	hook->queued++;
	hooks->queued++;
	return true;
}

void
hooks_offer(struct hooks *hooks, const char *account, const json_t *event, struct place *place)
{
	struct account_hooks *found;

	HASH_FIND_STR(hooks->accounts, account, found);
	for (unsigned i = 0; found && i < found->count; i++) {
		struct hook *hook = found->hooks[i];

		if (!hook->behind && !append(hooks, hook, event, place))
			hook_set_behind(hook, xstrdup(place->text));
	}
}

bool
hook_has_room(const struct hooks *hooks, const struct hook *hook)
{
	return hook->queued < HOOK_QUEUE_MAX && hooks->queued < HOOKS_QUEUED_MAX;
}

void
hook_take(struct hooks *hooks, struct hook *hook, const json_t *event, struct place *place)
{
	append(hooks, hook, event, place);
}

/* ---- posts ---- */

static json_t *
try_shown(const struct delivery *delivery, const struct post_result *result)
{
	char at[DATE_SIZE];

	date_iso(clock_us(), at);
	return json_pack("{s:s, s:s, s:s, s:b, s:o, s:i, s:o}", "at", at, "event", delivery->event,
		"event_id", delivery->id, "ok", result->ok, "status",
		result->status ? json_integer(result->status) : json_null(), "ms", (int)result->ms,
		"error",
		*result->error ? json_stringn_nocheck(result->error, strlen(result->error))
			       : json_null());
}

static void
failed(struct hooks *hooks, struct hook *hook, const struct post_result *result)
{
	struct hook_private *own = hook->own;
	const uint64_t now_us = clock_us(), off_us = hooks->config->control.webhooks.give_up * 1000;
	const unsigned pause = own->failures < PAUSES ? own->failures : PAUSES - 1;

	if (!own->failing_since_us || own->failing_since_us > now_us)
		own->failing_since_us = now_us;
	own->failures++;
	own->next_ms = clock_mono_ms() + hooks->config->control.webhooks.retry * pauses[pause];
	if (own->failures >= FAILURES_MIN && now_us - own->failing_since_us >= off_us) {
		char why[POST_ERROR_MAX + 32];

		snprintf(why, sizeof why, "%s",
			*result->error ? result->error : "it does not answer with 2xx");
		hooks->told.failed(hooks->arg, hook->id, why);
	}
}

static void
on_posted(void *arg, const struct post_result *result)
{
	struct delivery *delivery = arg;
	struct hook *hook = delivery->hook;
	struct hooks *hooks = delivery->hooks;

	if (!hook) { /* the webhook was removed, or another process sends for it */
		delivery_free(delivery);
		return;
	}
	hooks->told.tried(hooks->arg, hook->id, try_shown(delivery, result));
	metric_add(result->ok ? hooks->taken : hooks->failed, 1);
	hook->own->slow = result->ms > HOOK_SLOW_MS;
	delivery->sending = false;
	hook->own->sending--;
	if (!result->ok) {
		failed(hooks, hook, result);
		return;
	}
	hook->own->failures = 0;
	hook->own->failing_since_us = hook->own->next_ms = 0;
	hook->own->sent[hook->own->sent_at++ % SENT_KNOWN] = hash(delivery->id);
	delivery_drop(delivery);
}

static void
send_one(struct hooks *hooks, struct hook *hook, struct delivery *delivery)
{
	const struct post_request request = { .url = hook->own->url,
		.secret = hook->own->secret,
		.event = delivery->event,
		.id = delivery->id,
		.body = delivery->body };

	delivery->sending = true;
	hook->own->sending++;
	post_start(hooks->posts, &request, on_posted, delivery);
}

static void
send_due(struct hooks *hooks, struct hook *hook, uint64_t now_ms)
{
	const unsigned most = hook->own->failures || hook->own->slow ? 1 : HOOK_POSTS;
	struct delivery *delivery;

	if (hook->own->next_ms > now_ms)
		return;
	TAILQ_FOREACH (delivery, &hook->own->queue, link) {
		if (hook->own->sending >= most || posts_active(hooks->posts) >= HOOKS_POSTS)
			return;
		if (!delivery->sending)
			send_one(hooks, hook, delivery);
	}
}

/* The webhooks up to this one come behind the others. */
static void
take_turns(struct hooks *hooks, const struct hook *last)
{
	struct hook *hook;

	do {
		hook = hooks->all;
		HASH_DEL(hooks->all, hook);
		HASH_ADD_KEYPTR(hh, hooks->all, hook->id, strlen(hook->id), hook);
	} while (hook != last);
}

void
hooks_run(struct hooks *hooks, unsigned ms)
{
	const uint64_t now_ms = clock_mono_ms();
	struct hook *hook, *next;

	HASH_ITER (hh, hooks->all, hook, next) {
		/* cppcheck-suppress uninitvar */
		if (hook->queued > 0)
			send_due(hooks, hook, now_ms);
		if (posts_active(hooks->posts) >= HOOKS_POSTS) {
			take_turns(hooks, hook);
			break;
		}
	}
	posts_run(hooks->posts, ms);
}

void
hooks_wake(struct hooks *hooks)
{
	posts_wake(hooks->posts);
}

/* ---- tests ---- */

static void
on_tested(void *arg, const struct post_result *result)
{
	struct delivery *delivery = arg;
	json_t *try = try_shown(delivery, result);

	delivery->hooks->told.tried(delivery->hooks->arg, delivery->of, json_incref(try));
	delivery->done(delivery->arg, try);
	delivery_free(delivery);
}

void
hooks_test(struct hooks *hooks, const char *id, void (*done)(void *arg, json_t *try), void *arg)
{
	struct delivery *delivery;
	struct hook *hook;
	char at[DATE_SIZE];
	json_t *event;

	HASH_FIND_STR(hooks->all, id, hook);
	if (!hook) {
		done(arg, NULL);
		return;
	}
	date_iso(clock_us(), at);
	event = json_pack("{s:s, s:s, s:s, s:s}", "event", "test", "event_id", at, "time", at,
		"account", hook->account);
	delivery = xcalloc(1, sizeof *delivery);
	*delivery =
		(struct delivery){ .hooks = hooks, .of = xstrdup(id), .done = done, .arg = arg };
	delivery->event = xstrdup("test");
	delivery->body = payload_new(event, &delivery->id);
	json_decref(event);
	post_start(hooks->posts,
		&(const struct post_request){ .url = hook->own->url,
			.secret = hook->own->secret,
			.event = delivery->event,
			.id = delivery->id,
			.body = delivery->body },
		on_tested, delivery);
}
