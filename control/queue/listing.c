/*
 * listing.c - reads one page of the mail that is not delivered yet. On the worker.
 *
 * queue (topics, rows) -> [listing] -> api_queue
 */
#include "control/queue/listing.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/log.h"
#include "shared/base/text.h"

#define SCAN_STEP 256
#define SLICE 5000 /* rows a turn: some milliseconds */

static void
on_inflight(void *arg, struct inflight *seen)
{
	struct listing *l = arg;

	l->around.inflight = seen;
	job_start(&l->job);
}

void
listing_start(struct listing *l)
{
	inflight_read(l->job.exchange->api->redis, on_inflight, l);
}

void
listing_wipe(struct listing *l)
{
	surroundings_wipe(&l->around);
	seen_wipe(&l->seen);
	selector_wipe(&l->selector);
	free(l->at_site);
	free(l->next);
}

int
take_selector(struct exchange *x, struct selector *selector)
{
	static const char *const names[SELECTOR_FIELDS] = { "id", "site", "provider", "account",
		"credential", "sender", "domain", "egress_ip" };
	struct fault fault;
	const char *text;

	for (int i = 0; i < SELECTOR_FIELDS; i++) {
		text = query_text(x, names[i]);
		if (text && take_selector_field(selector, (enum selector_field)i, text, &fault)) {
			reply_error(x, 400, names[i], "%s", fault.error);
			return -1;
		}
	}
	return 0;
}

static bool
is_full(const struct listing *l)
{
	return json_array_size(l->rows) >= l->limit;
}

/* Rows */

void
listing_place(struct listing *l, const Row *row)
{
	l->started = true;
	l->at_lane = rows_lane(row->envelope->account);
	l->at_us = row->due_us;
	memcpy(l->at_id, row->envelope->id.data, ID_SIZE);
	free(l->at_site);
	l->at_site = xstrdup(row->site);
}

static void
listing_mark(struct listing *l)
{
	char id[ID_TEXT_SIZE];

	id_format(l->at_id, id);
	free(l->next);
	l->next = l->site ? xasprintf("%" PRIx64 ".%" PRIu64 "/%s", l->at_lane, l->at_us, id)
			  : xasprintf("%s/%s", id, l->at_site);
}

static void
listing_add(struct listing *l, const Row *row, enum mail_state state)
{
	json_t *shown = mail_shown(&l->around, row, state, 0);

	if (l->whole)
		mail_show_whole(l->job.api->queue, row, shown);
	json_array_append_new(l->rows, shown);
	if (is_full(l))
		listing_mark(l);
}

static void
on_row(void *arg, Row *row)
{
	struct listing *l = arg;
	const enum mail_state state = state_of_row(&l->around, row);

	l->examined++;
	listing_place(l, row);
	if (seen_forget(&l->seen, row->envelope->id.data))
		l->total--;
	if ((l->state == ANY_STATE || state == l->state) &&
		selector_matches_row(&l->selector, row, l->around.egress)) {
		l->total++;
		if (!is_full(l))
			listing_add(l, row, state);
	}
	row_free(row);
}

size_t
listing_read_on(struct listing *l, size_t limit, queue_row_cb row_cb, void *arg)
{
	const char *account = l->selector.text[SELECT_ACCOUNT];
	const uint8_t *id = l->started ? l->at_id : NULL;
	const struct rows_place from = {
		.site = l->site,
		.lane = account ? rows_lane(account) : l->at_lane,
		.due_us = l->at_us,
		.id = id,
		.further = !account,
	};

	if (l->site)
		return rows_due(l->job.api->rows, &from, limit, row_cb, arg);
	return rows_scan(l->job.api->rows, ROWS_ANY, id, l->at_site, limit, row_cb, arg);
}

/* Returns whether the end was reached. */
static bool
listing_read(struct listing *l, bool counted)
{
	const uint64_t until = l->examined + SLICE;
	size_t got;

	do {
		if (l->examined >= until) {
			l->job.more = true;
			return false;
		}
		got = listing_read_on(l, SCAN_STEP, on_row, l);
		if (got < SCAN_STEP)
			return true;
		if (l->next && (counted || l->after))
			return false;
	} while (l->examined < LISTING_EXAMINE_MAX && !atomic_load(&l->job.api->hurry));
	if (!l->next)
		listing_mark(l);
	return false;
}

/* Rows in an attempt are few, so they are looked up, not searched. */

static void
on_row_behind(void *arg, Row *row)
{
	const struct listing *l = arg;
	const int order = l->started ? memcmp(row->envelope->id.data, l->at_id, ID_SIZE) : 1;

	if (order > 0 || (order == 0 && strcmp(row->site, l->at_site) > 0))
		on_row(arg, row);
	else
		row_free(row);
}

static bool
listing_attempts(struct listing *l)
{
	json_t *mail = l->around.inflight ? l->around.inflight->mail : NULL, *entries;
	const char **ids = xcalloc(json_object_size(mail) + 1, sizeof *ids), *key;
	uint8_t id[ID_SIZE];
	size_t count = 0;

	json_object_foreach(mail, key, entries) ids[count++] = key;
	qsort(ids, count, sizeof *ids, text_order);
	for (size_t i = 0; i < count; i++)
		if (id_parse(ids[i], id) == 0)
			rows_of(l->job.api->rows, id, on_row_behind, l);
	free(ids);
	return true;
}

bool
listing_rows(struct listing *l, bool counted)
{
	if (l->selector.text[SELECT_ID]) {
		rows_of(l->job.api->rows, l->selector.id, on_row_behind, l);
		return true;
	}
	if (l->state < MAIL_ATTEMPTING)
		return true;
	if (l->state == MAIL_ATTEMPTING)
		return listing_attempts(l);
	return listing_read(l, counted);
}

/* Records */

/* Whether a record of the topic may match. */
static bool
reads_topic(const struct listing *l, enum topic topic)
{
	return topic == TOPIC_INBOUND
		? l->state == ANY_STATE || l->state == MAIL_INBOUND
		: l->state == ANY_STATE || l->state == MAIL_READY || l->state == MAIL_ATTEMPTING;
}

bool
listing_matches(struct listing *l, const Row *row)
{
	struct selector anywhere = l->selector;

	if (*row->site || (!anywhere.text[SELECT_SITE] && !anywhere.text[SELECT_PROVIDER]))
		return selector_matches_row(&anywhere, row, l->around.egress);
	anywhere.text[SELECT_SITE] = anywhere.text[SELECT_PROVIDER] = NULL;
	if (selector_matches_row(&anywhere, row, l->around.egress))
		l->inexact = true;
	return false;
}

static json_t *
record_shown(
	struct listing *l, const Row *row, enum mail_state state, const struct queue_seen *seen)
{
	json_t *shown = mail_shown(&l->around, row, state, seen->since_us);

	if (l->whole)
		mail_show_whole(l->job.api->queue, row, shown);
	return shown;
}

/* The place for a candidate with that id; NULL: the page is full of earlier ids. Ids mostly come in
 * order. */
static struct candidate *
candidate_place(struct listing *l, const uint8_t *id)
{
	size_t at = l->candidates_count;

	while (at > 0 && memcmp(l->candidates[at - 1].id, id, ID_SIZE) > 0)
		at--;
	if (at == l->limit)
		return NULL;
	if (l->candidates_count == l->limit)
		json_decref(l->candidates[--l->candidates_count].shown);
	memmove(&l->candidates[at + 1], &l->candidates[at],
		(l->candidates_count - at) * sizeof *l->candidates);
	l->candidates_count++;
	return &l->candidates[at];
}

static bool
on_seen(void *arg, const struct queue_seen *seen)
{
	struct listing *l = arg;
	const uint8_t *id = seen->envelope->id.data;
	const enum mail_state state = state_of_record(&l->around, seen);
	const Row row = row_of_record(&l->around, seen);
	struct candidate *place;

	if (atomic_load(&l->job.api->hurry))
		return false;
	if ((l->state != ANY_STATE && l->state != state) || !listing_matches(l, &row) ||
		(l->topic == seen->topic && l->after && memcmp(id, l->at_id, ID_SIZE) <= 0))
		return true;
	l->total++;
	seen_add(&l->seen, id, seen->topic, l);
	place = candidate_place(l, id);
	if (place) {
		memcpy(place->id, id, ID_SIZE);
		place->shown = record_shown(l, &row, state, seen);
	}
	return !l->selector.text[SELECT_ID];
}

static void
on_twice(void *arg, void *what)
{
	struct listing *l = arg;

	(void)what;
	l->total--;
}

static void
on_any_row(void *arg, Row *row)
{
	*(bool *)arg = true;
	row_free(row);
}

/* A message that has moved on is shown where it is now. */
static bool
has_gone_on(struct listing *l, const struct candidate *candidate, enum topic topic)
{
	bool is_row = false;

	if (seen_find(&l->seen, candidate->id)->topic != topic)
		return true;
	rows_of(l->job.api->rows, candidate->id, on_any_row, &is_row);
	if (is_row && seen_forget(&l->seen, candidate->id))
		l->total--;
	return is_row;
}

static void
page_add(struct listing *l, struct candidate *candidate, enum topic topic)
{
	char id[ID_TEXT_SIZE];

	json_array_append(l->rows, candidate->shown);
	if (!is_full(l))
		return;
	id_format(candidate->id, id);
	free(l->next);
	l->next = xasprintf("%s/%s", mail_states[topic], id);
}

static void
candidates_end(struct listing *l, struct candidate *candidates, size_t count, enum topic topic)
{
	for (size_t i = 0; i < count; i++) {
		if (!is_full(l) && !has_gone_on(l, &candidates[i], topic))
			page_add(l, &candidates[i], topic);
		json_decref(candidates[i].shown);
	}
	free(candidates);
}

void
listing_records(struct listing *l)
{
	struct candidate *candidates[TOPIC_COUNT] = { NULL };
	size_t counts[TOPIC_COUNT] = { 0 };

	for (enum topic topic = l->topic; topic < TOPIC_COUNT; topic++) {
		if (!reads_topic(l, topic))
			continue;
		candidates[topic] = l->candidates = xcalloc(l->limit + 1, sizeof *l->candidates);
		l->candidates_count = 0;
		if (!queue_look(l->job.api->queue, topic, on_seen, l) &&
			!(l->selector.text[SELECT_ID] && l->candidates_count))
			l->inexact = true;
		counts[topic] = l->candidates_count;
	}
	seen_settle(&l->seen, on_twice, l);
	for (enum topic topic = l->topic; topic < TOPIC_COUNT; topic++)
		candidates_end(l, candidates[topic], counts[topic], topic);
	l->records = l->total;
}
