/*
 * sessions.c - records of sessions, picked and shown.
 *
 * Redis -> talk.c -> [sessions] -> api_sessions, steps
 *
 * A session may have several records: with and without its dialogue, and from before a login.
 */
#include "control/connection/sessions.h"

#include <stdlib.h>
#include <string.h>

#include "control/look/json_from.h"
#include "shared/account/talk.h"
#include "shared/base/json_text.h"
#include "shared/base/log.h"

static json_int_t
number_of(const json_t *record, const char *name)
{
	return json_integer_value(json_object_get(record, name));
}

static int
compare_texts(const char *a, const char *b)
{
	return strcmp(a ? a : "", b ? b : "");
}

/* The newest session first, and of one session what was seen last. */
static int
compare(const void *one, const void *other)
{
	const json_t *a = *(json_t *const *)one, *b = *(json_t *const *)other;
	const json_int_t at = number_of(b, "at") - number_of(a, "at");
	const json_int_t seen = number_of(b, "seen") - number_of(a, "seen");
	const int address = compare_texts(json_text(a, "address"), json_text(b, "address"));

	return at ? (at > 0 ? 1 : -1) : address ? address : seen > 0 ? 1 : seen < 0 ? -1 : 0;
}

static bool
is_same(const json_t *a, const json_t *b)
{
	return a && number_of(a, "at") == number_of(b, "at") &&
		compare_texts(json_text(a, "address"), json_text(b, "address")) == 0;
}

json_t *
sessions_sort(const json_t *records)
{
	const size_t count = json_array_size(records);
	json_t **all = xcalloc(count, sizeof *all), *sorted = json_array(), *last = NULL;

	for (size_t i = 0; i < count; i++)
		all[i] = json_array_get(records, i);
	if (count)
		qsort(all, count, sizeof *all, compare);
	for (size_t i = 0; i < count; i++) {
		if (!is_same(last, all[i])) {
			last = json_copy(all[i]);
			json_array_append_new(sorted, last);
		} else if (!json_object_get(last, "dialogue") &&
			json_object_get(all[i], "dialogue")) {
			json_object_set(last, "dialogue", json_object_get(all[i], "dialogue"));
		}
	}
	free(all);
	return sorted;
}

static json_t *
or_null(const json_t *record, const char *name)
{
	json_t *value = json_object_get(record, name);

	return value ? json_incref(value) : json_null();
}

static json_t *
shown(const json_t *record)
{
	static const char *const fields[] = { "address", "port", "tls", "username", "login", "helo",
		"accepted", "refused", "id", "command", "result", "dialogue" };
	json_t *out = json_pack("{s:o, s:o, s:o}", "at",
		json_from_time((uint64_t)number_of(record, "at")), "seen",
		json_from_time((uint64_t)number_of(record, "seen")), "open",
		json_boolean(json_is_true(json_object_get(record, "open"))));

	for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
		json_object_set_new(out, fields[i], or_null(record, fields[i]));
	return out;
}

json_t *
sessions_shown(const json_t *sorted)
{
	json_t *list = json_array(), *record;
	size_t i, failing = 0;

	json_array_foreach(sorted, i, record)
	{
		const bool dialogue = json_object_get(record, "dialogue") != NULL;
		json_t *one;

		if (i >= TALK_SESSIONS && (!dialogue || failing >= TALK_FAILED))
			continue;
		one = shown(record);
		if (dialogue && ++failing > TALK_FAILED)
			json_object_set_new(one, "dialogue", json_null());
		json_array_append_new(list, one);
	}
	return list;
}
