/*
 * tally.c - events that come in floods, summed up.
 *
 * ingress:  session, cmd_auth -> [tally] -> mail.events
 *
 * The table is bounded: when it is full everything in it goes out at once.
 */
#include "ingress/tally.h"

#include <stdlib.h>
#include <string.h>

#include "shared/event.h"
#include "shared/log.h"
#include "shared/loop.h"

#define ENTRIES_MAX 256u

struct entry {
	enum tally_kind kind;
	unsigned count;
	uint64_t first_us;
	char client[64], who[128], what[256];
};

struct tally {
	struct queue *queue;
	struct mail_event event; /* the buffer of all of them */
	unsigned used;
	struct entry entries[ENTRIES_MAX];
};

/* The fields that event.h lists for each kind. */
static const struct {
	const char *event, *who, *what;
} kinds[] = {
	[TALLY_REJECTED] = {"rejected",     "account",  "reply" },
	[TALLY_AUTH_FAILED] = { "auth-failed", "username", "reason"},
	[TALLY_TLS_FAILED] = { "tls-failed",  NULL,       "error" },
};

struct tally *
tally_new(struct queue *queue)
{
	struct tally *tally = xcalloc(1, sizeof *tally);

	tally->queue = queue;
	return tally;
}

static void
send_entry(struct tally *tally, const struct entry *entry)
{
	struct json *json = &tally->event.json;

	mail_event_begin(&tally->event, kinds[entry->kind].event, NULL);
	json_str(json, "client", entry->client);
	if (*entry->who && kinds[entry->kind].who)
		json_str(json, kinds[entry->kind].who, entry->who);
	json_str(json, kinds[entry->kind].what, entry->what);
	json_int(json, "count", entry->count);
	json_time(json, "first", entry->first_us);
	mail_event_send(&tally->event, tally->queue, NULL, NULL);
}

void
tally_flush(struct tally *tally)
{
	for (unsigned i = 0; i < tally->used; i++)
		send_entry(tally, &tally->entries[i]);
	tally->used = 0;
}

void
tally_free(struct tally **tally_ref)
{
	struct tally *tally = *tally_ref;

	if (!tally)
		return;
	tally_flush(tally);
	mail_event_free(&tally->event);
	free(tally);
	*tally_ref = NULL;
}

static void
copy_text(char *out, size_t size, const char *text)
{
	size_t length = text ? strnlen(text, size - 1) : 0;

	if (length)
		memcpy(out, text, length);
	out[length] = '\0';
}

void
tally_add(struct tally *tally, enum tally_kind kind, const char *client, const char *who,
	const char *what)
{
	struct entry *entry = tally->entries;
	char name[sizeof entry->who];

	copy_text(name, sizeof name, who);
	for (unsigned i = 0; i < tally->used; i++, entry++)
		if (entry->kind == kind && strcmp(entry->client, client) == 0 &&
			strcmp(entry->who, name) == 0) {
			entry->count++;
			return;
		}
	if (tally->used == ENTRIES_MAX)
		tally_flush(tally);
	entry = &tally->entries[tally->used++];
	entry->kind = kind;
	entry->count = 1;
	entry->first_us = clock_us();
	copy_text(entry->client, sizeof entry->client, client);
	memcpy(entry->who, name, sizeof name);
	copy_text(entry->what, sizeof entry->what, what);
}
