/*
 * account_status.c - an account from its beginning to its suspension.
 *
 * api -> [account_status] -> relay.config        rounds (a suspension ends by itself) -^
 *
 *   pending    logins work, mail is refused; a verified domain or an operator makes it active
 *   active     mail is taken
 *   disabled   suspended: mail is refused, "reason" is what the customer reads, and the account
 *              resumes by itself at "until_us"
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

int
account_enable(struct edit *edit, const char *id)
{
	json_t *account = edit_account(edit, id);

	if (!account)
		return -1;
	account_begin(edit, account);
	set_status(edit, account, "active");
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

	if (!account || fields_check(&edit->fault, body, known, NULL) < 0 ||
		take_reason(edit, account, body) < 0 || take_until(edit, account, body) < 0)
		return -1;
	set_status(edit, account, "disabled");
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
	const char *reason = json_text(account, "reason");
	const json_t *until = json_object_get(account, "until_us");

	if (until && json_integer_value(until) <= 0)
		return fault_set(fault, 400, "until_us", "a time in microseconds");
	return reason ? check_reason(fault, reason) : 0;
}
