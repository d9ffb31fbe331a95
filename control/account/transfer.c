/*
 * transfer.c - accounts and relay.config as documents that leave the relay and come back.
 *
 * relay.config -> [account_export] -> a file -> [account_import] -> relay.config of any relay
 *                                     a file -> [entries_restore] -> an empty relay.config
 *
 * A document may be hostile: transfer_check.c checks each field.
 */
#include "control/account/transfer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/account/accounts_private.h"
#include "control/account/person_entry.h"
#include "control/account/transfer_check.h"
#include "shared/account/owner.h"
#include "shared/base/json_text.h"
#include "shared/base/log.h"

/* Export */

static json_t *
without_version(const json_t *entry)
{
	json_t *copy = json_copy((json_t *)entry);

	json_object_del(copy, "version");
	return copy;
}

static json_t *
member_export(const json_t *entry, const char *field, const char *name)
{
	json_t *copy = json_pack("{s:s}", field, name);

	json_object_update(copy, (json_t *)entry);
	json_object_del(copy, "version");
	json_object_del(copy, "account");
	return copy;
}

json_t *
account_export(const struct directory *directory, const char *id)
{
	const json_t *account = directory_get(directory, "account", id), *entry;
	json_t *users = json_array(), *addresses = json_array(), *people = json_array(), *value;
	const char *key;

	if (!account) {
		json_decref(users);
		json_decref(addresses);
		json_decref(people);
		return NULL;
	}
	json_object_foreach(directory_members(directory, id), key, value)
	{
		entry = directory_entry(directory, key);
		if (strncmp(key, "user/", 5) == 0)
			json_array_append_new(users, member_export(entry, "username", key + 5));
		else if (strncmp(key, "ip/", 3) == 0)
			json_array_append_new(addresses, member_export(entry, "address", key + 3));
		else if (strncmp(key, PERSON_PREFIX, strlen(PERSON_PREFIX)) == 0)
			json_array_append_new(
				people, member_export(entry, "login", key + strlen(PERSON_PREFIX)));
	}
	return json_pack("{s:o, s:o, s:o, s:o}", "account", without_version(account), "users",
		users, "addresses", addresses, "people", people);
}

/* Import: first what the document wants, then the differences. */

static const struct kind {
	const char *list, *prefix, *name;
	struct field known[16];
	int (*check)(struct fault *fault, const char *name, const json_t *member);
} kinds[] = {
	{ "users", "user/", "username",
		{ { "username", FIELD_TEXT }, { "enabled", FIELD_SWITCH },
			{ "verifier", FIELD_TEXT }, { "created_us", FIELD_NUMBER },
			{ "former", FIELD_LIST }, { "suspended", FIELD_TEXT },
			{ "sandbox", FIELD_SWITCH }, { "label", FIELD_TEXT },
			{ "limits", FIELD_OBJECT }, { "networks", FIELD_LIST } },
		check_user },
	{ "addresses", "ip/", "address",
		{ { "address", FIELD_TEXT }, { "active", FIELD_SWITCH },
			{ "asked_us", FIELD_NUMBER }, { "lapsed", FIELD_SWITCH },
			{ "used_us", FIELD_NUMBER }, { "lapses_us", FIELD_NUMBER },
			{ "proof", FIELD_OBJECT }, { "created_us", FIELD_NUMBER } },
		check_address },
	{ "people", PERSON_PREFIX, "login",
		{ { "login", FIELD_TEXT }, { "name", FIELD_TEXT }, { "role", FIELD_TEXT },
			{ "language", FIELD_TEXT }, { "epoch", FIELD_NUMBER },
			{ "verifier", FIELD_TEXT }, { "link", FIELD_TEXT },
			{ "secret", FIELD_TEXT }, { "link_until_us", FIELD_NUMBER },
			{ "totp", FIELD_TEXT }, { "recovery", FIELD_LIST },
			{ "created_us", FIELD_NUMBER } },
		check_person_of_account },
};

/* Adds a member's wanted entry to `wanted`, unless the member is another account's. */
static int
want_member(struct edit *edit, const struct kind *kind, const char *id, const json_t *member,
	json_t *wanted)
{
	const char *name = json_text(member, kind->name), *owner;
	json_t *entry;
	char *key;
	int err = 0;

	if (fields_check(&edit->fault, member, kind->known, NULL) < 0 ||
		kind->check(&edit->fault, name, member) < 0)
		return -1;
	key = xasprintf("%s%s", kind->prefix, name);
	owner = json_text(directory_entry(edit->directory, key), "account");
	if (kind->check == check_address)
		err = address_free(edit, id, kind->name, name);
	else if (owner && strcmp(owner, id) != 0)
		err = taken(edit, kind->name, name, owner);
	else if (!owner && directory_entry(edit->directory, key))
		err = fault_set(&edit->fault, 409, kind->name,
			"%.100s works for this relay's operator", name);
	if (!err && json_object_get(wanted, key))
		err = fault_set(&edit->fault, 400, kind->name, "%.100s is there twice", name);
	if (!err) {
		entry = json_copy((json_t *)member);
		if (kind->check != check_person_of_account)
			json_object_del(entry, kind->name); /* a person's entry has it */
		json_object_set_new(entry, "account", json_string(id));
		json_object_set_new(wanted, key, entry);
	}
	free(key);
	return err;
}

static int
want_members(struct edit *edit, const struct kind *kind, const char *id, const json_t *list,
	json_t *wanted)
{
	json_t *member;
	char field[32];
	size_t i;

	json_array_foreach(list, i, member)
	{
		snprintf(field, sizeof field, "%s[%zu]", kind->list, i);
		if (want_member(edit, kind, id, member, wanted) < 0)
			return fault_in(&edit->fault, field);
	}
	return 0;
}

static int
want_domains(struct edit *edit, const char *id, const json_t *domains)
{
	json_t *domain;
	char field[48];
	size_t i;

	json_array_foreach(domains, i, domain)
	{
		const char *name = json_text(domain, "name");
		const char *owner = directory_domain_owner(edit->directory, name);

		snprintf(field, sizeof field, "account.domains[%zu].name", i);
		if (owner && strcmp(owner, id) != 0)
			return taken(edit, field, name, owner);
	}
	return 0;
}

static int
want(struct edit *edit, const json_t *document, json_t *wanted)
{
	static const struct field known[] = {
		{ "account", FIELD_OBJECT },
		{ "users", FIELD_LIST },
		{ "addresses", FIELD_LIST },
		{ "people", FIELD_LIST },
		{ 0 },
	};
	const json_t *account = json_object_get(document, "account");
	json_t *entry;
	char *key;

	if (fields_check(&edit->fault, document, known, NULL) < 0)
		return -1;
	if (check_account(&edit->fault, account) < 0 || plan_known(edit, account) < 0)
		return fault_in(&edit->fault, "account");
	key = xasprintf("account/%s", json_text(account, "id"));
	entry = without_version(account);
	host_keep(edit, entry);
	json_object_set_new(wanted, key, entry);
	free(key);
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		if (want_members(edit, &kinds[i], json_text(account, "id"),
			    json_object_get(document, kinds[i].list), wanted) < 0)
			return -1;
	return want_domains(edit, json_text(account, "id"), json_object_get(account, "domains"));
}

/* The names of the differing fields, for people. */
static void
tell_fields(json_t *told, const json_t *have, json_t *entry)
{
	const char *field;
	json_t *value;

	json_object_foreach(entry, field, value)
	{
		const json_t *old = json_object_get(have, field);

		if (!old || !json_equal(old, value))
			json_array_append_new(told, json_string(field));
	}
	json_object_foreach((json_t *)have, field, value) if (!json_object_get(entry, field) &&
		strcmp(field, "version") != 0) json_array_append_new(told, json_string(field));
}

static void
tell_member(json_t *told, const char *key, const char *what)
{
	json_array_append_new(told, json_sprintf("%s %s", key, what));
}

static bool
is_same(const json_t *have, const json_t *entry)
{
	json_t *bare = have ? without_version(have) : NULL;
	const bool same = bare && json_equal(bare, entry);

	json_decref(bare);
	return same;
}

static void
differ(struct edit *edit, json_t *told, const char *key, json_t *entry)
{
	const json_t *have = directory_entry(edit->directory, key);
	json_t *change;

	if (is_same(have, entry))
		return;
	change = json_copy(entry);
	json_object_set_new(change, "version", json_integer(now_version(have)));
	json_object_set_new(edit->changes, key, change);
	if (strncmp(key, "account/", 8) == 0)
		tell_fields(told, have, entry);
	else
		tell_member(told, key, have ? "changed" : "added");
}

/* Tokens stay: an export has none. Neither has an export of an older build people. */
static bool
is_in_exports(const char *key, const json_t *document)
{
	if (strncmp(key, PERSON_PREFIX, strlen(PERSON_PREFIX)) == 0)
		return json_object_get(document, "people") != NULL;
	return directory_is_account_key(key);
}

static void
drop(struct edit *edit, json_t *told, const char *id, const json_t *wanted, const json_t *document)
{
	const char *key;
	json_t *value;

	json_object_foreach(directory_members(edit->directory, id), key, value)
	{
		if (json_object_get(wanted, key) || !is_in_exports(key, document))
			continue;
		json_object_set_new(edit->changes, key, json_null());
		tell_member(told, key, "removed");
	}
}

static json_t *
claims_of(json_t *wanted, const json_t *document)
{
	json_t *claims = json_array(), *value;
	const char *key;
	size_t i;

	json_object_foreach(wanted, key, value) json_array_append_new(claims, json_string(key));
	json_array_foreach(
		json_object_get(json_object_get(document, "account"), "domains"), i, value)
		json_array_append_new(claims, json_sprintf("domain/%s", json_text(value, "name")));
	return claims;
}

static int
refuse_changes(struct edit *edit, const json_t *told)
{
	char list[160] = "";
	json_t *what;
	size_t i;

	json_array_foreach(told, i, what)
	{
		const size_t at = strlen(list);

		snprintf(list + at, sizeof list - at, "%s%s", at ? ", " : "",
			json_string_value(what));
	}
	return fault_set(
		&edit->fault, 409, "account", "it is here and differs (%.150s): replace?", list);
}

int
account_import(struct edit *edit, const json_t *document, bool replace, bool look)
{
	json_t *wanted = json_object(), *told = json_array(), *entry;
	const char *id, *key, *result;
	bool is_new;
	int err;

	edit->changes = json_object();
	edit->reply = json_object();
	err = want(edit, document, wanted);
	id = json_text(json_object_get(document, "account"), "id");
	if (!err) {
		is_new = !directory_get(edit->directory, "account", id);
		json_object_foreach(wanted, key, entry) differ(edit, told, key, entry);
		drop(edit, told, id, wanted, document);
		result = !json_object_size(edit->changes) ? "same" : is_new ? "new" : "changed";
		if (strcmp(result, "changed") == 0 && !replace && !look)
			err = refuse_changes(edit, told);
		json_object_update_new(edit->reply,
			json_pack("{s:s, s:s, s:O, s:o}", "account", id, "result", result,
				"changed", told, "claims", claims_of(wanted, document)));
	}
	json_decref(wanted);
	json_decref(told);
	return err;
}

/* Restore */

static int
restore_entry(struct edit *edit, const char *key, json_t *value)
{
	const json_t *have = directory_entry(edit->directory, key);
	json_t *bare, *entry;
	bool same;

	if (entry_check(&edit->fault, key, value) < 0 ||
		want_domains(edit, json_text(value, "id"), json_object_get(value, "domains")) < 0)
		return -1;
	bare = without_version(value);
	same = is_same(have, bare);
	json_decref(bare);
	if (same)
		return 0;
	if (have && (strcmp(key, OWNER_KEY) != 0 || directory_has_accounts(edit->directory)))
		return fault_set(&edit->fault, 409, key, "it is here already, and differs");
	entry = json_copy(value);
	if (json_object_get(value, "version"))
		json_object_set_new(entry, "version", json_integer(now_version(value)));
	json_object_set_new(edit->changes, key, entry);
	return 0;
}

int
entries_restore(struct edit *edit, json_t *entries)
{
	const char *key;
	json_t *value;

	edit->changes = json_object();
	edit->reply = json_object();
	json_object_foreach(entries, key, value) if (restore_entry(edit, key, value) < 0) return -1;
	json_object_set_new(
		edit->reply, "entries", json_integer((json_int_t)json_object_size(edit->changes)));
	return 0;
}
