/*
 * account_alerts.c - who is told what.
 *
 * api -> [account_alerts] -> relay.config -> mails (who gets them)
 */
#include "control/account/account_alerts.h"

#include <stdio.h>
#include <string.h>

#include "control/account/accounts_private.h"
#include "shared/base/json_text.h"
#include "shared/mail/address.h"

static const char *const chosen[] = { "changed", "limit", "delay", "mailboxes", "quality", "dns",
	"webhook-off", "virus", "held" };
#define CHOSEN (sizeof chosen / sizeof *chosen)

static const char *const fixed[] = { "activation", "username", "password", "config-credentials",
	"config-ip", "in-force", "grace-ending", "address-lapse", "suspended", "resumed", "closed",
	"credential-suspended" };
#define FIXED (sizeof fixed / sizeof *fixed)

static bool
is_chosen(const char *mail)
{
	for (size_t i = 0; i < CHOSEN; i++)
		if (strcmp(chosen[i], mail) == 0)
			return true;
	return false;
}

/* Checks */

static int
check_mailboxes(struct fault *fault, const char *mail, const json_t *list)
{
	char field[FAULT_FIELD_MAX];
	json_t *item;
	size_t i;

	snprintf(field, sizeof field, "mails.%.40s", mail);
	if (!is_chosen(mail))
		return fault_set(fault, 400, field,
			"it cannot be sent elsewhere: one of changed, limit, delay, mailboxes, "
			"quality, dns, webhook-off, virus, held");
	if (!json_is_array(list) || json_array_size(list) > ALERT_MAILBOXES_MAX)
		return fault_set(fault, 400, field,
			"a list of at most %d mailboxes, or \"contact\"", ALERT_MAILBOXES_MAX);
	json_array_foreach(list, i, item)
	{
		snprintf(field, sizeof field, "mails.%.40s[%zu]", mail, i);
		if (!json_is_string(item) || !address_is_mailbox(json_string_value(item)))
			return fault_set(fault, 400, field, "a mailbox like it@acme.example");
	}
	return 0;
}

static int
check_limits(struct fault *fault, const json_t *list)
{
	char field[FAULT_FIELD_MAX];
	json_t *item;
	size_t i;

	if (!json_is_array(list) || json_array_size(list) > ALERT_LIMITS_MAX)
		return fault_set(fault, 400, "limits",
			"a list of at most %d percents; \"default\": 80 and 100", ALERT_LIMITS_MAX);
	json_array_foreach(list, i, item)
	{
		snprintf(field, sizeof field, "limits[%zu]", i);
		if (!json_is_integer(item) || json_integer_value(item) < 1 ||
			json_integer_value(item) > 100)
			return fault_set(fault, 400, field, "a number from 1 to 100");
	}
	return 0;
}

static bool
is_text(const json_t *value, const char *text)
{
	return json_is_string(value) && strcmp(json_string_value(value), text) == 0;
}

/* `clears`: "default" and "contact", which take a choice back, are allowed. */
static int
check(struct fault *fault, const json_t *alerts, bool clears)
{
	json_t *mails = json_object_get(alerts, "mails"), *limits, *value;
	const char *key;

	json_object_foreach((json_t *)alerts, key, value)
	{
		if (strcmp(key, "limits") != 0 && strcmp(key, "mails") != 0)
			return fault_set(fault, 400, key, "there is no such field");
	}
	limits = json_object_get(alerts, "limits");
	if (limits && !(clears && is_text(limits, "default")) && check_limits(fault, limits) < 0)
		return -1;
	if (mails && !json_is_object(mails))
		return fault_set(fault, 400, "mails", "a JSON object is needed");
	json_object_foreach(mails, key, value)
	{
		if (!(clears && is_text(value, "contact") && is_chosen(key)) &&
			check_mailboxes(fault, key, value) < 0)
			return -1;
	}
	return 0;
}

int
account_alerts_check(struct fault *fault, const json_t *account)
{
	const json_t *alerts = json_object_get(account, "alerts");

	if (!alerts)
		return 0;
	if (!json_is_object(alerts))
		return fault_set(fault, 400, "alerts", "a JSON object is needed");
	return check(fault, alerts, false) < 0 ? fault_in(fault, "alerts") : 0;
}

/* Changes */

/* A text takes a choice back. */
static void
put(json_t *into, const char *key, json_t *value)
{
	if (json_is_string(value))
		json_object_del(into, key);
	else
		json_object_set(into, key, value);
}

int
account_set_alerts(struct edit *edit, const char *id, const json_t *body)
{
	json_t *account = edit_account(edit, id), *alerts, *mails, *value;
	const char *key;

	if (!account)
		return -1;
	if (!json_is_object(body) || json_object_size(body) == 0)
		return fault_set(&edit->fault, 400, "", "at least one of limits and mails");
	if (check(&edit->fault, body, true) < 0)
		return -1;
	alerts = json_deep_copy(json_object_get(account, "alerts"));
	if (!alerts)
		alerts = json_object();
	mails = json_object_get(alerts, "mails");
	if (!mails) {
		mails = json_object();
		json_object_set_new(alerts, "mails", mails);
	}
	json_object_foreach(json_object_get(body, "mails"), key, value) put(mails, key, value);
	if (json_object_get(body, "limits"))
		put(alerts, "limits", json_object_get(body, "limits"));
	json_object_set_new(account, "alerts", alerts);
	json_object_set_new(edit->reply, "alerts", account_alerts_show(account));
	return 0;
}

/* Looks */

const json_t *
account_alert_mailboxes(const json_t *account, const char *mail)
{
	const json_t *alerts = json_object_get(account, "alerts");

	return json_object_get(json_object_get(alerts, "mails"), mail);
}

json_t *
account_alert_limits(const json_t *account)
{
	json_t *limits = json_object_get(json_object_get(account, "alerts"), "limits");

	return limits ? json_incref(limits) : json_pack("[i, i]", 80, 100);
}

json_t *
account_alerts_show(const json_t *account)
{
	json_t *mails = json_object(), *always = json_array();

	for (size_t i = 0; i < CHOSEN; i++) {
		const json_t *to = account_alert_mailboxes(account, chosen[i]);

		json_object_set_new(mails, chosen[i],
			to ? json_deep_copy(to)
			   : json_pack("[s]", json_text_or(account, "contact", "")));
	}
	for (size_t i = 0; i < FIXED; i++)
		json_array_append_new(always, json_string(fixed[i]));
	return json_pack("{s:o, s:o, s:o}", "limits", account_alert_limits(account), "mails", mails,
		"fixed", always);
}
