/*
 * print_connection.c - sessions, and how far a server came in a test.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/ctl/ctl.h"
#include "shared/base/log.h"

/* Prints a dialogue line by line, each made harmless. */
static void
print_dialogue(const json_t *session)
{
	const char *text = text_of(session, "dialogue");

	while (*text) {
		const size_t length = strcspn(text, "\n");
		char *line = xstrndup(text, length);

		fputs("    ", stdout);
		print_clean(stdout, line);
		fputc('\n', stdout);
		free(line);
		text += length + (text[length] == '\n');
	}
}

static const char *
or_dash(const char *text)
{
	return *text ? text : "-";
}

static json_t *
cells_of(const json_t *session)
{
	char *at = time_of(session, "at");
	const char *tls = text_of(session, "tls"), *result = text_of(session, "result");
	char *accepted = xstrdup(number_of(session, "accepted"));
	json_t *cells = json_pack("[s, s, s, s, s, s]", at, text_of(session, "address"),
		*tls ? "yes" : "no", or_dash(text_of(session, "username")), accepted,
		or_dash(result));

	free(accepted);
	free(at);
	return cells;
}

void
print_sessions(const json_t *reply)
{
	static const char *const heads[] = { "AT", "FROM", "TLS", "USERNAME", "ACCEPTED",
		"REFUSED" };
	const json_t *sessions = json_object_get(reply, "sessions");
	json_t *rows = json_array(), *session;
	size_t i;

	json_array_foreach(sessions, i, session) json_array_append_new(rows, cells_of(session));
	print_rows(heads, 6, rows, sessions, print_dialogue);
	json_decref(rows);
}

/* What to do about a cause, in a sentence. */
static const char *
advice(const char *cause)
{
	static const struct {
		const char *cause, *text;
	} rows[] = {
		{ "no-connection",
			"nothing arrived: a firewall or the line blocks the port; try 587 or 465" },
		{ "tls",
			"the handshake failed: TLS is too old (legacy listener), or the certificate is not trusted" },
		{ "unknown-address",
			"no login, and the address is nobody's: log in, or add the address" },
		{ "starttls-needed", "switch STARTTLS on" },
		{ "wrong-password", "username or password is wrong: make a new password" },
		{ "later", "it is ours, or too many tries: wait" },
		{ "not-yours", "the domain is not verified, or the account is suspended" },
		{ "limit", "a limit is reached: it frees by itself" },
		{ "size", "the message is too large" },
		{ "refused", "the relay refused something: see the reply" },
		{ "bounced", "accepted, and refused by the recipient's host" },
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		if (strcmp(rows[i].cause, cause) == 0)
			return rows[i].text;
	return "";
}

void
print_test(const json_t *test)
{
	char *until = time_of(test, "until");
	json_t *step;
	size_t i;

	print_field("Test", text_of(test, "id"));
	print_field("Watches until", until);
	json_array_foreach(json_object_get(test, "steps"), i, step)
	{
		const char *detail = text_of(step, "detail");
		const char *text = advice(text_of(step, "cause"));
		char *line = xasprintf("%s%s%s%s%s", text_of(step, "state"), *text ? ": " : "",
			text, *detail ? " - " : "", detail);

		print_field(text_of(step, "key"), line);
		free(line);
	}
	free(until);
}

void
print_limits(const json_t *reply)
{
	static const char *const heads[] = { "LIMIT", "USERNAME", "USED", "MAX", "FREES" };
	json_t *rows = json_array(), *limit;
	size_t i;

	json_array_foreach(json_object_get(reply, "limits"), i, limit)
	{
		char *frees = time_of(limit, "frees"), *used = xstrdup(number_of(limit, "used"));

		json_array_append_new(rows,
			json_pack("[s, s, s, s, s]", text_of(limit, "key"),
				or_dash(text_of(limit, "username")), used, number_of(limit, "max"),
				or_dash(frees)));
		free(frees);
		free(used);
	}
	print_table(heads, 5, rows);
	json_decref(rows);
}
