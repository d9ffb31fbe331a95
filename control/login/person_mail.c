/*
 * person_mail.c - mails to a person.
 *
 * api_people, api_password, api_session, api_me -> [person_mail] -> notices
 *
 * A link leads to the panel alone. News go to whoever can do something about it: the person, and
 * the owners of the account.
 */
#include "control/login/person_mail.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control/http/api_private.h"
#include "control/people/person.h"
#include "shared/base/json_text.h"
#include "shared/base/log.h"
#include "shared/config/config.h"

#define OWNERS_MAX 10 /* that hear of one thing */

bool
person_mail_possible(const struct api *api)
{
	return notices_wanted(api->notices) && api->config->service.panel;
}

char *
person_link(const struct api *api, const char *secret)
{
	const char *panel = api->config->service.panel;

	return xasprintf("%s/set-password#t=%s", panel ? panel : "", secret);
}

/* What a mail needs of an account, with the person as its contact. The caller releases it. */
static json_t *
reader_of(const struct api *api, const char *login, const json_t *entry)
{
	const char *id = json_text(entry, "account");
	const json_t *account = id ? directory_get(api->directory, "account", id) : NULL;
	const char *name = json_text(account, "name"), *language = json_text(entry, "language");
	json_t *reader = json_pack(
		"{s:s, s:s}", "contact", login, "name", name ? name : api->config->service.name);

	if (!language)
		language = json_text(account, "language");
	if (language)
		json_object_set_new(reader, "language", json_string(language));
	if (json_text(account, "host"))
		json_object_set(reader, "host", json_object_get(account, "host"));
	return reader;
}

void
person_mail_link(struct api *api, const char *login, const json_t *entry, const char *by,
	const char *secret, notice_cb cb, void *arg)
{
	json_t *reader = reader_of(api, login, entry);
	char *link = person_link(api, secret);

	notice_send(api->notices,
		&(struct notice){ .key = json_text(entry, "link"),
			.account = reader,
			.values = (struct notice_value[]){ { "BY", { by }, false },
				{ "LINK", { link }, false }, { 0 } } },
		cb, arg);
	explicit_bzero(link, strlen(link));
	free(link);
	json_decref(reader);
}

/* The API may end once nothing of it is under way. */
static void
on_news_sent(void *arg, int err)
{
	struct api *api = arg;

	(void)err; /* notices logs it */
	if (--api->open == 0 && api->on_closed)
		api->on_closed(api->closed_arg);
}

static void
tell(struct api *api, const char *reader_login, const char *login, enum person_news news,
	const char *client)
{
	static const char *const what[][NOTICE_LANGUAGES] = {
		[NEWS_NETWORK] = { "accesso da una nuova rete", "login from a new network" },
		[NEWS_PASSWORD] = { "la password è stata cambiata", "the password was changed" },
		[NEWS_FACTOR] = { "è stato attivato un secondo fattore",
			"a second factor was set up" },
		[NEWS_NO_FACTOR] = { "il secondo fattore è stato tolto",
			"the second factor was taken away" },
		[NEWS_RECOVERY] = { "accesso con un codice di recupero",
			"login with a recovery code" },
		[NEWS_TOKEN] = { "è stato creato un token dell'API",
			"a token of the API was made" },
	};
	json_t *reader = reader_of(
		api, reader_login, directory_get(api->directory, "person", reader_login));

	api->open++;
	notice_send(api->notices,
		&(struct notice){ .key = "security",
			.account = reader,
			.values = (struct notice_value[]){ { "LOGIN", { login }, false },
				{ "WHAT", { what[news][0], what[news][1] }, false },
				{ "IP", { client }, false }, { 0 } } },
		on_news_sent, api);
	json_decref(reader);
}

static bool
is_owner(const json_t *entry)
{
	const char *role = json_text(entry, "role");

	return role && strcmp(role, role_name(ROLE_OWNER)) == 0 &&
		json_object_get(entry, "verifier");
}

void
person_mail_news(struct api *api, const char *login, enum person_news news, const char *client)
{
	const json_t *entry = person_find(api->directory, login);
	const char *account = json_text(entry, "account"), *key;
	unsigned told = 0;
	json_t *value;

	if (!entry || !notices_wanted(api->notices))
		return;
	tell(api, login, login, news, client);
	if (!account)
		return;
	json_object_foreach(directory_members(api->directory, account), key, value)
	{
		const char *other = key + strlen(PERSON_PREFIX);
		const json_t *person = directory_entry(api->directory, key);

		if (!person_is_of(key, person, account) || !is_owner(person) ||
			strcmp(other, login) == 0)
			continue;
		if (told++ < OWNERS_MAX)
			tell(api, other, login, news, client);
	}
}
