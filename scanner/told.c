/*
 * told.c - tells operators which messages are being scanned (shared/work/inflight.h).
 *
 * clamd -> [told] -> inflight -> Redis
 */
#include "scanner/told.h"

#include "scanner/clamd.h"
#include "shared/base/json.h"
#include "shared/base/loop.h"
#include "shared/work/inflight.h"

struct telling {
	struct json *json;
	unsigned count;
	int64_t untold;
};

static void
tell_scan(void *arg, const struct clamd_seen *seen)
{
	const uint64_t took_us = (clock_mono_ms() - seen->started_ms) * 1000;
	struct telling *telling = arg;
	char id[ID_TEXT_SIZE];

	if (took_us < INFLIGHT_SLOW_US)
		return;
	if (telling->count++ == INFLIGHT_MAIL_MAX) {
		telling->count--;
		telling->untold++;
		return;
	}
	id_format(seen->envelope->id.data, id);
	json_open(telling->json, NULL, '{');
	json_str(telling->json, "id", id);
	json_str(telling->json, "stage", "scanning");
	json_str(telling->json, "host", seen->host);
	json_int(telling->json, "since", (int64_t)(clock_us() - took_us));
	json_close(telling->json, '}');
}

void
told_scans(void *arg, struct json *json)
{
	struct telling telling = { .json = json };

	json_open(json, "mail", '[');
	clamd_each(arg, tell_scan, &telling);
	json_close(json, ']');
	if (telling.untold)
		json_int(json, "untold", telling.untold);
}
