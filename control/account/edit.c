/*
 * edit.c - what each edit of accounts is made of: new versions of entries, among the changes.
 *
 * accounts, account_*.c, domain_state, address_state -> [edit] -> directory
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/account/accounts_private.h"
#include "shared/base/date.h"
#include "shared/base/json_text.h"
#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/config/config.h"

json_int_t
now_version(const json_t *old)
{
	const json_int_t now = (json_int_t)clock_us();
	const json_int_t last = json_integer_value(json_object_get(old, "version"));

	return now > last ? now : last + 1; /* also when the clock was set back */
}

json_t *
edit_entry(struct edit *edit, const char *kind, const char *name)
{
	json_t *old = directory_get(edit->directory, kind, name), *copy;
	char *key;

	if (!old)
		return NULL;
	key = xasprintf("%s/%s", kind, name);
	copy = json_object_get(edit->changes, key);
	if (!copy) {
		copy = json_deep_copy(old);
		json_object_set_new(copy, "version", json_integer(now_version(old)));
		json_object_set_new(edit->changes, key, copy);
	}
	free(key);
	return copy;
}

json_t *
edit_any_account(struct edit *edit, const char *id)
{
	json_t *account;

	edit->changes = json_object();
	edit->reply = json_pack("{s:s}", "account", id);
	account = edit_entry(edit, "account", id);
	if (!account)
		fault_set(&edit->fault, 404, "account", "there is no account \"%.40s\"", id);
	return account;
}

json_t *
edit_account(struct edit *edit, const char *id)
{
	json_t *account = edit_any_account(edit, id);

	if (!account || !account_is_deleted(account))
		return account;
	fault_set(&edit->fault, 409, "account", "account %.40s is deleted: restore it first", id);
	return NULL;
}

void
edit_add(struct edit *edit, const char *kind, const char *name, json_t *entry)
{
	char *key = xasprintf("%s/%s", kind, name);
	const json_int_t now = now_version(NULL);

	json_object_set_new(entry, "version", json_integer(now));
	json_object_set_new(entry, "created_us", json_integer(now));
	json_object_set_new(edit->changes, key, entry);
	free(key);
}

void
edit_remove(struct edit *edit, const char *kind, const char *name)
{
	char *key = xasprintf("%s/%s", kind, name);

	json_object_set_new(edit->changes, key, json_null());
	free(key);
}

int
taken(struct edit *edit, const char *field, const char *what, const char *owner)
{
	const json_t *account = directory_get(edit->directory, "account", owner);
	const char *support = edit->config ? edit->config->service.support : NULL;
	char until[DATE_SIZE] = "";

	if (edit->customer)
		return fault_set(&edit->fault, 409, field,
			"%.150s is registered already: write to %s", what,
			support ? support : "us");
	if (!account_is_deleted(account))
		return fault_set(
			&edit->fault, 409, field, "%.150s belongs to account %s", what, owner);
	date_iso(account_kept_until(account), until);
	return fault_set(&edit->fault, 409, field,
		"%.150s belongs to account %s, deleted and kept until %s", what, owner, until);
}

bool
account_id_valid(const char *id)
{
	return strlen(id) == ACCOUNT_ID_LENGTH && strspn(id, PLAIN_SIGNS) == ACCOUNT_ID_LENGTH;
}
