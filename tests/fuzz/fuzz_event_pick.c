/*
 * fuzz_event_pick.c - whatever a line of events holds and whatever is asked for, the quick look
 * passes nothing over that matches, and a time that is read is one.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "control/look/event_pick.h"
#include "shared/base/date.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_time(const char *text)
{
	const uint64_t now_us = UINT64_C(1795492608123456);
	char out[DATE_SIZE];
	uint64_t us, again;

	if (pick_time(text, now_us, &us) < 0)
		return;
	date_iso(us, out);
	assert(date_read(out, now_us, &again) == 0 && again / 1000 == us / 1000);
}

/* The first byte is the field, a line what is asked for, the rest what stands in the file. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *end = size > 1 ? memchr(data + 1, '\n', size - 1) : NULL;
	struct event_pick pick;
	json_t *event;
	char *wanted;
	size_t left;

	if (!end)
		return 0;
	wanted = strndup((const char *)data + 1, (size_t)(end - (const char *)data - 1));
	left = size - (size_t)(end + 1 - (const char *)data);
	check_time(wanted);
	pick_init(&pick);
	if (pick_set(&pick, (enum pick_field)(data[0] % PICK_FIELDS), wanted) == 0) {
		event = json_loadb(end + 1, left, 0, NULL);
		if (event && pick_matches(&pick, event) && !strchr(wanted, '"') &&
			!memchr(end + 1, '\\', left))
			assert(pick_may(&pick, end + 1, left));
		json_decref(event);
	}
	pick_wipe(&pick);
	free(wanted);
	return 0;
}
