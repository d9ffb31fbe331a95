/*
 * user_fields.c - the fields of a username: read from a request, checked in a file, shown.
 *
 * api -> account_user -> [user_fields]
 * a file -> transfer_check ----^
 */
#include "control/account/user_fields.h"

#include <stdio.h>
#include <string.h>

#include "control/account/account_user.h"
#include "control/account/accounts_private.h"
#include "control/look/json_from.h"
#include "shared/account/credential.h"
#include "shared/account/scram.h"
#include "shared/base/json_text.h"
#include "shared/base/net.h"
#include "shared/base/text.h"

#define LABEL_MAX_SIGNS 64
#define REASON_MAX_SIGNS 200
#define LIMIT_MAX 1000000000000

static const struct field limit_fields[] = {
	{ "messages_hour", FIELD_NUMBER },
	{ "messages_day", FIELD_NUMBER },
	{ 0 },
};

/* Whether the text is one line for people. */
static bool
is_line(const char *text, size_t most)
{
	const size_t length = strlen(text);

	for (const char *at = text; *at; at++)
		if ((unsigned char)*at < 0x20 || *at == 0x7f)
			return false;
	return utf8_count(text) <= most && !text_has_hidden_controls(text, length);
}

static int
take_label(struct fault *fault, json_t *user, const json_t *body)
{
	const char *text = json_text(body, "label");

	if (!text)
		return 0;
	if (!is_line(text, LABEL_MAX_SIGNS))
		return fault_set(fault, 400, "label", "a text of up to %d characters in one line",
			LABEL_MAX_SIGNS);
	if (!*text)
		return json_object_get(user, "label") ? json_object_del(user, "label") : 0;
	return json_object_set(user, "label", json_object_get(body, "label"));
}

/* Limits that are 0 are none, and not kept. */
static int
take_limits(struct fault *fault, json_t *user, const json_t *body)
{
	json_t *limits = json_object_get(body, "limits"), *own, *value;
	const char *name;
	char field[64];

	if (!limits)
		return 0;
	if (fields_check(fault, limits, limit_fields, "limits") < 0)
		return -1;
	own = json_deep_copy(json_object_get(user, "limits"));
	if (!own)
		own = json_object();
	json_object_foreach(limits, name, value)
	{
		const json_int_t number = json_integer_value(value);

		if (number < 0 || number > LIMIT_MAX) {
			json_decref(own);
			snprintf(field, sizeof field, "limits.%s", name);
			return fault_set(fault, 400, field, "a number from 0 (none) to %lld",
				(long long)LIMIT_MAX);
		}
		if (number)
			json_object_set(own, name, value);
		else
			json_object_del(own, name);
	}
	if (json_object_size(own) > 0)
		return json_object_set_new(user, "limits", own);
	json_decref(own);
	json_object_del(user, "limits");
	return 0;
}

/* The list in the one form of each network; NULL and a fault. */
static json_t *
networks_read(struct fault *fault, const json_t *list)
{
	json_t *networks = json_array(), *item;
	size_t i;

	json_array_foreach(list, i, item)
	{
		const char *text = json_string_value(item);
		char field[32], formed[NET_TEXT_MAX];
		struct network network;

		snprintf(field, sizeof field, "networks[%zu]", i);
		if (i >= CREDENTIAL_NETWORKS_MAX)
			fault_set(fault, 400, field, "%d networks are the most",
				CREDENTIAL_NETWORKS_MAX);
		else if (!text || network_parse(text, &network) < 0)
			fault_set(fault, 400, field,
				"an address or a network like 192.0.2.0/24 is needed");
		else {
			network_format(&network, formed);
			json_array_append_new(networks, json_string(formed));
			continue;
		}
		json_decref(networks);
		return NULL;
	}
	return networks;
}

static int
take_networks(struct fault *fault, json_t *user, const json_t *body)
{
	const json_t *list = json_object_get(body, "networks");
	json_t *networks = list ? networks_read(fault, list) : NULL;

	if (!list)
		return 0;
	if (!networks)
		return -1;
	if (json_array_size(networks) > 0)
		return json_object_set_new(user, "networks", networks);
	json_decref(networks);
	json_object_del(user, "networks");
	return 0;
}

static void
take_switches(json_t *user, const json_t *body)
{
	if (json_object_get(body, "enabled"))
		json_object_set(user, "enabled", json_object_get(body, "enabled"));
	if (json_is_true(json_object_get(body, "sandbox")))
		json_object_set_new(user, "sandbox", json_true());
	else if (json_object_get(body, "sandbox"))
		json_object_del(user, "sandbox");
}

int
user_take(struct fault *fault, json_t *user, const json_t *body, enum user_request request)
{
	static const struct field all[] = {
		{ "label", FIELD_TEXT },
		{ "sandbox", FIELD_SWITCH },
		{ "limits", FIELD_OBJECT },
		{ "networks", FIELD_LIST },
		{ "mail", FIELD_SWITCH },
		{ 0 },
	};
	static const struct field change[] = {
		{ "label", FIELD_TEXT },
		{ "enabled", FIELD_SWITCH },
		{ "sandbox", FIELD_SWITCH },
		{ "limits", FIELD_OBJECT },
		{ "networks", FIELD_LIST },
		{ 0 },
	};

	if (fields_check(fault, body, request == USER_NEW ? all : change, NULL) < 0)
		return -1;
	if (request == USER_CHANGE && json_object_size(body) == 0)
		return fault_set(fault, 400, NULL,
			"nothing to change: at least one of label, enabled, sandbox, limits, "
			"networks");
	if (take_label(fault, user, body) < 0 || take_limits(fault, user, body) < 0 ||
		take_networks(fault, user, body) < 0)
		return -1;
	take_switches(user, body);
	return 0;
}

int
user_take_reason(struct fault *fault, json_t *user, const json_t *body)
{
	static const struct field known[] = {
		{ "reason", FIELD_TEXT },
		{ 0 },
	};
	const char *reason = json_text(body, "reason");

	if (fields_check(fault, body, known, NULL) < 0)
		return -1;
	if (!reason || !*reason || !is_line(reason, REASON_MAX_SIGNS))
		return fault_set(fault, 400, "reason",
			"a text of 1 to %d characters in one line, which the customer reads",
			REASON_MAX_SIGNS);
	return json_object_set(user, "suspended", json_object_get(body, "reason"));
}

/* In a file */

/* All passwords of a user are checked in one go, so they have one salt. */
static bool
is_beside(const char *text, const char *other)
{
	const char *end = text ? strrchr(text, '$') : NULL;

	return end && strncmp(text, other, (size_t)(end + 1 - text)) == 0;
}

static int
check_former(struct fault *fault, const json_t *user)
{
	static const struct field known[] = {
		{ "verifier", FIELD_TEXT },
		{ "until_us", FIELD_NUMBER },
		{ 0 },
	};
	const json_t *former = json_object_get(user, "former"), *one;
	struct scram_verifier verifier;
	char field[32];
	size_t i;

	json_array_foreach(former, i, one)
	{
		const char *text = json_text(one, "verifier");

		snprintf(field, sizeof field, "former[%zu]", i);
		if (i >= CREDENTIAL_FORMER_MAX)
			return fault_set(
				fault, 400, field, "%d are the most", CREDENTIAL_FORMER_MAX);
		if (fields_check(fault, one, known, field) < 0)
			return -1;
		if (!text || scram_parse(text, &verifier) < 0 ||
			!is_beside(text, json_text(user, "verifier")))
			return fault_set(fault, 400, field,
				"a verifier with the salt of the user's is needed");
		explicit_bzero(&verifier, sizeof verifier);
		if (json_integer_value(json_object_get(one, "until_us")) <= 0)
			return fault_set(fault, 400, field, "until_us: a time in microseconds");
	}
	return 0;
}

int
user_check(struct fault *fault, const json_t *user)
{
	const char *reason = json_text(user, "suspended");
	json_t *scratch = json_object();
	int err = take_label(fault, scratch, user) < 0 || take_limits(fault, scratch, user) < 0 ||
			take_networks(fault, scratch, user) < 0
		? -1
		: 0;

	if (!err &&
		!json_equal(
			json_object_get(scratch, "networks"), json_object_get(user, "networks")) &&
		json_object_get(user, "networks"))
		err = fault_set(fault, 400, "networks", "each in its one form");
	json_decref(scratch);
	if (!err && reason && (!*reason || !is_line(reason, REASON_MAX_SIGNS)))
		err = fault_set(fault, 400, "suspended", "a text of 1 to %d characters in one line",
			REASON_MAX_SIGNS);
	return err ? err : check_former(fault, user);
}

/* Shown */

/* Until when the last former password works; 0: none does. */
static uint64_t
grace_until(const json_t *user, uint64_t now_us)
{
	uint64_t last = 0;
	json_t *one;
	size_t i;

	json_array_foreach(json_object_get(user, "former"), i, one)
	{
		const json_int_t until = json_integer_value(json_object_get(one, "until_us"));

		if (until > 0 && (uint64_t)until > now_us && (uint64_t)until > last)
			last = (uint64_t)until;
	}
	return last;
}

const char *
user_state(const json_t *user, uint64_t now_us)
{
	if (json_object_get(user, "suspended"))
		return "suspended";
	if (!json_is_true(json_object_get(user, "enabled")))
		return "disabled";
	if (json_is_true(json_object_get(user, "sandbox")))
		return "sandbox";
	return grace_until(user, now_us) ? "grace" : "active";
}

static json_t *
moment_shown(const json_t *login, const char *us, const char *from)
{
	const json_int_t at = json_integer_value(json_object_get(login, us));

	return at <= 0 ? json_null()
		       : json_pack("{s:o, s:s?}", "at", json_from_time((uint64_t)at), "address",
				 json_text(login, from));
}

void
users_show_logins(json_t *users, const json_t *logins)
{
	json_t *user;
	size_t i;

	json_array_foreach(users, i, user)
	{
		const json_t *login = json_object_get(logins, json_text(user, "username"));
		const json_int_t count = json_integer_value(json_object_get(login, "failures"));

		json_object_set_new(user, "last", moment_shown(login, "us", "from"));
		json_object_set_new(user, "failures", logins ? json_integer(count) : json_null());
		json_object_set_new(
			user, "last_failure", moment_shown(login, "failed_us", "failed_from"));
	}
}

json_t *
user_shown(const char *name, const json_t *user, uint64_t now_us)
{
	static const char *const same[] = { "label", "suspended", "limits", "networks" };
	const json_int_t created = json_integer_value(json_object_get(user, "created_us"));
	const uint64_t until = grace_until(user, now_us);
	json_t *shown = json_pack("{s:s, s:s, s:b, s:b, s:o}", "username", name, "state",
		user_state(user, now_us), "enabled", json_is_true(json_object_get(user, "enabled")),
		"sandbox", json_is_true(json_object_get(user, "sandbox")), "created",
		json_from_time(created > 0 ? (uint64_t)created : 0));

	if (until)
		json_object_set_new(shown, "until", json_from_time(until));
	for (size_t i = 0; i < sizeof same / sizeof *same; i++)
		if (json_object_get(user, same[i]))
			json_object_set(shown, same[i], json_object_get(user, same[i]));
	return shown;
}
