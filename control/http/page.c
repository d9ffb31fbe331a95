/*
 * page.c - one page of a list.
 *
 * "next" is "<list>:<place>" or, with filters, "<list>.<their sum>:<place>".
 */
#include "control/http/page.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/http/api_private.h"
#include "shared/base/log.h"

#define NAME_SIZE 64

/* FNV-1a. */
static uint32_t
hash(const char *name, const char *value)
{
	uint32_t sum = 2166136261u;

	for (; *name; name++)
		sum = (sum ^ (unsigned char)*name) * 16777619u;
	sum = (sum ^ '=') * 16777619u;
	for (; *value; value++)
		sum = (sum ^ (unsigned char)*value) * 16777619u;
	return sum;
}

/* Writes the list's name, with the sum of the query's filters in any order. */
static void
list_name(const struct exchange *exchange, const char *list, char out[NAME_SIZE])
{
	const struct evkeyval *pair;
	uint32_t sum = 0;

	for (pair = exchange->query.tqh_first; pair; pair = pair->next.tqe_next)
		if (strcmp(pair->key, "limit") != 0 && strcmp(pair->key, "after") != 0 &&
			strcmp(pair->key, "wait") != 0)
			sum += hash(pair->key, pair->value);
	if (sum)
		snprintf(out, NAME_SIZE, "%s.%08" PRIx32 ":", list, sum);
	else
		snprintf(out, NAME_SIZE, "%s:", list);
}

/* Whether `after` is "<list>:..." or "<list>.<sum>:...". */
static bool
is_of(const char *after, const char *list)
{
	const size_t length = strlen(list);

	if (strncmp(after, list, length) != 0)
		return false;
	after += length;
	if (*after == '.')
		after += 1 + strspn(after + 1, "0123456789abcdef");
	return *after == ':' && after[1];
}

void
page_refuse(struct exchange *exchange)
{
	reply_error(exchange, 400, "after", "\"%.60s\" is no \"next\" of a page of this list",
		query_text(exchange, "after"));
}

bool
page_take_of(
	struct exchange *exchange, const char *list, size_t def, size_t max, struct page *page_out)
{
	const long limit = query_number(exchange, "limit", (long)def, 1, (long)max);
	const char *after = query_text(exchange, "after");
	char name[NAME_SIZE];

	if (limit < 0)
		return false;
	list_name(exchange, list, name);
	*page_out = (struct page){ (size_t)limit, after ? after + strlen(name) : NULL };
	if (!after || strncmp(after, name, strlen(name)) == 0)
		return true;
	if (is_of(after, list))
		reply_error(exchange, 409, "after",
			"\"%.60s\" is the \"next\" of this list with other filters", after);
	else
		page_refuse(exchange);
	return false;
}

bool
page_take(struct exchange *exchange, const char *list, struct page *page_out)
{
	return page_take_of(exchange, list, PAGE_DEFAULT, PAGE_MAX, page_out);
}

json_t *
page_next(const struct exchange *exchange, const char *list, const char *place)
{
	char name[NAME_SIZE], *text;
	json_t *next;

	if (!place)
		return json_null();
	list_name(exchange, list, name);
	text = xasprintf("%s%s", name, place);
	next = json_string(text);
	free(text);
	return next;
}
