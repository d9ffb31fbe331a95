/*
 * hooks.c - which webhooks are served, and how far each is.
 *
 * webhooks.c (entries), feed.c -> [hooks] -> hook_queue.c
 */
#include "control/webhook/hooks.h"

#include <stdlib.h>
#include <string.h>

#include "control/webhook/hooks_private.h"
#include "control/webhook/post.h"
#include "shared/base/json_text.h"
#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/metrics/metrics.h"

#define CLOCKS_DIFFER_US 5000000

struct hook *
hooks_find(const struct hooks *hooks, const char *id)
{
	struct hook *hook;

	HASH_FIND_STR(hooks->all, id, hook);
	return hook;
}

void
hook_set_behind(struct hook *hook, char *place)
{
	free(hook->behind);
	hook->behind = place;
}

struct hook *
hooks_next_behind(struct hooks *hooks)
{
	struct hook *hook = NULL, *start;

	if (!hooks->all || hooks->queued >= HOOKS_QUEUED_MAX)
		return NULL;
	if (hooks->turn)
		HASH_FIND_STR(hooks->all, hooks->turn, hook);
	start = hook && hook->hh.next ? hook->hh.next : hooks->all;
	hook = start;
	do {
		if (hook->behind && hook->queued == 0) {
			free(hooks->turn);
			hooks->turn = xstrdup(hook->id);
			return hook;
		}
		hook = hook->hh.next ? hook->hh.next : hooks->all;
	} while (hook != start);
	return NULL;
}

/* ---- which webhooks there are ---- */

static void
account_add(struct hooks *hooks, struct hook *hook)
{
	struct account_hooks *found;

	HASH_FIND_STR(hooks->accounts, hook->account, found);
	if (!found) {
		found = xcalloc(1, sizeof *found);
		found->account = xstrdup(hook->account);
		HASH_ADD_KEYPTR(hh, hooks->accounts, found->account, strlen(found->account), found);
	}
	found->hooks = xrealloc(found->hooks, (found->count + 1) * sizeof *found->hooks);
	found->hooks[found->count++] = hook;
}

static void
account_remove(struct hooks *hooks, const struct hook *hook)
{
	struct account_hooks *found;
	unsigned at = 0;

	HASH_FIND_STR(hooks->accounts, hook->account, found);
	while (found->hooks[at] != hook)
		at++;
	found->hooks[at] = found->hooks[--found->count];
	if (found->count > 0)
		return;
	HASH_DEL(hooks->accounts, found);
	free(found->hooks);
	free(found->account);
	free(found);
}

bool
hooks_of_account(const struct hooks *hooks, const char *account)
{
	struct account_hooks *found;

	HASH_FIND_STR(hooks->accounts, account, found);
	return found != NULL;
}

static void
hook_free(struct hooks *hooks, struct hook *hook)
{
	hook_queue_clear(hook);
	HASH_DEL(hooks->all, hook);
	account_remove(hooks, hook);
	if (hook->own->secret)
		explicit_bzero(hook->own->secret, strlen(hook->own->secret));
	free(hook->own->secret);
	free(hook->own->url);
	json_decref(hook->own->events);
	free(hook->own);
	free(hook->behind);
	free(hook->id);
	free(hook->account);
	free(hook);
}

static void
hook_set(struct hooks *hooks, const json_t *entry)
{
	const char *id = json_text_or(entry, "id", "");
	struct hook *hook;
	uint64_t since;

	HASH_FIND_STR(hooks->all, id, hook);
	if (!hook) {
		hook = xcalloc(1, sizeof *hook);
		hook->own = xcalloc(1, sizeof *hook->own);
		TAILQ_INIT(&hook->own->queue);
		hook->id = xstrdup(id);
		hook->account = xstrdup(json_text_or(entry, "account", ""));
		HASH_ADD_KEYPTR(hh, hooks->all, hook->id, strlen(hook->id), hook);
		account_add(hooks, hook);
	}
	free(hook->own->url);
	free(hook->own->secret);
	json_decref(hook->own->events);
	hook->own->url = xstrdup(json_text_or(entry, "url", ""));
	hook->own->secret = xstrdup(json_text_or(entry, "secret", ""));
	hook->own->events = json_deep_copy(json_object_get(entry, "events"));
	hook->own->next_ms = 0; /* what was changed may help */
	since = (uint64_t)json_integer_value(json_object_get(entry, "since_us"));
	if (since != hook->since_us)
		hook_set_behind(hook, xstrdup(""));
	hook->since_us = since;
}

static bool
listed(const json_t *entries, const char *id)
{
	const json_t *entry;
	size_t i;

	json_array_foreach(
		entries, i, entry) if (strcmp(json_text_or(entry, "id", ""), id) == 0) return true;
	return false;
}

void
hooks_set(struct hooks *hooks, const json_t *entries)
{
	struct hook *hook, *next;
	const json_t *entry;
	size_t i;

	HASH_ITER (hh, hooks->all, hook, next) {
		if (!listed(entries, hook->id))
			hook_free(hooks, hook);
	}
	json_array_foreach(entries, i, entry) hook_set(hooks, entry);
}

size_t
hooks_count(const struct hooks *hooks)
{
	return HASH_COUNT(hooks->all);
}

struct hooks *
hooks_new(const struct config *config, const struct hooks_told *told, void *arg)
{
	struct hooks *hooks = xcalloc(1, sizeof *hooks);

	*hooks = (struct hooks){ .config = config, .told = *told, .arg = arg };
	hooks->taken = metric_counter(
		"shout_control_webhook_posts_total", "posts to webhooks", "result=\"taken\"");
	hooks->failed = metric_counter(
		"shout_control_webhook_posts_total", "posts to webhooks", "result=\"failed\"");
	hooks->failing = metric_gauge(
		"shout_control_webhooks_failing", "webhooks whose last post failed", NULL);
	hooks->posts = posts_new(config);
	return hooks;
}

void
hooks_free(struct hooks **hooks)
{
	struct hook *hook, *next;

	if (!*hooks)
		return;
	HASH_ITER (hh, (*hooks)->all, hook, next)
		hook_free(*hooks, hook);
	posts_free(&(*hooks)->posts);
	free((*hooks)->turn);
	free(*hooks);
	*hooks = NULL;
}

/* ---- from one process to the next ---- */

void
hooks_drop(struct hooks *hooks)
{
	struct hook *hook, *next;

	HASH_ITER (hh, hooks->all, hook, next) {
		hook_queue_clear(hook);
		hook_set_behind(hook, NULL);
		hook->own->failing_since_us = 0;
		hook->own->failures = 0;
	}
}

json_t *
hooks_state(const struct hooks *hooks)
{
	json_t *behind = json_object(), *failing = json_object();
	struct hook *hook, *next;

	HASH_ITER (hh, hooks->all, hook, next) {
		const struct delivery *first = TAILQ_FIRST(&hook->own->queue);

		if (first)
			json_object_set_new(behind, hook->id, json_string(first->place->text));
		else if (hook->behind)
			json_object_set_new(behind, hook->id, json_string(hook->behind));
		if (hook->own->failing_since_us)
			json_object_set_new(failing, hook->id,
				json_integer((json_int_t)hook->own->failing_since_us));
	}
	metric_set(hooks->failing, (int64_t)json_object_size(failing));
	return json_pack("{s:I, s:o, s:o}", "at", (json_int_t)clock_us(), "behind", behind,
		"failing", failing);
}

void
hooks_restore(struct hooks *hooks, const json_t *state)
{
	const json_t *behind = json_object_get(state, "behind");
	const json_t *failing = json_object_get(state, "failing");
	const uint64_t at = (uint64_t)json_integer_value(json_object_get(state, "at"));
	const uint64_t now_us = clock_us();
	struct hook *hook, *next;

	HASH_ITER (hh, hooks->all, hook, next) {
		const char *place = json_text(behind, hook->id);

		if (!at && hook->since_us < now_us - RESTART_US)
			hook->since_us = now_us - RESTART_US;
		if (!place && hook->since_us + CLOCKS_DIFFER_US > at)
			place = "";
		hook_set_behind(hook, place ? xstrdup(place) : NULL);
		hook->own->failing_since_us = (uint64_t)json_integer_value(
			json_object_get(failing, hook->id));
	}
}
