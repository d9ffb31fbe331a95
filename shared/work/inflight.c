/*
 * inflight.c - which mail is in hand, and with whom, told in Redis.
 *
 * sender, scanner -> [inflight] -> Redis (one hash, a field a process) -> [inflight] -> control
 *
 * The age of a report is measured by Redis's clock, so machines' clocks need not agree. A report
 * that Redis does not take is lost; the next one follows within seconds.
 */
#include "shared/work/inflight.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shared/base/json.h"
#include "shared/base/json_text.h"
#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/base/timer.h"
#include "shared/redis/redis.h"

#define KEY "inflight"
#define PERIOD_MS 1000
#define RENEW_MS 5000
#define OLD_MS 12000
#define TIMEOUT_MS 1000

static struct redis_script script = { .text =
#include "shared/work/inflight.lua.h"
};

struct inflight_reporter {
	struct redis *redis;
	struct timer timer;
	struct json json;
	char *field, *role, *node;
	char *told; /* the last report that went out; NULL: none */
	uint64_t told_ms;
	void (*fill)(void *arg, struct json *json);
	void *arg;
};

static void
tell(struct inflight_reporter *r, const char *text)
{
	const char *argv[] = { KEY, r->field, text };

	redis_run(r->redis, &script, TIMEOUT_MS, redis_log_refusal,
		(void *)"what is in hand cannot be told: Redis refuses", 1, 3, argv);
	free(r->told);
	r->told = xstrdup(text);
	r->told_ms = clock_mono_ms();
}

static void
on_timer(void *arg)
{
	struct inflight_reporter *r = arg;
	const char *text;

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
	struct inflight_reporter *r = xcalloc(1, sizeof *r);
	char machine[256] = "";

	/* In containers every process is 1, and `node` may be the relay's name, which all share. */
	gethostname(machine, sizeof machine - 1);
	r->redis = redis;
	r->field = xasprintf("%s/%s/%s/%ld", role, node, machine, (long)getpid());
	r->role = xstrdup(role);
	r->node = xstrdup(node);
	r->fill = fill;
	r->arg = arg;
	timer_init(&r->timer, loop, on_timer, r);
	timer_repeat(&r->timer, PERIOD_MS);
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
	timer_cancel(&r->timer);
	json_free(&r->json);
	free(r->field);
	free(r->role);
	free(r->node);
	free(r->told);
	free(r);
}

/* Reading. */

/* The report of one process, as it came. */
struct inflight_report {
	char *text;
	uint64_t age_ms;
};

struct inflight *
inflight_new(void)
{
	return xcalloc(1, sizeof(struct inflight));
}

static void
reports_free(struct inflight *seen)
{
	for (size_t i = 0; i < seen->count; i++)
		free(seen->reports[i].text);
	free(seen->reports);
	seen->reports = NULL;
	seen->count = 0;
}

void
inflight_free(struct inflight **seen)
{
	if (!*seen)
		return;
	reports_free(*seen);
	json_decref((*seen)->nodes);
	json_decref((*seen)->mail);
	json_decref((*seen)->sites);
	free(*seen);
	*seen = NULL;
}

void
inflight_add(struct inflight *seen, const char *text, size_t length, uint64_t age_ms)
{
	seen->reports = xrealloc(seen->reports, (seen->count + 1) * sizeof *seen->reports);
	seen->reports[seen->count++] = (struct inflight_report){ xstrndup(text, length), age_ms };
}

static void
take_mail(struct inflight *seen, json_t *list, json_t *node)
{
	json_t *entry, *entries;
	size_t i;

	json_array_foreach(list, i, entry)
	{
		const char *id = json_text(entry, "id");

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

static void
take_field(json_t *to, json_t *from, const char *key)
{
	json_t *value = json_object_get(from, key);

	if (value)
		json_object_set(to, key, value);
}

static bool
is_sooner(const json_t *entry, const json_t *than, const char *key)
{
	const json_int_t at = number_of(entry, key), other = number_of(than, key);

	return at && (!other || at < other);
}

/* Merges what several senders know of a site. The last reply counts, the soonest next try, and the
 * connection that has been opening for longest. */
static void
site_merge(json_t *site, json_t *entry)
{
	static const char *const said[] = { "reply", "host", "class", "said" };

	if (number_of(entry, "said") > number_of(site, "said"))
		for (size_t i = 0; i < sizeof said / sizeof *said; i++)
			take_field(site, entry, said[i]);
	if (is_sooner(entry, site, "next")) {
		json_object_del(site, "rests_for");
		take_field(site, entry, "next");
		take_field(site, entry, "rests_for");
	}
	if (is_sooner(entry, site, "opened")) {
		take_field(site, entry, "opening");
		take_field(site, entry, "opened");
	}
}

static void
take_sites(struct inflight *seen, json_t *list)
{
	json_t *entry, *site;
	size_t i;

	json_array_foreach(list, i, entry)
	{
		const char *name = json_text(entry, "site");

		if (!name)
			continue;
		site = json_object_get(seen->sites, name);
		if (site)
			site_merge(site, entry);
		else
			json_object_set(seen->sites, name, entry);
	}
}

static void
report_parse(struct inflight *seen, const struct inflight_report *raw)
{
	json_t *report = json_loads(raw->text, 0, NULL);
	json_t *node = json_object_get(report, "node"), *role = json_object_get(report, "role");

	if (json_is_string(node) && json_is_string(role)) {
		json_array_append_new(seen->nodes,
			json_pack("{s:O, s:O, s:I, s:I}", "role", role, "node", node, "told_ms",
				(json_int_t)raw->age_ms, "untold", number_of(report, "untold")));
		take_mail(seen, json_object_get(report, "mail"), node);
		take_sites(seen, json_object_get(report, "sites"));
	} else {
		LOG_WARN("what a process has in hand cannot be read");
	}
	json_decref(report);
}

void
inflight_parse(struct inflight *seen)
{
	if (!seen || seen->nodes)
		return;
	seen->nodes = json_array();
	seen->mail = json_object();
	seen->sites = json_object();
	for (size_t i = 0; i < seen->count; i++)
		report_parse(seen, &seen->reports[i]);
	reports_free(seen);
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

			if (text && age < OLD_MS)
				inflight_add(seen, text, length, (uint64_t)age);
		}
	}
	reading->cb(reading->arg, seen);
	free(reading);
}

void
inflight_read(struct redis *redis, inflight_cb cb, void *arg)
{
	const char *argv[] = { KEY };
	struct reading *reading;

	if (!redis_hopeful(redis)) {
		cb(arg, NULL);
		return;
	}
	reading = xmalloc(sizeof *reading);
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
		const char *at = json_text(entry, "site");
		const char *in = json_text(entry, "stage");

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
