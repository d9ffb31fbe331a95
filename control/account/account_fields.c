/*
 * account_fields.c - an account's plain fields: checked in requests, shown without secrets.
 */
#include <stdio.h>
#include <string.h>

#include "control/account/account_mode.h"
#include "control/account/accounts.h"
#include "control/account/accounts_private.h"
#include "control/account/address_state.h"
#include "control/look/json_from.h"
#include "shared/base/date.h"
#include "shared/base/loop.h"
#include "shared/base/text.h"
#include "shared/mail/address.h"

#define NAME_MAX_SIGNS 200
#define LIMIT_MAX 1000000000000
#define PLAN_MAX_SIGNS 32
#define PLAN_SIGNS "abcdefghijklmnopqrstuvwxyz0123456789-_."

static bool
has_control(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			return true;
	return false;
}

static int
take_name(struct fault *fault, json_t *account, const json_t *body, bool must)
{
	json_t *value = json_object_get(body, "name");
	const char *text = json_string_value(value);

	if (!value && !must)
		return 0;
	if (!text || !*text || utf8_count(text) > NAME_MAX_SIGNS || has_control(text))
		return fault_set(fault, 400, "name", "a text of 1 to %d characters in one line",
			NAME_MAX_SIGNS);
	return json_object_set(account, "name", value);
}

static int
take_contact(struct fault *fault, json_t *account, const json_t *body, bool must)
{
	json_t *value = json_object_get(body, "contact");
	const char *text = json_string_value(value);
	struct address address;

	if (!value && !must)
		return 0;
	if (!text || address_parse(text, strlen(text), &address) < 0 || !address.domain ||
		address.length != strlen(text))
		return fault_set(
			fault, 400, "contact", "a mail address like postmaster@acme.example");
	return json_object_set(account, "contact", value);
}

/* Reads a field that is one of the words. */
static int
take_choice(struct fault *fault, json_t *account, const json_t *body, const char *field,
	const char *one, const char *two, const char *three)
{
	json_t *value = json_object_get(body, field);
	const char *text = json_string_value(value);

	if (!value)
		return 0;
	if (!text ||
		(strcmp(text, one) != 0 && strcmp(text, two) != 0 &&
			(!three || strcmp(text, three) != 0)))
		return fault_set(fault, 400, field, "one of: %s, %s%s%s", one, two,
			three ? ", " : "", three ? three : "");
	return json_object_set(account, field, value);
}

static int
take_plan(struct fault *fault, json_t *account, const json_t *body)
{
	json_t *value = json_object_get(body, "plan");
	const char *text = json_string_value(value);

	if (!value)
		return 0;
	if (!text || !*text || strlen(text) > PLAN_MAX_SIGNS ||
		strspn(text, PLAN_SIGNS) != strlen(text))
		return fault_set(fault, 400, "plan", "the name of a plan, or none");
	if (strcmp(text, "none") == 0)
		return json_object_get(account, "plan") ? json_object_del(account, "plan") : 0;
	return json_object_set(account, "plan", value);
}

/* Reads limits. A limit that is not named stays as it is; 0: no limit; "default": the configured
 * one. */
static int
take_limits(struct fault *fault, json_t *account, const json_t *body)
{
	static const struct field known[] = {
		{ "messages_hour", FIELD_LIMIT },
		{ "messages_day", FIELD_LIMIT },
		{ "recipients_hour", FIELD_LIMIT },
		{ "recipients_day", FIELD_LIMIT },
		{ 0 },
	};
	json_t *limits = json_object_get(body, "limits"), *value;
	json_t *own = json_object_get(account, "limits");
	const char *key;
	char field[64];

	if (fields_check(fault, limits, known, "limits") < 0)
		return -1;
	json_object_foreach(limits, key, value)
	{
		if (json_integer_value(value) < 0 || json_integer_value(value) > LIMIT_MAX) {
			snprintf(field, sizeof field, "limits.%s", key);
			return fault_set(fault, 400, field, "a number from 0 (none) to %lld",
				(long long)LIMIT_MAX);
		}
		if (json_is_string(value))
			json_object_del(own, key);
		else
			json_object_set(own, key, value);
	}
	return 0;
}

int
take_profile(struct fault *fault, json_t *account, const json_t *body, bool all)
{
	if (take_name(fault, account, body, all) < 0 ||
		take_contact(fault, account, body, all) < 0 ||
		take_choice(fault, account, body, "language", "it", "en", "both") < 0 ||
		take_plan(fault, account, body) < 0 ||
		take_choice(fault, account, body, "policy", "strict", "resent", NULL) < 0 ||
		take_choice(fault, account, body, "display_address", "refuse", "pass", NULL) < 0 ||
		take_limits(fault, account, body) < 0)
		return -1;
	return 0;
}

/* Until when the account can be restored. */
static void
show_deleted(json_t *shown, const json_t *account)
{
	char when[DATE_SIZE];

	if (!account_is_deleted(account))
		return;
	json_object_del(shown, "deleted_us");
	json_object_del(shown, "status_before");
	date_iso(account_kept_until(account) - ACCOUNT_KEPT_US, when);
	json_object_set_new(shown, "deleted", json_string(when));
	date_iso(account_kept_until(account), when);
	json_object_set_new(shown, "kept_until", json_string(when));
}

/* Without what only domain_state.c has to know. */
static void
show_domains(json_t *shown, const json_t *account)
{
	static const char *const fields[] = { "name", "verified", "mailboxes" };
	json_t *list = json_array(), *domain, *copy;
	size_t i;

	json_array_foreach(json_object_get(account, "domains"), i, domain)
	{
		copy = json_object();
		for (size_t at = 0; at < sizeof fields / sizeof *fields; at++)
			if (json_object_get(domain, fields[at]))
				json_object_set(
					copy, fields[at], json_object_get(domain, fields[at]));
		json_array_append_new(list, copy);
	}
	json_object_set_new(shown, "domains", list);
}

/* When a suspension ends by itself. */
static void
show_until(json_t *shown, const json_t *account)
{
	const json_int_t us = json_integer_value(json_object_get(account, "until_us"));

	json_object_del(shown, "until_us");
	if (us > 0)
		json_object_set_new(shown, "until", json_from_time((uint64_t)us));
}

/* An entry's time, as the API shows it. */
static void
show_time(json_t *shown, const char *from, const char *name)
{
	const json_int_t us = json_integer_value(json_object_get(shown, from));

	json_object_set_new(shown, name, json_from_time((uint64_t)us));
	json_object_del(shown, from);
}

json_t *
account_show(const struct directory *directory, const struct config *config, const char *id)
{
	const json_t *account = directory_get(directory, "account", id);
	json_t *shown, *users, *addresses, *value;
	const char *key;

	if (!account)
		return NULL;
	shown = json_copy((json_t *)account);
	show_time(shown, "created_us", "created");
	show_time(shown, "version", "changed");
	users = json_array();
	addresses = json_array();
	json_object_foreach(directory_members(directory, id), key, value)
	{
		const json_t *entry = directory_entry(directory, key);

		if (strncmp(key, "user/", 5) == 0)
			json_array_append_new(users, user_shown(key + 5, entry, clock_us()));
		else if (strncmp(key, "ip/", 3) == 0)
			json_array_append_new(addresses, address_shown(key + 3, entry));
	}
	show_deleted(shown, account);
	show_domains(shown, account);
	show_until(shown, account);
	account_mode_show(shown, directory, account);
	json_object_set_new(shown, "users", users);
	json_object_set_new(shown, "addresses", addresses);
	json_object_set_new(shown, "limits_in_force", limits_in_force(config, account));
	json_object_del(shown, "alerts"); /* account_alerts.h shows them */
	show_service(shown, account);
	return shown;
}
