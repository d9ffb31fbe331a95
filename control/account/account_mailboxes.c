/*
 * account_mailboxes.c - how many mailboxes each domain of an account has.
 *
 * api -> [account_mailboxes] -> accounts, account_service
 */
#include <stdio.h>
#include <string.h>

#include "control/account/accounts.h"
#include "control/account/accounts_private.h"
#include "control/config/plan.h"
#include "shared/base/json_text.h"

static json_t *
domain_named(const json_t *account, const char *name)
{
	json_t *domain;
	size_t i;

	json_array_foreach(json_object_get(account, "domains"), i,
		domain) if (strcmp(json_text(domain, "name"), name) == 0) return domain;
	return NULL;
}

/* `seen`: the domains that were named before. */
static int
set_mailboxes(struct edit *edit, const json_t *account, const json_t *item, json_t *seen)
{
	static const struct field known[] = {
		{ "name", FIELD_TEXT },
		{ "mailboxes", FIELD_NUMBER },
		{ 0 },
	};
	json_t *number = json_object_get(item, "mailboxes"), *domain;
	const char *text = json_text(item, "name");
	char name[256] = "";

	if (fields_check(&edit->fault, item, known, NULL) < 0)
		return -1;
	if (!number || json_integer_value(number) < 0 || json_integer_value(number) > MAILBOXES_MAX)
		return fault_set(
			&edit->fault, 400, "mailboxes", "a number from 0 to %d", MAILBOXES_MAX);
	domain = text && canonical_domain(text, name) == 0 ? domain_named(account, name) : NULL;
	if (!domain)
		return fault_set(&edit->fault, 404, "name", "the account has no \"%.200s\"",
			text ? text : "");
	if (json_object_get(seen, name))
		return fault_set(&edit->fault, 400, "name", "%.200s is there twice", name);
	json_object_set_new(seen, name, json_true());
	return json_object_set(domain, "mailboxes", number);
}

static int
set_all_mailboxes(struct edit *edit, const json_t *account, const json_t *list)
{
	json_t *seen = json_object(), *item;
	char field[32];
	size_t i;
	int err = 0;

	json_array_foreach(list, i, item)
	{
		if (err)
			break;
		snprintf(field, sizeof field, "domains[%zu]", i);
		err = set_mailboxes(edit, account, item, seen);
		if (err)
			fault_in(&edit->fault, field);
	}
	json_decref(seen);
	return err;
}

int
account_set_mailboxes(struct edit *edit, const char *id, const json_t *body)
{
	static const struct field known[] = {
		{ "domains", FIELD_LIST },
		{ 0 },
	};
	const json_t *list = json_object_get(body, "domains");
	json_t *account = edit_account(edit, id);

	if (!account || fields_check(&edit->fault, body, known, NULL) < 0)
		return -1;
	if (strcmp(json_text(account, "status"), "active") != 0)
		return fault_set(&edit->fault, 409, "account",
			"account %.40s is not active: its mailboxes stay as they are", id);
	if (json_array_size(list) == 0)
		return fault_set(&edit->fault, 400, "domains", "a list of at least one domain");
	if (set_all_mailboxes(edit, account, list) < 0 || plan_fits(edit, account) < 0)
		return -1;
	json_object_set_new(edit->reply, "mailboxes", json_integer(plan_mailboxes(account)));
	json_object_set_new(edit->reply, "limits_in_force", limits_in_force(edit->config, account));
	return 0;
}
