/*
 * api_webhooks.c - the API's calls about an account's webhooks.
 *
 * api -> [api_webhooks] -> webhook.c (changes), webhooks.c (tests), Redis (tries)
 */
#include "control/webhook/api_webhooks.h"

#include <stdlib.h>

#include "control/http/api_private.h"
#include "control/http/entries.h"
#include "control/webhook/webhook.h"
#include "control/webhook/webhooks.h"
#include "shared/base/json_text.h"
#include "shared/base/loop.h"
#include "shared/redis/redis.h"

#define REDIS_MS 2000

static bool
is_webhook(const char *key, const json_t *entry)
{
	const char *account = json_text(entry, "account");

	return account && webhook_is_of(key, entry, account);
}

/* The webhook that the path names, or NULL after a reply. */
static const json_t *
named(struct exchange *x)
{
	const json_t *entry = webhook_find(x->api->directory, x->parameters[0], x->parameters[1]);

	if (!entry)
		reply_error(x, 404, "id", "there is no such webhook");
	return entry;
}

void
api_webhooks_list(struct exchange *x)
{
	if (!directory_get(x->api->directory, "account", x->parameters[0]))
		reply_error(x, 404, "account", "there is no account \"%.40s\"", x->parameters[0]);
	else
		reply_entries(x, "webhooks", x->parameters[0], is_webhook, false, webhook_show);
}

void
api_webhooks_add(struct exchange *x)
{
	struct edit edit = edit_of(x);
	const int err = webhook_add(&edit, x->parameters[0], x->body, clock_us());

	edit_end(x, "webhook.add", &edit, err, 201);
}

void
api_webhook_get(struct exchange *x)
{
	const json_t *entry = named(x);

	if (entry)
		reply_json(x, 200, webhook_show(entry));
}

void
api_webhook_change(struct exchange *x)
{
	struct edit edit = edit_of(x);
	const int err = webhook_change(&edit, x->parameters[0], x->parameters[1], x->body);

	edit_end(x, "webhook.change", &edit, err, 200);
}

void
api_webhook_remove(struct exchange *x)
{
	struct edit edit = edit_of(x);
	const int err = webhook_remove(&edit, x->parameters[0], x->parameters[1]);

	edit_end(x, "webhook.remove", &edit, err, 200);
}

static void
on_tested(void *arg, json_t *try)
{
	if (try)
		reply_json(arg, 200, try);
	else
		reply_error(arg, 409, "id", "the webhook is off, or was made just now: try again");
}

void
api_webhook_test(struct exchange *x)
{
	if (named(x))
		webhooks_test(x->api->webhooks, x->parameters[1], on_tested, x);
}

static void
on_tries(void *arg, int err, const struct redis_reply *reply)
{
	struct exchange *x = arg;
	json_t *tries;

	if (err || redis_reply_kind(reply) != REDIS_LIST) {
		reply_error(x, 503, "", "Redis does not answer: the tries cannot be read now");
		return;
	}
	tries = json_array();
	for (size_t i = 0; i < redis_reply_count(reply); i++) {
		const char *text = redis_reply_str(redis_reply_at(reply, i), NULL);
		json_t *one = text ? json_loads(text, 0, NULL) : NULL;

		if (one)
			json_array_append_new(tries, one);
	}
	reply_json(x, 200, json_pack("{s:o}", "tries", tries));
}

void
api_webhook_tries(struct exchange *x)
{
	char *key = webhook_tries_key(x->parameters[1]);
	const char *argv[] = { "LRANGE", key, "0", "49" };

	if (named(x))
		redis_command(x->api->redis, REDIS_MS, on_tries, x, 4, argv, NULL);
	free(key);
}
