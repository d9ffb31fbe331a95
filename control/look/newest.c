/*
 * newest.c - keeps the newest results of a search.
 */
#include "control/look/newest.h"

#include <stdlib.h>

#include "shared/base/log.h"

struct kept {
	json_t *value;
	size_t length;
};

struct newest {
	struct kept *ring;
	size_t limit, first, count, seen, bytes;
};

struct newest *
newest_new(size_t limit)
{
	struct newest *newest = xcalloc(1, sizeof *newest);

	newest->limit = limit;
	newest->ring = xcalloc(limit, sizeof *newest->ring);
	return newest;
}

static json_t *
take_first(struct newest *newest)
{
	const struct kept *kept = &newest->ring[newest->first];

	newest->first = (newest->first + 1) % newest->limit;
	newest->count--;
	newest->bytes -= kept->length;
	return kept->value;
}

void
newest_free(struct newest **newest)
{
	if (!*newest)
		return;
	while ((*newest)->count > 0)
		json_decref(take_first(*newest));
	free((*newest)->ring);
	free(*newest);
	*newest = NULL;
}

void
newest_add(struct newest *newest, json_t *value, size_t length)
{
	while (newest->count > 0 &&
		(newest->count == newest->limit || newest->bytes + length > NEWEST_BYTES_MAX))
		json_decref(take_first(newest));
	newest->ring[(newest->first + newest->count) % newest->limit] = (struct kept){ value,
		length };
	newest->count++;
	newest->seen++;
	newest->bytes += length;
}

size_t
newest_seen(const struct newest *newest)
{
	return newest->seen;
}

bool
newest_full(const struct newest *newest)
{
	return newest->count == newest->limit || newest->seen > newest->count ||
		newest->bytes > NEWEST_BYTES_MAX / 2;
}

json_t *
newest_take(struct newest *newest)
{
	json_t *list = json_array();

	while (newest->count > 0)
		json_array_append_new(list, take_first(newest));
	return list;
}
