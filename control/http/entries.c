/*
 * entries.c - pages of what relay.config holds below a prefix: rules, suspensions.
 *
 * api_rules -> [entries] -> directory, page
 */
#include "control/http/entries.h"

#include <stdlib.h>
#include <string.h>

#include "shared/base/json_text.h"
#include "shared/base/log.h"
#include "shared/base/text.h"

/* The keys of what is shown, sorted; the caller's to free. */
static const char **
keys_of(const struct directory *directory, const char *account, entry_shown shown,
	size_t *count_out)
{
	json_t *entries = directory_entries(directory), *entry;
	const char **keys = xcalloc(json_object_size(entries) + 1, sizeof *keys), *key;

	*count_out = 0;
	json_object_foreach(entries, key, entry)
	{
		const char *of = json_text(entry, "account");

		if (shown(key, entry) && (!account || (of && strcmp(of, account) == 0)))
			keys[(*count_out)++] = key;
	}
	qsort(keys, *count_out, sizeof *keys, text_order);
	return keys;
}

/* What is behind the prefix: a place of the list. */
static const char *
place_of(const char *key)
{
	return strchr(key, '/') + 1;
}

json_t *
entries_page(struct exchange *x, const char *list, const char *account, entry_shown shown,
	bool newest, json_t *(*show)(const json_t *entry))
{
	const char *last = NULL, **keys;
	json_t *items = json_array();
	struct page page;
	size_t count, i;

	if (!page_take(x, list, &page)) {
		json_decref(items);
		return NULL;
	}
	keys = keys_of(x->api->directory, account, shown, &count);
	for (i = 0; i < count && json_array_size(items) < page.limit; i++) {
		const char *key = keys[newest ? count - 1 - i : i];
		const int order = page.after ? strcmp(place_of(key), page.after) : 0;

		if (page.after && (newest ? order >= 0 : order <= 0))
			continue;
		json_array_append_new(items, show(directory_entry(x->api->directory, key)));
		last = place_of(key);
	}
	items = json_pack("{s:o, s:o, s:I}", list, items, "next",
		page_next(x, list, i < count ? last : NULL), "total", (json_int_t)count);
	free(keys);
	return items;
}

void
reply_entries(struct exchange *x, const char *list, const char *account, entry_shown shown,
	bool newest, json_t *(*show)(const json_t *entry))
{
	json_t *page = entries_page(x, list, account, shown, newest, show);

	if (page)
		reply_json(x, 200, page);
}
