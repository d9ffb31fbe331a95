/*
 * api_replies.c - replies of remotes that no response rule knows.
 *
 * senders -> Redis (unknown_replies) -> [api_replies]
 */
#include <stdlib.h>
#include <string.h>

#include "control/http/api_private.h"
#include "shared/base/date.h"
#include "shared/base/log.h"
#include "shared/work/unknown_replies.h"

struct listing_unknown {
	struct exchange *exchange;
	json_t *replies;
};

static json_t *
shown(const struct unknown_reply *reply)
{
	return json_pack("{s:s, s:s, s:s, s:I, s:o, s:o}", "provider", reply->provider, "host",
		reply->host, "reply", reply->text, "count", (json_int_t)reply->count, "first",
		json_from_time(reply->first_s * 1000000), "last",
		json_from_time(reply->last_s * 1000000));
}

/* Most often first. */
static int
by_count(const void *a, const void *b)
{
	const json_int_t first = json_integer_value(json_object_get(*(json_t *const *)a, "count"));
	const json_int_t second = json_integer_value(json_object_get(*(json_t *const *)b, "count"));

	return first < second ? 1 : first > second ? -1 : 0;
}

static json_t *
sorted(json_t *replies)
{
	const size_t count = json_array_size(replies);
	json_t **list = xcalloc(count + 1, sizeof *list), *out = json_array();

	for (size_t i = 0; i < count; i++)
		list[i] = json_array_get(replies, i);
	qsort(list, count, sizeof *list, by_count);
	for (size_t i = 0; i < count; i++)
		json_array_append(out, list[i]);
	free(list);
	json_decref(replies);
	return out;
}

static void
on_unknown(void *arg, const struct unknown_reply *reply, int err)
{
	struct listing_unknown *listing = arg;

	if (reply) {
		json_t *entry = shown(reply);

		if (entry)
			json_array_append_new(listing->replies, entry);
		return;
	}
	if (err) {
		reply_error(listing->exchange, 503, "", "Redis, which has them, does not answer");
		json_decref(listing->replies);
	} else {
		reply_json(listing->exchange, 200,
			json_pack("{s:o}", "replies", sorted(listing->replies)));
	}
	free(listing);
}

void
api_replies_unknown(struct exchange *x)
{
	struct listing_unknown *listing = xmalloc(sizeof *listing);

	*listing = (struct listing_unknown){ x, json_array() };
	unknown_replies_read(x->api->redis, on_unknown, listing);
}
