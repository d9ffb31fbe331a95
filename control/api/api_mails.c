/*
 * api_mails.c - the mails to a customer: which went, one more time, and who gets which.
 *
 * api -> [api_mails] -> mailings, account_alerts
 */
#include <string.h>

#include "control/account/account_alerts.h"
#include "control/account/account_user.h"
#include "control/http/api_private.h"
#include "control/mails/mailings.h"

bool
mails_possible(struct exchange *x)
{
	if (mailings_wanted(x->api->mailings))
		return true;
	reply_error(x, 409, "", "customers get no mails: service.name is not set");
	return false;
}

/* The account's entry; NULL after a reply. */
static const json_t *
account_of(struct exchange *x)
{
	const json_t *account = directory_get(x->api->directory, "account", x->parameters[0]);

	if (!account)
		reply_error(x, 404, "account", "there is no account \"%.40s\"", x->parameters[0]);
	return account;
}

void
api_notices_list(struct exchange *x)
{
	json_t *sent;

	if (!account_of(x))
		return;
	sent = mailings_sent(x->api->mailings, x->parameters[0]);
	reply_json(x, 200,
		json_pack("{s:o, s:n, s:I}", "notices", sent, "next", "total",
			(json_int_t)json_array_size(sent)));
}

static void
on_mailed(void *arg, json_t *reply)
{
	reply_json(arg, 200, reply);
}

void
api_notice_send(struct exchange *x)
{
	const char *key = x->parameters[1];
	struct edit edit = edit_of(x);

	if (!mailing_can_be_asked(key))
		reply_error(x, 404, "notice", "one of: activation, username, config");
	else if (account_named(&edit, x->parameters[0], strcmp(key, "username") == 0, x->body) < 0)
		reply_fault(x, &edit.fault);
	else if (mails_possible(x)) {
		mailing_ask(x->api->mailings, key, edit.reply, on_mailed, x);
		return;
	}
	json_decref(edit.reply);
}

void
api_alerts_get(struct exchange *x)
{
	const json_t *account = account_of(x);

	if (account)
		reply_json(x, 200, account_alerts_show(account));
}

void
api_alerts_set(struct exchange *x)
{
	struct edit edit = edit_of(x);

	edit_end(x, "account.alerts", &edit, account_set_alerts(&edit, x->parameters[0], x->body),
		200);
}
