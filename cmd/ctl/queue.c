/*
 * queue.c - the commands about waiting mail, suspensions, rules, and the story of a message.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/ctl/ctl.h"
#include "shared/base/json_text.h"
#include "shared/base/log.h"
#include "shared/config/config.h"

int
queue_list(const struct ctl *ctl)
{
	static const char *const names[] = { "id", "site", "provider", "account", "credential",
		"sender", "domain", "egress-ip", "state", NULL };

	return ctl_list(ctl, ctl_query(ctl, "queue", names), "rows", print_queue);
}

int
queue_summary(const struct ctl *ctl)
{
	static const char *const names[] = { "site", "provider", "account", "credential", "sender",
		"domain", "egress-ip", "by", "limit", NULL };

	return ctl_ask(ctl, "GET", ctl_query(ctl, "queue/summary", names), NULL, print_summary);
}

/* "<collection>/<the name given>" */
static char *
path_of(const struct ctl *ctl, const char *collection)
{
	char *name = ctl_encode(ctl->words[0]), *path = xasprintf("%s/%s", collection, name);

	free(name);
	return path;
}

int
queue_show(const struct ctl *ctl)
{
	return ctl_ask(ctl, "GET", path_of(ctl, "queue"), NULL, print_message);
}

/* What could not be read */

static void
print_removed(const json_t *reply)
{
	print_field("Removed", json_text(reply, "removed"));
}

int
queue_bad_list(const struct ctl *ctl)
{
	return ctl_list(ctl, xstrdup("queue/bad"), "bad", print_bad_list);
}

int
queue_bad_show(const struct ctl *ctl)
{
	return ctl_ask(ctl, "GET", path_of(ctl, "queue/bad"), NULL,
		ctl_has(ctl, "raw") ? print_bad_raw : print_bad);
}

int
queue_bad_remove(const struct ctl *ctl)
{
	return ctl_ask(ctl, "DELETE", path_of(ctl, "queue/bad"), NULL, print_removed);
}

/* Selectors: by option; a rule's message may be a word. Names as in the API. */
static const char *const selector_options[][2] = {
	{ "id", "id" },
	{ "site", "site" },
	{ "provider", "provider" },
	{ "account", "account" },
	{ "credential", "credential" },
	{ "sender", "sender" },
	{ "domain", "recipient_domain" },
	{ "egress-ip", "egress_ip" },
};

static json_t *
selector_of(const struct ctl *ctl)
{
	json_t *selector = json_object();

	for (size_t i = 0; i < sizeof selector_options / sizeof *selector_options; i++) {
		const char *value = ctl_option(ctl, selector_options[i][0]);

		if (value)
			json_object_set_new(selector, selector_options[i][1], json_string(value));
	}
	return selector;
}

static const char *
who(void)
{
	return ctl_operator() ? ctl_operator() : "operator";
}

static void
print_matched(const json_t *reply)
{
	const json_int_t matched = json_integer_value(json_object_get(reply, "matched"));

	printf("%s%" JSON_INTEGER_FORMAT " message%s %s\n",
		json_is_false(json_object_get(reply, "exact")) ? "at least " : "", matched,
		matched == 1 ? "" : "s",
		json_is_true(json_object_get(reply, "dry_run")) ? "would match; nothing is done"
								: "matched");
}

static void
print_rule(const json_t *reply)
{
	const json_t *rule = json_object_get(reply, "rule");
	char *selector = print_selector(json_object_get(rule, "selector"));

	if (json_is_object(rule)) {
		printf("%s ", json_text(rule, "action"));
		print_clean(stdout, selector);
		printf(" (rule %s)\n", json_text(rule, "number"));
	}
	print_matched(reply);
	free(selector);
}

int
queue_rule(const struct ctl *ctl)
{
	json_t *selector = selector_of(ctl);

	if (ctl->words_count > 0)
		json_object_set_new(selector, "id", json_string(ctl->words[0]));
	return ctl_ask(ctl, "POST", xstrdup("rules"),
		json_pack("{s:s, s:o, s:s, s:b}", "action", ctl->verb, "selector", selector, "by",
			who(), "dry_run", ctl_has(ctl, "dry-run")),
		print_rule);
}

int
rules(const struct ctl *ctl)
{
	return ctl_list(ctl, xstrdup("rules"), "rules", print_rules);
}

/* Suspensions */

static void
print_suspended(const json_t *reply)
{
	const json_t *suspended = json_object_get(reply, "suspended");
	char *selector = print_selector(json_object_get(
		suspended ? suspended : json_object_get(reply, "resumed"), "selector"));

	if (json_is_false(json_object_get(reply, "dry_run"))) {
		printf("%s ", suspended ? "suspended" : "resumed");
		print_clean(stdout, selector);
		putchar('\n');
	}
	print_matched(reply);
	free(selector);
}

int
suspend(const struct ctl *ctl)
{
	const char *for_text = ctl_option(ctl, "for");
	uint64_t ms = 0;
	json_t *body;

	if (for_text && (config_duration(for_text, &ms) < 0 || ms < 1000)) {
		ctl_error(ctl, "--for takes a duration, like 30m, 4h or 2d");
		return CTL_USAGE;
	}
	body = json_pack("{s:o, s:s, s:b}", "selector", selector_of(ctl), "by", who(), "dry_run",
		ctl_has(ctl, "dry-run"));
	ctl_set(ctl, body, "reason");
	if (for_text)
		json_object_set_new(body, "seconds", json_integer((json_int_t)(ms / 1000)));
	return ctl_ask(ctl, "POST", xstrdup("suspensions"), body, print_suspended);
}

int
resume(const struct ctl *ctl)
{
	char *uri = xasprintf("suspensions?dry_run=%s", ctl_has(ctl, "dry-run") ? "true" : "false");
	char *longer, *encoded;
	json_t *selector = selector_of(ctl), *value;
	const char *key;

	json_object_foreach(selector, key, value)
	{
		encoded = ctl_encode(json_string_value(value));
		longer = xasprintf("%s&%s=%s", uri, key, encoded);
		free(encoded);
		free(uri);
		uri = longer;
	}
	json_decref(selector);
	return ctl_ask(ctl, "DELETE", uri, NULL, print_suspended);
}

int
suspensions(const struct ctl *ctl)
{
	return ctl_list(ctl, xstrdup("suspensions"), "suspensions", print_suspensions);
}

/* What happened, and further commands */

int
why(const struct ctl *ctl)
{
	char *query = ctl_encode(ctl->words[0]);
	char *limit = ctl_encode(ctl_option(ctl, "limit") ? ctl_option(ctl, "limit") : "10");
	char *after = ctl_option(ctl, "after") ? ctl_encode(ctl_option(ctl, "after")) : NULL;
	char *path = xasprintf(
		"why?q=%s&limit=%s%s%s", query, limit, after ? "&after=" : "", after ? after : "");

	free(query);
	free(limit);
	free(after);
	return ctl_ask(ctl, "GET", path, NULL, print_why);
}

int
replies_unknown(const struct ctl *ctl)
{
	return ctl_ask(ctl, "GET", xstrdup("replies/unknown"), NULL, print_replies);
}

static void
print_rebuilt(const json_t *reply)
{
	printf("%" JSON_INTEGER_FORMAT " entries written\n",
		json_integer_value(json_object_get(reply, "entries")));
}

int
rebuild(const struct ctl *ctl)
{
	const char *path = ctl_has(ctl, "take-over") ? "rebuild?take_over=true" : "rebuild";

	return ctl_ask(ctl, "POST", xstrdup(path), NULL, print_rebuilt);
}
