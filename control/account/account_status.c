/*
 * account_status.c - an account from its beginning to its suspension.
 *
 * api -> [account_status] -> relay.config        rounds (a suspension ends by itself) -^
 *
 *   pending    logins work, mail is refused; a verified domain or an operator makes it active
 *   active     mail is taken
 *   disabled   suspended: mail is refused, "reason" is what the customer reads, and the account
 *              resumes by itself at "until_us". "by_owner": a reseller did it, and may undo it
 *   deleted    account_delete.c
 */
#include <string.h>

#include "control/account/accounts.h"
#include "control/account/accounts_private.h"
#include "shared/base/date.h"
#include "shared/base/json_text.h"
#include "shared/base/loop.h"
#include "shared/base/text.h"

#define REASON_MAX 200 /* characters */

static bool
has_status(const json_t *account, const char *status)
{
	const char *text = json_text(account, "status");

	return text && strcmp(text, status) == 0;
}

static void
set_status(struct edit *edit, json_t *account, const char *status)
{
	json_object_set_new(account, "status", json_string(status));
	json_object_set_new(edit->reply, "status", json_string(status));
}

void
account_begin(struct edit *edit, json_t *account)
{
	if (!has_status(account, "pending"))
		return;
	set_status(edit, account, "active");
	json_object_set_new(edit->reply, "began", json_true());
}

/* Whether an owner may make the account active: it is, or he suspended it. */
static bool
is_by_owner(const json_t *account)
{
	return has_status(account, "active") ||
		(has_status(account, "disabled") &&
			json_is_true(json_object_get(account, "by_owner")));
}

int
account_enable(struct edit *edit, const char *id)
{
	json_t *account = edit_account(edit, id);

	if (!account)
		return -1;
	if (edit->customer && !is_by_owner(account))
		return fault_set(&edit->fault, 403, "account",
			has_status(account, "pending")
				? "the account begins once one of its domains is verified"
				: "only the operator ends this suspension");
	account_begin(edit, account);
	set_status(edit, account, "active");
	json_object_del(account, "by_owner");
	json_object_del(account, "reason");
	json_object_del(account, "until_us");
	return 0;
}

static int
check_reason(struct fault *fault, const char *text)
{
	if (!*text || utf8_count(text) > REASON_MAX)
		return fault_set(fault, 400, "reason", "a text of 1 to %d characters", REASON_MAX);
	for (const char *at = text; *at; at++)
		if (is_control(*at))
			return fault_set(fault, 400, "reason", "one line of text is needed");
	return 0;
}

static int
take_reason(struct edit *edit, json_t *account, const json_t *body)
{
	json_t *reason = json_object_get(body, "reason");

	json_object_del(account, "reason");
	if (!reason)
		return 0;
	if (check_reason(&edit->fault, json_string_value(reason)) < 0)
		return -1;
	return json_object_set(account, "reason", reason);
}

static int
take_until(struct edit *edit, json_t *account, const json_t *body)
{
	const char *text = json_text(body, "until");
	const uint64_t now = clock_us();
	uint64_t until = 0;

	json_object_del(account, "until_us");
	if (!text)
		return 0;
	if (date_read(text, now, &until) < 0)
		return fault_set(
			&edit->fault, 400, "until", "a time like 2027-01-31T12:00:00Z is needed");
	if (until <= now)
		return fault_set(&edit->fault, 400, "until", "it is over already");
	return json_object_set_new(account, "until_us", json_integer((json_int_t)until));
}

int
account_disable(struct edit *edit, const char *id, const json_t *body)
{
	static const struct field known[] = {
		{ "reason", FIELD_TEXT },
		{ "until", FIELD_TEXT },
		{ 0 },
	};
	json_t *account = edit_account(edit, id);

	if (!account || fields_check(&edit->fault, body, known, NULL) < 0)
		return -1;
	if (edit->customer && !is_by_owner(account))
		return fault_set(&edit->fault, 409, "account", "the account is not active");
	if (take_reason(edit, account, body) < 0 || take_until(edit, account, body) < 0)
		return -1;
	set_status(edit, account, "disabled");
	if (edit->customer)
		return json_object_set_new(account, "by_owner", json_true());
	json_object_del(account, "by_owner");
	return 0;
}

bool
account_is_due(const json_t *account, uint64_t now_us)
{
	const json_int_t until = json_integer_value(json_object_get(account, "until_us"));

	return has_status(account, "disabled") && until > 0 && (uint64_t)until <= now_us;
}

int
account_status_check(struct fault *fault, const json_t *account)
{
	const char *reason = json_text(account, "reason"), *owner = json_text(account, "owner");
	const json_t *until = json_object_get(account, "until_us");

	if (until && json_integer_value(until) <= 0)
		return fault_set(fault, 400, "until_us", "a time in microseconds");
	if (owner && !account_id_valid(owner))
		return fault_set(fault, 400, "owner", "no account has such an id");
	if (json_integer_value(json_object_get(account, "reseller")) < 0)
		return fault_set(fault, 400, "reseller", "a number from 0 up");
	return reason ? check_reason(fault, reason) : 0;
}
