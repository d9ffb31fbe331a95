/*
 * webhooks.c - the commands about an account's webhooks.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/ctl/ctl.h"
#include "shared/base/json_text.h"
#include "shared/base/log.h"

/* "accounts/x/webhooks", with `id` one of them, `rest` behind it. The caller frees it. */
static char *
path_of(const struct ctl *ctl, const char *id, const char *rest)
{
	char *account = ctl_encode(ctl_option(ctl, "account"));
	char *name = id ? ctl_encode(id) : NULL;
	char *path = xasprintf(
		"accounts/%s/webhooks%s%s%s", account, name ? "/" : "", name ? name : "", rest);

	free(account);
	free(name);
	return path;
}

/* The names that --event gives, with commas between. */
static void
set_events(const struct ctl *ctl, json_t *body)
{
	const char *given = ctl_option(ctl, "event");
	json_t *names = json_array();

	while (given && *given) {
		const size_t length = strcspn(given, ",");

		json_array_append_new(names, json_stringn(given, length));
		given += length + (given[length] == ',');
	}
	if (ctl_option(ctl, "event"))
		json_object_set(body, "events", names);
	json_decref(names);
}

static void
print_webhook(const json_t *webhook)
{
	char *names = joined(json_object_get(webhook, "events"), NULL);
	char *off = time_of(webhook, "off_since");
	const bool on = json_is_true(json_object_get(webhook, "enabled"));

	print_field("Webhook", text_of(webhook, "id"));
	print_field("URL", json_text(webhook, "url"));
	print_field("Events", *names ? names : NULL);
	if (json_object_get(webhook, "enabled"))
		print_field("State", on ? "on" : "off");
	print_field("Off since", *off ? off : NULL);
	print_field("Because", json_text(webhook, "off_reason"));
	print_field("Secret", json_text(webhook, "secret"));
	if (json_object_get(webhook, "secret"))
		printf("The secret signs each post and is shown this once: note it now.\n");
	free(off);
	free(names);
}

static void
print_webhooks(const json_t *reply)
{
	static const char *const heads[] = { "WEBHOOK", "STATE", "EVENTS", "URL" };
	json_t *rows = json_array(), *one, *webhooks = json_object_get(reply, "webhooks");
	size_t i;

	json_array_foreach(webhooks, i, one)
	{
		char *names = joined(json_object_get(one, "events"), NULL);

		json_array_append_new(rows,
			json_pack("[s, s, s, s]", text_of(one, "id"),
				json_is_true(json_object_get(one, "enabled")) ? "on" : "off", names,
				text_of(one, "url")));
		free(names);
	}
	print_table(heads, 4, rows);
	print_count(reply, json_array_size(webhooks), "webhooks");
	print_next(reply);
	json_decref(rows);
}

static void
print_try(const json_t *try)
{
	char *at = time_of(try, "at");

	print_field("At", at);
	print_field("Event", text_of(try, "event"));
	print_field("Answer", number_of(try, "status"));
	print_field("Took (ms)", number_of(try, "ms"));
	print_field("Error", json_text(try, "error"));
	print_field("Taken", json_is_true(json_object_get(try, "ok")) ? "yes" : "no");
	free(at);
}

static void
print_tries(const json_t *reply)
{
	static const char *const heads[] = { "AT", "EVENT", "ANSWER", "MS", "ID OR ERROR" };
	json_t *rows = json_array(), *one, *tries = json_object_get(reply, "tries");
	size_t i;

	json_array_foreach(tries, i, one)
	{
		char *at = time_of(one, "at");

		json_array_append_new(rows,
			json_pack("[s, s, s, s, s]", at, text_of(one, "event"),
				number_of(one, "status"), number_of(one, "ms"),
				json_text_or(one, "error", text_of(one, "event_id"))));
		free(at);
	}
	print_table(heads, 5, rows);
	json_decref(rows);
}

int
webhook_add(const struct ctl *ctl)
{
	json_t *body = json_pack("{s:s}", "url", ctl->words[0]);

	set_events(ctl, body);
	return ctl_ask(ctl, "POST", path_of(ctl, NULL, ""), body, print_webhook);
}

int
webhook_list(const struct ctl *ctl)
{
	return ctl_list(ctl, path_of(ctl, NULL, ""), "webhooks", print_webhooks);
}

int
webhook_show(const struct ctl *ctl)
{
	return ctl_ask(ctl, "GET", path_of(ctl, ctl->words[0], ""), NULL, print_webhook);
}

int
webhook_change(const struct ctl *ctl)
{
	json_t *body = json_object();

	if (ctl->words_count > 1)
		json_object_set_new(body, "url", json_string(ctl->words[1]));
	set_events(ctl, body);
	return ctl_ask(ctl, "PATCH", path_of(ctl, ctl->words[0], ""), body, print_webhook);
}

int
webhook_switch(const struct ctl *ctl)
{
	json_t *body = json_pack("{s:b}", "enabled", strcmp(ctl->verb, "enable") == 0);

	return ctl_ask(ctl, "PATCH", path_of(ctl, ctl->words[0], ""), body, print_webhook);
}

int
webhook_remove(const struct ctl *ctl)
{
	return ctl_ask(ctl, "DELETE", path_of(ctl, ctl->words[0], ""), NULL, print_webhook);
}

int
webhook_test(const struct ctl *ctl)
{
	return ctl_ask(ctl, "POST", path_of(ctl, ctl->words[0], "/test"), NULL, print_try);
}

int
webhook_tries(const struct ctl *ctl)
{
	return ctl_ask(ctl, "GET", path_of(ctl, ctl->words[0], "/tries"), NULL, print_tries);
}
