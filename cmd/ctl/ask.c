/*
 * ask.c - a command's request from its options, and its answer printed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/ctl/ctl.h"
#include "shared/log.h"
#include "shared/text.h"

void
ctl_set(const struct ctl *ctl, json_t *body, const char *option)
{
	const char *value = ctl_option(ctl, option);

	if (value)
		json_object_set_new(body, option, json_string(value));
}

/* An option's name in the API: "egress_ip". The caller's to free. */
static char *
field_of(const char *option)
{
	char *field = xstrdup(option);

	for (char *c = field; *c; c++)
		*c = *c == '-' ? '_' : *c;
	return field;
}

char *
ctl_query(const struct ctl *ctl, const char *path, const char *const *options)
{
	char *uri = xstrdup(path), *longer, *field, *value;
	char separator = '?';

	for (; *options; options++) {
		if (!ctl_option(ctl, *options))
			continue;
		field = field_of(*options);
		value = ctl_encode(ctl_option(ctl, *options));
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

/* Of one request, as the API has it. */
#define PAGE_MAX 1000ul
#define LIST_DEFAULT 100ul

/* The page behind `before` (NULL: the first), of up to `limit` items. */
static json_t *
page_ask(const struct ctl *ctl, const char *path, const json_t *before, unsigned long limit)
{
	const char *after = before ? json_string_value(json_object_get(before, "next"))
				   : ctl_option(ctl, "after");
	char *encoded = ctl_encode(after ? after : "");
	char *uri = xasprintf("%s%climit=%lu%s%s", path, strchr(path, '?') ? '&' : '?',
		limit < PAGE_MAX ? limit : PAGE_MAX, after ? "&after=" : "", encoded);
	json_t *page = ctl_request(ctl, "GET", uri, NULL);

	free(encoded);
	free(uri);
	return page;
}

/* Takes the page; a first page that could not count all knows no total. */
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
