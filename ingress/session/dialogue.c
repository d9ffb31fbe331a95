/*
 * dialogue.c - what a client and we said to each other, without secrets.
 *
 * dispatch, session -> [dialogue] -> record
 */
#include "ingress/session/dialogue.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "shared/base/log.h"
#include "shared/base/text.h"

#define LINE_MAX_BYTES 200
#define HEAD 1024 /* of a full one, so much of the beginning stays, */
#define TAIL 1536 /* and so much of the end */
#define LEFT_OUT "(...)\n"

/* The place behind the last line that ends within `most` bytes. */
static size_t
head_end(const struct dialogue *dialogue, size_t most)
{
	while (most > 0 && dialogue->text[most - 1] != '\n')
		most--;
	return most;
}

/* Leaves the middle out. */
static void
make_room(struct dialogue *dialogue)
{
	const size_t head = head_end(dialogue, HEAD), mark = sizeof LEFT_OUT - 1;
	size_t tail = dialogue->length - TAIL;

	while (tail < dialogue->length && dialogue->text[tail - 1] != '\n')
		tail++;
	memcpy(dialogue->text + head, LEFT_OUT, mark);
	memmove(dialogue->text + head + mark, dialogue->text + tail, dialogue->length - tail);
	dialogue->length = head + mark + dialogue->length - tail;
}

static void
add(struct dialogue *dialogue, const char *who, const char *text, size_t length)
{
	char line[LINE_MAX_BYTES + 16];
	size_t size = (size_t)snprintf(line, sizeof line, "%s", who);

	size = text_clean(line, sizeof line - 5, size, text, length);
	if (length > LINE_MAX_BYTES)
		size += (size_t)snprintf(line + size, sizeof line - size, "...");
	line[size++] = '\n';
	if (!dialogue->text)
		dialogue->text = xmalloc(DIALOGUE_MAX);
	if (dialogue->length + size > DIALOGUE_MAX)
		make_room(dialogue);
	memcpy(dialogue->text + dialogue->length, line, size);
	dialogue->length += size;
}

/* The mechanism that AUTH names, if it is one: anything else may be a secret. */
static const char *
mechanism_of(const struct command *command)
{
	static const char *const known[] = { "PLAIN", "LOGIN", "SCRAM-SHA-256", "SCRAM-SHA-1",
		"CRAM-MD5", "DIGEST-MD5", "NTLM", "GSSAPI", "XOAUTH2", "OAUTHBEARER" };
	const char *blank = memchr(command->args, ' ', command->args_length);
	const size_t length = blank ? (size_t)(blank - command->args) : command->args_length;

	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		if (strlen(known[i]) == length && strncasecmp(known[i], command->args, length) == 0)
			return known[i];
	return "(unknown)";
}

static void
add_auth(struct dialogue *dialogue, const struct command *command)
{
	const char *name = command->args_length ? mechanism_of(command) : "";
	const bool more = command->args_length && memchr(command->args, ' ', command->args_length);
	char line[64];
	const int length = snprintf(line, sizeof line, "AUTH %s%s", name, more ? " (secret)" : "");

	add(dialogue, "C: ", line, (size_t)length);
}

/* Verbs whose arguments are names and addresses. */
static bool
is_shown(enum verb verb)
{
	return verb == VERB_HELO || verb == VERB_EHLO || verb == VERB_MAIL || verb == VERB_RCPT;
}

void
dialogue_client(struct dialogue *dialogue, const char *line, size_t length, bool secret)
{
	static const char *const bare[VERB_COUNT] = { [VERB_STARTTLS] = "STARTTLS",
		[VERB_DATA] = "DATA",
		[VERB_RSET] = "RSET",
		[VERB_NOOP] = "NOOP",
		[VERB_QUIT] = "QUIT",
		[VERB_VRFY] = "VRFY",
		[VERB_EXPN] = "EXPN",
		[VERB_HELP] = "HELP" };
	struct command command;
	char text[64];

	command_parse(line, length, &command);
	if (secret)
		add(dialogue, "C: ", "(secret)", 8);
	else if (command.verb == VERB_AUTH)
		add_auth(dialogue, &command);
	else if (is_shown(command.verb))
		add(dialogue, "C: ", line, length);
	else if (bare[command.verb])
		add(dialogue, "C: ", bare[command.verb], strlen(bare[command.verb]));
	else
		add(dialogue, "C: ", text,
			(size_t)snprintf(text, sizeof text, "(no command, %zu bytes)", length));
}

void
dialogue_server(struct dialogue *dialogue, const char *text, size_t length)
{
	if (length > 4 && strncmp(text, "334 ", 4) == 0) {
		add(dialogue, "S: ", "334 (secret)", 12);
		return;
	}
	while (length > 0) {
		const char *end = memchr(text, '\n', length);
		const size_t size = end ? (size_t)(end + 1 - text) : length;
		size_t line = size;

		while (line > 0 && is_white(text[line - 1]))
			line--;
		add(dialogue, "S: ", text, line);
		text += size;
		length -= size;
	}
}

void
dialogue_note(struct dialogue *dialogue, const char *text)
{
	char line[LINE_MAX_BYTES + 4];
	const int length = snprintf(line, sizeof line, "(%.*s)", LINE_MAX_BYTES, text);

	add(dialogue, "", line, (size_t)length);
}

void
dialogue_free(struct dialogue *dialogue)
{
	free(dialogue->text);
	*dialogue = (struct dialogue){ 0 };
}
