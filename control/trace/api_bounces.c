/*
 * api_bounces.c - why an account's mail did not arrive, by the class of the last reply.
 *
 * trace (bounces.c) -> [api_bounces], with what each class means (replies.c). On the worker, a day
 * a slice.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control/http/api_private.h"
#include "control/look/event_pick.h"
#include "control/trace/bounces.h"
#include "control/trace/day.h"
#include "control/trace/replies.h"
#include "control/trace/trace.h"
#include "shared/base/json_text.h"
#include "shared/base/log.h"

#define PERIOD_US (7 * DAY_US) /* unless since is given */

struct bounces {
	struct job job;
	char *account;
	uint64_t since_us, until_us;
	json_t *days, *classes; /* days: those left, the next one last */
};

static void
bounces_release(struct job *job)
{
	struct bounces *bounces = (struct bounces *)job;

	json_decref(bounces->days);
	json_decref(bounces->classes);
	free(bounces->account);
	free(bounces);
}

/* The most frequent class first. */
static int
order(const void *a, const void *b)
{
	const json_t *const *one = a, *const *other = b;
	const json_int_t left = json_integer_value(json_object_get(*one, "recipients"));
	const json_int_t right = json_integer_value(json_object_get(*other, "recipients"));

	if (left != right)
		return left < right ? 1 : -1;
	return strcmp(json_text(*one, "class"), json_text(*other, "class"));
}

static void
finish(struct bounces *bounces)
{
	static const struct reply_facts facts = { .ended = true };
	const size_t count = json_object_size(bounces->classes);
	json_t **sorted = xcalloc(count + 1, sizeof *sorted), *list = json_array(), *one;
	const char *class;
	size_t i = 0;

	json_object_foreach(bounces->classes, class, one) sorted[i++] = one;
	qsort(sorted, count, sizeof *sorted, order);
	for (i = 0; i < count; i++) {
		one = sorted[i];
		json_array_append_new(list,
			json_pack("{s:O, s:O, s:o, s:o}", "class", json_object_get(one, "class"),
				"recipients", json_object_get(one, "recipients"), "last",
				json_from_time((uint64_t)json_integer_value(
					json_object_get(one, "last_us"))),
				"meaning", reply_meaning(json_text(one, "class"), &facts)));
	}
	free(sorted);
	bounces->job.result = json_pack("{s:o, s:o, s:o, s:o}", "classes", list, "since",
		json_from_time(bounces->since_us), "until", json_from_time(bounces->until_us),
		"kept_since", json_from_time(trace_kept_since_us(bounces->job.api->trace)));
}

static void
run(struct job *job)
{
	struct bounces *bounces = (struct bounces *)job;
	const size_t left = json_array_size(bounces->days);
	const char *day = json_string_value(json_array_get(bounces->days, left - 1));
	int err = day ? bounces_count(trace_directory(job->api->trace), day, bounces->account,
				bounces->since_us, bounces->until_us, bounces->classes)
		      : 0;

	if (err && err != -ENOENT && err != -ESTALE) {
		if (err == -EBADMSG)
			trace_suspect(job->api->trace, day);
		fault_set(&job->fault, 503, "",
			"the trace cannot be read now, and is made anew: try again in a moment");
		return;
	}
	if (day)
		json_array_remove(bounces->days, left - 1);
	job->more = left > 1;
	if (!job->more)
		finish(bounces);
}

static bool
take_time(struct exchange *x, const char *name, uint64_t *us)
{
	const char *text = query_text(x, name);

	if (!text || pick_time(text, clock_us(), us) == 0)
		return true;
	reply_error(
		x, 400, name, "a time like 2026-11-24T03:56 or 03:56 (UTC), or 10m, 2h, 3d ago");
	return false;
}

static json_t *
days_between(struct exchange *x, uint64_t since_us, uint64_t until_us)
{
	json_t *all = days_list(trace_directory(x->api->trace)), *days = json_array(), *one;
	char first[DAY_NAME_SIZE], last[DAY_NAME_SIZE];
	size_t i;

	day_name_at(since_us, first);
	day_name_at(until_us, last);
	json_array_foreach(all, i, one)
	{
		const char *name = json_string_value(one);

		if (strcmp(name, first) >= 0 && strcmp(name, last) <= 0)
			json_array_append(days, one);
	}
	json_decref(all);
	return days;
}

void
api_bounces(struct exchange *x)
{
	const char *group = query_text(x, "group");
	struct bounces *bounces;
	uint64_t until_us = clock_us(), since_us = until_us - PERIOD_US;

	if (!directory_get(x->api->directory, "account", x->parameters[0])) {
		reply_error(x, 404, "account", "there is no account \"%.40s\"", x->parameters[0]);
		return;
	}
	if (group && strcmp(group, "class") != 0) {
		reply_error(x, 400, "group", "class: messages?state=bounced has them one by one");
		return;
	}
	if (!take_time(x, "since", &since_us) || !take_time(x, "until", &until_us))
		return;
	bounces = xcalloc(1, sizeof *bounces);
	bounces->job = (struct job){ .exchange = x, .run = run, .release = bounces_release };
	bounces->account = xstrdup(x->parameters[0]);
	bounces->since_us = since_us;
	bounces->until_us = until_us;
	bounces->classes = json_object();
	bounces->days = days_between(x, since_us, until_us);
	job_start(&bounces->job);
}
