/*
 * audit.c - turns a change of relay.config into the event that tells of it.
 *
 * commit -> [audit] -> a note in relay.config, and then an event "audit"
 *
 * The event tells the differences: the fields of an object, and of domains those that came or went.
 * A secret is named, never shown.
 */
#include "control/config/audit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/config/directory.h"
#include "shared/base/json_text.h"
#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/base/text.h"

#define SIDE_MAX (64 * 1024) /* bytes of one object before, or after */

static bool
is_secret(const char *field)
{
	static const char secrets[] = "verifier former secret totp recovery proxy_secret";

	return text_has_word(secrets, field, strlen(field));
}

/* Fields that differ after every change, and so tell nothing. */
static bool
is_noise(const char *field)
{
	return strcmp(field, "version") == 0;
}

static bool
has_equal(const json_t *list, const json_t *wanted)
{
	json_t *item;
	size_t i;

	json_array_foreach(list, i, item) if (json_equal(item, wanted)) return true;
	return false;
}

/* The items of a list that are not in the second list. */
static json_t *
items_only(const json_t *list, const json_t *other)
{
	json_t *only = json_array(), *item;
	size_t i;

	json_array_foreach(list, i, item) if (!has_equal(other, item))
		json_array_append(only, item);
	return only;
}

static json_t *
value_shown(const char *field, json_t *value, const json_t *other)
{
	if (is_secret(field))
		return json_string("(secret)");
	if (json_is_array(value) && json_is_array(other))
		return items_only(value, other);
	return json_incref(value);
}

/* Null for an object that is not there. An object that is too large is only counted. */
static json_t *
side(const json_t *entry, const json_t *other)
{
	json_t *shown, *value;
	const char *field;
	size_t bytes;

	if (!json_is_object(entry))
		return json_null();
	shown = json_object();
	json_object_foreach((json_t *)entry, field, value)
	{
		const json_t *before = json_object_get(other, field);

		if (!is_noise(field) && (!before || !json_equal(value, before)))
			json_object_set_new(shown, field, value_shown(field, value, before));
	}
	bytes = json_dumpb(shown, NULL, 0, JSON_COMPACT);
	if (bytes <= SIDE_MAX)
		return shown;
	json_decref(shown);
	return json_pack("{s:I}", "bytes", (json_int_t)bytes);
}

static const char *
account_of(const char *key, const json_t *entry)
{
	const char *account = json_text(entry, "account");

	if (strncmp(key, "account/", 8) == 0)
		return key + 8;
	if (strncmp(key, "told/", 5) == 0)
		return key + 5;
	return account ? account : json_text(json_object_get(entry, "selector"), "account");
}

/* The account that the whole change is about, or NULL. */
static const char *
account_of_all(json_t *entries, const json_t *old)
{
	const char *key, *account = NULL, *one;
	json_t *value;

	json_object_foreach(entries, key, value)
	{
		one = account_of(key, json_is_null(value) ? json_object_get(old, key) : value);
		if (!one && strcmp(key, "owner") == 0)
			continue;
		if (!one || (account && strcmp(account, one) != 0))
			return NULL;
		account = one;
	}
	return account;
}

static json_t *
changes_of(json_t *entries, const json_t *old)
{
	json_t *changes = json_array(), *value;
	const char *key;

	json_object_foreach(entries, key, value)
	{
		const json_t *before = json_object_get(old, key);

		json_array_append_new(changes,
			json_pack("{s:s, s:o, s:o}", "object", key, "before", side(before, value),
				"after", side(value, before)));
	}
	return changes;
}

/* By these the change is found again: the version of each object; null: the object has gone. */
static json_t *
expects_of(json_t *entries)
{
	json_t *expects = json_object(), *value;
	const char *key;

	json_object_foreach(entries, key, value) json_object_set_new(expects, key,
		json_is_null(value) ? json_null() : json_integer(directory_version(value)));
	return expects;
}

json_t *
audit_note(
	const char *what, const struct author *author, json_t *entries, json_t *old, json_t *shown)
{
	const char *account = account_of_all(entries, old);
	const json_int_t now = (json_int_t)clock_us();
	json_t *event = json_pack(
		"{s:s, s:s, s:I}", "what", what, "by", author->by, "changed_us", now);

	if (account)
		json_object_set_new(event, "account", json_string(account));
	if (author->claimed)
		json_object_set_new(event, "claimed", json_string(author->claimed));
	if (author->client)
		json_object_set_new(event, "client", json_string(author->client));
	if (shown)
		json_object_set(event, "changes", shown);
	else
		json_object_set_new(event, "changes", changes_of(entries, old));
	return json_pack(
		"{s:I, s:o, s:o}", "version", now, "event", event, "expects", expects_of(entries));
}

static bool
is_found(const json_t *expected, const json_t *entry)
{
	if (json_is_null(expected))
		return !entry;
	return entry && directory_version(entry) >= json_integer_value(expected);
}

/* The place of an object among a note's changes, or -1. */
static int
place_of(const json_t *changes, const char *key)
{
	json_t *change;
	size_t i;

	json_array_foreach(changes, i, change)
	{
		const char *object = json_text(change, "object");

		if (object && strcmp(object, key) == 0)
			return (int)i;
	}
	return -1;
}

bool
audit_confirm(
	json_t *note, const json_t *(*entry)(const void *arg, const char *key), const void *arg)
{
	json_t *changes = json_object_get(json_object_get(note, "event"), "changes"), *expected;
	const char *key;
	bool any = false;

	json_object_foreach(json_object_get(note, "expects"), key, expected)
	{
		const int at = place_of(changes, key);

		if (is_found(expected, entry(arg, key)))
			any = true;
		else if (at >= 0)
			json_array_remove(changes, (size_t)at);
	}
	return any;
}

static void
put_list(struct json *json, const char *name, const json_t *list)
{
	char *dump = json_dumps(list, JSON_COMPACT);

	if (!dump)
		return; /* there is none; or a note that another build wrote */
	dump = json_shown(dump);
	json_raw(json, name, dump);
	free(dump);
}

void
audit_send(struct mail_event *event, struct queue *queue, const json_t *note, const char *id,
	queue_cb cb, void *arg)
{
	const json_t *from = json_object_get(note, "event");
	struct json *json = &event->json;

	mail_event_begin(event, "audit", NULL);
	json_str(json, "account", json_text(from, "account"));
	json_str(json, "what", json_text(from, "what"));
	json_str(json, "by", json_text(from, "by"));
	json_str(json, "claimed", json_text(from, "claimed"));
	json_str(json, "client", json_text(from, "client"));
	json_time(
		json, "changed", (uint64_t)json_integer_value(json_object_get(from, "changed_us")));
	put_list(json, "changes", json_object_get(from, "changes"));
	put_list(json, "unsent", json_object_get(from, "unsent"));
	json_str(json, "event_id", id);
	mail_event_send(event, queue, cb, arg);
}
