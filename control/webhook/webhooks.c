/*
 * webhooks.c - the thread that serves the webhooks, and what it needs of control's loop.
 *
 * directory -> [loop] -> [thread: feed.c, hooks.c] -> [loop] -> Redis (tries, places), commit (off)
 *
 * The thread and the loop share a list of messages to the thread, under a lock; what the thread
 * tells goes to the loop as tasks.
 */
#include "control/webhook/webhooks.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "control/config/commit.h"
#include "control/config/directory.h"
#include "control/leader/leader.h"
#include "control/webhook/feed.h"
#include "control/webhook/hooks.h"
#include "control/webhook/webhook.h"
#include "shared/base/json_text.h"
#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/base/timer.h"
#include "shared/config/config.h"
#include "shared/redis/redis.h"

#define LOOK_MS 500  /* between looks at the webhooks of relay.config */
#define SAVE_MS 1000 /* between writes of the places */
#define SLICE_MS 20
#define WAIT_MS 200
#define STATE_KEY "webhooks"
#define REDIS_MS 2000
#define TRIES_S "2592000" /* 30 days */

enum to_thread { SET, STATE, TEST };

struct message {
	struct message *next;
	enum to_thread kind;
	json_t *value; /* SET: entries; STATE: as it was kept, or NULL */
	char *id;      /* TEST */
	webhook_test_cb cb;
	void *arg;
};

enum to_loop { TRIED, OFF, ASK_STATE, SAVE, TESTED };

struct told {
	struct task task;
	struct webhooks *webhooks;
	enum to_loop kind;
	char *id;
	char *text;
	json_t *value;
	webhook_test_cb cb;
	void *arg;
};

struct webhooks {
	struct webhooks_parts parts;
	/* the loop's */
	struct timer timer;
	json_t *set; /* what the thread was given */
	bool started;
	/* between */
	pthread_mutex_t lock;
	struct message *first, **last;
	bool stop;
	/* the thread's */
	pthread_t thread;
	struct hooks *hooks;
	struct feed *feed;
	bool asked; /* for the state */
	uint64_t saved_ms;
	json_t *saved;
	char *file;
};

char *
webhook_tries_key(const char *id)
{
	return xasprintf("webhook:%s:tries", id);
}

/* ---- to the thread ---- */

static void
say(struct webhooks *webhooks, const struct message *message)
{
	struct message *copy;

	if (!webhooks->started) { /* the thread has ended */
		json_decref(message->value);
		free(message->id);
		return;
	}
	copy = xmalloc(sizeof *copy);
	*copy = *message;
	copy->next = NULL;
	pthread_mutex_lock(&webhooks->lock);
	*webhooks->last = copy;
	webhooks->last = &copy->next;
	pthread_mutex_unlock(&webhooks->lock);
	hooks_wake(webhooks->hooks);
}

static struct message *
take_messages(struct webhooks *webhooks, bool *stop)
{
	struct message *first;

	pthread_mutex_lock(&webhooks->lock);
	first = webhooks->first;
	webhooks->first = NULL;
	webhooks->last = &webhooks->first;
	*stop = webhooks->stop;
	pthread_mutex_unlock(&webhooks->lock);
	return first;
}

/* ---- to the loop ---- */

static void
log_failed(void *arg, int err, const struct redis_reply *reply)
{
	redis_log_refusal(arg, err, reply);
}

static void
keep_try(struct webhooks *webhooks, const char *id, const json_t *try)
{
	char *key = webhook_tries_key(id), *text = json_dumps(try, JSON_COMPACT);
	const char *push[] = { "LPUSH", key, text };
	const char *trim[] = { "LTRIM", key, "0", "49" };
	const char *expire[] = { "EXPIRE", key, TRIES_S };
	struct redis *redis = webhooks->parts.redis;

	redis_command(redis, REDIS_MS, log_failed, "webhook: a try was not kept", 3, push, NULL);
	redis_command(redis, REDIS_MS, NULL, NULL, 4, trim, NULL);
	redis_command(redis, REDIS_MS, NULL, NULL, 3, expire, NULL);
	free(text);
	free(key);
}

static void
switch_off(struct webhooks *webhooks, const char *id, const char *why)
{
	struct edit edit = { .config = webhooks->parts.config,
		.directory = webhooks->parts.directory };
	const int err = webhook_off(&edit, id, why, clock_us());
	const struct change change = {
		.what = "webhook.off", .author = { .by = "housekeeping" }, .entries = edit.changes
	};

	if (err) {
		json_decref(edit.changes);
	} else {
		LOG_WARN("webhook: it failed for too long and is off", "webhook", id, "error", why);
		commit_begin(webhooks->parts.commits, &change, NULL, NULL);
	}
	json_decref(edit.reply);
}

static void
on_state(void *arg, int err, const struct redis_reply *reply)
{
	struct webhooks *webhooks = arg;
	const char *text;
	struct message message = { .kind = STATE };

	if (err == -ECANCELED)
		return;
	if (err || redis_reply_kind(reply) == REDIS_ERR) {
		message.id = xstrdup("again"); /* see run_feed() */
	} else {
		text = redis_reply_kind(reply) == REDIS_STR ? redis_reply_str(reply, NULL) : NULL;
		message.value = text ? json_loads(text, 0, NULL) : NULL;
	}
	say(webhooks, &message);
}

static void
save_state(struct webhooks *webhooks, const char *text)
{
	const char *argv[] = { "SET", STATE_KEY, text };

	redis_command(webhooks->parts.redis, REDIS_MS, log_failed,
		"webhook: the places were not kept", 3, argv, NULL);
}

static void
on_told(struct task *task)
{
	static const char *const get[] = { "GET", STATE_KEY };
	struct told *told = (struct told *)task;
	struct webhooks *webhooks = told->webhooks;

	switch (told->kind) {
	case TRIED: keep_try(webhooks, told->id, told->value); break;
	case OFF: switch_off(webhooks, told->id, told->text); break;
	case ASK_STATE:
		redis_command(webhooks->parts.redis, REDIS_MS, on_state, webhooks, 2, get, NULL);
		break;
	case SAVE: save_state(webhooks, told->text); break;
	case TESTED: told->cb(told->arg, json_incref(told->value)); break;
	}
	free(told->id);
	free(told->text);
	json_decref(told->value);
	free(told);
}

static void
tell(struct webhooks *webhooks, const struct told *told)
{
	struct told *copy = xmalloc(sizeof *copy);

	*copy = *told;
	copy->webhooks = webhooks;
	copy->task.run = on_told;
	loop_post(webhooks->parts.loop, &copy->task);
}

static void
on_tried(void *arg, const char *id, json_t *try)
{
	tell(arg, &(const struct told){ .kind = TRIED, .id = xstrdup(id), .value = try });
}

static void
on_failed(void *arg, const char *id, const char *why)
{
	tell(arg, &(const struct told){ .kind = OFF, .id = xstrdup(id), .text = xstrdup(why) });
}

/* ---- the thread ---- */

struct test {
	struct webhooks *webhooks;
	webhook_test_cb cb;
	void *arg;
};

static void
on_tested(void *arg, json_t *try)
{
	struct test *test = arg;

	tell(test->webhooks,
		&(const struct told){
			.kind = TESTED, .value = try, .cb = test->cb, .arg = test->arg });
	free(test);
}

/* Redis's state counts; without one, this process's own. */
static void
open_feed(struct webhooks *webhooks, const struct message *message)
{
	json_t *own = NULL;

	webhooks->asked = false;
	if (message->id || feed_is_open(webhooks->feed))
		return;
	if (!message->value)
		own = json_load_file(webhooks->file, 0, NULL);
	feed_open(webhooks->feed, message->value ? message->value : own);
	json_decref(own);
}

static void
hear(struct webhooks *webhooks, const struct message *message)
{
	struct test *test;

	switch (message->kind) {
	case SET: hooks_set(webhooks->hooks, message->value); break;
	case STATE: open_feed(webhooks, message); break;
	case TEST:
		test = xmalloc(sizeof *test);
		*test = (struct test){ webhooks, message->cb, message->arg };
		hooks_test(webhooks->hooks, message->id, on_tested, test);
	}
}

static bool
hear_all(struct webhooks *webhooks)
{
	bool stop;
	struct message *message = take_messages(webhooks, &stop), *next;

	for (; message; message = next) {
		next = message->next;
		hear(webhooks, message);
		json_decref(message->value);
		free(message->id);
		free(message);
	}
	return !stop;
}

static void
save_file(const struct webhooks *webhooks)
{
	char *fresh = xasprintf("%s.new", webhooks->file);

	if (json_dump_file(webhooks->saved, fresh, JSON_COMPACT) == 0)
		rename(fresh, webhooks->file);
	free(fresh);
}

/* Writes where each webhook is; without webhooks there is no place. */
static void
save(struct webhooks *webhooks)
{
	json_t *state = hooks_count(webhooks->hooks) ? feed_state(webhooks->feed) : json_object();

	webhooks->saved_ms = clock_mono_ms();
	json_decref(webhooks->saved);
	webhooks->saved = state;
	save_file(webhooks);
	tell(webhooks,
		&(const struct told){ .kind = SAVE, .text = json_dumps(state, JSON_COMPACT) });
}

/* Reads events while this process leads. False: there are no more for now. */
static bool
run_feed(struct webhooks *webhooks)
{
	bool more;

	if (!leader_leads(webhooks->parts.leader) || !hooks_count(webhooks->hooks)) {
		if (feed_is_open(webhooks->feed)) {
			save(webhooks);
			feed_close(webhooks->feed);
			hooks_drop(webhooks->hooks);
		}
		return false;
	}
	if (!feed_is_open(webhooks->feed)) {
		if (!webhooks->asked)
			tell(webhooks, &(const struct told){ .kind = ASK_STATE });
		webhooks->asked = true;
		return false;
	}
	more = feed_run(webhooks->feed, SLICE_MS);
	if (clock_mono_ms() - webhooks->saved_ms > SAVE_MS)
		save(webhooks);
	return more;
}

static void *
run(void *arg)
{
	struct webhooks *webhooks = arg;

	log_set_role("control");
	while (hear_all(webhooks)) {
		const bool more = run_feed(webhooks);

		hooks_run(webhooks->hooks, more ? 0 : WAIT_MS);
	}
	if (feed_is_open(webhooks->feed))
		save(webhooks);
	feed_free(&webhooks->feed);
	hooks_free(&webhooks->hooks);
	return NULL;
}

/* ---- the loop ---- */

static json_t *
wanted(const struct webhooks *webhooks)
{
	json_t *all = json_array(), *entry;
	const char *key;

	json_object_foreach(directory_webhooks(webhooks->parts.directory), key, entry)
	{
		const char *id = json_text(entry, "account");
		const json_t *account = id ? directory_get(webhooks->parts.directory, "account", id)
					   : NULL;

		if (account && !account_is_deleted(account) &&
			json_is_true(json_object_get(entry, "enabled")))
			json_array_append(all, entry);
	}
	return all;
}

static void
on_look(void *arg)
{
	struct webhooks *webhooks = arg;
	json_t *set = wanted(webhooks);

	if (json_equal(set, webhooks->set)) {
		json_decref(set);
		return;
	}
	json_decref(webhooks->set);
	webhooks->set = set;
	say(webhooks, &(const struct message){ .kind = SET, .value = json_deep_copy(set) });
}

struct webhooks *
webhooks_new(const struct webhooks_parts *parts)
{
	static const struct hooks_told told = { on_tried, on_failed };
	struct webhooks *webhooks = xcalloc(1, sizeof *webhooks);

	webhooks->parts = *parts;
	webhooks->last = &webhooks->first;
	webhooks->file = xasprintf("%s/webhooks", parts->config->state_dir);
	pthread_mutex_init(&webhooks->lock, NULL);
	timer_init(&webhooks->timer, parts->loop, on_look, webhooks);
	webhooks->hooks = hooks_new(parts->config, &told, webhooks);
	webhooks->feed = feed_new(parts->queue, webhooks->hooks);
	return webhooks;
}

void
webhooks_start(struct webhooks *webhooks)
{
	webhooks->started = true;
	on_look(webhooks);
	timer_repeat(&webhooks->timer, LOOK_MS);
	thread_start(&webhooks->thread, run, webhooks);
}

void
webhooks_close(struct webhooks *webhooks)
{
	timer_cancel(&webhooks->timer);
	pthread_mutex_lock(&webhooks->lock);
	webhooks->stop = true;
	pthread_mutex_unlock(&webhooks->lock);
	if (!webhooks->started)
		return;
	hooks_wake(webhooks->hooks);
	pthread_join(webhooks->thread, NULL);
	webhooks->started = false;
}

void
webhooks_free(struct webhooks **webhooks)
{
	struct webhooks *one = *webhooks;

	if (!one)
		return;
	timer_cancel(&one->timer);
	feed_free(&one->feed);
	hooks_free(&one->hooks);
	json_decref(one->set);
	json_decref(one->saved);
	pthread_mutex_destroy(&one->lock);
	free(one->file);
	free(one);
	*webhooks = NULL;
}

void
webhooks_test(struct webhooks *webhooks, const char *id, webhook_test_cb cb, void *arg)
{
	say(webhooks,
		&(const struct message){ .kind = TEST, .id = xstrdup(id), .cb = cb, .arg = arg });
}
