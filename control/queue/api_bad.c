/*
 * api_bad.c - entries that the queue could not read and set aside: an operator lists, saves and
 * removes them.
 *
 * An entry's key and bytes travel as hex digits.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control/http/api_private.h"
#include "shared/base/json_text.h"
#include "shared/base/log.h"

#define KEY_MAX 511 /* of LMDB */

static json_t *
hex(const void *data, size_t length)
{
	static const char digits[] = "0123456789abcdef";
	const unsigned char *bytes = data;
	char *text = xmalloc(2 * length + 1);
	json_t *value;

	for (size_t i = 0; i < length; i++) {
		text[2 * i] = digits[bytes[i] >> 4];
		text[2 * i + 1] = digits[bytes[i] & 15];
	}
	value = json_stringn(text, 2 * length);
	free(text);
	return value;
}

static int
nibble(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Decodes a key and returns its length; 0: the text is no key in hex digits. There is room for the
 * NUL that makes the key the place of the next page. */
static size_t
parse_key(const char *text, unsigned char key[KEY_MAX + 1])
{
	const size_t length = strlen(text);
	bool good = length > 0 && length % 2 == 0 && length <= 2 * KEY_MAX;

	for (size_t i = 0; i < length && good; i++) {
		const int value = nibble(text[i]);

		good = value >= 0;
		key[i / 2] = (unsigned char)(i % 2 ? key[i / 2] * 16 + value : value);
	}
	return good ? length / 2 : 0;
}

/* Reads the key of the path, and returns its length; 0 after a reply. */
static size_t
take_key(struct exchange *x, unsigned char key[KEY_MAX + 1])
{
	const size_t length = parse_key(x->parameters[0], key);

	if (!length)
		reply_error(x, 400, "key", "the hex digits of a key, as the list shows them");
	return length;
}

struct entries {
	json_t *list;
	bool whole; /* with the entry's bytes */
};

static void
on_bad(void *arg, const void *key, size_t key_length, const void *value, size_t length)
{
	struct entries *found = arg;
	const char *text = key, *slash = memchr(key, '/', key_length);
	const size_t table = slash ? (size_t)(slash - text) : 0, rest = key_length - table - 1;
	json_t *entry = json_object();
	char id[ID_TEXT_SIZE];

	json_object_set_new(entry, "key", hex(key, key_length));
	json_object_set_new(entry, "table", json_stringn(text, table));
	json_object_set_new(entry, "size", json_integer((json_int_t)length));
	if (slash && table == 4 && memcmp(text, "rows", 4) == 0 && rest > ID_SIZE) {
		id_format((const uint8_t *)slash + 1, id);
		json_object_set_new(entry, "id", json_string(id));
		json_object_set_new(entry, "site",
			json_stringn(slash + 1 + ID_SIZE, rest - ID_SIZE)); /* NULL if not UTF-8 */
	}
	if (found->whole)
		json_object_set_new(entry, "value", hex(value, length));
	json_array_append_new(found->list, entry);
}

/* Counts the entry, which is the next page's when the page is full: one more than the page has was
 * asked for. */
static json_t *
take_next(const struct exchange *x, json_t *list, size_t limit)
{
	const json_t *last = json_array_get(list, limit - 1);

	if (json_array_size(list) <= limit)
		return json_null();
	json_array_remove(list, limit);
	return page_next(x, "bad", json_text(last, "key"));
}

void
api_bad_list(struct exchange *x)
{
	unsigned char from[KEY_MAX + 1] = { 0 };
	struct entries found = { 0 };
	struct queue_stats stats;
	struct page page;
	size_t length = 0;
	json_t *next;

	if (!page_take(x, "bad", &page))
		return;
	if (page.after) {
		length = parse_key(page.after, from);
		if (!length) {
			page_refuse(x);
			return;
		}
		from[length++] = '\0';
	}
	found.list = json_array();
	queue_bad_scan(x->api->queue, from, length, page.limit + 1, on_bad, &found);
	queue_stats(x->api->queue, &stats);
	next = take_next(x, found.list, page.limit);
	reply_json(x, 200,
		json_pack("{s:o, s:o, s:I, s:s*}", "bad", found.list, "next", next, "total",
			(json_int_t)stats.bad, "machine", queue_bad_machine(x->api->queue)));
}

static void
reply_none(struct exchange *x)
{
	reply_error(x, 404, "key", "nothing of this key is set aside");
}

void
api_bad_get(struct exchange *x)
{
	struct entries all = { .whole = true };
	unsigned char key[KEY_MAX + 1];
	const size_t length = take_key(x, key);
	const char *found;
	json_t *entry;

	if (!length)
		return;
	all.list = json_array();
	queue_bad_scan(x->api->queue, key, length, 1, on_bad, &all);
	entry = json_incref(json_array_get(all.list, 0));
	json_decref(all.list);
	found = json_text(entry, "key");
	if (found && strcmp(found, x->parameters[0]) == 0) {
		reply_json(x, 200, entry);
		return;
	}
	json_decref(entry);
	reply_none(x);
}

static void
on_removed(void *arg, int err)
{
	struct exchange *x = arg;

	if (err == -ENOENT)
		reply_none(x);
	else if (err)
		reply_not_taken(x, err);
	else
		reply_json(x, 200, json_pack("{s:s}", "removed", x->parameters[0]));
}

void
api_bad_remove(struct exchange *x)
{
	unsigned char key[KEY_MAX + 1];
	const size_t length = take_key(x, key);

	if (!length)
		return;
	LOG_WARN("removing what could not be read", "key", x->parameters[0]);
	queue_bad_remove(x->api->queue, key, length, on_removed, x);
}
