/*
 * reseller.c - whose account an account is, and what its owner may do.
 *
 * gate, api_accounts -> [reseller] -> accounts, directory
 *
 * A reseller sets no limits, plans, policies or addresses that nobody proved, and lifts no
 * suspension of the operator's: all accounts send by the same IPs.
 */
#include "control/reseller/reseller.h"

#include <string.h>

#include "shared/base/json_text.h"

static json_int_t
may_own(const struct directory *directory, const char *reseller)
{
	const json_t *account = directory_get(directory, "account", reseller);

	return account_is_deleted(account)
		? 0
		: json_integer_value(json_object_get(account, "reseller"));
}

bool
reseller_owns(const struct directory *directory, const char *reseller, const char *id)
{
	const char *owner = json_text(directory_get(directory, "account", id), "owner");

	return owner && strcmp(owner, reseller) == 0 && may_own(directory, reseller) > 0;
}

bool
reseller_sees(const struct directory *directory, const struct caller *caller, const char *account)
{
	return caller_sees(caller, account) ||
		(caller->kind != CALLER_NOBODY && *caller->account &&
			reseller_owns(directory, caller->account, account));
}

bool
reseller_may(const struct directory *directory, const struct caller *caller, const char *account)
{
	if (caller_is_operator(caller))
		return true;
	return account ? reseller_owns(directory, caller->account, account)
		       : may_own(directory, caller->account) > 0;
}

static json_int_t
count_owned(const struct directory *directory, const char *reseller)
{
	json_int_t count = 0;
	const char *key, *owner;
	json_t *entry;

	json_object_foreach(directory_entries(directory), key, entry)
	{
		owner = strncmp(key, "account/", 8) == 0 ? json_text(entry, "owner") : NULL;
		count += owner && strcmp(owner, reseller) == 0;
	}
	return count;
}

/* -1 and a fault, with no changes. */
static int
refuse(struct edit *edit, int status, const char *field, const char *error)
{
	edit->changes = json_object();
	edit->reply = json_object();
	return fault_set(&edit->fault, status, field, "%s", error);
}

/* A field that only an operator may name; NULL: there is none. */
static const char *
beyond(const json_t *body, const char *const *allowed)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)body, key, value)
	{
		size_t i = 0;

		while (allowed[i] && strcmp(allowed[i], key) != 0)
			i++;
		if (!allowed[i])
			return key;
	}
	return NULL;
}

int
reseller_account_create(struct edit *edit, const char *reseller, const json_t *body)
{
	static const char *const allowed[] = { "name", "contact", "language", "domains", NULL };
	const char *field = json_is_object(body) ? beyond(body, allowed) : NULL;
	json_t *whole;
	int err;

	if (field)
		return refuse(edit, 403, field, "only the operator says this");
	if (count_owned(edit->directory, reseller) >= may_own(edit->directory, reseller))
		return refuse(edit, 409, "", "the reseller owns as many accounts as he may");
	whole = json_is_object(body) ? json_copy((json_t *)body) : json_object();
	json_object_set_new(whole, "pending", json_true());
	json_object_set_new(whole, "owner", json_string(reseller));
	err = account_create(edit, whole);
	json_decref(whole);
	return err;
}

int
reseller_account_change(struct edit *edit, const char *id, const json_t *body)
{
	static const char *const allowed[] = { "name", "contact", "language", NULL };
	const char *field = json_is_object(body) ? beyond(body, allowed) : NULL;

	return field ? refuse(edit, 403, field, "only the operator says this")
		     : account_change(edit, id, body);
}
