/*
 * mail_shown.c - shows mail that is not delivered yet.
 *
 * queue (records, rows), inflight, suspensions -> [mail_shown] -> api_queue, api_summary, api_why
 */
#include "control/queue/mail_shown.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/http/api_private.h"
#include "control/look/json_from.h"
#include "shared/base/date.h"
#include "shared/base/json_text.h"
#include "shared/base/log.h"
#include "shared/mail/selector.h"

struct suspended {
	struct selector selector;
	json_t *shown;
};

const char *const mail_states[MAIL_STATES] = { "inbound", "ready", "attempting", "waiting",
	"held" };

static void
set_text(json_t *object, const char *key, const char *text)
{
	if (text && *text)
		json_object_set_new(object, key, json_from_text(text));
}

json_t *
json_from_row(const Row *row)
{
	const Envelope *e = row->envelope;
	json_t *shown = json_object(), *recipients = json_array();
	char id[ID_TEXT_SIZE];

	id_format(e->id.data, id);
	for (size_t i = 0; i < e->n_recipients; i++)
		json_array_append_new(recipients, json_from_text(e->recipients[i]->address));
	json_object_set_new(shown, "id", json_string(id));
	json_object_set_new(shown, "site", json_from_text(row->site));
	json_object_set_new(
		shown, "state", json_string(row->state == ROW__STATE__HELD ? "held" : "waiting"));
	json_object_set_new(shown, "account", json_from_text(e->account));
	json_object_set_new(shown, "credential", json_from_text(e->credential));
	json_object_set_new(shown, "from", json_from_text(e->mail_from));
	json_object_set_new(shown, "to", recipients);
	json_object_set_new(shown, "size", json_integer((json_int_t)e->size));
	json_object_set_new(shown, "accepted", json_from_time(e->accepted_us));
	json_object_set_new(shown, "due", json_from_time(row->due_us));
	json_object_set_new(shown, "attempts", json_integer(row->attempts));
	json_object_set_new(shown, "last_attempt", json_from_time(row->last_attempt_us));
	set_text(shown, "last_reply", row->last_reply);
	set_text(shown, "last_host", row->last_host);
	set_text(shown, "egress_ip", row->egress);
	set_text(shown, "reason", row->reason);
	set_text(shown, "signature", e->signature);
	set_text(shown, "message_id", e->message_id);
	set_text(shown, "subject", e->subject);
	return shown;
}

/* Facts from beside the queue */

void
surroundings_take(struct surroundings *around, const struct api *api)
{
	const char *field;
	json_t *shown;
	size_t i;

	around->egress = api->egress ? api->egress : "";
	around->suspensions = suspensions_now(api);
	around->suspended = xcalloc(
		json_array_size(around->suspensions) + 1, sizeof *around->suspended);
	json_array_foreach(around->suspensions, i, shown)
	{
		struct suspended *at = &around->suspended[around->suspended_count++];

		at->shown = shown;
		selector_parse(&at->selector, json_object_get(shown, "selector"), &field);
	}
}

void
surroundings_wipe(struct surroundings *around)
{
	for (size_t i = 0; i < around->suspended_count; i++)
		selector_wipe(&around->suspended[i].selector);
	free(around->suspended);
	json_decref(around->suspensions);
	inflight_free(&around->inflight);
}

/* The suspension that keeps the row waiting, or NULL. */
static json_t *
suspension_of(const struct surroundings *around, const Row *row)
{
	if (row->state == ROW__STATE__HELD)
		return NULL;
	for (size_t i = 0; i < around->suspended_count; i++)
		if (selector_matches_row(&around->suspended[i].selector, row, around->egress))
			return around->suspended[i].shown;
	return NULL;
}

bool
is_suspended(const struct surroundings *around, const Row *row)
{
	return suspension_of(around, row) != NULL;
}

void
suspension_show(const struct surroundings *around, const Row *row, json_t *shown)
{
	json_t *suspension = suspension_of(around, row);

	if (suspension)
		json_object_set(shown, "suspension", suspension);
}

static uint64_t
time_in(const json_t *entry, const char *key)
{
	const json_int_t us = json_integer_value(json_object_get(entry, key));

	return us > 0 ? (uint64_t)us : 0;
}

/* States */

static const json_t *
attempt_of(const struct surroundings *around, const Envelope *envelope, const char *site)
{
	return inflight_find(around->inflight, envelope->id.data, site, "attempting");
}

enum mail_state
state_of_record(const struct surroundings *around, const struct queue_seen *seen)
{
	if (seen->topic == TOPIC_INBOUND)
		return MAIL_INBOUND;
	return attempt_of(around, seen->envelope, NULL) ? MAIL_ATTEMPTING : MAIL_READY;
}

/* A row that was written after an attempt began tells how that attempt ended. */
enum mail_state
state_of_row(const struct surroundings *around, const Row *row)
{
	const json_t *attempt = attempt_of(around, row->envelope, row->site);

	if (row->state == ROW__STATE__HELD)
		return MAIL_HELD;
	return attempt && time_in(attempt, "since") > row->last_attempt_us ? MAIL_ATTEMPTING
									   : MAIL_WAITING;
}

Row
row_of_record(const struct surroundings *around, const struct queue_seen *seen)
{
	const json_t *entry = attempt_of(around, seen->envelope, NULL);
	const char *site;
	Row row = ROW__INIT;

	if (!entry)
		entry = inflight_find(around->inflight, seen->envelope->id.data, NULL, NULL);
	site = json_text(entry, "site");
	row.envelope = (Envelope *)seen->envelope;
	if (site && seen->topic == TOPIC_READY)
		row.site = (char *)site;
	return row;
}

void
shown_class(const struct surroundings *around, const Row *row, char class[REPLY_CLASS_MAX])
{
	const char *said;

	class_of_row(class, row);
	if (strcmp(class, "never") != 0)
		return;
	said = json_text(inflight_site(around->inflight, row->site), "class");
	if (said)
		snprintf(class, REPLY_CLASS_MAX, "%s", said);
}

/* Showing */

/* An entry of inflight.h, with times as people read them. */
static json_t *
in_words(const json_t *entry, const char *const *times)
{
	json_t *shown = json_copy((json_t *)entry);

	for (; *times; times++)
		if (json_object_get(shown, *times))
			json_object_set_new(shown, *times, json_from_time(time_in(entry, *times)));
	return shown;
}

static bool
is_for_row(const json_t *entry, const Row *row, enum mail_state state)
{
	const char *site = json_text(entry, "site");
	const char *stage = json_text(entry, "stage");
	const bool scan = stage && strcmp(stage, "scanning") == 0;

	if (state <= MAIL_READY) /* the sender's report may be older than the record that we read */
		return scan == (state == MAIL_INBOUND);
	return state == MAIL_ATTEMPTING && !scan &&
		(!*row->site || (site && !strcmp(site, row->site)));
}

static void
show_in_hand(
	const struct surroundings *around, const Row *row, enum mail_state state, json_t *shown)
{
	static const char *const times[] = { "since", NULL };
	json_t *list, *entry;
	char id[ID_TEXT_SIZE];
	size_t i;

	if (!around->inflight)
		return;
	id_format(row->envelope->id.data, id);
	list = json_array();
	json_array_foreach(json_object_get(around->inflight->mail, id), i,
		entry) if (is_for_row(entry, row, state))
		json_array_append_new(list, in_words(entry, times));
	if (json_array_size(list) > 0)
		json_object_set(shown, "in_hand", list);
	json_decref(list);
}

static void
show_site(const struct surroundings *around, const Row *row, json_t *shown)
{
	static const char *const times[] = { "said", "next", "opened", NULL };
	const json_t *site = inflight_site(around->inflight, row->site);
	json_t *state;

	if (!site || row->state == ROW__STATE__HELD)
		return;
	state = in_words(site, times);
	json_object_del(state, "site");
	json_object_set_new(shown, "site_state", state);
}

/* When the site's rest ends; 0: no rest is known. A rest keeps rows of any account waiting
 * (deferral.h), but records only of the account that the rest is for. */
static uint64_t
site_next(const struct surroundings *around, const Row *row, enum mail_state state)
{
	const json_t *site = inflight_site(around->inflight, row->site);
	const char *account = json_text(site, "rests_for");

	if (state == MAIL_READY && account && strcmp(account, row->envelope->account) != 0)
		return 0;
	return time_in(site, "next");
}

/* When the mail is due; 0: nobody knows, or the mail waits for an operator. */
static uint64_t
next_attempt(const struct surroundings *around, const Row *row, enum mail_state state)
{
	const uint64_t site = site_next(around, row, state);

	if (state == MAIL_READY)
		return site;
	if (state != MAIL_WAITING || !row->due_us)
		return 0;
	return site > row->due_us ? site : row->due_us;
}

static uint64_t
since_of(const struct surroundings *around, const Row *row, enum mail_state state)
{
	if (state == MAIL_ATTEMPTING)
		return time_in(
			attempt_of(around, row->envelope, *row->site ? row->site : NULL), "since");
	if (row->since_us)
		return row->since_us;
	return row->last_attempt_us ? row->last_attempt_us : row->envelope->accepted_us;
}

json_t *
mail_shown(
	const struct surroundings *around, const Row *row, enum mail_state state, uint64_t since_us)
{
	json_t *shown = json_from_row(row), *suspension = suspension_of(around, row);
	char class[REPLY_CLASS_MAX];

	if (state == MAIL_ATTEMPTING || !since_us)
		since_us = since_of(around, row, state);
	class_of_row(class, row);
	json_object_set_new(shown, "state", json_string(mail_states[state]));
	json_object_set_new(shown, "since", json_from_time(since_us));
	json_object_set_new(shown, "last_class", json_string(class));
	json_object_set_new(shown, "next_attempt",
		json_from_time(suspension ? 0 : next_attempt(around, row, state)));
	suspension_show(around, row, shown);
	show_in_hand(around, row, state, shown);
	show_site(around, row, shown);
	return shown;
}

void
mail_show_whole(struct queue *queue, const Row *row, json_t *shown)
{
	char place[QUEUE_PLACE_MAX];

	queue_body_place(queue, row->envelope, place);
	json_object_set_new(shown, "body", json_string(place));
	json_object_set_new(shown, "first_attempt", json_from_time(row->first_attempt_us));
	json_object_set_new(shown, "delay_told", json_boolean(row->delay_sent));
	json_object_set_new(shown, "released", json_boolean(row->released));
	set_text(shown, "helo", row->envelope->helo);
	set_text(shown, "client", row->envelope->client);
	set_text(shown, "header_from", row->envelope->header_from);
}

void
accounts_name(const struct api *api, json_t *rows)
{
	json_t *row, *name;
	size_t i;

	json_array_foreach(rows, i, row)
	{
		const char *account = json_text(row, "account");

		name = account
			? json_object_get(directory_get(api->directory, "account", account), "name")
			: NULL;
		json_object_set(row, "account_name", json_is_string(name) ? name : json_null());
	}
}

void
around_show(const struct surroundings *around, json_t *result)
{
	json_object_set_new(result, "in_hand_known", json_boolean(around->inflight != NULL));
	json_object_set_new(result, "nodes",
		around->inflight ? json_incref(around->inflight->nodes) : json_array());
}
