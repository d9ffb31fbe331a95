/*
 * record.c - what is told of a session.
 *
 * session, refuse, accept, cmd_auth -> [record] -> talk.c -> Redis
 */
#include "ingress/session/record.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ingress/session/session_private.h"
#include "shared/account/talk.h"
#include "shared/base/json.h"
#include "shared/base/log.h"

static void
news(struct session *session)
{
	session->record.news = true;
	talks_wake(session->worker->talks);
}

void
record_refusal(struct session *session, const char *command, const char *text)
{
	struct record_state *state = &session->record;

	state->refused++;
	state->command = command;
	snprintf(state->result, sizeof state->result, "%.*s", RECORD_REFUSAL_MAX, text);
	news(session);
}

void
record_tried(struct session *session, const char *account, const char *username)
{
	struct record_state *state = &session->record;

	free(state->tried);
	free(state->tried_user);
	state->tried = xstrdup(account);
	state->tried_user = xstrdup(username);
}

void
record_accepted(struct session *session, const char *id)
{
	struct record_state *state = &session->record;

	state->accepted++;
	snprintf(state->id, sizeof state->id, "%s", id);
	news(session);
}

void
record_mail(struct session *session)
{
	session->record.mail = true;
}

static void
write_record(struct session *session, struct json *json, bool open, bool dialogue)
{
	const struct record_state *state = &session->record;
	const char *port = strrchr(session->listener->config->address, ':');
	const char *username = session->credential ? session->credential : state->tried_user;

	json_begin(json);
	json_int(json, "at", (int64_t)state->began_us);
	json_int(json, "seen", (int64_t)clock_us());
	json_bool(json, "open", open);
	json_str(json, "address", session->client_text);
	json_int(json, "port", port ? strtol(port + 1, NULL, 10) : 0);
	if (session->tls[0])
		json_str(json, "tls", session->tls);
	json_str(json, "username", username);
	json_bool(json, "login", session->credential != NULL);
	if (session->helo[0])
		json_str(json, "helo", session->helo);
	json_bool(json, "mail", state->mail);
	json_int(json, "accepted", state->accepted);
	json_int(json, "refused", state->refused);
	if (state->id[0])
		json_str(json, "id", state->id);
	if (state->refused) {
		json_str(json, "command", state->command);
		json_str(json, "result", state->result);
	}
	if (dialogue && state->dialogue.text)
		json_strn(json, "dialogue", state->dialogue.text, state->dialogue.length);
}

static void
put(struct session *session, enum talk_shelf shelf, const char *whose, bool open)
{
	struct talks *talks = session->worker->talks;
	const bool dialogue = shelf != TALK_SHELF_SESSIONS && session->record.refused > 0;
	struct json json = { 0 };

	if (!talks_wanted(talks, shelf, whose, session->id))
		return;
	write_record(session, &json, open, dialogue);
	talks_note(talks, shelf, whose, session->id, session->record.began_us, json_end(&json));
	json_free(&json);
}

/* Whoever connects and says nothing is not worth a record, unless TLS failed. */
static void
tell(struct session *session, bool open)
{
	const struct record_state *state = &session->record;
	char network[NET_TEXT_MAX];

	session->record.news = false;
	if (session->account) {
		put(session, TALK_SHELF_SESSIONS, session->account->id, open);
		if (state->refused)
			put(session, TALK_SHELF_FAILED, session->account->id, open);
	} else if (state->tried) {
		put(session, TALK_SHELF_TRIED, state->tried, open);
	} else if (!open && (session->helo[0] || state->refused) &&
		account_network_text(session->client_text, network) == 0) {
		put(session, TALK_SHELF_STRANGER, network, open);
	}
}

void
record_end(struct session *session)
{
	struct record_state *state = &session->record;

	tell(session, false);
	dialogue_free(&state->dialogue);
	free(state->tried);
	free(state->tried_user);
	state->tried = state->tried_user = NULL;
}

void
record_flush(void *arg)
{
	struct worker *worker = arg;

	for (unsigned i = 0; i < worker->sessions_space; i++)
		if (worker->sessions[i] && worker->sessions[i]->record.news)
			tell(worker->sessions[i], true);
}
