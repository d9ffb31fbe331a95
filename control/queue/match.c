/*
 * match.c - counts the mail that an operator's command is about.
 *
 * queue (topics, rows) -> [match] -> api_rules
 *
 * Reads mail in the order of its flow, so that a message that moves on meanwhile is not missed. A
 * message that is seen twice counts once. On the worker.
 */
#include "control/queue/match.h"

#include <stdlib.h>
#include <string.h>

#include "control/look/seen.h"
#include "shared/base/log.h"
#include "shared/queue/queue.h"

#define ROWS_MAX 200000
#define STEP 256

struct count {
	struct match *match;
	struct rows *rows;
	const atomic_bool *hurry;
	struct selector anywhere; /* the selector without site and provider; borrowed */
	struct seen seen;         /* `what` not NULL: in the state that is asked for */
	bool named;               /* the one message that the selector names was found */
	uint64_t examined;
	/* the row before */
	uint8_t at_id[ID_SIZE];
	char *at_site;
	bool matched; /* the row's message was counted */
};

static bool
is_for(const struct match *match, const Envelope *envelope)
{
	return envelope->accepted_us < match->before_us || match->selector->text[SELECT_ID];
}

static bool
has_domain(const struct selector *selector, const Envelope *envelope)
{
	for (size_t i = 0; i < envelope->n_recipients; i++)
		if (selector_has_domain(selector, envelope->recipients[i]))
			return true;
	return !selector->text[SELECT_DOMAIN];
}

/* Records */

/* A record that must be held counts as held: the sender holds it as soon as the record arrives. */
static bool
counts(const struct match *match, const Envelope *envelope)
{
	return match->state == MATCH_ANY ||
		(match->state == MATCH_WAITING && !envelope_must_hold(envelope));
}

static bool
on_seen(void *arg, const struct queue_seen *seen)
{
	struct count *count = arg;
	struct match *match = count->match;
	const Envelope *envelope = seen->envelope;

	if (atomic_load(count->hurry))
		return false;
	if (!is_for(match, envelope) ||
		!selector_matches(&count->anywhere, envelope, "", match->egress) ||
		!has_domain(match->selector, envelope))
		return true;
	if (match->selector->text[SELECT_SITE] || match->selector->text[SELECT_PROVIDER]) {
		match->exact = false;
		return true;
	}
	match->open = true;
	seen_add(&count->seen, envelope->id.data, seen->topic,
		counts(match, envelope) ? match : NULL);
	count->named = match->selector->text[SELECT_ID];
	return !count->named;
}

/* In a cluster a topic may still have the record of a message that has moved on: such a record does
 * not count. */
static void
count_records(struct count *count, struct queue *queue)
{
	for (enum topic topic = 0; topic < TOPIC_COUNT; topic++) {
		count->named = false;
		if (!queue_look(queue, topic, on_seen, count) && !count->named)
			count->match->exact = false;
	}
	seen_settle(&count->seen, NULL, NULL);
	for (size_t i = 0; i < count->seen.count; i++)
		count->match->matched += count->seen.mail[i].what != NULL;
}

/* Rows: the rows of a message follow each other. */

static bool
has_state(const struct match *match, const Row *row)
{
	const bool held = row->state == ROW__STATE__HELD;

	return match->state == MATCH_ANY || held == (match->state == MATCH_HELD);
}

static void
row_count(struct count *count, const Row *row)
{
	struct match *match = count->match;

	if (!is_for(match, row->envelope) ||
		!selector_matches_row(match->selector, row, match->egress))
		return;
	match->open = true;
	if (count->matched || !has_state(match, row))
		return;
	count->matched = true;
	match->matched++;
}

static void
on_row(void *arg, Row *row)
{
	struct count *count = arg;

	if (!count->at_site || memcmp(count->at_id, row->envelope->id.data, ID_SIZE) != 0)
		count->matched = false;
	memcpy(count->at_id, row->envelope->id.data, ID_SIZE);
	free(count->at_site);
	count->at_site = xstrdup(row->site);
	count->examined++;
	if (seen_forget(&count->seen, row->envelope->id.data))
		count->match->matched--;
	row_count(count, row);
	row_free(row);
}

static void
count_rows(struct count *count)
{
	const struct match *match = count->match;
	size_t got;

	if (match->selector->text[SELECT_ID]) {
		rows_of(count->rows, match->selector->id, on_row, count);
		return;
	}
	do
		got = rows_scan(count->rows, ROWS_ANY, count->at_site ? count->at_id : NULL,
			count->at_site, STEP, on_row, count);
	while (got == STEP && count->examined < ROWS_MAX && !atomic_load(count->hurry));
	if (got == STEP)
		count->match->exact = false;
}

void
match_count(struct match *match, struct queue *queue, struct rows *rows, const atomic_bool *hurry)
{
	struct count count = {
		.match = match, .rows = rows, .hurry = hurry, .anywhere = *match->selector
	};

	count.anywhere.text[SELECT_SITE] = count.anywhere.text[SELECT_PROVIDER] = NULL;
	match->matched = 0;
	match->open = false;
	match->exact = true;
	count_records(&count, queue);
	if (!rows_refresh(rows) || !rows_complete(rows))
		match->exact = false;
	count_rows(&count);
	free(count.at_site);
	seen_wipe(&count.seen);
}
