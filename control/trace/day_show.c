/*
 * day_show.c - makes JSON of the rows about a message.
 *
 * YYYYMMDD.db -> [day_show] -> search.c
 */
#include "control/trace/day.h"

#include <errno.h>

#include <sqlite3.h>

#include "control/look/json_from.h"
#include "control/trace/day_private.h"

static json_t *
column_text(sqlite3_stmt *made, int at)
{
	const char *text = (const char *)sqlite3_column_text(made, at);

	return text ? json_from_text(text) : json_null();
}

static json_t *
column_time(sqlite3_stmt *made, int at)
{
	return json_from_time((uint64_t)sqlite3_column_int64(made, at));
}

static json_t *
recipient_shown(sqlite3_stmt *made)
{
	const int state = sqlite3_column_int(made, 1);

	return json_pack("{s:o, s:s, s:o, s:o, s:o}", "address", column_text(made, 0), "state",
		state >= 0 && state < TRACE_STATES ? trace_states[state] : "", "class",
		column_text(made, 2), "due", column_time(made, 3), "since", column_time(made, 4));
}

static json_t *
event_shown(sqlite3_stmt *made)
{
	const char *details = (const char *)sqlite3_column_text(made, 2);
	json_t *shown = details ? json_loads(details, 0, NULL) : NULL;

	if (!json_is_object(shown)) {
		json_decref(shown);
		shown = json_object();
	}
	json_object_set_new(shown, "at", column_time(made, 0));
	json_object_set_new(shown, "event", column_text(made, 1));
	return shown;
}

/* All rows of a statement about the message, as an array. */
static int
rows(struct day *day, enum statement which, const uint8_t id[ID_SIZE],
	json_t *(*show)(sqlite3_stmt *made), json_t *out)
{
	sqlite3_stmt *made = day_statement(day, which);
	int rc;

	if (!made)
		return day_error(day->connection);
	sqlite3_bind_blob(made, 1, id, ID_SIZE, SQLITE_STATIC);
	while ((rc = sqlite3_step(made)) == SQLITE_ROW)
		json_array_append_new(out, show(made));
	sqlite3_reset(made);
	return rc == SQLITE_DONE ? 0 : day_error(day->connection);
}

static json_t *
message_shown(sqlite3_stmt *made, const uint8_t id[ID_SIZE], bool whole)
{
	static const char *const more[] = { "header_from", "client", "helo", "tls" };
	char text[ID_TEXT_SIZE];
	json_t *shown;

	id_format(id, text);
	shown = json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:[]}", "id", text, "at",
		json_from_time(id_time_us(id)), "account", column_text(made, 0), "from",
		column_text(made, 1), "message_id", column_text(made, 2), "credential",
		column_text(made, 3), "size",
		sqlite3_column_type(made, 4) == SQLITE_NULL
			? json_null()
			: json_integer(sqlite3_column_int64(made, 4)),
		"to");
	if (!whole)
		return shown;
	for (size_t i = 0; i < sizeof more / sizeof *more; i++)
		json_object_set_new(shown, more[i], column_text(made, (int)i + 5));
	json_object_set_new(shown, "scanned", column_time(made, 9));
	json_object_set_new(shown, "verdict", column_text(made, 10));
	json_object_set_new(shown, "events", json_array());
	return shown;
}

int
day_message(struct day *day, const uint8_t id[ID_SIZE], bool whole, json_t **out)
{
	sqlite3_stmt *made = day_statement(day, GET_MESSAGE);
	int rc, err = 0;

	*out = NULL;
	if (!made)
		return day_error(day->connection);
	sqlite3_bind_blob(made, 1, id, ID_SIZE, SQLITE_STATIC);
	rc = sqlite3_step(made);
	if (rc == SQLITE_ROW)
		*out = message_shown(made, id, whole);
	else
		err = rc == SQLITE_DONE ? -ENOENT : day_error(day->connection);
	sqlite3_reset(made);
	if (!err)
		err = rows(day, GET_RECIPIENTS, id, recipient_shown, json_object_get(*out, "to"));
	if (!err && whole)
		err = rows(day, GET_EVENTS, id, event_shown, json_object_get(*out, "events"));
	if (!err)
		return 0;
	json_decref(*out);
	*out = NULL;
	return err;
}
