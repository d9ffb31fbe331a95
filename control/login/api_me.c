/*
 * api_me.c - what a person does about himself: name, language, password, second factor, sessions.
 *
 * api -> [api_me] -> prove, hasher -> person -> commit -> reply
 *
 * A new password ends all sessions, and begins another one for who made it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/http/api_private.h"
#include "control/login/login.h"
#include "control/login/person_mail.h"
#include "control/login/prove.h"
#include "control/login/session_cookie.h"
#include "control/people/hasher.h"
#include "control/people/password_rule.h"
#include "control/people/person.h"
#include "control/people/totp.h"
#include "shared/base/json_text.h"
#include "shared/base/log.h"
#include "shared/config/config.h"

/* A change of the person's entry on its way to the reply. */
struct self {
	struct exchange *exchange;
	json_t *reply; /* NULL: `then` makes one */
	void (*then)(struct exchange *exchange);
};

static void
on_committed(void *arg, int err, int applied_err)
{
	struct self self = *(struct self *)arg;

	(void)applied_err; /* people are not in Redis */
	free(arg);
	if (err) {
		json_decref(self.reply);
		reply_not_taken(self.exchange, err);
		return;
	}
	if (self.then)
		self.then(self.exchange);
	if (self.reply)
		reply_json(self.exchange, 200, self.reply);
}

/* Writes an edit of the person; `reply` (taken over) or `then` ends the exchange. */
static void
change(struct exchange *x, const char *what, struct edit *edit, int err, json_t *reply,
	void (*then)(struct exchange *exchange))
{
	struct self *self = xmalloc(sizeof *self);

	if (!err) {
		json_decref(edit->reply);
		edit->reply = NULL;
	}
	*self = (struct self){ x, reply, then };
	if (edit_commit(x, what, edit, err, on_committed, self))
		return;
	json_decref(reply);
	free(self);
	reply_fault(x, &edit->fault);
}

/* Profile and password */

static void
on_password_changed(struct exchange *x)
{
	person_mail_news(x->api, x->session->login, NEWS_PASSWORD, x->client);
	login_open(x, x->session->login, false);
}

static void
on_made(void *arg, bool good, const char *verifier)
{
	struct exchange *x = arg;
	struct edit edit = edit_of(x);

	(void)good;
	change(x, "person.password", &edit, person_set_verifier(&edit, x->session->login, verifier),
		NULL, on_password_changed);
}

static void
on_current(struct exchange *x, const char *login, bool good)
{
	if (!good) {
		reply_error(x, 403, "current", "the current password is wrong");
		return;
	}
	prove_done(x, login);
	if (!hasher_make(x->api->hasher, x->client, json_text(x->body, "password"), on_made, x)) {
		reply_header(x, "Retry-After", "1");
		reply_error(x, 429, "", "too many passwords are being checked: try again");
	}
}

static void
change_password(struct exchange *x)
{
	const char *login = x->session->login, *current = json_text(x->body, "current");
	const char *wrong = password_wrong(json_text(x->body, "password"), login,
		json_text(directory_get(x->api->directory, "person", login), "name"));

	if (json_object_size(x->body) != 2 || !current || strlen(current) > PASSWORD_BYTES_MAX)
		reply_error(x, 400, "current",
			"with a new password the current one is needed, and nothing else");
	else if (wrong)
		reply_error(x, 400, "password", "%s", wrong);
	else
		prove_password(x, login, current, on_current);
}

/* {"name","language"}, or {"password","current"} */
void
api_me_change(struct exchange *x)
{
	static const struct field known[] = { { "name", FIELD_TEXT }, { "language", FIELD_TEXT },
		{ "password", FIELD_TEXT }, { "current", FIELD_TEXT }, { 0 } };
	struct edit edit = edit_of(x);
	struct fault fault;
	int err;

	if (fields_check(&fault, x->body, known, NULL) < 0) {
		reply_fault(x, &fault);
		return;
	}
	if (json_text(x->body, "password")) {
		change_password(x);
		return;
	}
	if (json_object_size(x->body) == 0 || json_text(x->body, "current")) {
		reply_error(x, 400, "", "name, language, or password with current");
		return;
	}
	err = person_change_self(&edit, x->session->login, x->body);
	change(x, "person.self", &edit, err, NULL, api_me_get);
}

void
api_me_get(struct exchange *x)
{
	const char *login = x->session->login;

	reply_json(x, 200, person_show(login, directory_get(x->api->directory, "person", login)));
}

/* The second factor */

static bool
has_factor(const struct exchange *x)
{
	return json_object_get(directory_get(x->api->directory, "person", x->session->login),
		       "totp") != NULL;
}

struct factor {
	struct exchange *exchange;
	char secret[TOTP_SECRET_SIZE];
};

static void
on_kept(void *arg, int err)
{
	struct factor *factor = arg;
	struct exchange *x = factor->exchange;
	const char *issuer = x->api->config->service.name;
	char *uri = totp_uri(issuer ? issuer : "Shout", x->session->login, factor->secret);

	if (err)
		reply_error(x, 503, "", NO_SESSIONS);
	else
		reply_json(x, 201, json_pack("{s:s, s:s}", "secret", factor->secret, "uri", uri));
	explicit_bzero(uri, strlen(uri));
	free(uri);
	explicit_bzero(factor, sizeof *factor);
	free(factor);
}

void
api_me_totp_new(struct exchange *x)
{
	struct factor *factor;

	if (has_factor(x)) {
		reply_error(x, 409, "", "there is a second factor: take it away first");
		return;
	}
	factor = xcalloc(1, sizeof *factor);
	factor->exchange = x;
	totp_secret_new(factor->secret);
	logins_keep_factor(x->api->redis, x->session->id, factor->secret, on_kept, factor);
}

static void
tell_factor(struct exchange *x)
{
	person_mail_news(x->api, x->session->login, NEWS_FACTOR, x->client);
}

static void
on_factor(void *arg, int err, const char *secret)
{
	struct exchange *x = arg;
	json_t *codes, *hashes;
	struct edit edit = edit_of(x);
	uint64_t step;

	if (err) {
		reply_error(x, 503, "", NO_SESSIONS);
	} else if (!secret || has_factor(x)) {
		reply_error(x, 409, "", "no second factor is being set up");
	} else if (!totp_check(secret, json_text(x->body, "code"), clock_us() / 1000000, &step)) {
		reply_error(
			x, 400, "code", "the code is wrong: is the clock of your device right?");
	} else {
		recovery_new(&codes, &hashes);
		change(x, "person.totp", &edit,
			person_set_totp(&edit, x->session->login, secret, hashes),
			json_pack("{s:o}", "recovery", codes), tell_factor);
	}
}

/* {"code"} */
void
api_me_totp_confirm(struct exchange *x)
{
	static const struct field known[] = { { "code", FIELD_TEXT }, { 0 } };
	struct fault fault;

	if (fields_check(&fault, x->body, known, NULL) < 0)
		reply_fault(x, &fault);
	else if (!json_text(x->body, "code"))
		reply_error(x, 400, "code", "it is needed");
	else
		logins_take_factor(x->api->redis, x->session->id, on_factor, x);
}

static void
on_factor_gone(struct exchange *x)
{
	person_mail_news(x->api, x->session->login, NEWS_NO_FACTOR, x->client);
	reply_nothing(x);
}

void
api_me_totp_remove(struct exchange *x)
{
	struct edit edit = edit_of(x);

	if (!has_factor(x)) {
		reply_error(x, 404, "", "there is no second factor");
		return;
	}
	change(x, "person.totp", &edit, person_set_totp(&edit, x->session->login, NULL, NULL), NULL,
		on_factor_gone);
}

/* Sessions */

static void
on_list(void *arg, int err, json_t *sessions)
{
	struct exchange *x = arg;

	if (!err) {
		reply_json(x, 200, json_pack("{s:o}", "sessions", sessions));
		return;
	}
	json_decref(sessions);
	reply_error(x, 503, "", NO_SESSIONS);
}

void
api_me_sessions(struct exchange *x)
{
	logins_list(
		x->api->redis, x->session->login, x->session->id, x->session->epoch, on_list, x);
}

static void
on_ended(void *arg, int err)
{
	struct exchange *x = arg;

	if (err == -ENOENT)
		reply_error(x, 404, "id", "there is no such session");
	else if (err)
		reply_error(x, 503, "", NO_SESSIONS);
	else
		reply_nothing(x);
}

void
api_me_sessions_end(struct exchange *x)
{
	logins_end_of(x->api->redis, x->session->login, x->session->id, NULL, on_ended, x);
}

void
api_me_session_end(struct exchange *x)
{
	const char *id = x->parameters[0];

	if (strlen(id) != SESSION_SHORT || strspn(id, "0123456789abcdef") != SESSION_SHORT)
		reply_error(x, 404, "id", "there is no such session");
	else
		logins_end_of(x->api->redis, x->session->login, "", id, on_ended, x);
}
