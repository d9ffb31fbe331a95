/*
 * account_delete.c - an account ends in two steps. A deleted account works for nobody, but keeps
 * its domains, users and addresses; after ACCOUNT_KEPT_US it goes for ever.
 *
 * api -> [account_delete: delete, restore, purge] -> relay.config      prune -> [purge]
 *
 * The account's one entry says "deleted", so that neither step, nor the way back, is ever half
 * done.
 */
#include <stdlib.h>
#include <string.h>

#include "control/account/accounts.h"
#include "control/account/accounts_private.h"
#include "shared/base/date.h"
#include "shared/base/json_text.h"
#include "shared/base/log.h"

int
account_delete(struct edit *edit, const char *id)
{
	json_t *account = edit_account(edit, id);
	char until[DATE_SIZE];

	if (!account)
		return -1;
	json_object_set(account, "status_before", json_object_get(account, "status"));
	json_object_set_new(account, "status", json_string("deleted"));
	json_object_set(account, "deleted_us", json_object_get(account, "version"));
	date_iso(account_kept_until(account), until);
	json_object_set_new(edit->reply, "status", json_string("deleted"));
	json_object_set_new(edit->reply, "kept_until", json_string(until));
	return 0;
}

/* Restores the account as it was: a suspended account stays suspended. */
int
account_restore(struct edit *edit, const char *id)
{
	json_t *account = edit_any_account(edit, id);
	const char *before = json_text(account, "status_before");

	if (!account)
		return -1;
	if (!account_is_deleted(account))
		return fault_set(&edit->fault, 409, "account", "account %.40s is not deleted", id);
	json_object_set_new(account, "status", json_string(before ? before : "active"));
	json_object_del(account, "status_before");
	json_object_del(account, "deleted_us");
	json_object_set(edit->reply, "status", json_object_get(account, "status"));
	return 0;
}

int
account_purge(struct edit *edit, const char *id)
{
	const char *key;
	json_t *value;

	if (!edit_any_account(edit, id))
		return -1;
	json_object_foreach(directory_members(edit->directory, id), key, value)
		json_object_set_new(edit->changes, key, json_null());
	edit_remove(edit, "account", id);
	if (directory_get(edit->directory, "told", id))
		edit_remove(edit, "told", id); /* the mails that it was sent */
	json_object_set_new(edit->reply, "status", json_string("purged"));
	return 0;
}
