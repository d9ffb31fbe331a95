/*
 * api_tokens.c - the API's calls about tokens: an account's, and those for all accounts.
 */
#include <stdlib.h>
#include <string.h>

#include "control/http/api_private.h"
#include "control/http/entries.h"
#include "control/login/person_mail.h"
#include "control/people/tokens.h"
#include "shared/base/json_text.h"
#include "shared/base/log.h"
#include "shared/base/loop.h"

static bool
is_account_token(const char *key, const json_t *entry)
{
	return token_is_of(key, entry, json_text(entry, "account")) && json_text(entry, "account");
}

static bool
is_operator_token(const char *key, const json_t *entry)
{
	return token_is_of(key, entry, NULL);
}

struct adding {
	struct exchange *exchange;
	json_t *reply;
};

/* Who made a token by a session hears of it by mail, too, in case it was somebody else. */
static void
on_added(void *arg, int err, int applied_err)
{
	const struct adding adding = *(struct adding *)arg;
	struct exchange *x = adding.exchange;

	(void)applied_err; /* tokens are not in Redis */
	free(arg);
	if (err) {
		json_decref(adding.reply);
		reply_not_taken(x, err);
		return;
	}
	if (x->caller.kind == CALLER_PERSON)
		person_mail_news(x->api, x->caller.name, NEWS_TOKEN, x->client);
	reply_json(x, 201, adding.reply);
}

static void
add(struct exchange *x, const char *account)
{
	struct edit edit = { .directory = x->api->directory };
	const int err = token_add(&edit, account, x->body, clock_us());
	struct adding *adding = xmalloc(sizeof *adding);

	*adding = (struct adding){ x, edit.reply };
	if (edit_commit(x, "token.add", &edit, err, on_added, adding))
		return;
	free(adding);
	reply_fault(x, &edit.fault);
}

static void
remove_one(struct exchange *x, const char *account, const char *id)
{
	struct edit edit = { .directory = x->api->directory };

	edit_end(x, "token.remove", &edit, token_remove(&edit, account, id), 200);
}

void
api_tokens_add(struct exchange *x)
{
	add(x, NULL);
}

void
api_tokens_list(struct exchange *x)
{
	reply_entries(x, "tokens", NULL, is_operator_token, false, token_show);
}

void
api_tokens_remove(struct exchange *x)
{
	remove_one(x, NULL, x->parameters[0]);
}

void
api_account_tokens_add(struct exchange *x)
{
	add(x, x->parameters[0]);
}

void
api_account_tokens_list(struct exchange *x)
{
	if (!directory_get(x->api->directory, "account", x->parameters[0]))
		reply_error(x, 404, "account", "there is no account \"%.40s\"", x->parameters[0]);
	else
		reply_entries(x, "tokens", x->parameters[0], is_account_token, false, token_show);
}

void
api_account_tokens_remove(struct exchange *x)
{
	remove_one(x, x->parameters[0], x->parameters[1]);
}
