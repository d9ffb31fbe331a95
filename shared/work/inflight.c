/*
 * inflight.c - what is in somebody's hands, told in Redis.
 *
 * sender, scanner -> [inflight] -> Redis (one hash, a field a process) -> [inflight] -> control
 *
 * Redis's clock says how old a report is, so that machines' clocks need not agree.
 */
#include "shared/work/inflight.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>

#include "shared/base/json.h"
#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/redis/redis.h"

#define KEY "inflight"
#define PERIOD_S 1
#define RENEW_MS 5000
#define OLD_MS 12000
#define TIMEOUT_MS 1000

static struct redis_script script = { .text =
#include "shared/work/inflight.lua.h"
};

struct inflight_reporter {
	struct redis *redis;
	struct event *timer;
	struct json json;
	char *field, *role, *node;
	char *told; /* the last report; NULL: none got out */
	uint64_t told_ms;
	void (*fill)(void *arg, struct json *json);
	void *arg;
};

static void
on_told(void *arg, int err, const struct redis_reply *reply)
{
	(void)arg;
	if (!err && redis_reply_kind(reply) == REDIS_ERR)
		LOG_WARN("what is in hand cannot be told: Redis refuses", "error",
			redis_reply_str(reply, NULL));
}

static void
tell(struct inflight_reporter *r, const char *text)
{
	const char *argv[] = { KEY, r->field, text };

	redis_run(r->redis, &script, TIMEOUT_MS, on_told, NULL, 1, 3, argv);
	free(r->told);
	r->told = xstrdup(text);
	r->told_ms = clock_mono_ms();
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct inflight_reporter *r = arg;
	const char *text;

	(void)fd, (void)what;
	if (!redis_up(r->redis)) {
		r->told_ms = 0;
		return;
	}
	json_begin(&r->json);
	json_str(&r->json, "role", r->role);
	json_str(&r->json, "node", r->node);
	r->fill(r->arg, &r->json);
	text = json_end(&r->json);
	if (!r->told || clock_mono_ms() - r->told_ms >= RENEW_MS || strcmp(text, r->told) != 0)
		tell(r, text);
}

struct inflight_reporter *
inflight_reporter_new(struct loop *loop, struct redis *redis, const char *role, const char *node,
	void (*fill)(void *arg, struct json *json), void *arg)
{
	const struct timeval period = { .tv_sec = PERIOD_S };
	struct inflight_reporter *r = xcalloc(1, sizeof *r);

	r->redis = redis;
	r->field = xasprintf("%s/%s/%ld", role, node, (long)getpid());
	r->role = xstrdup(role);
	r->node = xstrdup(node);
	r->fill = fill;
	r->arg = arg;
	r->timer = event_new(loop_base(loop), -1, EV_PERSIST, on_timer, r);
	if (!r->timer || event_add(r->timer, &period))
		die("out of memory", "inflight");
	return r;
}

void
inflight_reporter_free(struct inflight_reporter **reporter)
{
	struct inflight_reporter *r = *reporter;

	if (!r)
		return;
	*reporter = NULL;
	if (redis_up(r->redis))
		tell(r, "");
	event_free(r->timer);
	json_free(&r->json);
	free(r->field);
	free(r->role);
	free(r->node);
	free(r->told);
	free(r);
}

/* Reading. */

static struct inflight *
inflight_new(void)
{
	struct inflight *seen = xcalloc(1, sizeof *seen);

	seen->nodes = json_array();
	seen->mail = json_object();
	seen->sites = json_object();
	return seen;
}

void
inflight_free(struct inflight **seen)
{
	if (!*seen)
		return;
	json_decref((*seen)->nodes);
	json_decref((*seen)->mail);
	json_decref((*seen)->sites);
	free(*seen);
	*seen = NULL;
}

static void
take_mail(struct inflight *seen, json_t *list, json_t *node)
{
	json_t *entry, *entries;
	size_t i;

	json_array_foreach(list, i, entry)
	{
		const char *id = json_string_value(json_object_get(entry, "id"));

		if (!id)
			continue;
		json_object_set(entry, "node", node);
		entries = json_object_get(seen->mail, id);
		if (!entries)
			json_object_set_new(seen->mail, id, entries = json_array());
		json_array_append(entries, entry);
	}
}

static json_int_t
number_of(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

/* Of several senders the one that heard of the site last tells of it, and the soonest tries it. */
static void
take_sites(struct inflight *seen, json_t *list)
{
	json_t *entry, *other;
	size_t i;

	json_array_foreach(list, i, entry)
	{
		const char *site = json_string_value(json_object_get(entry, "site"));
		json_int_t next;

		if (!site)
			continue;
		other = json_object_get(seen->sites, site);
		next = number_of(entry, "next");
		if (!next || (number_of(other, "next") && number_of(other, "next") < next))
			next = number_of(other, "next");
		if (!other || number_of(entry, "said") >= number_of(other, "said"))
			json_object_set(seen->sites, site, other = entry);
		if (next)
			json_object_set_new(other, "next", json_integer(next));
	}
}

bool
inflight_take(struct inflight *seen, const char *text, size_t length, uint64_t age_ms)
{
	json_t *report = json_loadb(text, length, 0, NULL);
	json_t *node = json_object_get(report, "node"), *role = json_object_get(report, "role");
	const bool good = json_is_string(node) && json_is_string(role);

	if (good) {
		json_array_append_new(seen->nodes,
			json_pack("{s:O, s:O, s:I, s:I}", "role", role, "node", node, "told_ms",
				(json_int_t)age_ms, "untold", number_of(report, "untold")));
		take_mail(seen, json_object_get(report, "mail"), node);
		take_sites(seen, json_object_get(report, "sites"));
	}
	json_decref(report);
	return good;
}

struct reading {
	inflight_cb cb;
	void *arg;
};

static void
on_read(void *arg, int err, const struct redis_reply *reply)
{
	struct reading *reading = arg;
	struct inflight *seen = NULL;
	size_t length;

	if (!err && redis_reply_kind(reply) == REDIS_LIST) {
		seen = inflight_new();
		for (size_t i = 0; i + 1 < redis_reply_count(reply); i += 2) {
			const int64_t age = redis_reply_int(redis_reply_at(reply, i));
			const char *text = redis_reply_str(redis_reply_at(reply, i + 1), &length);

			if (text && age < OLD_MS &&
				!inflight_take(seen, text, length, (uint64_t)age))
				LOG_WARN("what is in hand cannot be read");
		}
	}
	reading->cb(reading->arg, seen);
	free(reading);
}

void
inflight_read(struct redis *redis, inflight_cb cb, void *arg)
{
	struct reading *reading = xmalloc(sizeof *reading);
	const char *argv[] = { KEY };

	*reading = (struct reading){ cb, arg };
	redis_run(redis, &script, TIMEOUT_MS, on_read, reading, 1, 1, argv);
}

const json_t *
inflight_find(
	const struct inflight *seen, const uint8_t id[ID_SIZE], const char *site, const char *stage)
{
	char text[ID_TEXT_SIZE];
	json_t *entry;
	size_t i;

	if (!seen)
		return NULL;
	id_format(id, text);
	json_array_foreach(json_object_get(seen->mail, text), i, entry)
	{
		const char *at = json_string_value(json_object_get(entry, "site"));
		const char *in = json_string_value(json_object_get(entry, "stage"));

		if ((!site || (at && !strcmp(at, site))) && (!stage || (in && !strcmp(in, stage))))
			return entry;
	}
	return NULL;
}

const json_t *
inflight_site(const struct inflight *seen, const char *site)
{
	return seen ? json_object_get(seen->sites, site) : NULL;
}
