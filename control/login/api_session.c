/*
 * api_session.c - logging in and out.
 *
 * POST /session -> attempt (may it be tried?) -> hasher -> logins -> a cookie
 *                                     with a second factor: POST /session/totp -> a new cookie
 *
 * All causes of a failure have one answer, which takes as long: nobody learns who exists. The
 * session that a client brings to a login ends, and the login makes another one.
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
#include "control/look/json_from.h"
#include "control/people/password_rule.h"
#include "control/people/person.h"
#include "shared/base/json_text.h"
#include "shared/base/log.h"
#include "shared/base/text.h"

#define LOGIN_TEXT_MAX 320 /* characters */

/* A session on its way to the client. */
struct opening {
	struct exchange *exchange;
	int status;
	char secret[SESSION_SECRET_SIZE];
	bool need_code;
};

static void
on_created(void *arg, int err, const struct login_session *session)
{
	struct opening *opening = arg;
	struct exchange *x = opening->exchange;

	if (err) {
		reply_error(x, 503, "", NO_SESSIONS);
	} else {
		json_t *reply = session_show(x->api, session);

		if (opening->need_code) {
			json_decref(reply);
			reply = json_pack("{s:s, s:s}", "need", "totp", "csrf", session->csrf);
		}
		if (!opening->need_code)
			LOG_INFO("a person has logged in", "login", session->login, "client",
				x->client);
		session_cookie_set(x, opening->secret);
		reply_json(x, opening->status, reply);
	}
	explicit_bzero(opening, sizeof *opening);
	free(opening);
}

void
login_open(struct exchange *x, const char *login, bool need_code)
{
	const char *agent = evhttp_find_header(
		evhttp_request_get_input_headers(x->request), "User-Agent");
	struct opening *opening = xcalloc(1, sizeof *opening);
	struct login_session want = { .code = need_code };

	*opening = (struct opening){ .exchange = x, .status = 200, .need_code = need_code };
	want.epoch = person_epoch(directory_get(x->api->directory, "person", login));
	text_copy(want.login, sizeof want.login, login);
	text_copy(want.client, sizeof want.client, x->client);
	if (agent)
		text_clean(want.agent, sizeof want.agent, 0, agent, strlen(agent));
	logins_create(x->api->redis, &want, x->session ? x->session->id : NULL, opening->secret,
		on_created, opening);
}

/* The password */

static void
on_password(struct exchange *x, const char *login, bool good)
{
	const json_t *entry = good ? person_find(x->api->directory, login) : NULL;

	if (!entry) {
		reply_error(x, 401, "", WRONG_LOGIN);
		return;
	}
	text_copy(x->caller.name, sizeof x->caller.name, login);
	if (json_object_get(entry, "totp")) {
		login_open(x, login, true);
		return;
	}
	prove_done(x, login);
	login_open(x, login, false);
}

/* {"login","password"} */
void
api_session_open(struct exchange *x)
{
	static const struct field known[] = { { "login", FIELD_TEXT }, { "password", FIELD_TEXT },
		{ 0 } };
	const char *login = json_text(x->body, "login");
	const char *password = json_text(x->body, "password");
	struct fault fault;

	if (fields_check(&fault, x->body, known, NULL) < 0)
		reply_fault(x, &fault);
	else if (!login || utf8_count(login) > LOGIN_TEXT_MAX)
		reply_error(x, 400, "login", "a mail address is needed");
	else if (!password || strlen(password) > PASSWORD_BYTES_MAX)
		reply_error(x, 400, "password", "it is needed, with at most 256 bytes");
	else if (!session_is_safe(x))
		reply_error(x, 403, "", "a password is taken by TLS alone (https)");
	else
		prove_password(x, login, password, on_password);
}

/* The second factor */

static void
on_wrong_counted(void *arg, int err)
{
	struct exchange *x = arg;

	(void)err;
	reply_problem(x, 401, SECOND_FACTOR, "code", "the code is wrong, or was used");
}

static void
on_code(struct exchange *x, const char *login, enum proof proof)
{
	if (proof == PROOF_NONE) {
		logins_wrong_code(x->api->redis, x->session->id, login, on_wrong_counted, x);
		return;
	}
	if (proof == PROOF_RECOVERY)
		person_mail_news(x->api, login, NEWS_RECOVERY, x->client);
	prove_done(x, login);
	login_open(x, login, false);
}

/* {"code"}, with the cookie of a session that needs it */
void
api_session_code(struct exchange *x)
{
	static const struct field known[] = { { "code", FIELD_TEXT }, { 0 } };
	const char *code = json_text(x->body, "code");
	struct fault fault;

	if (fields_check(&fault, x->body, known, NULL) < 0)
		reply_fault(x, &fault);
	else if (!code)
		reply_error(x, 400, "code", "it is needed");
	else if (!x->session || !x->session->code)
		reply_error(x, 401, "", "log in with address and password first");
	else if (!session_csrf_is_right(x, x->session))
		reply_error(x, 403, "X-CSRF-Token", NO_CSRF);
	else
		prove_code(x, x->session->login, code, on_code);
}

/* The session */

void
api_session_get(struct exchange *x)
{
	reply_json(x, 200, session_show(x->api, x->session));
}

static void
on_ended(void *arg, int err)
{
	struct exchange *x = arg;

	if (err) {
		reply_error(x, 503, "", NO_SESSIONS);
		return;
	}
	session_cookie_clear(x);
	reply_nothing(x);
}

void
api_session_end(struct exchange *x)
{
	logins_end(x->api->redis, x->session->id, x->session->login, on_ended, x);
}

/* Sudo: the person proves himself once more, and may change secrets and people for a while. */

static void
on_sudo(void *arg, int err)
{
	struct exchange *x = arg;

	if (err == -ENOENT)
		reply_error(x, 401, "", "the session has ended");
	else if (err)
		reply_error(x, 503, "", NO_SESSIONS);
	else
		reply_json(x, 200, json_pack("{s:i}", "sudo", SESSION_SUDO_S));
}

static void
sudo_begin(struct exchange *x, bool good)
{
	if (!good) {
		reply_error(x, 403, "", "the password or the code is wrong");
		return;
	}
	prove_done(x, x->session->login);
	logins_sudo(x->api->redis, x->session->id, on_sudo, x);
}

static void
on_sudo_password(struct exchange *x, const char *login, bool good)
{
	(void)login;
	sudo_begin(x, good);
}

static void
on_sudo_code(struct exchange *x, const char *login, enum proof proof)
{
	(void)login;
	sudo_begin(x, proof != PROOF_NONE);
}

/* {"password"} or {"code"} */
void
api_session_sudo(struct exchange *x)
{
	static const struct field known[] = { { "password", FIELD_TEXT }, { "code", FIELD_TEXT },
		{ 0 } };
	const char *password = json_text(x->body, "password"), *code = json_text(x->body, "code");
	struct fault fault;

	if (fields_check(&fault, x->body, known, NULL) < 0)
		reply_fault(x, &fault);
	else if (!password == !code)
		reply_error(x, 400, "password", "either password or code is needed");
	else if (password && strlen(password) > PASSWORD_BYTES_MAX)
		reply_error(x, 400, "password", "at most 256 bytes are taken");
	else if (password)
		prove_password(x, x->session->login, password, on_sudo_password);
	else
		prove_code(x, x->session->login, code, on_sudo_code);
}
