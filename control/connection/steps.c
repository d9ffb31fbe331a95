/*
 * steps.c - how far a customer's server came, from the records of its sessions.
 *
 * sessions -> [steps] -> api_test
 *
 * A step was seen if any session of the time took it. The first step that nobody took failed if the
 * newest session that was refused something was refused there.
 */
#include "control/connection/steps.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "control/look/json_from.h"
#include "shared/base/json_text.h"

enum { NAME, PORTS, CONNECTION, TLS, AUTH, DOMAIN, DELIVERED };

static const char *const keys[STEPS] = { "name", "ports", "connection", "tls", "auth", "domain",
	"delivered" };

static const struct {
	const char *code, *cause;
} causes[] = {
	{ "530 5.7.0 Must issue", "starttls-needed" },
	{ "530 ", "unknown-address" },
	{ "538 ", "starttls-needed" },
	{ "535 ", "wrong-password" },
	{ "451 4.7.1", "limit" },
	{ "550 5.7.1", "not-yours" },
	{ "552 ", "size" },
	{ "4", "later" },
};

static json_int_t
number_of(const json_t *record, const char *name)
{
	return json_integer_value(json_object_get(record, name));
}

static bool
is_within(const struct steps_asked *asked, const json_t *session)
{
	return (uint64_t)number_of(session, "seen") >= asked->since_us &&
		(uint64_t)number_of(session, "at") < asked->until_us;
}

static void
set(json_t *steps, int step, const char *state, const char *cause, const char *detail,
	json_int_t at)
{
	json_array_set_new(steps, (size_t)step,
		json_pack("{s:s, s:s, s:s?, s:s?, s:o}", "key", keys[step], "state", state, "cause",
			cause, "detail", detail, "at", json_from_time(at > 0 ? (uint64_t)at : 0)));
}

static bool
is_seen(const json_t *steps, int step)
{
	const char *state = json_text(json_array_get(steps, (size_t)step), "state");

	return state && strcmp(state, "seen") == 0;
}

static const char *
cause_of(const json_t *session)
{
	const char *result = json_text(session, "result"), *command = json_text(session, "command");

	if (command && strcmp(command, "TLS") == 0)
		return "tls";
	for (size_t i = 0; result && i < sizeof causes / sizeof *causes; i++)
		if (strncmp(result, causes[i].code, strlen(causes[i].code)) == 0)
			return causes[i].cause;
	return "refused";
}

/* The step at which a session was refused. */
static int
step_of(const json_t *session)
{
	const char *cause = cause_of(session), *command = json_text(session, "command");
	const bool is_mail = command && strcmp(command, "MAIL") == 0;

	if (strcmp(cause, "tls") == 0 || strcmp(cause, "starttls-needed") == 0)
		return TLS;
	if (strcmp(cause, "wrong-password") == 0 || strcmp(cause, "unknown-address") == 0 ||
		(command && strcmp(command, "AUTH") == 0))
		return AUTH;
	if (is_mail)
		return DOMAIN;
	return json_is_true(json_object_get(session, "mail")) ? DELIVERED : AUTH;
}

/* What a session that came so far has shown. */
static void
see(json_t *steps, const json_t *session)
{
	const char *address = json_text(session, "address"), *tls = json_text(session, "tls");
	const json_int_t at = number_of(session, "at");
	const bool login = json_is_true(json_object_get(session, "login"));
	const bool mail = json_is_true(json_object_get(session, "mail"));

	for (int step = NAME; step <= CONNECTION; step++)
		if (!is_seen(steps, step))
			set(steps, step, "seen", NULL, step == CONNECTION ? address : NULL, at);
	if (tls && !is_seen(steps, TLS))
		set(steps, TLS, "seen", NULL, tls, at);
	if (mail && !tls && !is_seen(steps, TLS))
		set(steps, TLS, "seen", NULL, "in clear", at);
	if ((login || mail) && !is_seen(steps, AUTH))
		set(steps, AUTH, "seen", NULL, login ? json_text(session, "username") : address,
			at);
	if (mail && !is_seen(steps, DOMAIN))
		set(steps, DOMAIN, "seen", NULL, NULL, at);
}

static void
begin(const struct steps_asked *asked, json_t *steps)
{
	const bool over = asked->now_us >= asked->until_us;

	for (int step = NAME; step < STEPS; step++)
		json_array_append_new(steps, json_null());
	set(steps, NAME, "unknown", NULL, asked->host, 0);
	set(steps, PORTS, "unknown", NULL, asked->ports, 0);
	set(steps, CONNECTION, over ? "failed" : "waiting", over ? "no-connection" : NULL, NULL, 0);
	for (int step = TLS; step < STEPS; step++)
		set(steps, step, "waiting", NULL, NULL, 0);
}

/* Tells of the refusal, unless the step, or one behind it, was taken by another session. */
static void
fail(json_t *steps, const json_t *session)
{
	const int step = step_of(session);

	for (int i = step; i < STEPS; i++)
		if (is_seen(steps, i))
			return;
	set(steps, step, "failed", cause_of(session), json_text(session, "result"),
		number_of(session, "seen"));
}

json_t *
steps_see(const struct steps_asked *asked, const char **message_out)
{
	json_t *steps = json_array(), *session, *refused = NULL;
	size_t i;

	*message_out = NULL;
	begin(asked, steps);
	json_array_foreach(asked->sessions, i, session)
	{
		if (!is_within(asked, session))
			continue;
		see(steps, session);
		if (!*message_out && number_of(session, "accepted") > 0)
			*message_out = json_text(session, "id");
		if (!refused && number_of(session, "refused") > 0)
			refused = session;
	}
	if (*message_out)
		set(steps, DELIVERED, "waiting", NULL, *message_out, 0);
	else if (refused)
		fail(steps, refused);
	return steps;
}

void
steps_deliver(json_t *steps, const json_t *message)
{
	const json_t *to = json_array_get(json_object_get(message, "to"), 0);
	const char *state = json_text(to, "state"), *at = json_text(to, "since");
	const char *id = json_text(json_array_get(steps, DELIVERED), "detail");
	const bool good = state &&
		(strcmp(state, "delivered") == 0 || strcmp(state, "sandboxed") == 0);
	const bool bad = state && (strcmp(state, "bounced") == 0 || strcmp(state, "expired") == 0);
	char detail[200];

	if (!id || !state)
		return;
	snprintf(detail, sizeof detail, "%.40s: %.40s", id, state);
	json_array_set_new(steps, DELIVERED,
		json_pack("{s:s, s:s, s:s?, s:s, s:s?}", "key", keys[DELIVERED], "state",
			good          ? "seen"
				: bad ? "failed"
				      : "waiting",
			"cause", bad ? "bounced" : NULL, "detail", detail, "at",
			good || bad ? at : NULL));
}
