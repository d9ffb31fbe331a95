/*
 * transfer_check.c - checks each field of a file as the API checks a request: a file may be
 * hostile.
 *
 * transfer -> [transfer_check]
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/account/account_alerts.h"
#include "control/account/account_mode.h"
#include "control/account/accounts_private.h"
#include "control/account/address_state.h"
#include "control/account/domain_state.h"
#include "control/account/person_entry.h"
#include "control/account/transfer.h"
#include "control/account/transfer_check.h"
#include "shared/account/account.h"
#include "shared/account/owner.h"
#include "shared/account/scram.h"
#include "shared/base/json_text.h"
#include "shared/base/text.h"
#include "shared/egress/egress_entry.h"
#include "shared/mail/selector.h"

#define USERNAME_MAX 100
#define USERNAME_SIGNS "abcdefghijklmnopqrstuvwxyz0123456789-._@+"
#define RULE_DIGITS 20

static bool
is_time(const json_t *value)
{
	return !value || (json_is_integer(value) && json_integer_value(value) >= 0);
}

static bool
is_one_of(const json_t *value, const char *words)
{
	const char *word = json_string_value(value);

	return word && text_has_word(words, word, strlen(word));
}

static int
check_domain(struct fault *fault, const json_t *domain, json_t *seen)
{
	static const struct field known[] = {
		{ "name", FIELD_TEXT },
		{ "mailboxes", FIELD_NUMBER },
		{ "verified", FIELD_SWITCH },
		{ "proof", FIELD_TEXT },
		{ "missed", FIELD_NUMBER },
		{ "missed_us", FIELD_NUMBER },
		{ "lost_us", FIELD_NUMBER },
		{ 0 },
	};
	char name[256];

	if (fields_check(fault, domain, known, NULL) < 0)
		return -1;
	if (canonical_domain(json_text(domain, "name"), name) < 0 ||
		strcmp(name, json_text(domain, "name")) != 0)
		return fault_set(fault, 400, "name", "a domain like acme.example is needed");
	if (json_object_get(seen, name))
		return fault_set(fault, 400, "name", "%.100s is there twice", name);
	json_object_set_new(seen, name, json_true());
	if (json_integer_value(json_object_get(domain, "mailboxes")) < 0)
		return fault_set(fault, 400, "mailboxes", "a number from 0 up");
	if (!json_object_get(domain, "verified"))
		return fault_set(fault, 400, "verified", "true or false");
	return domain_state_check(fault, domain);
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

	if (!is_one_of(json_object_get(account, "status"), "pending active disabled deleted"))
		return fault_set(
			fault, 400, "status", "one of: pending, active, disabled, deleted");
	if (before && !is_one_of(before, "pending active disabled"))
		return fault_set(fault, 400, "status_before", "one of: pending, active, disabled");
	if (!is_time(deleted) || account_is_deleted(account) != (deleted != NULL))
		return fault_set(fault, 400, "deleted_us",
			"a deleted account has a time, in microseconds, and no other has");
	return 0;
}

static int
check_hosts(struct fault *fault, const json_t *account)
{
	static const char *const fields[] = { "host", "host_before" };
	char name[256];

	for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
		const char *host = json_text(account, fields[i]);

		if (host && canonical_domain(host, name) < 0)
			return fault_set(fault, 400, fields[i],
				"a name like shout01.relay.example is needed");
	}
	return is_time(json_object_get(account, "host_before_until_us"))
		? 0
		: fault_set(fault, 400, "host_before_until_us", "a time in microseconds");
}

/* The account's profile is checked like a request's. */
int
check_account(struct fault *fault, const json_t *account)
{
	static const struct field known[] = {
		{ "id", FIELD_TEXT },
		{ "name", FIELD_TEXT },
		{ "alerts", FIELD_OBJECT },
		{ "contact", FIELD_TEXT },
		{ "language", FIELD_TEXT },
		{ "plan", FIELD_TEXT },
		{ "host", FIELD_TEXT },
		{ "host_before", FIELD_TEXT },
		{ "host_before_until_us", FIELD_NUMBER },
		{ "status", FIELD_TEXT },
		{ "policy", FIELD_TEXT },
		{ "display_address", FIELD_TEXT },
		{ "limits", FIELD_OBJECT },
		{ "domains", FIELD_LIST },
		{ "mode", FIELD_TEXT },
		{ "switch", FIELD_OBJECT },
		{ "grace", FIELD_OBJECT },
		{ "off", FIELD_TEXT },
		{ "version", FIELD_NUMBER },
		{ "created_us", FIELD_NUMBER },
		{ "deleted_us", FIELD_NUMBER },
		{ "status_before", FIELD_TEXT },
		{ "reason", FIELD_TEXT },
		{ "until_us", FIELD_NUMBER },
		{ "by_owner", FIELD_SWITCH },
		{ "owner", FIELD_TEXT },
		{ "reseller", FIELD_NUMBER },
		{ 0 },
	};
	json_t *profile;
	int err;

	if (!account || fields_check(fault, account, known, NULL) < 0)
		return account ? -1 : fault_set(fault, 400, "", "a JSON object is needed");
	if (!json_text(account, "id") || !account_id_valid(json_text(account, "id")))
		return fault_set(fault, 400, "id", "no account has such an id");
	if (!json_object_get(account, "limits") || !json_object_get(account, "domains"))
		return fault_set(fault, 400,
			json_object_get(account, "limits") ? "domains" : "limits", "is missing");
	if (!is_time(json_object_get(account, "created_us")))
		return fault_set(fault, 400, "created_us", "a time in microseconds");
	profile = json_pack("{s:{}}", "limits");
	err = take_profile(fault, profile, account, true);
	json_decref(profile);
	if (err || check_status(fault, account) < 0 || account_mode_check(fault, account) < 0 ||
		account_alerts_check(fault, account) < 0 || check_hosts(fault, account) < 0 ||
		account_status_check(fault, account) < 0)
		return -1;
	return check_domains(fault, json_object_get(account, "domains"));
}

static bool
username_valid(const char *name)
{
	const size_t length = name ? strlen(name) : 0;

	return length > 0 && length <= USERNAME_MAX && strspn(name, USERNAME_SIGNS) == length;
}

int
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
	if (!json_text(user, "verifier") || scram_parse(json_text(user, "verifier"), &verifier) < 0)
		err = fault_set(fault, 400, "verifier",
			"SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey> is needed");
	explicit_bzero(&verifier, sizeof verifier);
	return err ? err : user_check(fault, user);
}

int
check_address(struct fault *fault, const char *name, const json_t *address)
{
	char network[NET_TEXT_MAX];

	if (address_check(fault, "address", name, network) < 0)
		return -1;
	if (strcmp(name, network) != 0)
		return fault_set(fault, 400, "address", "%.50s is needed", network);
	if (!json_object_get(address, "active"))
		return fault_set(fault, 400, "active", "true or false");
	if (!is_time(json_object_get(address, "created_us")))
		return fault_set(fault, 400, "created_us", "a time in microseconds");
	return address_state_check(fault, address);
}

/* Entries of relay.config */

static int
check_owner(struct fault *fault, const char *name, const json_t *owner)
{
	const char *id = json_text(owner, "id"), *secret = json_text(owner, "secret");

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
	return strcmp(name, json_text(account, "id")) == 0
		? 0
		: fault_set(fault, 400, "id", "is not that of the key");
}

static int
check_member(struct fault *fault, const json_t *member)
{
	const char *account = json_text(member, "account");

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
check_token(struct fault *fault, const char *name, const json_t *token)
{
	const char *id = json_text(token, "id"), *secret = json_text(token, "secret");
	const json_int_t scopes = json_integer_value(json_object_get(token, "scopes"));

	if (json_object_get(token, "account") && check_member(fault, token) < 0)
		return -1;
	if (!id || strcmp(id, name) != 0 || !json_text(token, "label"))
		return fault_set(fault, 400, "id", "it is that of the key, beside a label");
	if (!secret || strlen(secret) != 64 || strspn(secret, "0123456789abcdef") != 64)
		return fault_set(fault, 400, "secret", "64 digits of 0-9a-f");
	return scopes >= 1 && scopes <= 7 ? 0 : fault_set(fault, 400, "scopes", "from 1 to 7");
}

static int
check_webhook(struct fault *fault, const char *name, const json_t *webhook)
{
	const char *id = json_text(webhook, "id"), *url = json_text(webhook, "url");

	if (check_member(fault, webhook) < 0)
		return -1;
	if (!id || strcmp(id, name) != 0)
		return fault_set(fault, 400, "id", "it is that of the key");
	if (!url || (strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0))
		return fault_set(fault, 400, "url", "it begins with https:// or http://");
	if (!json_text(webhook, "secret") || !*json_text(webhook, "secret"))
		return fault_set(fault, 400, "secret", "a text is needed");
	return 0;
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
	if (!is_one_of(json_object_get(rule, "action"), "retry bounce release"))
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

/* Keys are sealed: whether they open shows where they are used. */
static int
check_dkim(struct fault *fault, const char *name, const json_t *entry)
{
	const char *domain = json_text(entry, "domain"), *account = json_text(entry, "account");
	const json_int_t active = json_integer_value(json_object_get(entry, "active"));

	if (!domain || strcmp(domain, name) != 0)
		return fault_set(fault, 400, "domain", "is not that of the key");
	if (!account || (*account && !account_id_valid(account)))
		return fault_set(fault, 400, "account", "no account has such an id");
	return active == 1 || active == 2 ? 0 : fault_set(fault, 400, "active", "1 or 2");
}

static int
check_told(struct fault *fault, const char *name, const json_t *told)
{
	json_t *mails = json_object_get(told, "mails"), *mail;
	size_t i;

	if (!account_id_valid(name) || json_array_size(mails) > 64)
		return fault_set(fault, 400, "mails", "at most 64, of an account");
	json_array_foreach(mails, i, mail) if (!json_is_string(mail)) return fault_set(
		fault, 400, "mails", "they are texts");
	return 0;
}

static int
check_egress(struct fault *fault, const char *name, const json_t *value)
{
	char *text = json_dumps(value, JSON_COMPACT);
	struct egress_entry entry;
	int err = text ? egress_entry_parse(&entry, text) : -ENOMEM;

	if (err || strcmp(entry.ip, name) != 0)
		err = fault_set(fault, 400, "ip", "it is no egress IP, or not that of the key");
	egress_entry_wipe(&entry);
	free(text);
	return err;
}

/* The fields of each kind of entry. */
static const struct entry_kind {
	const char *prefix;
	struct field known[16];
	int (*check)(struct fault *fault, const char *name, const json_t *value);
} entry_kinds[] = {
	{ OWNER_KEY,
		{ { "version", FIELD_NUMBER }, { "id", FIELD_TEXT }, { "secret", FIELD_TEXT } },
		check_owner },
	{ "account/", { { 0 } }, check_account_entry },
	{ "user/",
		{ { "version", FIELD_NUMBER }, { "account", FIELD_TEXT },
			{ "enabled", FIELD_SWITCH }, { "verifier", FIELD_TEXT },
			{ "created_us", FIELD_NUMBER }, { "former", FIELD_LIST },
			{ "suspended", FIELD_TEXT }, { "sandbox", FIELD_SWITCH },
			{ "label", FIELD_TEXT }, { "limits", FIELD_OBJECT },
			{ "networks", FIELD_LIST } },
		check_user_entry },
	{ "ip/",
		{ { "version", FIELD_NUMBER }, { "account", FIELD_TEXT },
			{ "active", FIELD_SWITCH }, { "asked_us", FIELD_NUMBER },
			{ "lapsed", FIELD_SWITCH }, { "used_us", FIELD_NUMBER },
			{ "lapses_us", FIELD_NUMBER }, { "proof", FIELD_OBJECT },
			{ "created_us", FIELD_NUMBER } },
		check_address_entry },
	{ "told/", { { "version", FIELD_NUMBER }, { "mails", FIELD_LIST } }, check_told },
	{ "token/",
		{ { "version", FIELD_NUMBER }, { "id", FIELD_TEXT }, { "label", FIELD_TEXT },
			{ "account", FIELD_TEXT }, { "scopes", FIELD_NUMBER },
			{ "secret", FIELD_TEXT }, { "created_us", FIELD_NUMBER },
			{ "until_us", FIELD_NUMBER } },
		check_token },
	{ "dkim/",
		{ { "version", FIELD_NUMBER }, { "domain", FIELD_TEXT }, { "account", FIELD_TEXT },
			{ "enabled", FIELD_SWITCH }, { "active", FIELD_NUMBER },
			{ "keys", FIELD_LIST } },
		check_dkim },
	{ EGRESS_PREFIX,
		{ { "version", FIELD_NUMBER }, { "ip", FIELD_TEXT }, { "helo", FIELD_TEXT },
			{ "pool", FIELD_TEXT }, { "weight", FIELD_NUMBER }, { "via", FIELD_TEXT },
			{ "proxy_secret", FIELD_TEXT }, { "warm_us", FIELD_NUMBER },
			{ "rest_until_us", FIELD_NUMBER }, { "lifted_us", FIELD_NUMBER },
			{ "created_us", FIELD_NUMBER } },
		check_egress },
	{ PERSON_PREFIX,
		{ { "version", FIELD_NUMBER }, { "login", FIELD_TEXT }, { "account", FIELD_TEXT },
			{ "name", FIELD_TEXT }, { "role", FIELD_TEXT }, { "language", FIELD_TEXT },
			{ "epoch", FIELD_NUMBER }, { "verifier", FIELD_TEXT },
			{ "link", FIELD_TEXT }, { "secret", FIELD_TEXT },
			{ "link_until_us", FIELD_NUMBER }, { "totp", FIELD_TEXT },
			{ "recovery", FIELD_LIST }, { "created_us", FIELD_NUMBER } },
		check_person_entry },
	{ "webhook/",
		{ { "version", FIELD_NUMBER }, { "id", FIELD_TEXT }, { "account", FIELD_TEXT },
			{ "url", FIELD_TEXT }, { "events", FIELD_LIST }, { "secret", FIELD_TEXT },
			{ "enabled", FIELD_SWITCH }, { "created_us", FIELD_NUMBER },
			{ "since_us", FIELD_NUMBER }, { "off_us", FIELD_NUMBER },
			{ "off_why", FIELD_TEXT } },
		check_webhook },
	{ "rule/",
		{ { "number", FIELD_NUMBER }, { "action", FIELD_TEXT },
			{ "selector", FIELD_OBJECT }, { "accepted_before_us", FIELD_NUMBER },
			{ "by", FIELD_TEXT } },
		check_rule },
	{ "suspension/",
		{ { "version", FIELD_NUMBER }, { "selector", FIELD_OBJECT },
			{ "reason", FIELD_TEXT }, { "by", FIELD_TEXT },
			{ "since_us", FIELD_NUMBER }, { "until_us", FIELD_NUMBER } },
		check_suspension },
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
