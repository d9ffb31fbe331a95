/*
 * cmd_auth.c - AUTH PLAIN, LOGIN and SCRAM-SHA-256 (RFC 4954, 4616, 5802, 7677).
 *
 *   AUTH -> lines -> [limits] -> [account store] -> PLAIN, LOGIN: password thread -> 235 or 535
 *                                                   SCRAM: libgsasl, one more line  -^
 *
 * Each step in brackets may take its time, and finds the session again by its id. Unknown users go
 * the same way with a verifier that no password matches, so that the time taken tells nothing. A
 * client that the limits let try and that does not succeed has failed, also by going away in the
 * middle.
 */
#include "ingress/verb/auth.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "shared/account/owner.h"
#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/base/timer.h"
#include "shared/metrics/metrics.h"

#define UNSURE "Cannot check this now, try again soon"
#define DOUBTS_FREE 3 /* so many answers of 454 count as no fault of the client */

struct mechanism {
	const char *name;
	void (*line)(struct session *session, const char *line, size_t length);
	const char *prompt; /* asks for the first line when AUTH came without one */
};

/* ---- the end of an exchange ---- */

const char *
auth_name(const struct session *session)
{
	const struct auth *auth = session->auth;

	return auth && auth->username[0] ? auth->username : NULL;
}

void
auth_free(struct session *session)
{
	struct auth *auth = session->auth;

	if (!auth)
		return;
	if (auth->heard)
		limits_auth_failed(session->worker->limits, &session->client);
	if (auth->check)
		passwords_take_back(session->worker->ingress->passwords, auth->check);
	timer_cancel(&auth->late);
	scram_end(auth);
	account_unref(auth->account);
	credential_unref(auth->credential);
	explicit_bzero(auth, sizeof *auth);
	free(auth);
	session->auth = NULL;
	if (session->state == ST_LINE)
		session->state = ST_COMMAND;
}

/* An answer of 454 is our fault at first. For a client that goes on trying it becomes the
 * client's. */
void
auth_unsure(struct session *session, const char *text)
{
	const bool fault = ++session->doubts > DOUBTS_FREE;

	metric_add(stats.auth_unsure, 1);
	refuse(session, fault ? REFUSE_AUTH : REFUSE_UNAVAILABLE, "454 4.7.0 %s", text);
}

void
auth_malformed(struct session *session)
{
	refuse(session, REFUSE_SYNTAX, "501 5.5.2 Not what this mechanism says");
}

/* Why a failure failed, and what the client hears. Who has proved nothing is not told whether the
 * user exists. */
static const char *
cause(const struct session *session, const char **text)
{
	const struct auth *auth = session->auth;
	const struct credential *credential = auth->credential;

	*text = "Wrong username or password";
	if (!credential)
		return "unknown user";
	if (!auth->right)
		return credential_works(credential) ? "wrong password"
			: credential->enabled       ? "suspended user"
						    : "disabled user";
	if (!credential->enabled) {
		*text = "This username is disabled";
		return "disabled user";
	}
	if (credential->suspended) {
		*text = "This username is suspended";
		return "suspended user";
	}
	*text = "This username may not be used from your address";
	return "address not allowed";
}

static void
failed(void *arg)
{
	struct session *session = arg;
	const char *text, *reason = cause(session, &text);
	char reply_text[REPLY_MAX];

	if (!account_store_sure(session->worker->accounts)) {
		auth_unsure(session, UNSURE); /* the password may have been changed */
		return;
	}
	snprintf(reply_text, sizeof reply_text, "535 5.7.8 %s%s%s", text,
		session->auth->right ? ", see " : "",
		session->auth->right ? session->worker->ingress->config->ingress.help_url : "");
	refuse_login(session, reason, reply_text);
}

void
auth_failed(struct session *session)
{
	const unsigned late_ms = limits_auth_failed(session->worker->limits, &session->client);
	const struct auth *auth = session->auth;

	if (auth->account) {
		uses_note(session->worker->uses, auth->account->id, USE_FAILED, auth->username,
			session->client_text);
		record_tried(session, auth->account->id, auth->username);
	}
	session->auth->heard = false;
	if (late_ms == 0)
		failed(session);
	else
		timer_set(&session->auth->late, late_ms);
}

bool
auth_admitted(struct session *session)
{
	struct auth *auth = session->auth;

	auth->right = auth->credential != NULL;
	if (auth->right && credential_works(auth->credential) &&
		credential_admits(auth->credential, &session->client))
		return true;
	auth_failed(session);
	return false;
}

void
auth_succeeded(struct session *session)
{
	struct auth *auth = session->auth;

	metric_add(stats.auth_ok, 1);
	auth->heard = false;
	limits_auth_succeeded(session->worker->limits, &session->client, auth->username);
	account_unref(session->account);
	session->account = account_ref(auth->account);
	uses_note(
		session->worker->uses, session->account->id, USE_LOGIN, session->client_text, NULL);
	uses_note(session->worker->uses, session->account->id, USE_LOGGED_IN, auth->username,
		session->client_text);
	session->known = KNOWN_YES;
	session_known(session);
	free(session->credential);
	session->credential = xstrdup(auth->username);
	session_set_grant(session, auth->credential);
	auth_free(session);
	reply(session, "235 2.7.0 Authentication successful");
}

/* ---- looking the user up ---- */

static const char *
verifier_text(const struct auth *auth, size_t i)
{
	return auth->credential->verifiers[auth->numbers[i]];
}

static void
on_password(void *arg, int which)
{
	struct session *session = session_find(arg);
	struct auth *auth = session->auth;

	auth->check = NULL;
	if (which < 0 || !auth->credential) {
		auth_failed(session);
	} else if (auth_admitted(session)) {
		password_cache_add(
			session->worker->cache, verifier_text(auth, (size_t)which), auth->password);
		auth_succeeded(session);
	}
}

/* Whether one of the passwords that work now was right within the last minute. */
static bool
was_right(struct session *session)
{
	const struct auth *auth = session->auth;

	for (size_t i = 0; auth->credential && i < auth->verifiers_count; i++)
		if (password_cache_has(
			    session->worker->cache, verifier_text(auth, i), auth->password))
			return true;
	return false;
}

static void
check_password(struct session *session)
{
	struct worker *worker = session->worker;
	struct auth *auth = session->auth;
	char address[NET_TEXT_MAX];

	if (was_right(session)) {
		if (auth_admitted(session))
			auth_succeeded(session);
		return;
	}
	if (account_network_text(session->client_text, address) < 0)
		memcpy(address, session->client_text, sizeof session->client_text);
	auth->check = passwords_check(worker->ingress->passwords, address, auth->verifiers,
		auth->verifiers_count, auth->password, on_password, session_arg(session));
}

/* Takes the verifiers that hold now. False: the current one cannot be read. */
static bool
take_verifiers(struct auth *auth, const struct credential *credential)
{
	const uint64_t now = clock_us();

	for (unsigned i = 0; i < credential->verifiers_count; i++) {
		struct scram_verifier *verifier = &auth->verifiers[auth->verifiers_count];

		if (!credential_holds(credential, i, now) ||
			scram_parse(credential->verifiers[i], verifier) < 0)
			continue;
		auth->numbers[auth->verifiers_count++] = i;
	}
	return auth->verifiers_count > 0 && auth->numbers[0] == 0;
}

static void
on_user(void *arg, int err, struct account *account, struct credential *credential)
{
	struct session *session = session_find(arg);
	struct auth *auth = session ? session->auth : NULL;
	char secret[OWNER_ID_SIZE];

	if (!auth)
		return;
	if (err == -EAGAIN) {
		auth->heard = false;
		auth_unsure(session, UNSURE);
		return;
	}
	if (err == 0 && take_verifiers(auth, credential)) {
		auth->credential = credential_ref(credential);
		auth->account = account_ref(account);
	} else {
		owner_secret(secret);
		scram_dummy(secret, auth->username, auth->verifiers);
		auth->verifiers_count = 1;
	}
	if (auth->scram)
		scram_challenge(session);
	else
		check_password(session);
}

static void
on_allowed(void *arg, unsigned wait_s, const char *which)
{
	struct session *session = session_find(arg);

	(void)which;
	if (!session || !session->auth)
		return;
	if (wait_s > 0) {
		auth_unsure(session, "Too many failures from your address, try again later");
		return;
	}
	session->auth->heard = true;
	account_by_user(
		session->worker->accounts, session->auth->username, on_user, session_arg(session));
}

static void
find_user(struct session *session)
{
	session->state = ST_COMMAND;
	limits_auth_allowed(session->worker->limits, &session->client, session->auth->username,
		on_allowed, session_arg(session));
}

/* The client wants to act for another user. It has tried no password, so no failure counts against
 * the user. */
void
auth_named(struct session *session, int err)
{
	if (!err)
		find_user(session);
	else if (err == -EPERM)
		refuse_login(session, "acts for another user",
			"535 5.7.8 You may act for yourself only");
	else
		auth_malformed(session);
}

/* ---- mechanisms ---- */

void
auth_ask(struct session *session, const char *challenge)
{
	session->state = ST_LINE;
	reply(session, "334 %s", challenge);
}

static void
plain_line(struct session *session, const char *text, size_t length)
{
	struct auth *auth = session->auth;

	auth_named(session, sasl_plain_read(text, length, auth->username, auth->password));
}

static void
login_line(struct session *session, const char *text, size_t length)
{
	struct auth *auth = session->auth;
	bool named = auth->username[0];

	if (!(named ? sasl_password_read(text, length, auth->password)
		    : sasl_name_read(text, length, auth->username)))
		auth_malformed(session);
	else if (named)
		find_user(session);
	else
		auth_ask(session, "UGFzc3dvcmQ6");
}

static const struct mechanism mechanisms[] = {
	{ "PLAIN", plain_line, "" },
	{ "LOGIN", login_line, "VXNlcm5hbWU6" },
	{ "SCRAM-SHA-256", scram_line, "" },
};

static const struct mechanism *
find_mechanism(const char *name, size_t length)
{
	for (size_t i = 0; i < sizeof mechanisms / sizeof *mechanisms; i++)
		if (strlen(mechanisms[i].name) == length &&
			strncasecmp(mechanisms[i].name, name, length) == 0)
			return &mechanisms[i];
	return NULL;
}

/* Old clients put blanks behind a line. The parser drops those of a command line. */
static size_t
without_blanks(const char *line, size_t length)
{
	while (length > 0 && line[length - 1] == ' ')
		length--;
	return length;
}

/* Wipes the line in the worker's scratch buffer, since it may hold a secret. */
static void
wipe(const char *line, size_t length)
{
	explicit_bzero((void *)(uintptr_t)line, length);
}

void
auth_line(struct session *session, const char *line, size_t length)
{
	char text[COMMAND_LINE_MAX];
	bool cancelled = length == 1 && *line == '*';
	long size = cancelled ? -1 : base64_read(line, without_blanks(line, length), text);

	wipe(line, length);
	if (cancelled) {
		refuse(session, REFUSE_SYNTAX, "501 5.7.0 Cancelled");
	} else if (size < 0) {
		auth_malformed(session);
	} else {
		session->auth->mechanism->line(session, text, (size_t)size);
	}
	explicit_bzero(text, sizeof text);
}

/* ---- AUTH ---- */

static void
start(struct session *session, const char *args, size_t length)
{
	const char *blank = memchr(args, ' ', length);
	size_t name_length = blank ? (size_t)(blank - args) : length;
	const struct mechanism *mechanism = find_mechanism(args, name_length);
	const char *first = args + name_length;

	if (!mechanism) {
		refuse(session, REFUSE_SYNTAX, "504 5.5.4 Unknown mechanism");
		return;
	}
	session_step(session);
	session->auth = xcalloc(1, sizeof *session->auth);
	timer_init(&session->auth->late, session->worker->loop, failed, session);
	session->auth->mechanism = mechanism;
	session->auth->scram = mechanism->line == scram_line;
	while (first < args + length && *first == ' ')
		first++;
	if (first == args + length)
		auth_ask(session, mechanism->prompt);
	else if (first + 1 == args + length && *first == '=')
		auth_line(session, "", 0);
	else
		auth_line(session, first, (size_t)(args + length - first));
}

/* A listener for known addresses alone: as long as the address is unsure, AUTH may be tried
 * again. */
static void
refuse_in_clear(struct session *session)
{
	if (session->known == KNOWN_UNSURE)
		refuse(session, REFUSE_UNAVAILABLE, "454 4.7.0 " UNSURE);
	else
		refuse(session, REFUSE_TLS, "538 5.7.11 Encryption is required for AUTH");
}

void
cmd_auth(struct session *session, const struct command *command)
{
	if (!session->listener->config->auth)
		refuse(session, REFUSE_ORDER, "502 5.5.1 No AUTH here");
	else if (session->credential)
		refuse(session, REFUSE_ORDER, "503 5.5.1 Authenticated already");
	else if (session->mail && session->mail->open)
		refuse(session, REFUSE_ORDER, "503 5.5.1 Not in the middle of a transaction");
	else if (command->args_length == 0)
		refuse(session, REFUSE_SYNTAX, "501 5.5.4 Say AUTH mechanism");
	else if (!session_may_auth(session))
		refuse_in_clear(session);
	else
		start(session, command->args, command->args_length);
}
