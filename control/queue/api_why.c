/*
 * api_why.c - the whole story of a message, found by its id, its Message-ID or an address; and the
 * refusals to or by the same address, client or user. On the worker, in slices.
 *
 * mail.events (twice: which messages, then all about them), the rows that wait -> [api_why]
 *
 * An address may have many messages and refusals: only the newest are told.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "control/http/api_private.h"
#include "control/look/event_pick.h"
#include "control/look/newest.h"
#include "control/queue/mail_shown.h"
#include "shared/base/json_text.h"
#include "shared/base/log.h"
#include "shared/base/net.h"
#include "shared/base/text.h"
#include "shared/queue/event_reader.h"

#define LIST "why"
#define MESSAGES_DEFAULT 10
#define MESSAGES_MAX 100
#define EVENTS_MAX 1000 /* of one message */

struct why {
	struct job job;
	char *query;
	char *needle; /* what a line must have, in lower case */
	size_t query_length;
	const char *kind;
	size_t limit;
	char *after;               /* only older messages, and no refusals; NULL: the newest */
	char (*ids)[ID_TEXT_SIZE]; /* the newest, in order */
	size_t count;
	bool more; /* older messages are left */
	struct newest *refusals;
	json_t *messages; /* id: {"id","events","rows"}; NULL: they are still searched */
	struct event_reader *reader;
	uint64_t since_us;          /* from when on the stories are read */
	struct surroundings around; /* the suspensions */
};

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

/* Whether the event names what was asked for: an address, a client, a user or a Message-ID. */
static bool
names_query(const struct why *why, const json_t *event)
{
	static const char *const fields[] = { "id", "message_id", "from", "header_from", "client",
		"username", "credential", "account" };
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

/* An id begins with its time, so the ids that sort last are the newest. */
static void
id_found(struct why *why, const char *id)
{
	size_t at = why->count;

	if (why->after && strcmp(id, why->after) >= 0)
		return;
	while (at > 0 && strcmp(why->ids[at - 1], id) > 0)
		at--;
	if (at > 0 && strcmp(why->ids[at - 1], id) == 0)
		return;
	if (why->count < why->limit) {
		memmove(why->ids + at + 1, why->ids + at, (why->count++ - at) * sizeof *why->ids);
	} else {
		why->more = true;
		if (at-- == 0)
			return;
		memmove(why->ids, why->ids + 1, at * sizeof *why->ids);
	}
	snprintf(why->ids[at], ID_TEXT_SIZE, "%s", id);
}

static bool
on_search(void *arg, const char *text, size_t length)
{
	struct why *why = arg;
	json_t *event;
	const char *id;

	if (atomic_load(&why->job.api->hurry))
		return false;
	if (!text_holds(text, length, why->needle))
		return true;
	event = json_loadb(text, length, 0, NULL);
	id = json_text(event, "id");
	if (!names_query(why, event))
		json_decref(event);
	else if (id && strlen(id) == ID_TEXT_SIZE - 1) {
		id_found(why, id);
		json_decref(event);
	} else if (id || why->after) {
		json_decref(event);
	} else {
		newest_add(why->refusals, event, length);
	}
	return true;
}

/* Finds the id in an event's text, without parsing the text. */
static const char *
id_in(const char *text, size_t length)
{
	static const char field[] = "\"id\":\"";
	const char *at = memmem(text, length, field, sizeof field - 1);

	if (!at || (size_t)(text + length - at) < sizeof field - 1 + ID_TEXT_SIZE)
		return NULL;
	return at + sizeof field - 1;
}

/* Whether the event is a duplicate: a role sends an event again after a crash. */
static bool
is_repeated(const json_t *events, const json_t *event)
{
	const char *id = json_text(event, "event_id"), *other;
	json_t *before;
	size_t i;

	json_array_foreach(events, i, before)
	{
		other = json_text(before, "event_id");
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

struct telling {
	const struct why *why;
	json_t *rows;
};

static void
on_why_row(void *arg, Row *row)
{
	const struct telling *telling = arg;
	json_t *shown = json_from_row(row);

	suspension_show(&telling->why->around, row, shown);
	json_array_append_new(telling->rows, shown);
	row_free(row);
}

/* Where the message is now, in a word: the state of its rows, or its last event. What an operator
 * asked for is no state: the rule's own event may follow the end that the rule brought. */
static const char *
state_of(const json_t *message)
{
	const json_t *rows = json_object_get(message, "rows");
	const json_t *events = json_object_get(message, "events");

	if (json_array_size(rows) > 0)
		return json_text(json_array_get(rows, 0), "state");
	for (size_t i = json_array_size(events); i-- > 0;) {
		const char *name = json_text(json_array_get(events, i), "event");

		if (name && strcmp(name, "audit") != 0)
			return name;
	}
	return "unknown";
}

/* The time in an id, less a second: an event may be older than its id. */
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
	uint64_t since = UINT64_MAX;

	why->messages = json_object();
	for (size_t i = 0; i < why->count; i++) {
		const char *id = why->ids[i];

		if (id_us(id) < since)
			since = id_us(id);
		json_object_set_new(why->messages, id,
			json_pack("{s:s, s:[], s:[]}", "id", id, "events", "rows"));
	}
	return since;
}

/* False: there is more to read, or the brokers do not answer. */
static bool
read_slice(struct why *why, uint64_t since_us, bool (*on_line)(void *, const char *, size_t))
{
	enum events_state state;

	if (!why->reader)
		why->reader = queue_events_open(why->job.api->queue, since_us, NULL);
	state = event_reader_next(why->reader, SLICE_MS, on_line, why);
	why->job.more = state == EVENTS_MORE;
	if (state == EVENTS_FAILED)
		fault_set(&why->job.fault, 503, "", EVENTS_UNREAD);
	if (why->job.more)
		return false;
	event_reader_close(&why->reader);
	return state != EVENTS_FAILED;
}

static void
tell(struct why *why)
{
	struct telling telling = { .why = why };
	json_t *list = json_array(), *message;
	uint8_t id[ID_SIZE];
	const char *key;

	json_object_foreach(why->messages, key, message)
	{
		id_parse(key, id);
		telling.rows = json_object_get(message, "rows");
		rows_of(why->job.api->rows, id, on_why_row, &telling);
		json_object_set_new(message, "state", json_string(state_of(message)));
		if (json_array_size(json_object_get(message, "events")) +
				json_array_size(json_object_get(message, "rows")) >
			0)
			json_array_append(list, message);
	}
	why->job.result = json_pack("{s:s, s:s, s:o, s:o, s:I, s:o}", "query", why->query, "kind",
		why->kind, "total",
		why->more ? json_null() : json_integer((json_int_t)json_array_size(list)),
		"messages", list, "refused", (json_int_t)newest_seen(why->refusals), "refusals",
		newest_take(why->refusals));
}

static void
why_then(struct job *job)
{
	const struct why *why = (struct why *)job;

	if (!job->result) {
		reply_fault(job->exchange, &job->fault);
		return;
	}
	json_object_set_new(job->result, "next",
		page_next(job->exchange, LIST, why->more ? why->ids[0] : NULL));
	reply_json(job->exchange, 200, job->result);
}

/* Runs the slices of the search, then the slices of the stories. */
static void
why_run(struct job *job)
{
	struct why *why = (struct why *)job;

	if (!why->messages && strcmp(why->kind, "id") == 0)
		id_found(why, why->query);
	else if (!why->messages && !read_slice(why, 0, on_search))
		return;
	if (!why->messages)
		why->since_us = tell_apart(why);
	if (why->count == 0 || read_slice(why, why->since_us, on_story))
		tell(why);
}

static void
why_release(struct job *job)
{
	struct why *why = (struct why *)job;

	job->api->searches--;
	event_reader_close(&why->reader);
	newest_free(&why->refusals);
	surroundings_wipe(&why->around);
	json_decref(why->messages);
	free(why->query);
	free(why->needle);
	free(why->after);
	free(why->ids);
	free(why);
}

/* The client's address as events spell it; NULL: the text is no address. */
static char *
client_text(const char *query)
{
	struct net_address address;
	char text[NET_TEXT_MAX];

	if (net_parse_ip(query, 0, &address) < 0)
		return NULL;
	net_format_ip(&address, text);
	return xstrdup(text);
}

/* Writes the text in lower case; "": JSON may spell the text otherwise, or it has letters beyond
 * ASCII. */
static char *
needle_of(const char *query)
{
	char *needle = xstrdup(query);

	if (!text_is_ascii(query, strlen(query)) || strpbrk(query, "\"\\"))
		*needle = '\0';
	for (char *c = needle; *c; c++)
		*c = to_lower(*c);
	return needle;
}

void
api_why(struct exchange *x)
{
	const char *query = query_text(x, "q");
	size_t length = query ? strlen(query) : 0;
	uint8_t id[ID_SIZE];
	struct page page;
	struct why *why;

	if (!page_take_of(x, LIST, MESSAGES_DEFAULT, MESSAGES_MAX, &page))
		return;
	if (length >= 2 && query[0] == '<' && query[length - 1] == '>') {
		query++;
		length -= 2;
	}
	if (length < 1 || length > 998) {
		reply_error(x, 400, "q",
			"a message id, a Message-ID, a mail address, a client's address or a username");
		return;
	}
	if (account_id_valid(query)) {
		api_why_account(x, query, page.limit);
		return;
	}
	if (page.after && id_parse(page.after, id) < 0) {
		page_refuse(x);
		return;
	}
	if (!search_begin(x))
		return;
	why = xcalloc(1, sizeof *why);
	why->job = (struct job){
		.exchange = x, .run = why_run, .then = why_then, .release = why_release
	};
	why->query = client_text(query);
	if (!why->query)
		why->query = xstrndup(query, length);
	why->query_length = strlen(why->query);
	why->needle = needle_of(why->query);
	why->refusals = newest_new(page.limit);
	why->kind = id_parse(why->query, id) == 0 ? "id" : "text";
	why->limit = page.limit;
	why->after = page.after ? xstrdup(page.after) : NULL;
	why->ids = xcalloc(why->limit, sizeof *why->ids);
	surroundings_take(&why->around, why->job.exchange->api);
	job_start(&why->job);
}
