/*
 * api_audit.c - who changed an account, and how: its newest "audit" events. On the worker, in
 * slices.
 *
 * mail.events -> [api_audit]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/http/api_private.h"
#include "shared/base/json_text.h"
#include "shared/base/log.h"
#include "shared/queue/event_reader.h"

struct story {
	struct job job;
	char account[32];
	size_t limit, found;
	json_t *changes; /* the newest changes */
	json_t *seen;    /* event_id: true */
	struct event_reader *reader;
};

static void
keep(struct story *story, json_t *event)
{
	story->found++;
	json_array_append(story->changes, event);
	if (json_array_size(story->changes) > story->limit)
		json_array_remove(story->changes, 0);
}

static bool
is_about(const struct story *story, const json_t *event)
{
	const char *account = json_text(event, "account");
	const char *name = json_text(event, "event");

	return account && name && strcmp(name, "audit") == 0 &&
		strcmp(account, story->account) == 0;
}

static bool
on_event(void *arg, const char *text, size_t length)
{
	static const char name[] = "\"event\":\"audit\"";
	struct story *story = arg;
	const char *id;
	json_t *event;

	if (atomic_load(&story->job.api->hurry))
		return false;
	if (!memmem(text, length, name, sizeof name - 1) ||
		!memmem(text, length, story->account, strlen(story->account)))
		return true;
	event = json_loadb(text, length, 0, NULL);
	id = json_text(event, "event_id");
	if (is_about(story, event) && !(id && json_object_get(story->seen, id))) {
		if (id)
			json_object_set_new(story->seen, id, json_true());
		keep(story, event);
	}
	json_decref(event);
	return true;
}

static void
story_run(struct job *job)
{
	struct story *story = (struct story *)job;
	enum events_state state;

	if (!story->reader)
		story->reader = queue_events_open(job->api->queue, 0, NULL);
	state = event_reader_next(story->reader, SLICE_MS, on_event, story);
	job->more = state == EVENTS_MORE;
	if (state == EVENTS_FAILED)
		fault_set(&job->fault, 503, "", EVENTS_UNREAD);
	else if (!job->more)
		job->result = json_pack("{s:s, s:s, s:n, s:I, s:[], s:i, s:[], s:O}", "query",
			story->account, "kind", "account", "next", "total",
			(json_int_t)story->found, "messages", "refused", 0, "refusals", "changes",
			story->changes);
}

static void
story_release(struct job *job)
{
	struct story *story = (struct story *)job;

	job->api->searches--;
	event_reader_close(&story->reader);
	json_decref(story->changes);
	json_decref(story->seen);
	free(story);
}

void
api_why_account(struct exchange *x, const char *account, size_t limit)
{
	struct story *story;

	if (!search_begin(x))
		return;
	story = xcalloc(1, sizeof *story);
	story->job = (struct job){ .exchange = x, .run = story_run, .release = story_release };
	snprintf(story->account, sizeof story->account, "%s", account);
	story->limit = limit;
	story->changes = json_array();
	story->seen = json_object();
	job_start(&story->job);
}
