/*
 * api_modes.c - the API's calls about the mode of an account: switch, undo, time of grace.
 *
 * api -> account_mode (what changes) -> edit_end() -> reply
 */
#include "control/account/account_mode.h"
#include "control/http/api_private.h"

void
api_mode_switch(struct exchange *x)
{
	struct edit edit = edit_of(x);

	edit_end(x, "account.mode.switch", &edit,
		account_mode_switch(&edit, x->parameters[0], x->body), 200);
}

void
api_mode_undo(struct exchange *x)
{
	struct edit edit = edit_of(x);

	edit_end(x, "account.mode.undo", &edit, account_mode_undo(&edit, x->parameters[0]), 200);
}

void
api_grace_extend(struct exchange *x)
{
	struct edit edit = edit_of(x);

	edit_end(x, "account.mode.grace-extend", &edit,
		account_grace_extend(&edit, x->parameters[0]), 200);
}

void
api_grace_end(struct exchange *x)
{
	struct edit edit = edit_of(x);

	edit_end(x, "account.mode.grace-end", &edit, account_grace_end(&edit, x->parameters[0]),
		200);
}
