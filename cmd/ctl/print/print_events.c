/*
 * print_events.c - what shoutctl shows of what happened, and of what became of a message.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/ctl/ctl.h"
#include "shared/base/log.h"
#include "shared/mail/meaning.h"

#define INDENT 6 /* of what continues a line of `why` */

static bool
is_shown(const char *key, bool whole)
{
	static const char *const apart[] = { "time", "event", "node", "id", "account", "event_id" };

	for (size_t i = 0; i < (whole ? 3 : sizeof apart / sizeof *apart); i++)
		if (strcmp(apart[i], key) == 0)
			return false;
	return true;
}

/* What an operator reads first. */
static bool
is_cause(const char *key)
{
	return strcmp(key, "reply") == 0 || strcmp(key, "reason") == 0;
}

/* A list as "a, b"; NULL: there is nothing to show. */
static char *
value_text(const json_t *value)
{
	if (json_is_string(value))
		return *json_string_value(value) ? xstrdup(json_string_value(value)) : NULL;
	if (json_is_array(value) && json_is_string(json_array_get(value, 0)))
		return joined(value, NULL);
	return json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
}

/* "key=value" of all that is the event's own; behind a blank, or in wrapped lines. */
static void
print_details(const json_t *event, bool whole, struct wrap *wrap, bool causes)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)event, key, value)
	{
		char *text = is_shown(key, whole) ? value_text(value) : NULL;
		char *detail = text ? xasprintf("%s=%s", key, text) : NULL;

		if (detail && !wrap) {
			putchar(' ');
			print_clean(stdout, detail);
		} else if (detail && is_cause(key) == causes) {
			if (causes)
				wrap_line(wrap);
			wrap_text(wrap, detail);
		}
		free(detail);
		free(text);
	}
}

static void
print_line(const json_t *event)
{
	char *when = time_of(event, "time");

	print_clean(stdout, when);
	printf("  ");
	print_clean(stdout, text_of(event, "event"));
	print_details(event, true, NULL, false);
	putchar('\n');
	free(when);
}

/* What a remote's reply means, as a sentence. */
static void
print_meaning(const json_t *event, struct wrap *wrap)
{
	const char *text = meaning_text_of(text_of(event, "class"));

	if (!text)
		return;
	wrap_line(wrap);
	wrap_text(wrap, text);
}

/* The cause stands in lines of its own. */
static void
print_story(const json_t *event, bool whole)
{
	struct wrap wrap = { .indent = INDENT };
	char *when = time_of(event, "time"), *begin;

	begin = xasprintf("%s  %s", when, text_of(event, "event"));
	printf("  ");
	print_clean(stdout, begin);
	wrap.column = 2 + width_of(begin);
	print_details(event, whole, &wrap, false);
	print_details(event, whole, &wrap, true);
	print_meaning(event, &wrap);
	putchar('\n');
	free(begin);
	free(when);
}

void
print_event(const json_t *event)
{
	if (isatty(STDOUT_FILENO))
		print_story(event, true);
	else
		print_line(event);
}

static void
print_changes(const json_t *reply)
{
	const json_t *changes = json_object_get(reply, "changes");
	json_t *event;
	size_t i;

	json_array_foreach(changes, i, event) print_story(event, false);
	if (json_array_size(changes) == 0)
		printf("No change of account %s is known.\n", text_of(reply, "query"));
	else
		printf("The newest %zu of %s changes.\n", json_array_size(changes),
			number_of(reply, "total"));
}

static void
print_refusals(const json_t *reply, bool first)
{
	const json_t *refusals = json_object_get(reply, "refusals");
	json_t *event;
	size_t i;

	if (json_array_size(refusals) == 0)
		return;
	printf("%sRefused:\n", first ? "" : "\n");
	json_array_foreach(refusals, i, event) print_story(event, false);
	if ((size_t)json_integer_value(json_object_get(reply, "refused")) >
		json_array_size(refusals))
		printf("  (the newest %zu of %s; shoutctl events shows more)\n",
			json_array_size(refusals), number_of(reply, "refused"));
}

static char *
suspension_text(const json_t *suspension)
{
	char *what = print_selector(json_object_get(suspension, "selector"));
	char *text = xasprintf("suspended (%s) by %s%s%s", what, text_of(suspension, "by"),
		*text_of(suspension, "reason") ? ": " : "", text_of(suspension, "reason"));

	free(what);
	return text;
}

static char *
held_text(const json_t *row)
{
	const char *reason = text_of(row, "reason"), *signature = text_of(row, "signature");
	const bool more = *signature && strcmp(reason, signature) != 0;

	return xasprintf("held: %s%s%s", reason, more ? ", " : "", more ? signature : "");
}

static char *
waiting_text(const json_t *row)
{
	char *due = time_of(row, "due");
	char *text = xasprintf(
		"waiting at %s%s%s", text_of(row, "site"), *due ? ", due " : "", due);

	free(due);
	return text;
}

static void
print_next_step(const char *what, const char *command, const char *id)
{
	printf("%*s%s: shoutctl %s%s%s\n", INDENT, "", what, command, *id ? " " : "", id);
}

/* Where it is, and what an operator can do about it. */
static void
print_standing(const json_t *row)
{
	struct wrap wrap = { .indent = INDENT, .column = 1 };
	const bool held = strcmp(text_of(row, "state"), "held") == 0;
	const json_t *suspension = json_object_get(row, "suspension");
	const char *id = text_of(row, "id");
	char *text = held    ? held_text(row)
		: suspension ? suspension_text(suspension)
			     : waiting_text(row);

	putchar(' ');
	wrap_text(&wrap, text);
	putchar('\n');
	if (held) {
		print_next_step("to send it", "queue release", id);
		print_next_step("to refuse it", "queue bounce", id);
	} else if (suspension)
		print_next_step("to let it go", "suspensions, then shoutctl resume", "");
	else
		print_next_step("to try it now", "queue retry", id);
	free(text);
}

static void
print_message_story(const json_t *message, bool first)
{
	json_t *item;
	size_t i;

	printf("%s%s: %s\n", first ? "" : "\n", text_of(message, "id"), text_of(message, "state"));
	json_array_foreach(json_object_get(message, "events"), i, item) print_story(item, false);
	json_array_foreach(json_object_get(message, "rows"), i, item) print_standing(item);
}

void
print_why(const json_t *reply)
{
	const json_t *messages = json_object_get(reply, "messages");
	json_t *message;
	size_t m;

	if (json_object_get(reply, "changes")) {
		print_changes(reply);
		return;
	}
	json_array_foreach(messages, m, message) print_message_story(message, m == 0);
	if (json_array_size(messages) == 0 &&
		json_array_size(json_object_get(reply, "refusals")) == 0)
		printf("Nothing is known about %s.\n", text_of(reply, "query"));
	print_next(reply);
	print_refusals(reply, json_array_size(messages) == 0);
}
