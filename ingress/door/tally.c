/*
 * tally.c - events that come in floods, summed up.
 *
 * ingress:  refuse, session, cmd_auth -> [tally] -> mail.events
 *
 * A minute's events are bounded, whoever floods from wherever. As long as the client's share lasts,
 * entries are told apart by everything that an operator may ask for. The more clients there are,
 * the smaller is the share. Beyond the share a client's entries are told apart by reason. Where the
 * table is full, the entries of all clients are told apart by reason. Strangers leave a part of the
 * table to customers.
 */
#include "ingress/door/tally.h"

#include <stdlib.h>
#include <string.h>

#include "shared/account/account.h"
#include "shared/base/fair.h"
#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/base/net.h"
#include "shared/base/text.h"
#include "shared/mail/address.h"
#include "shared/queue/event.h"

#define ENTRIES_MAX 256u
#define STRANGERS_MAX 192u /* entries without an account */
#define DETAILS_MAX 16u    /* entries of a network with all details */
#define OTHERS_MAX 48u     /* entries by reason, for what found no room */
#define CODE_SIZE 10       /* "550 5.7.1 " */

struct entry {
	enum tally_kind kind;
	bool told, merged;
	unsigned count; /* how many since the last event */
	uint64_t first_us;
	unsigned recipients;
	char network[NET_TEXT_MAX];
	char client[64], account[64], username[128], helo[128], command[16], reason[32];
	char code[CODE_SIZE + 1], like[128]; /* the reply without its varying parts */
	char from[ADDRESS_MAX + 1], to[TALLY_TO_SIZE], reply[512];
	bool has_from;
};

struct tally {
	struct queue *queue;
	struct mail_event event; /* the buffer of all of them */
	unsigned used, strangers, others_used;
	struct entry entries[ENTRIES_MAX];
	struct entry others[OTHERS_MAX];
};

static const char *const names[] = {
	[TALLY_REJECTED] = "rejected",
	[TALLY_AUTH_FAILED] = "auth-failed",
	[TALLY_TLS_FAILED] = "tls-failed",
};

struct tally *
tally_new(struct queue *queue)
{
	struct tally *tally = xcalloc(1, sizeof *tally);

	tally->queue = queue;
	return tally;
}

/* ---- events ---- */

static void
text(struct json *json, const char *key, const char *value)
{
	if (*value)
		json_str(json, key, value);
}

static void
recipients(struct json *json, const struct entry *entry)
{
	if (!*entry->to)
		return;
	json_open(json, "to", '[');
	for (const char *to = entry->to; *to; to += strlen(to) + 1)
		json_str(json, NULL, to);
	json_close(json, ']');
	if (entry->recipients > 1)
		json_int(json, "recipients", entry->recipients);
}

static void
send_entry(struct tally *tally, struct entry *entry)
{
	struct json *json = &tally->event.json;

	if (!entry->count)
		return;
	mail_event_begin(&tally->event, names[entry->kind], NULL);
	text(json, "client", entry->client);
	text(json, "account", entry->account);
	text(json, "username", entry->username);
	text(json, "helo", entry->helo);
	if (entry->has_from)
		json_str(json, "from", entry->from);
	recipients(json, entry);
	text(json, "command", entry->command);
	text(json, "reason", entry->reason);
	text(json, entry->kind == TALLY_TLS_FAILED ? "error" : "reply", entry->reply);
	if (entry->merged)
		json_bool(json, "merged", true);
	json_int(json, "count", entry->count);
	json_time(json, "first", entry->first_us);
	mail_event_send(&tally->event, tally->queue, NULL, NULL);
	entry->count = 0;
	entry->told = true;
}

void
tally_news(struct tally *tally)
{
	for (unsigned i = 0; i < tally->used; i++)
		if (!tally->entries[i].told)
			send_entry(tally, &tally->entries[i]);
}

void
tally_flush(struct tally *tally)
{
	for (unsigned i = 0; i < tally->used; i++)
		send_entry(tally, &tally->entries[i]);
	for (unsigned i = 0; i < tally->others_used; i++)
		send_entry(tally, &tally->others[i]);
	tally->used = tally->strangers = tally->others_used = 0;
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

/* ---- what is the same ---- */

/* Copies whole addresses, as many as there is room for. */
static void
copy_list(char out[TALLY_TO_SIZE], const char *list)
{
	size_t at = 0, size;

	for (; list && *list; list += size) {
		size = strlen(list) + 1;
		if (at + size >= TALLY_TO_SIZE)
			break;
		memcpy(out + at, list, size);
		at += size;
	}
	out[at] = '\0';
}

/* Leaves out the varying parts of a reply: numbers behind the codes ("try again in 37 s"), and
 * addresses in "<...>", which the entry has anyway. */
static void
copy_like(char *out, size_t size, const char *reply)
{
	size_t at = 0;

	for (; *reply && at < size - 1; reply++) {
		const bool digit = at >= CODE_SIZE && is_digit(*reply);
		const char last = at >= CODE_SIZE ? out[at - 1] : ' ';

		if ((last == '<' && *reply != '>') || (digit && last == '0'))
			continue;
		out[at++] = *reply;
		if (digit)
			out[at - 1] = '0';
	}
	out[at] = '\0';
}

/* Copies the codes of a reply: "550", or with an enhanced code "550 5.7.1". */
static void
copy_code(char out[CODE_SIZE + 1], const char *reply)
{
	size_t length = strspn(reply, "0123456789");

	if (reply[length] == ' ' && is_digit(reply[length + 1]))
		length += 1 + strspn(reply + length + 1, "0123456789.");
	if (length > CODE_SIZE)
		length = CODE_SIZE;
	memcpy(out, reply, length);
	out[length] = '\0';
}

static void
fill(struct entry *entry, const struct tally_case *given)
{
	const char *reply = given->reply ? given->reply : "";

	entry->kind = given->kind;
	entry->has_from = given->from;
	entry->recipients = given->recipients;
	text_copy(entry->client, sizeof entry->client, given->client);
	text_copy(entry->account, sizeof entry->account, given->account);
	text_copy(entry->username, sizeof entry->username, given->username);
	text_copy(entry->helo, sizeof entry->helo, given->helo);
	text_copy(entry->command, sizeof entry->command, given->command);
	text_copy(entry->reason, sizeof entry->reason, given->reason);
	text_copy(entry->from, sizeof entry->from, given->from);
	text_copy(entry->reply, sizeof entry->reply, reply);
	copy_list(entry->to, given->to);
	copy_like(entry->like, sizeof entry->like, reply);
	copy_code(entry->code, reply);
}

static bool
same_list(const char *a, const char *b)
{
	for (; *a && strcmp(a, b) == 0; a += strlen(a) + 1, b += strlen(b) + 1)
		;
	return !*a && !*b;
}

static bool
same_reason(const struct entry *a, const struct entry *b)
{
	return a->kind == b->kind && strcmp(a->reason, b->reason) == 0 &&
		strcmp(a->code, b->code) == 0;
}

static bool
same_client(const struct entry *a, const struct entry *b)
{
	return strcmp(a->client, b->client) == 0 && strcmp(a->account, b->account) == 0;
}

static bool
same_details(const struct entry *a, const struct entry *b)
{
	return strcmp(a->username, b->username) == 0 && strcmp(a->command, b->command) == 0 &&
		strcmp(a->like, b->like) == 0 && a->has_from == b->has_from &&
		strcmp(a->from, b->from) == 0 && a->recipients == b->recipients &&
		same_list(a->to, b->to);
}

static struct entry *
find(struct tally *tally, const struct entry *like, bool merged)
{
	for (unsigned i = 0; i < tally->used; i++) {
		struct entry *entry = &tally->entries[i];

		if (entry->merged == merged && same_reason(entry, like) &&
			same_client(entry, like) && (merged || same_details(entry, like)))
			return entry;
	}
	return NULL;
}

/* ---- who gets an entry ---- */

static bool
is_stranger(const struct entry *entry)
{
	return !*entry->account;
}

static unsigned
room_for(const struct tally *tally, const struct entry *like)
{
	const unsigned room = ENTRIES_MAX - tally->used;
	const unsigned strangers = STRANGERS_MAX - tally->strangers;

	return is_stranger(like) && strangers < room ? strangers : room;
}

/* Counts the entries of the client's network, since an IPv6 client has a whole network. */
static unsigned
details_of(const struct tally *tally, const char *network)
{
	unsigned count = 0;

	for (unsigned i = 0; i < tally->used; i++)
		count += strcmp(tally->entries[i].network, network) == 0;
	return count;
}

static struct entry *
take(struct tally *tally, const struct entry *like, bool merged)
{
	struct entry *entry = &tally->entries[tally->used++];

	*entry = *like;
	entry->merged = merged;
	tally->strangers += is_stranger(like);
	return entry;
}

/* The entry by reason of all clients that have none of their own. */
static struct entry *
take_others(struct tally *tally, const struct entry *like)
{
	unsigned i = 0;

	while (i < tally->others_used && !same_reason(&tally->others[i], like))
		i++;
	if (i == tally->others_used) {
		if (i == OTHERS_MAX)
			return &tally->others[i - 1];
		tally->others_used++;
		tally->others[i] = (struct entry){
			.kind = like->kind, .merged = true, .told = true, .first_us = like->first_us
		};
		memcpy(tally->others[i].reason, like->reason, sizeof like->reason);
		memcpy(tally->others[i].code, like->code, sizeof like->code);
		memcpy(tally->others[i].reply, like->reply, sizeof like->reply);
	}
	return &tally->others[i];
}

/* Details are given as far as fair_allows() lets a client's share go. An entry by reason is given
 * while there is any room. */
static struct entry *
entry_for(struct tally *tally, struct entry *like)
{
	struct entry *entry = find(tally, like, false);
	unsigned room, details;

	if (entry)
		return entry;
	if (account_network_text(like->client, like->network) < 0)
		memcpy(like->network, like->client, sizeof like->client);
	room = room_for(tally, like);
	details = details_of(tally, like->network);
	if (details < DETAILS_MAX && fair_allows(details, room / 8))
		return take(tally, like, false);
	entry = find(tally, like, true);
	if (entry)
		return entry;
	return fair_allows(details, room) ? take(tally, like, true) : take_others(tally, like);
}

/* The event has the details of the last case. */
static void
renew(struct entry *entry, const struct entry *last)
{
	if (!*entry->client)
		return;
	memcpy(entry->username, last->username, sizeof entry->username);
	memcpy(entry->helo, last->helo, sizeof entry->helo);
	memcpy(entry->command, last->command, sizeof entry->command);
	memcpy(entry->from, last->from, sizeof entry->from);
	memcpy(entry->to, last->to, sizeof entry->to);
	memcpy(entry->reply, last->reply, sizeof entry->reply);
	entry->has_from = last->has_from;
	entry->recipients = last->recipients;
}

bool
tally_add(struct tally *tally, const struct tally_case *given)
{
	struct entry like = { 0 }, *entry;

	like.first_us = clock_us();
	fill(&like, given);
	entry = entry_for(tally, &like);
	if (entry->count == 0)
		entry->first_us = like.first_us;
	entry->count++;
	renew(entry, &like);
	return !entry->told;
}
