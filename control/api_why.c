/*
 * api_why.c - the whole story of a message, by its id, its Message-ID or an address. On the worker.
 *
 * mail.events (twice: which messages, then all about them), the rows that wait -> [api_why]
 *
 * Lines are searched as text first, and parsed only where the text is in them: that is a hundred
 * times as fast as parsing every event. An address may have many messages: the newest count.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "control/api_private.h"
#include "shared/log.h"

#define MESSAGES_DEFAULT 10
#define MESSAGES_MAX 100
#define EVENTS_MAX 1000 /* of one message */

struct why {
	struct job job;
	char *query;
	size_t query_length;
	const char *kind;
	size_t limit;
	char (*ids)[ID_TEXT_SIZE]; /* a ring of the newest */
	size_t found;
	json_t *messages; /* id: {"id","events","rows"} */
};

static bool
contains(const char *text, size_t length, const char *part, size_t part_length)
{
	for (; length >= part_length; text++, length--) {
		if (strncasecmp(text, part, part_length) == 0)
			return true;
	}
	return false;
}

static bool
is_query(const struct why *why, const json_t *value)
{
	const char *text = json_string_value(value);
	size_t length;

	if (!text)
		return false;
	length = strlen(text);
	if (length >= 2 && text[0] == '<' && text[length - 1] == '>') {
		text++;
		length -= 2;
	}
	return length == why->query_length && strncasecmp(text, why->query, length) == 0;
}

/* Whether the event names what was asked for: its address, or its Message-ID. */
static bool
names_query(const struct why *why, const json_t *event)
{
	static const char *const fields[] = { "id", "message_id", "from", "header_from" };
	const json_t *to = json_object_get(event, "to");
	json_t *item;
	size_t i;

	for (i = 0; i < sizeof fields / sizeof *fields; i++)
		if (is_query(why, json_object_get(event, fields[i])))
			return true;
	json_array_foreach(to, i, item) if (is_query(why, item) ||
		is_query(why, json_object_get(item, "address"))) return true;
	return false;
}

static void
id_found(struct why *why, const char *id)
{
	const size_t kept = why->found < why->limit ? why->found : why->limit;

	assert(why->limit > 0);
	for (size_t i = 0; i < kept; i++)
		if (strcmp(why->ids[i], id) == 0)
			return;
	snprintf(why->ids[why->found++ % why->limit], ID_TEXT_SIZE, "%s", id);
}

static bool
on_search(void *arg, const char *text, size_t length)
{
	struct why *why = arg;
	json_t *event;
	const char *id;

	if (atomic_load(&why->job.api->hurry))
		return false;
	if (!contains(text, length, why->query, why->query_length))
		return true;
	event = json_loadb(text, length, 0, NULL);
	id = json_string_value(json_object_get(event, "id"));
	if (id && strlen(id) == ID_TEXT_SIZE - 1 && names_query(why, event))
		id_found(why, id);
	json_decref(event);
	return true;
}

/* The id in an event's text, without parsing it. */
static const char *
id_in(const char *text, size_t length)
{
	static const char field[] = "\"id\":\"";
	const char *at = memmem(text, length, field, sizeof field - 1);

	if (!at || (size_t)(text + length - at) < sizeof field - 1 + ID_TEXT_SIZE)
		return NULL;
	return at + sizeof field - 1;
}

/* Whether the event is one that a crash made the role send again. */
static bool
is_repeated(const json_t *events, const json_t *event)
{
	const char *id = json_string_value(json_object_get(event, "event_id")), *other;
	json_t *before;
	size_t i;

	json_array_foreach(events, i, before)
	{
		other = json_string_value(json_object_get(before, "event_id"));
		if (id && other && strcmp(id, other) == 0)
			return true;
	}
	return false;
}

static bool
on_story(void *arg, const char *text, size_t length)
{
	struct why *why = arg;
	const char *at = id_in(text, length);
	char id[ID_TEXT_SIZE];
	json_t *message, *events, *event;

	if (atomic_load(&why->job.api->hurry))
		return false;
	if (!at)
		return true;
	memcpy(id, at, ID_TEXT_SIZE - 1);
	id[ID_TEXT_SIZE - 1] = '\0';
	message = json_object_get(why->messages, id);
	events = json_object_get(message, "events");
	if (!events || json_array_size(events) >= EVENTS_MAX)
		return true;
	event = json_loadb(text, length, 0, NULL);
	if (!is_repeated(events, event))
		json_array_append(events, event);
	json_decref(event);
	return true;
}

static void
on_why_row(void *arg, Row *row)
{
	json_array_append_new(arg, json_from_row(row));
	row_free(row);
}

/* Where it is now, in a word: the state of its rows, or the last that happened. */
static const char *
state_of(const json_t *message)
{
	const json_t *rows = json_object_get(message, "rows");
	const json_t *events = json_object_get(message, "events");
	const char *state;

	if (json_array_size(rows) > 0)
		return json_string_value(json_object_get(json_array_get(rows, 0), "state"));
	state = json_string_value(
		json_object_get(json_array_get(events, json_array_size(events) - 1), "event"));
	return state ? state : "unknown";
}

/* The time in an id, less a second for events written before it was known. */
static uint64_t
id_us(const char *text)
{
	uint8_t id[ID_SIZE];
	uint64_t ms = 0;

	if (id_parse(text, id) < 0)
		return 0;
	for (int i = 0; i < 6; i++)
		ms = ms << 8 | id[i];
	return ms > 1000 ? (ms - 1000) * 1000 : 0;
}

static uint64_t
tell_apart(struct why *why)
{
	const size_t kept = why->found < why->limit ? why->found : why->limit;
	uint64_t since = UINT64_MAX;

	why->messages = json_object();
	for (size_t i = 0; i < kept; i++) {
		const char *id = why->ids[(why->found - kept + i) % why->limit];

		if (id_us(id) < since)
			since = id_us(id);
		json_object_set_new(why->messages, id,
			json_pack("{s:s, s:[], s:[]}", "id", id, "events", "rows"));
	}
	return since;
}

static void
why_run(struct job *job)
{
	struct why *why = (struct why *)job;
	struct queue *queue = job->api->queue;
	json_t *list = json_array(), *message;
	uint8_t id[ID_SIZE];
	const char *key;
	uint64_t since;

	if (strcmp(why->kind, "id") == 0)
		id_found(why, why->query);
	else
		queue_events_read(queue, 0, on_search, why);
	since = tell_apart(why);
	if (why->found > 0)
		queue_events_read(queue, since, on_story, why);
	json_object_foreach(why->messages, key, message)
	{
		id_parse(key, id);
		rows_of(job->api->rows, id, on_why_row, json_object_get(message, "rows"));
		json_object_set_new(message, "state", json_string(state_of(message)));
		if (json_array_size(json_object_get(message, "events")) +
				json_array_size(json_object_get(message, "rows")) >
			0)
			json_array_append(list, message);
	}
	json_decref(why->messages);
	job->result = json_pack("{s:s, s:s, s:I, s:o}", "query", why->query, "kind", why->kind,
		"found", (json_int_t)json_array_size(list), "messages", list);
	if (why->found > json_array_size(list))
		json_object_set_new(job->result, "found", json_integer((json_int_t)why->found));
	if (json_array_size(list) == 0)
		json_object_set_new(job->result, "found", json_integer(0));
}

static void
why_release(struct job *job)
{
	struct why *why = (struct why *)job;

	free(why->query);
	free(why->ids);
	free(why);
}

void
api_why(struct exchange *x)
{
	const char *query = query_text(x, "q");
	size_t length = query ? strlen(query) : 0;
	uint8_t id[ID_SIZE];
	struct why *why;
	long limit;

	limit = query_number(x, "limit", MESSAGES_DEFAULT, 1, MESSAGES_MAX);
	if (limit < 0)
		return;
	if (length >= 2 && query[0] == '<' && query[length - 1] == '>') {
		query++;
		length -= 2;
	}
	if (length < 3 || length > 998) {
		reply_error(
			x, 400, "q", "a message id, a Message-ID, a mail address or an account");
		return;
	}
	if (account_id_valid(query)) {
		api_why_account(x, query, (size_t)limit);
		return;
	}
	why = xcalloc(1, sizeof *why);
	why->job = (struct job){ .exchange = x, .run = why_run, .release = why_release };
	why->query = xstrndup(query, length);
	why->query_length = length;
	why->kind = id_parse(why->query, id) == 0 ? "id" : "text";
	why->limit = (size_t)limit;
	why->ids = xcalloc(why->limit, sizeof *why->ids);
	job_start(&why->job);
}
