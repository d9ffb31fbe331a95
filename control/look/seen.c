/*
 * seen.c - which messages were seen in which topic.
 *
 * queue_look() -> [seen] -> match, api_queue, api_summary
 */
#include "control/look/seen.h"

#include <stdlib.h>
#include <string.h>

#include "shared/base/log.h"

void
seen_add(struct seen *seen, const uint8_t id[ID_SIZE], enum topic topic, void *what)
{
	struct seen_mail *at;

	if (seen->count == seen->space) {
		seen->space = seen->space ? 2 * seen->space : 16;
		seen->mail = xrealloc(seen->mail, seen->space * sizeof *seen->mail);
	}
	at = &seen->mail[seen->count++];
	memcpy(at->id, id, ID_SIZE);
	at->topic = topic;
	at->what = what;
}

static int
by_id(const void *a, const void *b)
{
	return memcmp(
		((const struct seen_mail *)a)->id, ((const struct seen_mail *)b)->id, ID_SIZE);
}

static int
by_flow(const void *a, const void *b)
{
	const int order = by_id(a, b);

	return order ? order
		     : (int)((const struct seen_mail *)a)->topic -
			(int)((const struct seen_mail *)b)->topic;
}

void
seen_settle(struct seen *seen, void (*drop)(void *arg, void *what), void *arg)
{
	size_t kept = 0;

	if (seen->count)
		qsort(seen->mail, seen->count, sizeof *seen->mail, by_flow);
	for (size_t i = 0; i < seen->count; i++) {
		if (kept && by_id(&seen->mail[kept - 1], &seen->mail[i]) == 0) {
			kept--;
			if (drop && seen->mail[kept].what)
				drop(arg, seen->mail[kept].what);
		}
		seen->mail[kept++] = seen->mail[i];
	}
	seen->count = kept;
}

const struct seen_mail *
seen_find(const struct seen *seen, const uint8_t id[ID_SIZE])
{
	struct seen_mail key = { .what = NULL };

	memcpy(key.id, id, ID_SIZE);
	return seen->count ? bsearch(&key, seen->mail, seen->count, sizeof key, by_id) : NULL;
}

void *
seen_forget(struct seen *seen, const uint8_t id[ID_SIZE])
{
	const struct seen_mail *found = seen_find(seen, id);
	void *what = found ? found->what : NULL;

	if (found)
		seen->mail[found - seen->mail].what = NULL;
	return what;
}

void
seen_wipe(struct seen *seen)
{
	free(seen->mail);
	*seen = (struct seen){ 0 };
}
