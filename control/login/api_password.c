/*
 * api_password.c - a new password by a link that was mailed, and the question for such a link.
 *
 * api -> [api_password] -> hasher -> person -> commit -> reply
 *
 * A link counts once: it is taken in Redis first, since two control processes may be asked at the
 * same time. A question for a link is answered before anything is done, so that the answer does not
 * tell who exists.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control/http/api_private.h"
#include "control/login/login.h"
#include "control/login/person_mail.h"
#include "control/people/hasher.h"
#include "control/people/password_rule.h"
#include "control/people/person.h"
#include "control/session/attempt.h"
#include "shared/base/json_text.h"
#include "shared/base/log.h"
#include "shared/base/text.h"
#include "shared/config/config.h"
#include "shared/redis/redis.h"

#define TIMEOUT_MS 3000
#define TEXT_MAX 320
#define KEY_SIZE (SECRET_HASH_SIZE + 16)

struct setting {
	struct exchange *exchange;
	char login[LOGIN_SIZE], key[KEY_SIZE];
	bool invite;
	json_t *reply;
};

static void
setting_free(struct setting *setting)
{
	json_decref(setting->reply);
	explicit_bzero(setting, sizeof *setting);
	free(setting);
}

/* The link may be tried again: nothing was changed by it. */
static void
give_back(struct setting *setting)
{
	const char *argv[] = { "DEL", setting->key };

	redis_command(setting->exchange->api->redis, TIMEOUT_MS, NULL, NULL, 2, argv, NULL);
}

static void
reply_gone(struct exchange *x)
{
	reply_error(x, 410, "token", "the link is over, or was used: ask for a new one");
}

static void
on_committed(void *arg, int err, int applied_err)
{
	struct setting *setting = arg;
	struct exchange *x = setting->exchange;

	(void)applied_err; /* people are not in Redis */
	if (err) {
		give_back(setting);
		reply_not_taken(x, err);
	} else {
		struct attempt attempt;

		/* The link came to the person's mailbox, so that this network is the person's. */
		attempt_init(&attempt, setting->login, x->client);
		attempt_good(x->api->redis, &attempt, NULL, NULL);
		if (!setting->invite)
			person_mail_news(x->api, setting->login, NEWS_PASSWORD, x->client);
		reply_json(x, 200, json_incref(setting->reply));
	}
	setting_free(setting);
}

static void
on_made(void *arg, bool good, const char *verifier)
{
	struct setting *setting = arg;
	struct exchange *x = setting->exchange;
	struct edit edit = edit_of(x);
	int err;

	(void)good;
	if (person_of_link(x->api->directory, json_text(x->body, "token"), clock_us()) == NULL) {
		reply_gone(x);
		setting_free(setting);
		return;
	}
	err = person_set_verifier(&edit, setting->login, verifier);
	text_copy(x->caller.name, sizeof x->caller.name, setting->login);
	if (!err)
		setting->reply = edit.reply;
	if (edit_commit(x, setting->invite ? "person.accept" : "person.password", &edit, err,
		    on_committed, setting))
		return;
	setting->reply = NULL;
	give_back(setting);
	reply_fault(x, &edit.fault);
	setting_free(setting);
}

static void
on_taken(void *arg, int err, const struct redis_reply *reply)
{
	struct setting *setting = arg;
	struct exchange *x = setting->exchange;
	const char *password = json_text(x->body, "password");

	if (err || redis_reply_kind(reply) == REDIS_ERR)
		reply_error(x, 503, "", "Redis does not answer: try again in a moment");
	else if (redis_reply_kind(reply) == REDIS_NIL)
		reply_gone(x);
	else if (hasher_make(x->api->hasher, x->client, password, on_made, setting))
		return;
	else {
		give_back(setting);
		reply_error(x, 429, "", "too many passwords are being checked: try again");
	}
	setting_free(setting);
}

static void
take_link(struct exchange *x, const char *login, const char *token)
{
	struct setting *setting = xcalloc(1, sizeof *setting);
	char hash[SECRET_HASH_SIZE];
	const char *argv[] = { "SET", setting->key, "1", "NX", "EX", "600" };

	setting->exchange = x;
	setting->invite = !json_object_get(
		directory_get(x->api->directory, "person", login), "verifier");
	text_copy(setting->login, sizeof setting->login, login);
	secret_hash(token, hash);
	snprintf(setting->key, sizeof setting->key, "login:link:%s", hash);
	redis_command(x->api->redis, TIMEOUT_MS, on_taken, setting, 6, argv, NULL);
}

/* {"token","password"} -> the person */
void
api_password(struct exchange *x)
{
	static const struct field known[] = { { "token", FIELD_TEXT }, { "password", FIELD_TEXT },
		{ 0 } };
	const char *token = json_text(x->body, "token"), *login, *wrong;
	const char *password = json_text(x->body, "password");
	struct fault fault;

	if (fields_check(&fault, x->body, known, NULL) < 0) {
		reply_fault(x, &fault);
		return;
	}
	if (!token || !password) {
		reply_error(x, 400, token ? "password" : "token", "it is needed");
		return;
	}
	login = person_of_link(x->api->directory, token, clock_us());
	wrong = password_wrong(password, login,
		json_text(
			login ? directory_get(x->api->directory, "person", login) : NULL, "name"));
	if (wrong)
		reply_error(x, 400, "password", "%s", wrong);
	else if (!login)
		reply_gone(x);
	else
		take_link(x, login, token);
}

/* A reset that was asked for; it outlives its request. */

struct asked {
	struct api *api;
	struct attempt attempt;
	char client[NET_TEXT_MAX], link[SECRET_SIZE];
};

static void
asked_end(struct asked *asked)
{
	struct api *api = asked->api;

	explicit_bzero(asked, sizeof *asked);
	free(asked);
	if (--api->open == 0 && api->on_closed)
		api->on_closed(api->closed_arg);
}

static void
on_mailed(void *arg, int err)
{
	(void)err; /* notices logs it */
	asked_end(arg);
}

static void
on_asked(void *arg, int err, int applied_err)
{
	struct asked *asked = arg;
	const char *login = asked->attempt.login;
	const json_t *entry = directory_get(asked->api->directory, "person", login);

	(void)applied_err;
	if (err || !entry || !json_text(entry, "link"))
		asked_end(asked);
	else
		person_mail_link(asked->api, login, entry, asked->api->config->service.name,
			asked->link, on_mailed, asked);
}

static void
on_allowed(void *arg, int err, unsigned wait_s)
{
	struct asked *asked = arg;
	struct api *api = asked->api;
	struct edit edit = { .config = api->config, .directory = api->directory };
	struct change change = { .what = "person.reset",
		.author = { .by = asked->attempt.login, .client = asked->client } };

	if (err || wait_s > 0 || api->on_closed ||
		person_ask_link(&edit, asked->attempt.login, asked->link) < 0) {
		json_decref(edit.changes);
		json_decref(edit.reply);
		asked_end(asked);
		return;
	}
	json_decref(edit.reply);
	change.entries = edit.changes;
	commit_begin(api->commits, &change, on_asked, asked);
}

/* {"login"} -> nothing, whatever comes of it */
void
api_password_reset(struct exchange *x)
{
	static const struct field known[] = { { "login", FIELD_TEXT }, { 0 } };
	const char *login = json_text(x->body, "login");
	struct attempt attempt;
	struct asked *asked;
	struct fault fault;

	if (fields_check(&fault, x->body, known, NULL) < 0) {
		reply_fault(x, &fault);
		return;
	}
	if (!login || utf8_count(login) > TEXT_MAX) {
		reply_error(x, 400, "login", "a mail address is needed");
		return;
	}
	attempt_init(&attempt, login, x->client);
	if (person_mail_possible(x->api) && !applier_doubt(x->api->applier) &&
		person_may_ask_link(x->api->directory, attempt.login)) {
		asked = xcalloc(1, sizeof *asked);
		asked->api = x->api;
		asked->attempt = attempt;
		text_copy(asked->client, sizeof asked->client, x->client);
		x->api->open++;
		attempt_reset(x->api->redis, &asked->attempt, on_allowed, asked);
	}
	reply_nothing(x);
}
