/*
 * tokens.c - tokens of the API, as entries token/<id> of relay.config.
 */
#include "control/people/tokens.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/people/secret.h"
#include "shared/base/date.h"
#include "shared/base/json_text.h"
#include "shared/base/log.h"
#include "shared/base/random.h"
#include "shared/base/text.h"

#define PREFIX "shout_"
#define LABEL_MAX 64

/* The sum of the scopes; 0 and a fault when there are none, or others. */
static unsigned
take_scopes(struct fault *fault, const json_t *body)
{
	unsigned scopes = 0;
	json_t *name;
	size_t i;

	json_array_foreach(json_object_get(body, "scopes"), i, name)
	{
		const char *text = json_string_value(name);
		const unsigned scope = text ? scope_find(text) : 0;

		if (!scope) {
			fault_set(fault, 400, "scopes", "each is one of: read, trace, write");
			return 0;
		}
		scopes |= scope;
	}
	if (!scopes)
		fault_set(fault, 400, "scopes", "one of them is needed: read, trace, write");
	return scopes;
}

static int
take_until(struct fault *fault, const json_t *body, uint64_t now_us, json_t *entry)
{
	const char *text = json_text(body, "until");
	uint64_t until_us;

	if (!text)
		return 0;
	if (date_read(text, now_us, &until_us) < 0)
		return fault_set(fault, 400, "until", "a time like 2027-01-31T12:00:00Z is needed");
	if (until_us <= now_us)
		return fault_set(fault, 400, "until", "it is over already");
	json_object_set_new(entry, "until_us", json_integer((json_int_t)until_us));
	return 0;
}

static int
take_label(struct fault *fault, const json_t *body, json_t *entry)
{
	const char *label = json_text(body, "label");

	if (!label || !*label || utf8_count(label) > LABEL_MAX)
		return fault_set(fault, 400, "label", "a name of at most %d characters", LABEL_MAX);
	for (const char *at = label; *at; at++)
		if (is_control(*at))
			return fault_set(fault, 400, "label", "one line of text is needed");
	json_object_set_new(entry, "label", json_string(label));
	return 0;
}

static int
account_is_there(struct edit *edit, const char *account)
{
	const json_t *entry = account ? directory_get(edit->directory, "account", account) : NULL;

	if (account && (!entry || account_is_deleted(entry)))
		return fault_set(
			&edit->fault, 404, "account", "there is no account \"%.40s\"", account);
	return 0;
}

int
token_add(struct edit *edit, const char *account, const json_t *body, uint64_t now_us)
{
	static const struct field known[] = { { "label", FIELD_TEXT }, { "scopes", FIELD_LIST },
		{ "until", FIELD_TEXT }, { 0 } };
	char secret[SECRET_SIZE], id[SECRET_ID_SIZE], hash[SECRET_HASH_SIZE], *key;
	json_t *entry = json_object();
	unsigned scopes = 0;

	edit->changes = json_object();
	edit->reply = json_object();
	if (account_is_there(edit, account) < 0 ||
		fields_check(&edit->fault, body, known, NULL) < 0 ||
		take_label(&edit->fault, body, entry) < 0 ||
		!(scopes = take_scopes(&edit->fault, body)) ||
		take_until(&edit->fault, body, now_us, entry) < 0) {
		json_decref(entry);
		return -1;
	}
	secret_new(PREFIX, secret, id);
	secret_hash(secret, hash);
	json_object_set_new(entry, "version", json_integer((json_int_t)now_us));
	json_object_set_new(entry, "id", json_string(id));
	json_object_set_new(entry, "created_us", json_integer((json_int_t)now_us));
	json_object_set_new(entry, "scopes", json_integer((json_int_t)scopes));
	json_object_set_new(entry, "secret", json_string(hash)); /* the audit never shows it */
	if (account)
		json_object_set_new(entry, "account", json_string(account));
	json_decref(edit->reply);
	edit->reply = token_show(entry);
	json_object_set_new(edit->reply, "secret", json_string(secret));
	explicit_bzero(secret, sizeof secret);
	key = xasprintf("token/%s", id);
	json_object_set_new(edit->changes, key, entry);
	free(key);
	return 0;
}

bool
token_is_of(const char *key, const json_t *entry, const char *account)
{
	const char *of = json_text(entry, "account");

	return strncmp(key, "token/", 6) == 0 && (account ? of && strcmp(of, account) == 0 : !of);
}

int
token_remove(struct edit *edit, const char *account, const char *id)
{
	char *key = xasprintf("token/%s", id);
	const json_t *entry = directory_entry(edit->directory, key);
	int err = 0;

	edit->changes = json_object();
	edit->reply = json_pack("{s:s}", "id", id);
	if (entry && token_is_of(key, entry, account))
		json_object_set_new(edit->changes, key, json_null());
	else
		err = fault_set(&edit->fault, 404, "id", "there is no such token");
	free(key);
	return err;
}

static void
show_time(json_t *shown, const json_t *entry, const char *from, const char *to)
{
	const json_int_t us = json_integer_value(json_object_get(entry, from));
	char text[DATE_SIZE];

	if (us > 0)
		date_iso((uint64_t)us, text);
	json_object_set_new(shown, to, us > 0 ? json_string(text) : json_null());
}

json_t *
token_show(const json_t *entry)
{
	const unsigned scopes = (unsigned)json_integer_value(json_object_get(entry, "scopes"));
	const char *account = json_text(entry, "account");
	json_t *names = json_array(), *shown;

	for (unsigned i = 0; i < SCOPES; i++)
		if (scopes & 1u << i)
			json_array_append_new(names, json_string(scope_name(i)));
	shown = json_pack("{s:s, s:s, s:o, s:o}", "id", json_text(entry, "id"), "label",
		json_text(entry, "label"), "account", account ? json_string(account) : json_null(),
		"scopes", names);
	show_time(shown, entry, "created_us", "created");
	show_time(shown, entry, "until_us", "until");
	return shown;
}

bool
token_caller(
	const struct directory *directory, const char *secret, uint64_t now_us, struct caller *out)
{
	const json_t *entry, *account;
	const char *key, *id;
	char hash[SECRET_HASH_SIZE];
	json_int_t until;

	if (strncmp(secret, PREFIX, strlen(PREFIX)) != 0)
		return false;
	secret_hash(secret, hash);
	key = directory_secret(directory, hash);
	entry = key && strncmp(key, "token/", 6) == 0 ? directory_entry(directory, key) : NULL;
	if (!entry)
		return false;
	until = json_integer_value(json_object_get(entry, "until_us"));
	id = json_text(entry, "account");
	account = id ? directory_get(directory, "account", id) : NULL;
	if ((until && (uint64_t)until <= now_us) ||
		(id && (!account || account_is_deleted(account))))
		return false;
	*out = (struct caller){ .kind = CALLER_TOKEN,
		.scopes = (unsigned)json_integer_value(json_object_get(entry, "scopes")) };
	text_copy(out->account, sizeof out->account, id);
	snprintf(out->name, sizeof out->name, "token:%.40s", json_text(entry, "id"));
	return true;
}
