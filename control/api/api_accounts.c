/*
 * api_accounts.c - the API's writing half: accounts, and how a change of relay.config is written.
 *
 * api -> accounts (what changes) -> [commit] -> relay.config -> Redis -> reply
 *
 * A change is claimed in the directory at once, so that two requests cannot both have a domain; it
 * is taken back when the queue does not take it. Once it is durable it counts: a Redis that does
 * not answer only makes the reply say "applied": false, and the applier catches up.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/api/api_private.h"
#include "control/config/owner_entry.h"
#include "shared/account/owner.h"
#include "shared/account/score.h"
#include "shared/base/log.h"

struct commit {
	struct exchange *exchange;
	json_t *changes, *old, *reply;
	int status;
	unsigned pending;
	int err;         /* of the queue */
	int applied_err; /* of Redis */
};

static void
commit_reply(struct commit *commit)
{
	struct exchange *exchange = commit->exchange;

	if (commit->err)
		reply_not_taken(exchange, commit->err);
	else if (commit->applied_err)
		json_object_set_new(commit->reply, "applied", json_false());
	if (!commit->err)
		reply_json(exchange, commit->status, json_incref(commit->reply));
	json_decref(commit->changes);
	json_decref(commit->old);
	json_decref(commit->reply);
	free(commit);
}

static void
on_pushed(void *arg, int err, uint64_t entries)
{
	struct commit *commit = arg;

	(void)entries;
	if (err)
		commit->applied_err = err;
	if (--commit->pending == 0)
		commit_reply(commit);
}

static void
commit_undo(struct commit *commit)
{
	const char *key;
	json_t *old;

	json_object_foreach(commit->old, key, old) directory_set(
		commit->exchange->api->directory, key, json_is_null(old) ? NULL : json_incref(old));
}

static void
on_put(void *arg, int err)
{
	struct commit *commit = arg;
	struct api *api = commit->exchange->api;
	const char *key;
	json_t *value;

	if (err)
		commit->err = err;
	if (--commit->pending > 0)
		return;
	if (commit->err) {
		commit_undo(commit);
		commit_reply(commit);
		return;
	}
	commit->pending = 1;
	json_object_foreach(commit->changes, key, value)
	{
		if (!applier_takes(key))
			continue;
		commit->pending++;
		applier_push(api->applier, key, on_pushed, commit);
	}
	on_pushed(commit, 0, 0);
}

static void
put(struct commit *commit, const char *key, json_t *value)
{
	struct api *api = commit->exchange->api;
	json_t *old = directory_entry(api->directory, key);
	char *text = json_is_null(value) ? xstrdup("") : json_dumps(value, JSON_COMPACT);

	json_object_set_new(commit->old, key, old ? json_incref(old) : json_null());
	directory_set(api->directory, key, json_is_null(value) ? NULL : json_incref(value));
	commit->pending++;
	queue_config_put(api->queue, key, text, on_put, commit);
	explicit_bzero(text, strlen(text));
	free(text);
}

void
commit_start(struct exchange *exchange, int status, json_t *changes, json_t *reply)
{
	struct commit *commit = xcalloc(1, sizeof *commit);
	const char *key;
	json_t *value;

	*commit = (struct commit){ .exchange = exchange,
		.status = status,
		.pending = 1,
		.changes = changes,
		.old = json_object(),
		.reply = reply };
	json_object_foreach(changes, key, value) put(commit, key, value);
	on_put(commit, 0);
}

static void
edit_end(struct exchange *exchange, struct edit *edit, int err, int status)
{
	const char *doubt = applier_doubt(exchange->api->applier);

	if (doubt)
		err = fault_set(&edit->fault, 503, "", "%s", doubt);
	if (!err) {
		if (!*directory_owner(edit->directory))
			json_object_set_new(edit->changes, OWNER_KEY, owner_entry_new());
		commit_start(exchange, status, edit->changes, edit->reply);
		return;
	}
	json_decref(edit->changes);
	json_decref(edit->reply);
	reply_fault(exchange, &edit->fault);
}

/* Accounts */

static struct edit
edit_of(const struct exchange *exchange)
{
	return (struct edit){ .directory = exchange->api->directory };
}

void
api_accounts_create(struct exchange *x)
{
	struct edit edit = edit_of(x);

	edit_end(x, &edit, account_create(&edit, x->body), 201);
}

void
api_account_change(struct exchange *x)
{
	struct edit edit = edit_of(x);

	edit_end(x, &edit, account_change(&edit, x->parameters[0], x->body), 200);
}

void
api_account_enable(struct exchange *x)
{
	struct edit edit = edit_of(x);

	edit_end(x, &edit, account_set_active(&edit, x->parameters[0], true), 200);
}

void
api_account_disable(struct exchange *x)
{
	struct edit edit = edit_of(x);

	edit_end(x, &edit, account_set_active(&edit, x->parameters[0], false), 200);
}

void
api_account_password(struct exchange *x)
{
	struct edit edit = edit_of(x);

	edit_end(x, &edit, account_password(&edit, x->parameters[0], x->body), 200);
}

void
api_account_add_user(struct exchange *x)
{
	struct edit edit = edit_of(x);

	edit_end(x, &edit, account_add_user(&edit, x->parameters[0]), 201);
}

void
api_account_remove_user(struct exchange *x)
{
	struct edit edit = edit_of(x);

	edit_end(x, &edit, account_remove_user(&edit, x->parameters[0], x->parameters[1]), 200);
}

void
api_account_add_address(struct exchange *x)
{
	struct edit edit = edit_of(x);

	edit_end(x, &edit, account_add_address(&edit, x->parameters[0], x->body), 201);
}

void
api_account_remove_address(struct exchange *x)
{
	struct edit edit = edit_of(x);

	edit_end(x, &edit, account_remove_address(&edit, x->parameters[0], x->parameters[1]), 200);
}

void
api_account_add_domain(struct exchange *x)
{
	struct edit edit = edit_of(x);

	edit_end(x, &edit, account_add_domain(&edit, x->parameters[0], x->body), 201);
}

void
api_account_remove_domain(struct exchange *x)
{
	struct edit edit = edit_of(x);

	edit_end(x, &edit, account_remove_domain(&edit, x->parameters[0], x->parameters[1]), 200);
}

void
api_accounts_list(struct exchange *x)
{
	const char *last = NULL, *text;
	json_t *ids, *accounts, *id;
	struct page page;
	size_t i;

	if (!page_take(x, "accounts", &page))
		return;
	ids = directory_accounts(x->api->directory);
	accounts = json_array();
	json_array_foreach(ids, i, id)
	{
		text = json_string_value(id);
		if (page.after && strcmp(text, page.after) <= 0)
			continue;
		if (json_array_size(accounts) == page.limit)
			break;
		json_array_append_new(
			accounts, account_show(x->api->directory, &x->api->limits, text));
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

/* Without Redis there is an account, but nobody knows its score. */
static void
on_score(void *arg, int err, const uint64_t counts[SCORE_WINDOWS][SCORES])
{
	struct exchange *x = arg;
	json_t *account = account_show(x->api->directory, &x->api->limits, x->parameters[0]),
	       *score;

	if (!account) {
		reply_no_account(x);
		return;
	}
	score = err ? json_null() : json_object();
	for (int i = 0; !err && i < SCORE_WINDOWS; i++)
		json_object_set_new(score, score_windows[i], json_from_score(counts[i]));
	json_object_set_new(account, "score", score);
	reply_json(x, 200, account);
}

void
api_account_get(struct exchange *x)
{
	if (directory_get(x->api->directory, "account", x->parameters[0]))
		scores_read(x->api->redis, x->parameters[0], on_score, x);
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
	const long take_over = query_number(x, "take_over", 0, 0, 1);

	if (take_over >= 0)
		applier_rebuild(x->api->applier, take_over > 0, on_rebuilt, x);
}
