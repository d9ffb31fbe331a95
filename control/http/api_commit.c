/*
 * api_commit.c - a change that a request asks for, from its entries to the reply.
 *
 * handler -> [api_commit] -> commit -> relay.config -> Redis, mails -> reply
 *
 * A change counts once it is durable. When Redis does not answer, the reply only says "applied":
 * false, and the applier catches up.
 */
#include <stdlib.h>
#include <string.h>

#include "control/config/owner_entry.h"
#include "control/http/api_private.h"
#include "shared/account/owner.h"
#include "shared/base/log.h"

/* A change on its way to the reply. */
struct pending {
	struct exchange *exchange;
	json_t *reply, *mailed;
	int status;
};

static void
on_committed(void *arg, int err, int applied_err)
{
	struct pending pending = *(struct pending *)arg;

	free(arg);
	if (!err)
		json_object_update(pending.reply, pending.mailed);
	json_decref(pending.mailed);
	if (err) {
		json_decref(pending.reply);
		reply_not_taken(pending.exchange, err);
		return;
	}
	if (applied_err)
		json_object_set_new(pending.reply, "applied", json_false());
	reply_json(pending.exchange, pending.status, pending.reply);
}

/* What mails of the change tell of a new credential. Whoever adds a user, or makes a new password,
 * says whether it is mailed. */
static json_t *
secrets_of(const struct exchange *x, const char *what, const json_t *reply)
{
	json_t *username = json_object_get(reply, "username");
	json_t *password = json_object_get(reply, "password");

	if (!json_is_string(username) || !json_is_string(password) ||
		(strncmp(what, "user.", 5) == 0 && !json_is_true(json_object_get(x->body, "mail"))))
		return NULL;
	return json_pack("{s:O, s:O}", "username", username, "password", password);
}

void
commit_shown(struct exchange *x, const char *what, int status, json_t *changes, json_t *reply,
	json_t *shown)
{
	struct pending *pending = xmalloc(sizeof *pending);
	struct change change = { .what = what,
		.author = exchange_author(x),
		.entries = changes,
		.shown = shown,
		.secrets = secrets_of(x, what, reply) };

	*pending = (struct pending){ x, reply, json_object(), status };
	change.mailed = pending->mailed;
	commit_begin(x->api->commits, &change, on_committed, pending);
}

void
commit_start(struct exchange *x, const char *what, int status, json_t *changes, json_t *reply)
{
	commit_shown(x, what, status, changes, reply, NULL);
}

void
edit_end(struct exchange *exchange, const char *what, struct edit *edit, int err, int status)
{
	const char *doubt = applier_doubt(exchange->api->applier);

	if (doubt)
		err = fault_set(&edit->fault, 503, "", "%s", doubt);
	if (!err) {
		if (!*directory_owner(edit->directory))
			json_object_set_new(edit->changes, OWNER_KEY, owner_entry_new());
		commit_start(exchange, what, status, edit->changes, edit->reply);
		return;
	}
	json_decref(edit->changes);
	json_decref(edit->reply);
	reply_fault(exchange, &edit->fault);
}

bool
edit_commit(
	struct exchange *x, const char *what, struct edit *edit, int err, commit_cb cb, void *arg)
{
	const char *doubt = applier_doubt(x->api->applier);
	const struct change change = {
		.what = what, .author = exchange_author(x), .entries = edit->changes
	};

	if (doubt)
		err = fault_set(&edit->fault, 503, "", "%s", doubt);
	if (err) {
		json_decref(edit->changes);
		json_decref(edit->reply);
		return false;
	}
	if (!*directory_owner(edit->directory))
		json_object_set_new(edit->changes, OWNER_KEY, owner_entry_new());
	commit_begin(x->api->commits, &change, cb, arg);
	return true;
}

struct edit
edit_of(const struct exchange *exchange)
{
	return (struct edit){ .config = exchange->api->config,
		.directory = exchange->api->directory,
		.customer = !caller_is_operator(&exchange->caller) };
}
