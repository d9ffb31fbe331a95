/*
 * trace.c - the commands about the trace: what became of messages, and which have no end yet.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/ctl/ctl.h"
#include "shared/base/log.h"

static const char *
or_dash(const char *text)
{
	return *text ? text : "-";
}

/* "delivered", or "2 delivered, 1 bounced" */
static char *
states_of(const json_t *message)
{
	static const char *const states[] = { "accepted", "released", "held", "deferred",
		"delivered", "bounced", "expired", "sandboxed" };
	const json_t *to = json_object_get(message, "to");
	char *text = xstrdup("");

	for (size_t s = 0; s < sizeof states / sizeof *states; s++) {
		size_t count = 0, i;
		json_t *one;
		char *longer;

		json_array_foreach(to, i, one)
			count += strcmp(text_of(one, "state"), states[s]) == 0;
		if (!count)
			continue;
		longer = count == json_array_size(to)
			? xstrdup(states[s])
			: xasprintf("%s%s%zu %s", text, *text ? ", " : "", count, states[s]);
		free(text);
		text = longer;
	}
	return text;
}

static json_t *
cells_of(const json_t *message)
{
	const json_t *to = json_object_get(message, "to");
	const char *first = text_of(json_array_get(to, 0), "address");
	char *at = time_of(message, "at"), *state = states_of(message);
	char *whom = json_array_size(to) > 1
		? xasprintf("%s and %zu more", first, json_array_size(to) - 1)
		: xstrdup(first);
	json_t *cells = json_pack("[s, s, s, s, s]", text_of(message, "id"), at, or_dash(state),
		or_dash(text_of(message, "from")), whom);

	free(at);
	free(state);
	free(whom);
	return cells;
}

static void
print_trace(const json_t *reply)
{
	static const char *const heads[] = { "ID", "Accepted", "State", "From", "To" };
	json_t *rows = json_array(), *message;
	size_t i;

	json_array_foreach(json_object_get(reply, "messages"), i, message)
		json_array_append_new(rows, cells_of(message));
	print_table(heads, 5, rows);
	print_count(reply, i, "messages");
	print_next(reply);
	json_decref(rows);
}

/* One message */

static void
print_recipient(const json_t *recipient)
{
	char *due = time_of(recipient, "due");
	char *text = xasprintf("%s%s%s%s%s", text_of(recipient, "state"),
		*text_of(recipient, "class") ? ", " : "", text_of(recipient, "class"),
		*due ? ", next attempt " : "", due);
	char *name = xasprintf("To %s", text_of(recipient, "address"));

	print_field(name, text);
	free(name);
	free(text);
	free(due);
}

static void
print_happened(const json_t *event)
{
	const json_t *english = json_object_get(json_object_get(event, "meaning"), "en");
	const char *host = text_of(event, "host"), *reply = text_of(event, "reply");
	char *at = time_of(event, "at");
	char *text = xasprintf("%s%s%s%s%s", text_of(event, "event"), *host ? " " : "", host,
		*reply ? ": " : "", reply);

	print_field(at, text);
	if (*text_of(event, "reason"))
		print_field("  reason", text_of(event, "reason"));
	if (english) {
		print_field("  it means", text_of(english, "what"));
		print_field("  you", text_of(english, "you"));
		print_field("  we", text_of(english, "we"));
	}
	free(text);
	free(at);
}

static void
print_traced(const json_t *message)
{
	static const char *const fields[][2] = { { "Account", "account" }, { "From", "from" },
		{ "Header From", "header_from" }, { "Message-ID", "message_id" },
		{ "Credential", "credential" }, { "Client", "client" }, { "TLS", "tls" },
		{ "Verdict", "verdict" } };
	char *at = time_of(message, "at");
	json_t *one;
	size_t i;

	print_field("ID", text_of(message, "id"));
	print_field("Accepted", at);
	for (i = 0; i < sizeof fields / sizeof *fields; i++)
		if (*text_of(message, fields[i][1]))
			print_field(fields[i][0], text_of(message, fields[i][1]));
	json_array_foreach(json_object_get(message, "to"), i, one) print_recipient(one);
	json_array_foreach(json_object_get(message, "events"), i, one) print_happened(one);
	free(at);
}

/* The commands */

/* The place of the list, or of what is behind it: an account's own, or that of all accounts. */
static char *
path_of(const struct ctl *ctl, const char *id)
{
	const char *account = ctl_option(ctl, "account");
	char *name = account ? ctl_encode(account) : NULL, *message = id ? ctl_encode(id) : NULL;
	char *path = xasprintf("%s%s%smessages%s%s", name ? "accounts/" : "", name ? name : "",
		name ? "/" : "", message ? "/" : "", message ? message : "");

	free(message);
	free(name);
	return path;
}

/* One message as a list of one, so that programs read one form. */
static int
trace_one(const struct ctl *ctl, const char *id)
{
	char *path = path_of(ctl, id);
	json_t *message = ctl_request(ctl, "GET", path, NULL), *list;

	free(path);
	if (!message)
		return CTL_FAILED;
	list = json_pack("{s:[o], s:n, s:i}", "messages", message, "next", "total", 1);
	if (ctl->json)
		print_json(list);
	else
		print_traced(json_array_get(json_object_get(list, "messages"), 0));
	json_decref(list);
	return CTL_OK;
}

int
trace(const struct ctl *ctl)
{
	static const char *const names[] = { "recipient", "sender", "domain", "id", "message-id",
		"state", "class", "credential", "since", "until", NULL };
	const char *id = ctl_option(ctl, "id");
	char *path, *query;
	int status;

	/* With nothing else to match the id says it all. */
	if (id && !ctl_has(ctl, "recipient") && !ctl_has(ctl, "sender") &&
		!ctl_has(ctl, "domain") && !ctl_has(ctl, "message-id") && !ctl_has(ctl, "state") &&
		!ctl_has(ctl, "class") && !ctl_has(ctl, "credential") && !ctl_has(ctl, "since") &&
		!ctl_has(ctl, "until"))
		return trace_one(ctl, id);
	path = path_of(ctl, NULL);
	query = ctl_query(ctl, path, names);
	status = ctl_list(ctl, query, "messages", print_trace);
	free(path);
	return status;
}

int
open_list(const struct ctl *ctl)
{
	static const char *const names[] = { "account", "older", NULL };

	return ctl_list(ctl, ctl_query(ctl, "open", names), "messages", print_trace);
}
