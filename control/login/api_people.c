/*
 * api_people.c - the API's calls about the people of an account, and about the operator's.
 *
 * api -> [api_people] -> person (what changes) -> commit -> person_mail (a link) -> reply
 *
 * Who adds a person never sees the link, which is mailed: but for the holder of control.token, who
 * makes the first admin before there are mails.
 */
#include <stdlib.h>
#include <string.h>

#include "control/http/api_private.h"
#include "control/http/entries.h"
#include "control/login/login.h"
#include "control/login/person_mail.h"
#include "control/look/json_from.h"
#include "control/people/person.h"
#include "control/session/attempt.h"
#include "shared/base/json_text.h"
#include "shared/base/log.h"
#include "shared/base/text.h"
#include "shared/config/config.h"

/* What a path says: the account (NULL: the operator's people), and the login. */
static bool
is_about_account(const struct exchange *x)
{
	const char *path = evhttp_uri_get_path(evhttp_request_get_evhttp_uri(x->request));

	return strstr(path, "/accounts/") != NULL;
}

static const char *
account_of(const struct exchange *x)
{
	return is_about_account(x) ? x->parameters[0] : NULL;
}

/* Logins have one form; the other forms mean it, too. False after a reply. */
static bool
take_login(struct exchange *x, char login[LOGIN_SIZE])
{
	const char *text = x->parameters[is_about_account(x) ? 1 : 0];

	if (login_canonical(text, login))
		return true;
	reply_error(x, 404, "login", "there is no person \"%.80s\"", text);
	return false;
}

static void
reply_edit_fault(struct exchange *x, const struct edit *edit)
{
	if (person_was_last(edit))
		reply_problem(x, 409, LAST_OWNER, edit->fault.field, edit->fault.error);
	else
		reply_fault(x, &edit->fault);
}

/* Lists */

static bool
is_person_of_account(const char *key, const json_t *entry)
{
	return json_text(entry, "account") && person_is_of(key, entry, json_text(entry, "account"));
}

static bool
is_operator(const char *key, const json_t *entry)
{
	return person_is_of(key, entry, NULL);
}

static json_t *
show(const json_t *entry)
{
	return person_show(json_text(entry, "login"), entry);
}

/* People with the time of their last login, which is in Redis alone. */

struct showing {
	struct exchange *exchange;
	json_t *reply, *people;
};

static void
on_last(void *arg, const json_t *times)
{
	struct showing *showing = arg;
	json_t *person;
	size_t i;

	json_array_foreach(showing->people, i, person)
	{
		const json_int_t time = json_integer_value(json_array_get(times, i));

		json_object_set_new(person, "last_login",
			time > 0 ? json_from_time((uint64_t)time * 1000000) : json_null());
	}
	json_decref(showing->people);
	reply_json(showing->exchange, 200, showing->reply);
	free(showing);
}

/* Takes over `reply` and `people`, which are in it. */
static void
reply_with_last(struct exchange *x, json_t *reply, json_t *people)
{
	struct showing *showing = xmalloc(sizeof *showing);

	*showing = (struct showing){ x, reply, people };
	attempt_last(x->api->redis, people, on_last, showing);
}

void
api_people_list(struct exchange *x)
{
	const char *account = account_of(x);
	json_t *reply;

	if (account && !directory_get(x->api->directory, "account", account))
		reply_error(x, 404, "account", "there is no account \"%.40s\"", account);
	else if ((reply = entries_page(x, "people", account,
			  account ? is_person_of_account : is_operator, false, show)))
		reply_with_last(x, reply, json_incref(json_object_get(reply, "people")));
}

void
api_people_get(struct exchange *x)
{
	char login[LOGIN_SIZE];
	const json_t *entry;

	if (!take_login(x, login))
		return;
	entry = person_find_of(x->api->directory, account_of(x), login);
	if (entry) {
		json_t *person = person_show(login, entry);

		reply_with_last(x, person, json_pack("[O]", person));
	} else {
		reply_error(x, 404, "login", "there is no person \"%.80s\"", login);
	}
}

/* Links: a change, then the mail, then the reply. */

struct invitation {
	struct exchange *exchange;
	json_t *reply;
	int status;
	char login[LOGIN_SIZE], link[SECRET_SIZE];
};

static void
invitation_end(struct invitation *invitation)
{
	reply_json(invitation->exchange, invitation->status, invitation->reply);
	explicit_bzero(invitation, sizeof *invitation);
	free(invitation);
}

static void
on_sent(void *arg, int err)
{
	struct invitation *invitation = arg;

	json_object_set_new(
		invitation->reply, "mails", err ? json_array() : json_pack("[s]", "link"));
	if (err)
		json_object_set_new(invitation->reply, "mails_failed", json_pack("[s]", "link"));
	invitation_end(invitation);
}

/* Who invites, for the person: a name, and not control.token. */
static const char *
inviter(const struct exchange *x)
{
	const json_t *entry = directory_get(x->api->directory, "person", x->caller.name);
	const char *name = json_text(entry, "name");

	return name ? name : x->api->config->service.name;
}

static void
on_committed(void *arg, int err, int applied_err)
{
	struct invitation *invitation = arg;
	struct exchange *x = invitation->exchange;
	const json_t *entry = directory_get(x->api->directory, "person", invitation->login);

	(void)applied_err; /* people are not in Redis */
	if (err) {
		json_decref(invitation->reply);
		reply_not_taken(x, err);
		explicit_bzero(invitation, sizeof *invitation);
		free(invitation);
		return;
	}
	if (x->caller.kind == CALLER_ROOT) {
		char *link = person_link(x->api, invitation->link);

		json_object_set_new(invitation->reply, "link", json_string(link));
		explicit_bzero(link, strlen(link));
		free(link);
	}
	if (person_mail_possible(x->api) && entry && json_text(entry, "link"))
		person_mail_link(x->api, invitation->login, entry, inviter(x), invitation->link,
			on_sent, invitation);
	else
		invitation_end(invitation);
}

/* False after a reply: nobody would see the link. */
static bool
may_invite(struct exchange *x)
{
	if (x->caller.kind == CALLER_ROOT || person_mail_possible(x->api))
		return true;
	reply_error(x, 409, "", "people get no mails: service.name or service.panel is not set");
	return false;
}

static void
invite_end(struct invitation *invitation, const char *what, struct edit *edit, int err)
{
	struct exchange *x = invitation->exchange;

	invitation->reply = edit->reply;
	if (!err)
		text_copy(invitation->login, sizeof invitation->login,
			json_text(edit->reply, "login"));
	if (edit_commit(x, what, edit, err, on_committed, invitation))
		return;
	reply_edit_fault(x, edit);
	explicit_bzero(invitation, sizeof *invitation);
	free(invitation);
}

void
api_people_add(struct exchange *x)
{
	struct invitation *invitation;
	struct edit edit = edit_of(x);
	int err;

	if (!may_invite(x))
		return;
	invitation = xcalloc(1, sizeof *invitation);
	invitation->exchange = x;
	invitation->status = 201;
	err = person_add(&edit, account_of(x), x->body, invitation->link);
	invite_end(invitation, "person.add", &edit, err);
}

void
api_people_invite(struct exchange *x)
{
	struct invitation *invitation;
	struct edit edit = edit_of(x);
	char login[LOGIN_SIZE];
	int err;

	if (!take_login(x, login) || !may_invite(x))
		return;
	invitation = xcalloc(1, sizeof *invitation);
	invitation->exchange = x;
	invitation->status = 201;
	err = person_invite(&edit, account_of(x), login, invitation->link);
	invite_end(invitation, "person.invite", &edit, err);
}

/* Other changes */

struct changing {
	struct exchange *exchange;
	json_t *reply;
};

/* Somebody else took the person's second factor away. */
static bool
takes_factor(const struct exchange *x)
{
	return evhttp_request_get_command(x->request) == EVHTTP_REQ_PATCH &&
		json_object_get(x->body, "second_factor");
}

static void
on_changed(void *arg, int err, int applied_err)
{
	struct changing changing = *(struct changing *)arg;

	(void)applied_err;
	free(arg);
	if (!err) {
		if (takes_factor(changing.exchange))
			person_mail_news(changing.exchange->api, json_text(changing.reply, "login"),
				NEWS_NO_FACTOR, changing.exchange->client);
		reply_json(changing.exchange, 200, changing.reply);
		return;
	}
	json_decref(changing.reply);
	reply_not_taken(changing.exchange, err);
}

static void
change_end(struct exchange *x, const char *what, struct edit *edit, int err)
{
	struct changing *changing = xmalloc(sizeof *changing);

	*changing = (struct changing){ x, edit->reply };
	if (edit_commit(x, what, edit, err, on_changed, changing))
		return;
	free(changing);
	reply_edit_fault(x, edit);
}

void
api_people_change(struct exchange *x)
{
	struct edit edit = edit_of(x);
	char login[LOGIN_SIZE];

	if (take_login(x, login))
		change_end(x, "person.change", &edit,
			person_change(&edit, account_of(x), login, x->body));
}

void
api_people_remove(struct exchange *x)
{
	struct edit edit = edit_of(x);
	char login[LOGIN_SIZE];

	if (take_login(x, login))
		change_end(x, "person.remove", &edit, person_remove(&edit, account_of(x), login));
}
