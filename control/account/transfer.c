/*
 * transfer.c - accounts and relay.config as documents that leave the relay and come back.
 *
 * relay.config -> [account_export] -> a file -> [account_import] -> relay.config of any relay
 *                                     a file -> [entries_restore] -> an empty relay.config
 *
 * What comes may be hostile: each field is checked as the API checks what it is given.
 */
#include "control/account/transfer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/account/accounts_private.h"
#include "shared/account/account.h"
#include "shared/account/owner.h"
#include "shared/account/scram.h"
#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/mail/selector.h"

#define USERNAME_MAX 100
#define USERNAME_SIGNS "abcdefghijklmnopqrstuvwxyz0123456789-._@+"
#define RULE_DIGITS 20

static const char *
text(const json_t *object, const char *field)
{
	return json_string_value(json_object_get(object, field));
}

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
	json_t *users = json_array(), *addresses = json_array(), *value;
	const char *key;

	if (!account) {
		json_decref(users);
		json_decref(addresses);
		return NULL;
	}
	json_object_foreach(directory_members(directory, id), key, value)
	{
		entry = directory_entry(directory, key);
		if (strncmp(key, "user/", 5) == 0)
			json_array_append_new(users, member_export(entry, "username", key + 5));
		else
			json_array_append_new(addresses, member_export(entry, "address", key + 3));
	}
	return json_pack("{s:o, s:o, s:o}", "account", without_version(account), "users", users,
		"addresses", addresses);
}

/* Checks: a fault of an inner field gets the place of the outer one. */

static int
fault_in(struct fault *fault, const char *in)
{
	char field[FAULT_FIELD_MAX];

	snprintf(field, sizeof field, "%s%s%.60s", in, *fault->field ? "." : "", fault->field);
	memcpy(fault->field, field, sizeof field);
	return -1;
}

static bool
is_time(const json_t *value)
{
	return !value || (json_is_integer(value) && json_integer_value(value) >= 0);
}

static bool
is_one_of(const json_t *value, const char *one, const char *two, const char *three)
{
	const char *word = json_string_value(value);

	return word &&
		(strcmp(word, one) == 0 || strcmp(word, two) == 0 ||
			(three && strcmp(word, three) == 0));
}

static int
check_domain(struct fault *fault, const json_t *domain, json_t *seen)
{
	static const struct field known[] = {
		{"name",        FIELD_TEXT },
                { "mailboxes",            FIELD_NUMBER },
                { "verified",FIELD_SWITCH },
		{ 0  }
	};
	char name[256];

	if (fields_check(fault, domain, known, NULL) < 0)
		return -1;
	if (canonical_domain(text(domain, "name"), name) < 0 ||
		strcmp(name, text(domain, "name")) != 0)
		return fault_set(fault, 400, "name", "a domain like acme.example is needed");
	if (json_object_get(seen, name))
		return fault_set(fault, 400, "name", "%.100s is there twice", name);
	json_object_set_new(seen, name, json_true());
	if (json_integer_value(json_object_get(domain, "mailboxes")) < 0)
		return fault_set(fault, 400, "mailboxes", "a number from 0 up");
	if (!json_object_get(domain, "verified"))
		return fault_set(fault, 400, "verified", "true or false");
	return 0;
}

static int
check_domains(struct fault *fault, const json_t *domains)
{
	json_t *seen = json_object(), *domain;
	char field[32];
	size_t i;
	int err = 0;

	json_array_foreach(domains, i, domain)
	{
		if (err)
			break;
		err = check_domain(fault, domain, seen);
		snprintf(field, sizeof field, "domains[%zu]", i);
		if (err)
			fault_in(fault, field);
	}
	json_decref(seen);
	return err;
}

static int
check_status(struct fault *fault, const json_t *account)
{
	const json_t *before = json_object_get(account, "status_before");
	const json_t *deleted = json_object_get(account, "deleted_us");

	if (!is_one_of(json_object_get(account, "status"), "active", "disabled", "deleted"))
		return fault_set(fault, 400, "status", "one of: active, disabled, deleted");
	if (before && !is_one_of(before, "active", "disabled", NULL))
		return fault_set(fault, 400, "status_before", "one of: active, disabled");
	if (!is_time(deleted) || account_is_deleted(account) != (deleted != NULL))
		return fault_set(fault, 400, "deleted_us",
			"a deleted account has a time, in microseconds, and no other has");
	return 0;
}

/* Its profile is taken as a request's would be. */
static int
check_account(struct fault *fault, const json_t *account)
{
	static const struct field known[] = {
		{"id",        FIELD_TEXT },
                { "name",          FIELD_TEXT },
                { "contact",FIELD_TEXT },
		{ "status",  FIELD_TEXT },
                { "policy",          FIELD_TEXT },
		{ "display_address",FIELD_TEXT },
                { "limits",   FIELD_OBJECT },
		{ "domains",          FIELD_LIST },
                { "version",  FIELD_NUMBER },
		{ "created_us",   FIELD_NUMBER },
                { "deleted_us",          FIELD_NUMBER },
		{ "status_before",FIELD_TEXT },
                { 0 }
	};
	json_t *profile;
	int err;

	if (!account || fields_check(fault, account, known, NULL) < 0)
		return account ? -1 : fault_set(fault, 400, "", "a JSON object is needed");
	if (!text(account, "id") || !account_id_valid(text(account, "id")))
		return fault_set(fault, 400, "id", "no account has such an id");
	if (!json_object_get(account, "limits") || !json_object_get(account, "domains"))
		return fault_set(fault, 400,
			json_object_get(account, "limits") ? "domains" : "limits", "is missing");
	if (!is_time(json_object_get(account, "created_us")))
		return fault_set(fault, 400, "created_us", "a time in microseconds");
	profile = json_pack("{s:{}}", "limits");
	err = take_profile(fault, profile, account, true);
	json_decref(profile);
	if (err || check_status(fault, account) < 0)
		return -1;
	return check_domains(fault, json_object_get(account, "domains"));
}

static bool
username_valid(const char *name)
{
	const size_t length = name ? strlen(name) : 0;

	return length > 0 && length <= USERNAME_MAX && strspn(name, USERNAME_SIGNS) == length;
}

/* A user as an entry; `name` stands in its key. */
static int
check_user(struct fault *fault, const char *name, const json_t *user)
{
	struct scram_verifier verifier;
	int err = 0;

	if (!username_valid(name))
		return fault_set(fault, 400, "username", "1 to %d of the signs %s", USERNAME_MAX,
			USERNAME_SIGNS);
	if (!json_object_get(user, "enabled"))
		return fault_set(fault, 400, "enabled", "true or false");
	if (!is_time(json_object_get(user, "created_us")))
		return fault_set(fault, 400, "created_us", "a time in microseconds");
	if (!text(user, "verifier") || scram_parse(text(user, "verifier"), &verifier) < 0)
		err = fault_set(fault, 400, "verifier",
			"SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey> is needed");
	explicit_bzero(&verifier, sizeof verifier);
	return err;
}

static int
check_address(struct fault *fault, const char *name, const json_t *address)
{
	char network[NET_TEXT_MAX];

	if (!name || account_network_text(name, network) < 0 || strcmp(name, network) != 0)
		return fault_set(fault, 400, "address",
			"an IPv4 or IPv6 address, or a network like 192.0.2.0/24, is needed");
	if (!json_object_get(address, "active"))
		return fault_set(fault, 400, "active", "true or false");
	if (!is_time(json_object_get(address, "created_us")))
		return fault_set(fault, 400, "created_us", "a time in microseconds");
	return 0;
}

/* Import: first what the document wants, then what differs. */

static const struct kind {
	const char *list, *prefix, *name;
	struct field known[5];
	int (*check)(struct fault *fault, const char *name, const json_t *member);
} kinds[] = {
	{"users",      "user/", "username",
         { { "username", FIELD_TEXT }, { "enabled", FIELD_SWITCH },
			{ "verifier", FIELD_TEXT }, { "created_us", FIELD_NUMBER } },
         check_user   },
	{ "addresses", "ip/",   "address",
         { { "address", FIELD_TEXT }, { "active", FIELD_SWITCH },
			{ "created_us", FIELD_NUMBER } },
         check_address},
};

/* Adds what a member shall be to `wanted`, unless it is another account's. */
static int
want_member(struct edit *edit, const struct kind *kind, const char *id, const json_t *member,
	json_t *wanted)
{
	const char *name = text(member, kind->name), *owner;
	json_t *entry;
	char *key;
	int err = 0;

	if (fields_check(&edit->fault, member, kind->known, NULL) < 0 ||
		kind->check(&edit->fault, name, member) < 0)
		return -1;
	key = xasprintf("%s%s", kind->prefix, name);
	owner = text(directory_entry(edit->directory, key), "account");
	if (owner && strcmp(owner, id) != 0)
		err = taken(edit, kind->name, name, owner);
	else if (json_object_get(wanted, key))
		err = fault_set(&edit->fault, 400, kind->name, "%.100s is there twice", name);
	if (!err) {
		entry = json_copy((json_t *)member);
		json_object_del(entry, kind->name);
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
		const char *name = text(domain, "name");
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
		{"account",    FIELD_OBJECT },
                { "users",           FIELD_LIST },
                { "addresses",FIELD_LIST },
		{ 0}
	};
	const json_t *account = json_object_get(document, "account");
	char *key;

	if (fields_check(&edit->fault, document, known, NULL) < 0)
		return -1;
	if (check_account(&edit->fault, account) < 0)
		return fault_in(&edit->fault, "account");
	key = xasprintf("account/%s", text(account, "id"));
	json_object_set_new(wanted, key, without_version(account));
	free(key);
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		if (want_members(edit, &kinds[i], text(account, "id"),
			    json_object_get(document, kinds[i].list), wanted) < 0)
			return -1;
	return want_domains(edit, text(account, "id"), json_object_get(account, "domains"));
}

/* The names of the fields that differ, for people. */
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

static void
drop(struct edit *edit, json_t *told, const char *id, const json_t *wanted)
{
	const char *key;
	json_t *value;

	json_object_foreach(directory_members(edit->directory, id), key, value)
	{
		if (json_object_get(wanted, key))
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
		json_array_append_new(claims, json_sprintf("domain/%s", text(value, "name")));
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
	id = text(json_object_get(document, "account"), "id");
	if (!err) {
		is_new = !directory_get(edit->directory, "account", id);
		json_object_foreach(wanted, key, entry) differ(edit, told, key, entry);
		drop(edit, told, id, wanted);
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
check_owner(struct fault *fault, const char *name, const json_t *owner)
{
	const char *id = text(owner, "id"), *secret = text(owner, "secret");

	(void)name;
	if (!id || strlen(id) != OWNER_ID_LENGTH ||
		strspn(id, "0123456789abcdef") != OWNER_ID_LENGTH)
		return fault_set(fault, 400, "id", "32 digits of 0-9a-f");
	if (secret && strlen(secret) != OWNER_ID_LENGTH)
		return fault_set(fault, 400, "secret", "32 signs");
	return 0;
}

static int
check_account_entry(struct fault *fault, const char *name, const json_t *account)
{
	if (check_account(fault, account) < 0)
		return -1;
	return strcmp(name, text(account, "id")) == 0
		? 0
		: fault_set(fault, 400, "id", "is not that of the key");
}

static int
check_member(struct fault *fault, const json_t *member)
{
	const char *account = text(member, "account");

	return account && account_id_valid(account)
		? 0
		: fault_set(fault, 400, "account", "no account has such an id");
}

static int
check_user_entry(struct fault *fault, const char *name, const json_t *user)
{
	return check_member(fault, user) < 0 ? -1 : check_user(fault, name, user);
}

static int
check_address_entry(struct fault *fault, const char *name, const json_t *address)
{
	return check_member(fault, address) < 0 ? -1 : check_address(fault, name, address);
}

static int
check_selector(struct fault *fault, const json_t *entry)
{
	const json_t *given = json_object_get(entry, "selector");
	struct selector selector = { 0 };
	const char *field = NULL;
	int err = 0;

	if (!given || json_object_size(given) == 0 || selector_parse(&selector, given, &field) < 0)
		err = fault_set(fault, 400, "selector", "%s%snothing can match it",
			field ? field : "", field ? ": " : "");
	selector_wipe(&selector);
	return err;
}

static int
check_rule(struct fault *fault, const char *name, const json_t *rule)
{
	const json_int_t number = json_integer_value(json_object_get(rule, "number"));
	char digits[RULE_DIGITS + 1];

	snprintf(digits, sizeof digits, "%020lld", (long long)number);
	if (number <= 0 || strcmp(digits, name) != 0)
		return fault_set(fault, 400, "number", "is not that of the key");
	if (!is_one_of(json_object_get(rule, "action"), "retry", "bounce", "release"))
		return fault_set(fault, 400, "action", "one of: retry, bounce, release");
	if (!is_time(json_object_get(rule, "accepted_before_us")))
		return fault_set(fault, 400, "accepted_before_us", "a time in microseconds");
	return check_selector(fault, rule);
}

static int
check_suspension(struct fault *fault, const char *name, const json_t *suspension)
{
	(void)name;
	if (!is_time(json_object_get(suspension, "since_us")) ||
		!is_time(json_object_get(suspension, "until_us")))
		return fault_set(fault, 400, "until_us", "a time in microseconds");
	return check_selector(fault, suspension);
}

/* What an entry of each kind may hold. */
static const struct entry_kind {
	const char *prefix;
	struct field known[8];
	int (*check)(struct fault *fault, const char *name, const json_t *value);
} entry_kinds[] = {
	{OWNER_KEY,
         { { "version", FIELD_NUMBER }, { "id", FIELD_TEXT }, { "secret", FIELD_TEXT } },
         check_owner											 },
	{ "account/",    { { 0 } },						       check_account_entry},
	{ "user/",
         { { "version", FIELD_NUMBER }, { "account", FIELD_TEXT },
			{ "enabled", FIELD_SWITCH }, { "verifier", FIELD_TEXT },
			{ "created_us", FIELD_NUMBER } },
         check_user_entry										    },
	{ "ip/",
         { { "version", FIELD_NUMBER }, { "account", FIELD_TEXT },
			{ "active", FIELD_SWITCH }, { "created_us", FIELD_NUMBER } },
         check_address_entry										 },
	{ "rule/",
         { { "number", FIELD_NUMBER }, { "action", FIELD_TEXT },
			{ "selector", FIELD_OBJECT }, { "accepted_before_us", FIELD_NUMBER },
			{ "by", FIELD_TEXT } },
         check_rule											  },
	{ "suspension/",
         { { "version", FIELD_NUMBER }, { "selector", FIELD_OBJECT },
			{ "reason", FIELD_TEXT }, { "by", FIELD_TEXT },
			{ "since_us", FIELD_NUMBER }, { "until_us", FIELD_NUMBER } },
         check_suspension										    },
};

static const struct entry_kind *
entry_kind_of(const char *key)
{
	for (size_t i = 0; i < sizeof entry_kinds / sizeof *entry_kinds; i++) {
		const char *prefix = entry_kinds[i].prefix;

		if (i == 0 ? strcmp(key, prefix) == 0 : strncmp(key, prefix, strlen(prefix)) == 0)
			return &entry_kinds[i];
	}
	return NULL;
}

int
entry_check(struct fault *fault, const char *key, const json_t *value)
{
	const struct entry_kind *kind = entry_kind_of(key);

	if (!kind || strlen(key) >= 480)
		return fault_set(fault, 400, key, "this version knows no such entry");
	if ((kind->known->name && fields_check(fault, value, kind->known, NULL) < 0) ||
		kind->check(fault, key + strlen(kind->prefix), value) < 0)
		return fault_in(fault, key);
	return 0;
}

static int
restore_entry(struct edit *edit, const char *key, json_t *value)
{
	const json_t *have = directory_entry(edit->directory, key);
	json_t *bare, *entry;
	bool same;

	if (entry_check(&edit->fault, key, value) < 0 ||
		want_domains(edit, text(value, "id"), json_object_get(value, "domains")) < 0)
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
