/*
 * tally.c - events that come in floods, summed up.
 *
 * ingress:  session, cmd_auth -> [tally] -> mail.events
 *
 * A minute's events are bounded, whoever floods from wherever: what finds no room in the table is
 * counted only. Strangers leave a part of it to customers.
 */
#include "ingress/door/tally.h"

#include <stdlib.h>
#include <string.h>

#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/queue/event.h"

#define ENTRIES_MAX 256u
#define STRANGERS_MAX 192u /* entries without an account */

struct entry {
	enum tally_kind kind;
	unsigned count;
	uint64_t first_us;
	char client[64], who[128], what[256];
};

struct tally {
	struct queue *queue;
	struct mail_event event; /* the buffer of all of them */
	unsigned used, strangers;
	struct entry entries[ENTRIES_MAX];
	struct entry others[TALLY_KINDS]; /* what found no room */
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
	json_str(json, "client", *entry->client ? entry->client : NULL);
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
	for (int i = 0; i < TALLY_KINDS; i++) {
		if (tally->others[i].count)
			send_entry(tally, &tally->others[i]);
		tally->others[i].count = 0;
	}
	tally->used = tally->strangers = 0;
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

static struct entry *
find(struct tally *tally, const struct entry *like)
{
	for (unsigned i = 0; i < tally->used; i++) {
		struct entry *entry = &tally->entries[i];

		if (entry->kind == like->kind && strcmp(entry->client, like->client) == 0 &&
			strcmp(entry->who, like->who) == 0)
			return entry;
	}
	return NULL;
}

static struct entry *
make(struct tally *tally, const struct entry *like)
{
	const bool stranger = like->kind != TALLY_REJECTED || !*like->who;
	struct entry *entry = &tally->others[like->kind];

	if (tally->used < ENTRIES_MAX && !(stranger && tally->strangers == STRANGERS_MAX)) {
		entry = &tally->entries[tally->used++];
		*entry = *like;
		tally->strangers += stranger;
	} else if (!entry->count) {
		*entry = (struct entry){
			.kind = like->kind, .first_us = like->first_us, .what = "of further clients"
		};
	}
	return entry;
}

void
tally_add(struct tally *tally, enum tally_kind kind, const char *client, const char *who,
	const char *what)
{
	struct entry like = { .kind = kind, .first_us = clock_us() }, *entry;

	copy_text(like.client, sizeof like.client, client);
	copy_text(like.who, sizeof like.who, who);
	copy_text(like.what, sizeof like.what, what);
	entry = find(tally, &like);
	if (!entry)
		entry = make(tally, &like);
	entry->count++;
}
