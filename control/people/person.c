/*
 * person.c - people who log in, as entries person/<login> of relay.config.
 *
 * api (owners, admins, the person) -> [person] -> relay.config
 *
 * Sessions are in Redis, which may be away when they have to end. So each has the person's epoch of
 * its time, and ends as soon as the entry has another one.
 */
#include "control/people/person.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/account/accounts_private.h"
#include "control/look/json_from.h"
#include "shared/base/json_text.h"
#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/base/text.h"

#define LINK_PREFIX "p"
#define PEOPLE_MAX 1000 /* of an account, and of the operator */
#define LAST "nobody else may manage people: make somebody else %s first"

/* Reading */

static bool
is_of(const json_t *entry, const char *account)
{
	const char *of = json_text(entry, "account");

	return entry && (account ? of && strcmp(of, account) == 0 : !of);
}

bool
person_is_of(const char *key, const json_t *entry, const char *account)
{
	return strncmp(key, PERSON_PREFIX, strlen(PERSON_PREFIX)) == 0 && is_of(entry, account);
}

json_t *
person_find(const struct directory *directory, const char *login)
{
	json_t *entry = directory_get(directory, "person", login);
	const char *account = json_text(entry, "account");
	const json_t *owner = account ? directory_get(directory, "account", account) : NULL;

	return account && (!owner || account_is_deleted(owner)) ? NULL : entry;
}

json_t *
person_find_of(const struct directory *directory, const char *account, const char *login)
{
	json_t *entry = directory_get(directory, "person", login);

	return is_of(entry, account) ? entry : NULL;
}

json_int_t
person_epoch(const json_t *entry)
{
	return json_integer_value(json_object_get(entry, "epoch"));
}

void
person_caller(const char *login, const json_t *entry, struct caller *out)
{
	*out = (struct caller){ .kind = CALLER_PERSON,
		.role = role_find(json_text(entry, "role")) };
	text_copy(out->account, sizeof out->account, json_text(entry, "account"));
	text_copy(out->name, sizeof out->name, login);
}

json_t *
person_show(const char *login, const json_t *entry)
{
	const char *account = json_text(entry, "account"), *language = json_text(entry, "language");
	const json_int_t until = json_integer_value(json_object_get(entry, "link_until_us"));
	json_t *shown = json_pack("{s:s, s:s, s:s, s:o, s:o, s:b, s:b}", "login", login, "name",
		json_text(entry, "name"), "role", json_text(entry, "role"), "account",
		account ? json_string(account) : json_null(), "language",
		language ? json_string(language) : json_null(), "password",
		json_object_get(entry, "verifier") != NULL, "second_factor",
		json_object_get(entry, "totp") != NULL);

	json_object_set_new(shown, "created",
		json_from_time((uint64_t)json_integer_value(json_object_get(entry, "created_us"))));
	json_object_set_new(
		shown, "link_until", until > 0 ? json_from_time((uint64_t)until) : json_null());
	return shown;
}

/* How many people the account (NULL: the operator) has; `least`: of that role or more. */
static unsigned
count_people(const struct directory *directory, const char *account, enum role least)
{
	json_t *entries = account ? directory_members(directory, account)
				  : directory_entries(directory);
	unsigned count = 0;
	const char *key;
	json_t *value;

	json_object_foreach(entries, key, value)
	{
		const json_t *entry = directory_entry(directory, key);

		count += person_is_of(key, entry, account) &&
			role_find(json_text(entry, "role")) >= least;
	}
	return count;
}

/* Parts of an edit */

static enum role
highest(const char *account)
{
	return account ? ROLE_OWNER : ROLE_ADMIN;
}

bool
person_was_last(const struct edit *edit)
{
	return edit->fault.status == 409 && strcmp(edit->fault.field, "role") == 0;
}

/* 0, or -1 and a fault: without this one nobody could manage people. */
static int
not_last(struct edit *edit, const char *account, const json_t *entry)
{
	const enum role top = highest(account);

	if (role_find(json_text(entry, "role")) == top &&
		count_people(edit->directory, account, top) == 1)
		return fault_set(&edit->fault, 409, "role", LAST, role_name(top));
	return 0;
}

static int
take_name(struct fault *fault, const json_t *body, json_t *entry)
{
	const char *name = json_text(body, "name");

	if (!name && json_object_get(entry, "name"))
		return 0;
	if (!person_name_valid(name))
		return fault_set(
			fault, 400, "name", "a name of at most %d characters", PERSON_NAME_MAX);
	return json_object_set_new(entry, "name", json_string(name));
}

static int
take_language(struct fault *fault, const json_t *body, json_t *entry)
{
	const char *language = json_text(body, "language");

	if (!language)
		return 0;
	if (strcmp(language, "it") != 0 && strcmp(language, "en") != 0)
		return fault_set(fault, 400, "language", "one of: it, en");
	return json_object_set_new(entry, "language", json_string(language));
}

static int
take_role(struct fault *fault, const char *account, const json_t *body, json_t *entry)
{
	const char *text = json_text(body, "role");
	const enum role role = role_find(text);

	if (!text && json_object_get(entry, "role"))
		return 0;
	if (role == ROLE_NONE || role_is_operator(role) != !account)
		return fault_set(fault, 400, "role", "one of: %s",
			account ? "reader, manager, owner" : "support, postmaster, admin");
	return json_object_set_new(entry, "role", json_string(text));
}

static void
end_sessions(json_t *entry)
{
	json_object_set_new(entry, "epoch", json_integer(person_epoch(entry) + 1));
}

static void
end_link(json_t *entry)
{
	json_object_del(entry, "link");
	json_object_del(entry, "secret");
	json_object_del(entry, "link_until_us");
}

static void
make_link(json_t *entry, char link[SECRET_SIZE])
{
	const bool invite = !json_object_get(entry, "verifier");
	const uint64_t until = clock_us() + (invite ? INVITE_US : RESET_US);
	char id[SECRET_ID_SIZE], hash[SECRET_HASH_SIZE];

	secret_new(LINK_PREFIX, link, id);
	secret_hash(link, hash);
	json_object_set_new(entry, "link", json_string(invite ? "invite" : "reset"));
	json_object_set_new(entry, "secret", json_string(hash));
	json_object_set_new(entry, "link_until_us", json_integer((json_int_t)until));
}

static void
edit_begin(struct edit *edit)
{
	edit->changes = json_object();
	edit->reply = json_object();
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

/* A copy of the person's entry, among the changes; NULL and a fault: there is no such person. */
static json_t *
edit_person(struct edit *edit, const char *account, const char *login)
{
	edit_begin(edit);
	if (account_is_there(edit, account) < 0)
		return NULL;
	if (!person_find_of(edit->directory, account, login)) {
		fault_set(&edit->fault, 404, "login", "there is no person \"%.80s\"", login);
		return NULL;
	}
	return edit_entry(edit, "person", login);
}

static json_t *
edit_self(struct edit *edit, const char *login)
{
	const char *account = json_text(directory_get(edit->directory, "person", login), "account");

	return edit_person(edit, account, login);
}

static void
show(struct edit *edit, const char *login, const json_t *entry)
{
	json_t *shown = person_show(login, entry);

	json_object_update(edit->reply, shown);
	json_decref(shown);
}

/* What owners and admins do */

static int
may_add(struct edit *edit, const char *account, const char *login)
{
	if (directory_get(edit->directory, "person", login))
		return fault_set(&edit->fault, 409, "login",
			"%.80s is a person already, here or elsewhere", login);
	if (count_people(edit->directory, account, ROLE_NONE) >= PEOPLE_MAX)
		return fault_set(
			&edit->fault, 409, "login", "there are %d people already", PEOPLE_MAX);
	return 0;
}

/* Fills a new entry from a request. */
static int
take_person(struct edit *edit, const char *account, const json_t *body, json_t *entry)
{
	static const struct field known[] = { { "login", FIELD_TEXT }, { "name", FIELD_TEXT },
		{ "role", FIELD_TEXT }, { "language", FIELD_TEXT }, { 0 } };
	char login[LOGIN_SIZE];

	if (account_is_there(edit, account) < 0 ||
		fields_check(&edit->fault, body, known, NULL) < 0)
		return -1;
	if (!login_canonical(json_text(body, "login"), login))
		return fault_set(&edit->fault, 400, "login",
			"a mail address like anna@acme.example is needed");
	json_object_set_new(entry, "login", json_string(login));
	if (account)
		json_object_set_new(entry, "account", json_string(account));
	if (take_name(&edit->fault, body, entry) < 0 ||
		take_role(&edit->fault, account, body, entry) < 0 ||
		take_language(&edit->fault, body, entry) < 0)
		return -1;
	return may_add(edit, account, login);
}

int
person_add(struct edit *edit, const char *account, const json_t *body, char link[SECRET_SIZE])
{
	json_t *entry = json_object();
	char login[LOGIN_SIZE];

	edit_begin(edit);
	if (take_person(edit, account, body, entry) < 0) {
		json_decref(entry);
		return -1;
	}
	text_copy(login, sizeof login, json_text(entry, "login"));
	make_link(entry, link);
	edit_add(edit, "person", login, entry);
	show(edit, login, entry);
	return 0;
}

static int
take_factor(struct fault *fault, const json_t *body, json_t *entry)
{
	const json_t *wanted = json_object_get(body, "second_factor");

	if (!wanted)
		return 0;
	if (json_is_true(wanted))
		return fault_set(fault, 400, "second_factor",
			"false takes it away; a person sets it up himself");
	json_object_del(entry, "totp");
	json_object_del(entry, "recovery");
	return 0;
}

int
person_change(struct edit *edit, const char *account, const char *login, const json_t *body)
{
	static const struct field known[] = { { "name", FIELD_TEXT }, { "role", FIELD_TEXT },
		{ "language", FIELD_TEXT }, { "second_factor", FIELD_SWITCH }, { 0 } };
	json_t *entry = edit_person(edit, account, login);
	const json_t *before = directory_get(edit->directory, "person", login);
	const char *role = json_text(body, "role");
	bool other;

	if (!entry || fields_check(&edit->fault, body, known, NULL) < 0)
		return -1;
	if (json_object_size(body) == 0)
		return fault_set(&edit->fault, 400, "",
			"at least one of: name, role, language, second_factor");
	other = role && strcmp(role, json_text(before, "role")) != 0;
	if (take_name(&edit->fault, body, entry) < 0 ||
		take_role(&edit->fault, account, body, entry) < 0 ||
		take_language(&edit->fault, body, entry) < 0 ||
		take_factor(&edit->fault, body, entry) < 0 ||
		(other && not_last(edit, account, before) < 0))
		return -1;
	if (other || json_object_get(body, "second_factor"))
		end_sessions(entry);
	show(edit, login, entry);
	return 0;
}

int
person_remove(struct edit *edit, const char *account, const char *login)
{
	json_t *entry = edit_person(edit, account, login);

	if (!entry || not_last(edit, account, entry) < 0)
		return -1;
	show(edit, login, entry);
	edit_remove(edit, "person", login);
	return 0;
}

int
person_invite(struct edit *edit, const char *account, const char *login, char link[SECRET_SIZE])
{
	json_t *entry = edit_person(edit, account, login);

	if (!entry)
		return -1;
	make_link(entry, link);
	show(edit, login, entry);
	return 0;
}

/* Links */

bool
person_may_ask_link(const struct directory *directory, const char *login)
{
	const json_t *there = person_find(directory, login);

	return there &&
		(uint64_t)json_integer_value(json_object_get(there, "link_until_us")) <= clock_us();
}

int
person_ask_link(struct edit *edit, const char *login, char link[SECRET_SIZE])
{
	json_t *entry;

	if (!person_may_ask_link(edit->directory, login))
		return fault_set(&edit->fault, 409, "login", "there is nothing to do");
	entry = edit_self(edit, login);
	if (!entry)
		return -1;
	make_link(entry, link);
	return 0;
}

const char *
person_of_link(const struct directory *directory, const char *secret, uint64_t now_us)
{
	char hash[SECRET_HASH_SIZE];
	const json_t *entry;
	const char *key;

	secret_hash(secret, hash);
	key = directory_secret(directory, hash);
	if (!key || strncmp(key, PERSON_PREFIX, strlen(PERSON_PREFIX)) != 0)
		return NULL;
	key += strlen(PERSON_PREFIX);
	entry = person_find(directory, key);
	return entry &&
			(uint64_t)json_integer_value(json_object_get(entry, "link_until_us")) >
				now_us
		? key
		: NULL;
}

/* What a person does */

int
person_change_self(struct edit *edit, const char *login, const json_t *body)
{
	json_t *entry = edit_self(edit, login);

	if (!entry || take_name(&edit->fault, body, entry) < 0 ||
		take_language(&edit->fault, body, entry) < 0)
		return -1;
	show(edit, login, entry);
	return 0;
}

int
person_set_verifier(struct edit *edit, const char *login, const char *verifier)
{
	json_t *entry = edit_self(edit, login);

	if (!entry)
		return -1;
	json_object_set_new(entry, "verifier", json_string(verifier));
	end_link(entry);
	end_sessions(entry);
	show(edit, login, entry);
	return 0;
}

int
person_set_totp(struct edit *edit, const char *login, const char *secret, json_t *recovery)
{
	json_t *entry = edit_self(edit, login);

	if (!entry) {
		json_decref(recovery);
		return -1;
	}
	json_object_del(entry, "totp");
	json_object_del(entry, "recovery");
	if (secret) {
		json_object_set_new(entry, "totp", json_string(secret));
		json_object_set_new(entry, "recovery", recovery);
	}
	show(edit, login, entry);
	return 0;
}

int
person_use_recovery(struct edit *edit, const char *login, int place)
{
	json_t *entry = edit_self(edit, login), *left;

	if (!entry)
		return -1;
	left = json_copy(json_object_get(entry, "recovery"));
	json_array_remove(left, (size_t)place);
	json_object_set_new(entry, "recovery", left);
	return 0;
}
