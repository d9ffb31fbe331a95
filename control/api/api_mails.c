/*
 * api_mails.c - the mails to a customer that an operator asks for.
 *
 * api -> [api_mails] -> mailings -> reply, which names the mails
 */
#include <string.h>

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

static void
on_mailed(void *arg, json_t *reply)
{
	reply_json(arg, 200, reply);
}

void
api_account_mail(struct exchange *x)
{
	const char *key = x->parameters[1];
	struct edit edit = edit_of(x);

	if (!mailing_can_be_asked(key))
		reply_error(x, 404, "mail", "one of: activation, username, config");
	else if (account_named(&edit, x->parameters[0], strcmp(key, "username") == 0, x->body) < 0)
		reply_fault(x, &edit.fault);
	else if (mails_possible(x)) {
		mailing_ask(x->api->mailings, key, edit.reply, on_mailed, x);
		return;
	}
	json_decref(edit.reply);
}
