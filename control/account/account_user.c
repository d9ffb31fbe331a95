/*
 * account_user.c - an account's usernames: their passwords, and what each may do.
 *
 * api -> accounts -> [account_user] -> relay.config -> Redis -> shared/account/credential.c
 * rounds (what is over) ----^
 */
#include "control/account/account_user.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/account/accounts_private.h"
#include "control/account/user_fields.h"
#include "shared/account/credential.h"
#include "shared/account/scram.h"
#include "shared/base/date.h"
#include "shared/base/json_text.h"
#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/base/random.h"

#define PASSWORD_LENGTH 24 /* 140 bits */
#define PASSWORD_SIGNS PLAIN_SIGNS "ABCDEFGHJKLMNPQRSTUVWXYZ"
#define HOUR_US (UINT64_C(3600) * 1000000)

/* Passwords */

/* `beside`: a verifier that goes on working; NULL: none does. */
static void
new_password(struct edit *edit, json_t *user, const char *beside)
{
	char password[PASSWORD_LENGTH + 1], verifier[SCRAM_TEXT_MAX];

	random_text(password, PASSWORD_LENGTH, PASSWORD_SIGNS);
	if ((beside ? scram_make_beside(password, beside, verifier)
		    : scram_make(password, verifier)) < 0)
		die("cannot make a verifier", "SASLprep");
	json_object_set_new(user, "verifier", json_string(verifier));
	json_object_set_new(edit->reply, "password", json_string(password));
	explicit_bzero(password, sizeof password);
	explicit_bzero(verifier, sizeof verifier);
}

/* The former passwords that still work; the caller releases the list. */
static json_t *
former_alive(const json_t *user, uint64_t now_us)
{
	json_t *alive = json_array(), *one;
	size_t i;

	json_array_foreach(json_object_get(user, "former"), i,
		one) if ((uint64_t)json_integer_value(json_object_get(one, "until_us")) > now_us)
		json_array_append(alive, one);
	return alive;
}

static void
set_former(json_t *user, json_t *former)
{
	if (json_array_size(former) > 0)
		json_object_set_new(user, "former", former);
	else
		json_object_del(user, "former");
	if (json_array_size(former) == 0)
		json_decref(former);
}

/* The password works until `until_us`, beside a new one. */
static int
keep_password(struct edit *edit, json_t *user, uint64_t now_us, uint64_t until_us)
{
	json_t *former = former_alive(user, now_us);
	char until[DATE_SIZE];

	if (json_array_size(former) >= CREDENTIAL_FORMER_MAX) {
		json_decref(former);
		return fault_set(&edit->fault, 409, "grace_hours",
			"%d former passwords still work: without a time of grace they all end",
			CREDENTIAL_FORMER_MAX);
	}
	json_array_insert_new(former, 0,
		json_pack("{s:O, s:I}", "verifier", json_object_get(user, "verifier"), "until_us",
			(json_int_t)until_us));
	set_former(user, former);
	date_iso(until_us, until);
	json_object_set_new(edit->reply, "grace_until", json_string(until));
	return 0;
}

static int
renew(struct edit *edit, json_t *user, uint64_t grace_us)
{
	const uint64_t now = clock_us();
	char *before;

	if (!grace_us) {
		json_object_del(user, "former");
		new_password(edit, user, NULL);
		return 0;
	}
	if (keep_password(edit, user, now, now + grace_us) < 0)
		return -1;
	before = xstrdup(json_text(user, "verifier"));
	new_password(edit, user, before);
	explicit_bzero(before, strlen(before));
	free(before);
	return 0;
}

/* Users */

/* "acme-srl-x7k2m9": what an operator recognises, and nobody guesses in passing. */
static void
new_username(const struct edit *edit, const char *name, char out[32])
{
	size_t length = 0;

	for (; *name && length < 16; name++) {
		if (isalnum((unsigned char)*name))
			out[length++] = (char)tolower((unsigned char)*name);
		else if (length > 0 && out[length - 1] != '-')
			out[length++] = '-';
	}
	if (length > 0 && out[length - 1] != '-')
		out[length++] = '-';
	do
		random_text(out + length, 6, PLAIN_SIGNS);
	while (directory_get(edit->directory, "user", out));
}

void
edit_add_user(struct edit *edit, const char *id, const char *name, const json_t *fields)
{
	json_t *user = json_pack("{s:s, s:b}", "account", id, "enabled", 1);
	char username[32];

	if (fields)
		json_object_update(user, (json_t *)fields);
	new_username(edit, name, username);
	json_object_set_new(edit->reply, "username", json_string(username));
	new_password(edit, user, NULL);
	edit_add(edit, "user", username, user);
}

/* The user named in the body; without a name the account's only one. */
static const char *
named_user(struct edit *edit, const char *id, const json_t *body)
{
	const char *name = json_text(body, "username"), *key, *only = NULL;
	unsigned count = 0;
	json_t *value;

	json_object_foreach(directory_members(edit->directory, id), key, value)
	{
		if (strncmp(key, "user/", 5) != 0)
			continue;
		count++;
		only = key + 5;
		if (name && strcmp(name, only) == 0)
			return only;
	}
	if (name)
		fault_set(&edit->fault, 404, "username", "the account has no user \"%.40s\"", name);
	else if (count != 1)
		fault_set(&edit->fault, count ? 409 : 404, "username",
			count ? "the account has %u users: say which" : "the account has no user",
			count);
	return !name && count == 1 ? only : NULL;
}

/* Begins an edit of a user of the account: a copy of its entry, among the changes. NULL and a
 * fault: there is none. */
static json_t *
edit_user(struct edit *edit, const char *id, const char *username)
{
	const char *owner = json_text(directory_get(edit->directory, "user", username), "account");

	if (!edit_account(edit, id))
		return NULL;
	if (!owner || strcmp(owner, id) != 0) {
		fault_set(&edit->fault, 404, "username", "the account has no \"%.60s\"", username);
		return NULL;
	}
	json_object_clear(edit->changes);
	json_object_set_new(edit->reply, "username", json_string(username));
	return edit_entry(edit, "user", username);
}

static int
say_state(struct edit *edit, const json_t *user)
{
	return json_object_set_new(edit->reply, "state", json_string(user_state(user, clock_us())));
}

/* The edits */

int
account_add_user(struct edit *edit, const char *id, const json_t *body)
{
	const json_t *account = edit_account(edit, id);
	json_t *fields = json_object();
	int err = -1;

	if (account && user_take(&edit->fault, fields, body, USER_NEW) == 0) {
		edit_add_user(edit, id, json_text(account, "name"), fields);
		err = 0;
	}
	json_decref(fields);
	return err;
}

int
account_change_user(struct edit *edit, const char *id, const char *username, const json_t *body)
{
	json_t *scratch = json_object(), *user;
	const int err = user_take(&edit->fault, scratch, body, USER_CHANGE);

	json_decref(scratch);
	user = err ? NULL : edit_user(edit, id, username);
	if (!user || user_take(&edit->fault, user, body, USER_CHANGE) < 0)
		return -1;
	return say_state(edit, user);
}

int
account_password(struct edit *edit, const char *id, const json_t *body)
{
	static const struct field known[] = {
		{ "username", FIELD_TEXT },
		{ "grace_hours", FIELD_NUMBER },
		{ "mail", FIELD_SWITCH },
		{ 0 },
	};
	const json_int_t hours = json_integer_value(json_object_get(body, "grace_hours"));
	const char *username;

	if (!edit_account(edit, id) || fields_check(&edit->fault, body, known, NULL) < 0)
		return -1;
	if (hours < 0 || hours > USER_GRACE_HOURS_MAX)
		return fault_set(&edit->fault, 400, "grace_hours", "a number from 0 to %d",
			USER_GRACE_HOURS_MAX);
	username = named_user(edit, id, body);
	if (!username)
		return -1;
	json_object_clear(edit->changes);
	json_object_set_new(edit->reply, "username", json_string(username));
	return renew(edit, edit_entry(edit, "user", username), (uint64_t)hours * HOUR_US);
}

int
account_suspend_user(struct edit *edit, const char *id, const char *username, const json_t *body)
{
	json_t *scratch = json_object(), *user;
	const int err = user_take_reason(&edit->fault, scratch, body);

	json_decref(scratch);
	user = err ? NULL : edit_user(edit, id, username);
	if (!user || user_take_reason(&edit->fault, user, body) < 0)
		return -1;
	return say_state(edit, user);
}

int
account_resume_user(struct edit *edit, const char *id, const char *username)
{
	json_t *user = edit_user(edit, id, username);

	if (!user)
		return -1;
	if (!json_object_get(user, "suspended"))
		return fault_set(&edit->fault, 409, "username", "it is not suspended");
	json_object_del(user, "suspended");
	return say_state(edit, user);
}

int
account_named(struct edit *edit, const char *id, bool user, const json_t *body)
{
	static const struct field known[] = {
		{ "username", FIELD_TEXT },
		{ 0 },
	};
	const json_t *account = edit_account(edit, id);
	const char *username = NULL;

	json_decref(edit->changes);
	edit->changes = NULL;
	if (!account || fields_check(&edit->fault, body, &known[!user], NULL) < 0)
		return -1;
	if (user && !(username = named_user(edit, id, body)))
		return -1;
	if (user)
		json_object_set_new(edit->reply, "username", json_string(username));
	return 0;
}

/* What happens by itself */

bool
user_former_is_over(const json_t *user, uint64_t now_us)
{
	json_t *alive = former_alive(user, now_us);
	const bool over = json_array_size(alive) < json_array_size(json_object_get(user, "former"));

	json_decref(alive);
	return over;
}

bool
account_former_end(struct edit *edit, const char *username, uint64_t now_us)
{
	const json_t *entry = directory_get(edit->directory, "user", username);
	json_t *user;

	edit->changes = json_object();
	edit->reply = json_object();
	if (!entry || !user_former_is_over(entry, now_us))
		return false;
	user = edit_entry(edit, "user", username);
	set_former(user, former_alive(user, now_us));
	return true;
}
