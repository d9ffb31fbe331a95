/*
 * api_accounts.c - the API's calls that show and change accounts.
 *
 * api -> [api_accounts] -> accounts (what changes) -> api_commit
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/account/account_mode.h"
#include "control/account/account_user.h"
#include "control/account/address_state.h"
#include "control/http/api_private.h"
#include "control/reseller/reseller.h"
#include "shared/account/use.h"
#include "shared/base/json_text.h"
#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/score/score.h"

/* Accounts */

void
api_accounts_create(struct exchange *x)
{
	struct edit edit = edit_of(x);

	edit_end(x, "account.create", &edit,
		edit.customer ? reseller_account_create(&edit, x->caller.account, x->body)
			      : account_create(&edit, x->body),
		201);
}

void
api_account_change(struct exchange *x)
{
	struct edit edit = edit_of(x);

	edit_end(x, "account.change", &edit,
		(edit.customer ? reseller_account_change : account_change)(
			&edit, x->parameters[0], x->body),
		200);
}

void
api_account_mailboxes(struct exchange *x)
{
	struct edit edit = edit_of(x);

	edit_end(x, "account.mailboxes", &edit,
		account_set_mailboxes(&edit, x->parameters[0], x->body), 200);
}

void
api_account_enable(struct exchange *x)
{
	struct edit edit = edit_of(x);

	edit_end(x, "account.enable", &edit, account_enable(&edit, x->parameters[0]), 200);
}

void
api_account_disable(struct exchange *x)
{
	struct edit edit = edit_of(x);

	edit_end(x, "account.disable", &edit, account_disable(&edit, x->parameters[0], x->body),
		200);
}

/* Makes the rule that bounces the account's waiting mail. */
static void
add_bounce(struct exchange *x, struct edit *edit)
{
	json_t *selector = json_pack("{s:s}", "account", x->parameters[0]), *rule;
	char key[RULE_KEY_SIZE];

	rule = rule_new(x, "bounce", selector, clock_us(), key);
	json_object_set_new(edit->changes, key, rule);
	json_object_set_new(edit->reply, "rule", json_from_rule(rule));
	json_decref(selector);
}

void
api_account_delete(struct exchange *x)
{
	const int bounce = query_switch(x, "bounce");
	const int now = bounce < 0 ? -1 : query_switch(x, "now");
	struct edit edit;
	int err;

	if (now < 0)
		return;
	edit = edit_of(x);
	err = now ? account_purge(&edit, x->parameters[0])
		  : account_delete(&edit, x->parameters[0]);
	if (!err && bounce)
		add_bounce(x, &edit);
	edit_end(x, now ? "account.purge" : "account.delete", &edit, err, 200);
}

void
api_account_restore(struct exchange *x)
{
	struct edit edit = edit_of(x);

	edit_end(x, "account.restore", &edit, account_restore(&edit, x->parameters[0]), 200);
}

void
api_account_add_address(struct exchange *x)
{
	struct edit edit = edit_of(x);
	const bool waiting = edit.customer || json_is_true(json_object_get(x->body, "waiting"));

	edit_end(x, "address.add", &edit,
		(waiting ? account_ask_address : account_add_address)(
			&edit, x->parameters[0], x->body),
		201);
}

void
api_address_link(struct exchange *x)
{
	struct edit edit = edit_of(x);

	edit_end(x, "address.link", &edit,
		account_address_link(&edit, x->parameters[0], x->parameters[1]), 201);
}

void
api_account_remove_address(struct exchange *x)
{
	struct edit edit = edit_of(x);

	edit_end(x, "address.remove", &edit,
		account_remove_address(&edit, x->parameters[0], x->parameters[1]), 200);
}

void
api_mode_switch(struct exchange *x)
{
	struct edit edit = edit_of(x);

	/* Who is no operator proves an address first: one that comes along would count at once. */
	if (json_object_get(x->body, "addresses") && !caller_is_operator(&x->caller)) {
		reply_error(x, 403, "addresses", "add an address that waits, and prove it, first");
		return;
	}
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

void
api_account_add_domain(struct exchange *x)
{
	struct edit edit = edit_of(x);

	edit_end(x, "domain.add", &edit, account_add_domain(&edit, x->parameters[0], x->body), 201);
}

void
api_account_remove_domain(struct exchange *x)
{
	struct edit edit = edit_of(x);

	edit_end(x, "domain.remove", &edit,
		account_remove_domain(&edit, x->parameters[0], x->parameters[1]), 200);
}

json_t *
account_ids(const struct directory *directory, bool deleted)
{
	json_t *all = directory_accounts(directory), *ids = json_array(), *id;
	size_t i;

	json_array_foreach(all, i, id) if (account_is_deleted(directory_get(directory, "account",
						   json_string_value(id))) == deleted)
		json_array_append(ids, id);
	json_decref(all);
	return ids;
}

static void
keep_owned(const struct directory *directory, json_t *ids, const char *owner)
{
	for (size_t i = json_array_size(ids); i-- > 0;) {
		const char *id = json_string_value(json_array_get(ids, i));
		const char *of = json_text(directory_get(directory, "account", id), "owner");

		if (!of || strcmp(of, owner) != 0)
			json_array_remove(ids, i);
	}
}

void
api_accounts_list(struct exchange *x)
{
	const int deleted = query_switch(x, "deleted");
	const char *last = NULL, *text;
	const char *owner = *x->caller.account ? x->caller.account : query_text(x, "owner");
	json_t *ids, *accounts, *id;
	struct page page;
	size_t i;

	if (deleted < 0 || !page_take(x, "accounts", &page))
		return;
	ids = account_ids(x->api->directory, deleted);
	if (owner)
		keep_owned(x->api->directory, ids, owner);
	accounts = json_array();
	json_array_foreach(ids, i, id)
	{
		text = json_string_value(id);
		if (page.after && strcmp(text, page.after) <= 0)
			continue;
		if (json_array_size(accounts) == page.limit)
			break;
		json_array_append_new(
			accounts, account_show(x->api->directory, x->api->config, text));
		last = text;
	}
	reply_json(x, 200,
		json_pack("{s:o, s:o, s:I}", "accounts", accounts, "next",
			page_next(x, "accounts", i < json_array_size(ids) ? last : NULL), "total",
			(json_int_t)json_array_size(ids)));
	json_decref(ids);
}

static json_t *
json_from_score(const uint64_t counts[SCORES])
{
	json_t *shown = json_object();

	for (int i = 0; i < SCORES; i++)
		json_object_set_new(shown, score_names[i], json_integer((json_int_t)counts[i]));
	return shown;
}

static void
reply_no_account(struct exchange *x)
{
	reply_error(x, 404, "account", "there is no account \"%.40s\"", x->parameters[0]);
}

/* An account on its way to the reply. Without Redis it can be shown, but its score and the last
 * uses of its users are not known. */
struct shown {
	struct exchange *exchange;
	json_t *score;
};

static void
on_logins(void *arg, int err, const json_t *logins)
{
	struct shown shown = *(struct shown *)arg;
	struct exchange *x = shown.exchange;
	json_t *account = account_show(x->api->directory, x->api->config, x->parameters[0]);

	(void)err;
	free(arg);
	if (!account) {
		json_decref(shown.score);
		reply_no_account(x);
		return;
	}
	users_show_logins(json_object_get(account, "users"), logins);
	json_object_set_new(account, "score", shown.score);
	reply_json(x, 200, account);
}

static void
on_score(void *arg, int err, const uint64_t counts[SCORE_WINDOWS][SCORES])
{
	struct exchange *x = arg;
	struct shown *shown = xmalloc(sizeof *shown);

	*shown = (struct shown){ x, err ? json_null() : json_object() };
	for (int i = 0; !err && i < SCORE_WINDOWS; i++)
		json_object_set_new(shown->score, score_windows[i], json_from_score(counts[i]));
	logins_read(x->api->redis, x->parameters[0], on_logins, shown);
}

void
api_account_get(struct exchange *x)
{
	if (directory_get(x->api->directory, "account", x->parameters[0]))
		scores_read(x->api->redis, x->api->config, x->parameters[0], on_score, x);
	else
		reply_no_account(x);
}

/* Rebuild */

static void
on_rebuilt(void *arg, int err, uint64_t entries)
{
	struct exchange *x = arg;

	const char *doubt = applier_doubt(x->api->applier);

	if (err && doubt)
		reply_error(x, 503, "", "%s", doubt);
	else if (err)
		reply_error(x, 503, "", "Redis does not take it: %s", strerror(-err));
	else
		reply_json(x, 200, json_pack("{s:I}", "entries", (json_int_t)entries));
}

void
api_rebuild(struct exchange *x)
{
	const int take_over = query_switch(x, "take_over");

	if (take_over >= 0)
		applier_rebuild(x->api->applier, take_over > 0, on_rebuilt, x);
}
