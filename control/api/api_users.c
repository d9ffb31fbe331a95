/*
 * api_users.c - the API's calls about an account's usernames.
 *
 * api -> account_user (what changes) -> commit -> relay.config -> Redis -> reply
 */
#include "control/account/account_user.h"
#include "control/http/api_private.h"

/* False after a reply: mails are asked for, and cannot be sent. */
static bool
may_mail(struct exchange *x)
{
	return !json_is_true(json_object_get(x->body, "mail")) || mails_possible(x);
}

void
api_account_password(struct exchange *x)
{
	struct edit edit = edit_of(x);

	if (may_mail(x))
		edit_end(x, "user.password", &edit,
			account_password(&edit, x->parameters[0], x->body), 200);
}

void
api_account_add_user(struct exchange *x)
{
	struct edit edit = edit_of(x);

	if (may_mail(x))
		edit_end(x, "user.add", &edit, account_add_user(&edit, x->parameters[0], x->body),
			201);
}

void
api_account_remove_user(struct exchange *x)
{
	struct edit edit = edit_of(x);

	edit_end(x, "user.remove", &edit,
		account_remove_user(&edit, x->parameters[0], x->parameters[1]), 200);
}

void
api_account_change_user(struct exchange *x)
{
	struct edit edit = edit_of(x);

	edit_end(x, "user.change", &edit,
		account_change_user(&edit, x->parameters[0], x->parameters[1], x->body), 200);
}

void
api_account_suspend_user(struct exchange *x)
{
	struct edit edit = edit_of(x);

	edit_end(x, "user.suspend", &edit,
		account_suspend_user(&edit, x->parameters[0], x->parameters[1], x->body), 200);
}

void
api_account_resume_user(struct exchange *x)
{
	struct edit edit = edit_of(x);

	edit_end(x, "user.resume", &edit,
		account_resume_user(&edit, x->parameters[0], x->parameters[1]), 200);
}
