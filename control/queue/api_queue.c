/*
 * api_queue.c - answers which mail is not delivered yet, where it is, and why. The reading is done
 * by listing.c, on the worker.
 *
 * Totals come from the queue's own counts where these fit the query, else from counting.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/http/api_private.h"
#include "control/queue/listing.h"
#include "shared/base/log.h"
#include "shared/base/text.h"

#define SITE_HELD "held" /* Row.site of held mail */

/* The answer */

/* Whether the queue's own count is the total: no filter, or only a site, was given. */
static bool
listing_counted(const struct listing *l)
{
	for (int i = 0; i < SELECTOR_FIELDS; i++)
		if (i != SELECT_SITE && l->selector.text[i])
			return false;
	return l->state == ANY_STATE;
}

/* In a cluster the queue's own count of rows covers only this process's partitions. */
static json_t *
queue_numbers(struct api *api, const struct queue_stats *stats)
{
	const uint64_t rows = rows_count(api->rows, NULL);
	const uint64_t bodies = stats->bodies - stats->rows + rows;

	return json_pack("{s:I, s:I, s:I, s:I, s:I}", "inbound",
		(json_int_t)stats->records[TOPIC_INBOUND], "ready",
		(json_int_t)stats->records[TOPIC_READY], "rows", (json_int_t)rows, "bodies",
		(json_int_t)bodies, "bad", (json_int_t)stats->bad);
}

/* The number of records, counted by reading or (on a later page) by the queue. */
static uint64_t
records_total(const struct listing *l, const struct queue_stats *stats)
{
	uint64_t total = 0;

	if (!l->after)
		return l->records;
	for (enum topic topic = 0; topic < TOPIC_COUNT && !l->site; topic++)
		total += stats->records[topic];
	return total;
}

static void
listing_total(struct listing *l, bool counted, bool ended, const struct queue_stats *stats)
{
	json_t *result = l->job.result;

	if (counted)
		l->total = records_total(l, stats) + rows_count(l->job.api->rows, l->site);
	else if (l->after) {
		json_object_set_new(result, "total", json_null());
		return;
	}
	json_object_set_new(result, "total", json_integer((json_int_t)l->total));
	json_object_set_new(result, "total_exact",
		json_boolean((counted || ended) && !l->inexact && rows_complete(l->job.api->rows)));
}

static void
listing_run(struct job *job)
{
	struct listing *l = (struct listing *)job;
	const bool counted = listing_counted(l);
	struct queue_stats stats;
	bool ended;

	if (!job->result) {
		inflight_parse(l->around.inflight);
		l->rows = json_array();
		job->result = json_object();
		listing_records(l);
	}
	ended = listing_rows(l, counted);
	if (job->more)
		return;
	if (ended && l->total <= l->limit) { /* all matches are in the page */
		free(l->next);
		l->next = NULL;
	}
	queue_stats(job->api->queue, &stats);
	json_object_set_new(job->result, "rows", l->rows);
	listing_total(l, counted, ended, &stats);
	json_object_set_new(job->result, "queue", queue_numbers(job->api, &stats));
	around_show(&l->around, job->result);
}

static void
listing_then(struct job *job)
{
	const struct listing *l = (const struct listing *)job;

	if (!job->result) {
		reply_fault(job->exchange, &job->fault);
		return;
	}
	json_object_set_new(job->result, "next", page_next(job->exchange, "queue", l->next));
	accounts_name(job->api, json_object_get(job->result, "rows"));
	reply_json(job->exchange, 200, job->result);
}

static void
listing_release(struct job *job)
{
	struct listing *l = (struct listing *)job;

	listing_wipe(l);
	free(l);
}

static struct listing *
listing_new(struct exchange *x, void (*run)(struct job *job))
{
	struct listing *l = xcalloc(1, sizeof *l);

	l->job = (struct job){
		.exchange = x, .run = run, .then = listing_then, .release = listing_release
	};
	surroundings_take(&l->around, x->api);
	l->state = ANY_STATE;
	l->limit = PAGE_MAX;
	return l;
}

static int
take_state(struct exchange *x, enum mail_state *state_out)
{
	const char *text = query_text(x, "state");

	*state_out = ANY_STATE;
	if (!text)
		return 0;
	for (enum mail_state state = 0; state < MAIL_STATES; state++)
		if (strcmp(text, mail_states[state]) == 0)
			*state_out = state;
	if (*state_out < MAIL_STATES)
		return 0;
	reply_error(x, 400, "state", "one of: inbound, ready, attempting, waiting, held");
	return -1;
}

/* Reads the cursor "inbound/<id>" or "ready/<id>", a place among the records; false for any
 * other. */
static bool
take_record_place(struct listing *l, const char *after)
{
	const char *slash = strchr(after, '/');

	for (enum topic topic = 0; topic < TOPIC_COUNT && slash; topic++)
		if (strlen(mail_states[topic]) == (size_t)(slash - after) &&
			memcmp(after, mail_states[topic], (size_t)(slash - after)) == 0) {
			l->topic = topic;
			return strlen(slash + 1) == ID_TEXT_SIZE - 1 &&
				id_parse(slash + 1, l->at_id) == 0;
		}
	return false;
}

/* Reads the cursor "<lane>.<due>/<id>" along a site's index, or "<id>/<site>" by key. */
static bool
take_row_place(struct listing *l, const char *after)
{
	const char *slash = strchr(after, '/');
	const char *id = l->site && slash ? slash + 1 : after;
	char text[ID_TEXT_SIZE] = "", *end;

	snprintf(text, sizeof text, "%s", id);
	if (!slash || id_parse(text, l->at_id) < 0)
		return false;
	l->topic = TOPIC_COUNT;
	l->started = true;
	l->at_lane = strtoull(after, &end, 16);
	l->at_us = *end == '.' ? strtoull(end + 1, &end, 10) : 0;
	l->at_site = xstrdup(slash + 1);
	return l->site ? end == slash && strlen(id) == ID_TEXT_SIZE - 1
		       : slash == after + ID_TEXT_SIZE - 1;
}

static int
take_after(struct exchange *x, struct listing *l, const char *after)
{
	l->after = after;
	if (!after || take_record_place(l, after) || take_row_place(l, after))
		return 0;
	page_refuse(x);
	return -1;
}

/* The site whose index is read. */
static void
take_site(struct listing *l)
{
	l->site = l->selector.text[SELECT_SITE];
	if (!l->site && l->state == MAIL_HELD)
		l->site = SITE_HELD;
}

void
api_queue_list(struct exchange *x)
{
	struct listing *l;
	struct page page;

	if (!page_take(x, "queue", &page))
		return;
	l = listing_new(x, listing_run);
	l->limit = page.limit;
	if (take_state(x, &l->state) < 0 || take_selector(x, &l->selector) < 0)
		goto refused;
	take_site(l);
	if (take_after(x, l, page.after) < 0)
		goto refused;
	listing_start(l);
	return;
refused:
	listing_release(&l->job);
}

/* What an account sees of its held mail. */
static json_t *
held_shown(const json_t *row)
{
	static const char *const names[] = { "id", "from", "to", "subject", "size", "message_id",
		"credential", "reason", "signature" };
	json_t *shown = json_object();

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		json_object_set(shown, names[i], json_object_get(row, names[i]));
	json_object_set(shown, "at", json_object_get(row, "accepted"));
	return shown;
}

static void
held_then(struct job *job)
{
	const struct listing *l = (struct listing *)job;
	json_t *held = json_array(), *row;
	size_t i;

	if (!job->result) {
		json_decref(held);
		reply_fault(job->exchange, &job->fault);
		return;
	}
	json_array_foreach(json_object_get(job->result, "rows"), i, row)
		json_array_append_new(held, held_shown(row));
	reply_json(job->exchange, 200,
		json_pack("{s:o, s:o, s:O}", "held", held, "next",
			page_next(job->exchange, "held", l->next), "total",
			json_object_get(job->result, "total")));
	json_decref(job->result);
	job->result = NULL;
}

void
api_account_held(struct exchange *x)
{
	struct listing *l;
	struct page page;

	if (!directory_get(x->api->directory, "account", x->parameters[0])) {
		reply_error(x, 404, "account", "there is no account \"%.40s\"", x->parameters[0]);
		return;
	}
	if (!page_take(x, "held", &page))
		return;
	l = listing_new(x, listing_run);
	l->job.then = held_then;
	l->limit = page.limit;
	l->state = MAIL_HELD;
	l->selector.text[SELECT_ACCOUNT] = xstrdup(x->parameters[0]);
	take_site(l);
	if (take_after(x, l, page.after) < 0)
		listing_release(&l->job);
	else
		listing_start(l);
}

/* A row is found at once. Only a message without rows is searched for in the topics. */
static void
message_run(struct job *job)
{
	struct listing *l = (struct listing *)job;

	l->topic = TOPIC_COUNT;
	listing_run(job);
	if (!json_array_size(l->rows)) {
		l->topic = TOPIC_INBOUND;
		listing_records(l);
	}
	if (!json_array_size(l->rows)) /* perhaps the record became rows meanwhile */
		listing_rows(l, false);
	if (json_array_size(l->rows) > 0)
		return;
	json_decref(job->result);
	job->result = NULL;
	fault_set(&job->fault, 404, "id",
		"no message with this id is open: \"why\" tells what became of it");
}

void
api_queue_get(struct exchange *x)
{
	struct listing *l;
	uint8_t id[ID_SIZE];

	if (id_parse(x->parameters[0], id) < 0) {
		reply_error(x, 400, "id", "26 signs of a message id");
		return;
	}
	l = listing_new(x, message_run);
	l->selector.text[SELECT_ID] = xstrdup(x->parameters[0]);
	memcpy(l->selector.id, id, ID_SIZE);
	l->whole = true;
	listing_start(l);
}
