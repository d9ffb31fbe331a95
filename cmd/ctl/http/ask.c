/*
 * ask.c - makes a command's request from its options, and prints the answer.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/ctl/ctl.h"
#include "shared/base/json_text.h"
#include "shared/base/log.h"
#include "shared/base/text.h"

void
ctl_set(const struct ctl *ctl, json_t *body, const char *option)
{
	const char *value = ctl_option(ctl, option);

	if (value)
		json_object_set_new(body, option, json_string(value));
}

/* Fields whose option has another name. Of several options the first one that the command takes
 * counts. */
static const struct {
	const char *field, *option;
} fields[] = {
	{ "address", "ip" },
	{ "addresses", "ip" },
	{ "domains", "domain" },
	{ "recipient-domain", "domain" },
	{ "mailboxes", "domain" },
	{ "name", "domain" },
	{ "seconds", "for" },
	{ "second-factor", "no-second-factor" },
};

/* "limits.messages_hour" is "messages-hour", and "domains[1]" is "domains". */
static char *
last_of(const char *field)
{
	const char *dot = strrchr(field, '.');
	char *name = xstrdup(dot ? dot + 1 : field);

	name[strcspn(name, "[")] = '\0';
	for (char *c = name; *c; c++)
		*c = *c == '_' ? '-' : *c;
	return name;
}

/* The option for a field, among the command's options; NULL: there is none. */
static const char *
option_of(const struct ctl *ctl, const char *field)
{
	const struct ctl_known *known = ctl_known;

	while (known->name && strcmp(known->name, field) != 0)
		known++;
	if (known->name && ctl_listed(ctl->command->options, field))
		return known->name;
	for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
		if (strcmp(fields[i].field, field) == 0 &&
			ctl_listed(ctl->command->options, fields[i].option))
			return fields[i].option;
	return NULL;
}

/* "--domain", or, if the option may be repeated, also the value that "domains[1]" means. */
static char *
typed_option(const struct ctl *ctl, const char *option, const char *field)
{
	const char *bracket = strchr(field, '[');
	unsigned long index = bracket ? strtoul(bracket + 1, NULL, 10) : 0;

	for (size_t i = 0; bracket && i < ctl->options_count; i++)
		if (strcmp(ctl->options[i].name, option) == 0 && index-- == 0)
			return xasprintf("--%s %s", option, ctl->options[i].value);
	return xasprintf("--%s", option);
}

char *
ctl_typed(const struct ctl *ctl, const char *field)
{
	static const char *const words[] = { "id", "account", "key", "q", "username", "login",
		"selector", "ip" };
	char *name = last_of(field), *typed = NULL;
	const char *option = option_of(ctl, name), *word = ctl->command->words;

	if (option)
		typed = typed_option(ctl, option, field);
	for (size_t i = 0; i < sizeof words / sizeof *words && !typed; i++)
		if (strcmp(name, words[i]) == 0 && ctl->words_count > 0)
			typed = xasprintf("%.*s", (int)strcspn(word + (*word == '['), "] "),
				word + (*word == '['));
	free(name);
	return typed ? typed : xstrdup(strcmp(field, "selector") == 0 ? "" : field);
}

/* An option's name in the API: "egress_ip". The caller frees it. */
static char *
field_of(const char *option)
{
	char *field = xstrdup(option);

	for (char *c = field; *c; c++)
		*c = *c == '-' ? '_' : *c;
	return field;
}

const char *
ctl_operator(void)
{
	const char *name = getenv("SUDO_USER");

	return name ? name : getenv("USER");
}

char *
ctl_query(const struct ctl *ctl, const char *path, const char *const *options)
{
	char *uri = xstrdup(path), *longer, *field, *value;
	char separator = '?';

	for (; *options; options++) {
		if (!ctl_has(ctl, *options))
			continue;
		field = field_of(*options);
		value = ctl_encode(ctl_option(ctl, *options) ? ctl_option(ctl, *options) : "true");
		longer = xasprintf("%s%c%s=%s", uri, separator, field, value);
		free(uri);
		free(field);
		free(value);
		uri = longer;
		separator = '&';
	}
	return uri;
}

int
ctl_ask(const struct ctl *ctl, const char *method, char *path, json_t *body,
	void (*print)(const json_t *reply))
{
	json_t *reply = ctl_request(ctl, method, path, body);

	free(path);
	if (!reply)
		return CTL_FAILED;
	if (ctl->json)
		print_json(reply);
	else
		print(reply);
	if (json_is_false(json_object_get(reply, "applied")))
		fprintf(stderr, "shoutctl: Redis does not answer: it is told when it does\n");
	json_decref(reply);
	return CTL_OK;
}

/* Lists */

/* The largest page, as the API has it. */
#define PAGE_MAX 1000ul
#define LIST_DEFAULT 100ul

/* Asks for the page behind `before` (NULL: the first), with up to `limit` items. */
static json_t *
page_ask(const struct ctl *ctl, const char *path, const json_t *before, unsigned long limit)
{
	const char *after = before ? json_text(before, "next") : ctl_option(ctl, "after");
	char *encoded = ctl_encode(after ? after : "");
	char *uri = xasprintf("%s%climit=%lu%s%s", path, strchr(path, '?') ? '&' : '?',
		limit < PAGE_MAX ? limit : PAGE_MAX, after ? "&after=" : "", encoded);
	json_t *page = ctl_request(ctl, "GET", uri, NULL);

	free(encoded);
	free(uri);
	return page;
}

/* Adds the page, and takes it over. A first page that could not count all has no total. */
static void
page_join(json_t *all, json_t *page, const char *items)
{
	json_array_extend(json_object_get(all, items), json_object_get(page, items));
	json_object_set(all, "next", json_object_get(page, "next"));
	json_decref(page);
}

/* NULL after saying why not. */
static json_t *
pages_ask(const struct ctl *ctl, const char *path, const char *items, unsigned long limit)
{
	json_t *all = NULL, *page;
	size_t count = 0;

	do {
		page = page_ask(ctl, path, all, limit - count);
		if (!page) {
			json_decref(all);
			return NULL;
		}
		if (all)
			page_join(all, page, items);
		else
			all = page;
		count = json_array_size(json_object_get(all, items));
	} while (count < limit && json_is_string(json_object_get(all, "next")));
	return all;
}

int
ctl_list(const struct ctl *ctl, char *path, const char *items, void (*print)(const json_t *reply))
{
	const char *text = ctl_option(ctl, "limit");
	char *end = NULL;
	const unsigned long limit = text ? strtoul(text, &end, 10) : LIST_DEFAULT;
	json_t *all;

	if (text && (!is_digit(*text) || *end || limit == 0)) {
		free(path);
		ctl_error(ctl, "--limit takes a number from 1");
		return CTL_USAGE;
	}
	all = pages_ask(ctl, path, items, limit);
	free(path);
	if (!all)
		return CTL_FAILED;
	if (ctl->json)
		print_json(all);
	else
		print(all);
	json_decref(all);
	return CTL_OK;
}
