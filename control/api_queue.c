/*
 * api_queue.c - the API's reading half of the queue: what waits where, and why. On the worker.
 *
 * A page is read from a cursor on: along the index of a site when one is asked for, else by key.
 * One request examines EXAMINE_MAX rows at most (half a second, and memory for one page) and then
 * says where to go on. Totals come from the table's counts where these can tell, else by counting.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/api_private.h"
#include "shared/date.h"
#include "shared/log.h"
#include "shared/selector.h"
#include "shared/text.h"

#define SCAN_STEP 256
#define EXAMINE_MAX 200000
#define SITE_HELD "held" /* Row.site of mail that is held */

struct suspended {
	struct selector selector;
	json_t *shown;
};

struct listing {
	struct job job;
	struct selector selector; /* nothing given: any */
	const char *site;         /* whose index is read; NULL: by key */
	int state;                /* of Row; -1: any */
	size_t limit;
	bool after, whole; /* a cursor was given; everything is shown */
	json_t *suspensions;
	struct suspended *suspended;
	size_t suspended_count;
	json_t *rows;
	uint64_t total, examined;
	/* where the reading is */
	bool started;
	uint64_t at_us;
	uint8_t at_id[ID_SIZE];
	char *at_site;
	char *next; /* where the page ends */
};

json_t *
json_from_time(uint64_t us)
{
	char text[DATE_SIZE];

	if (!us)
		return json_null();
	date_iso(us, text);
	return json_string(text);
}

/* What a remote sent need not be UTF-8. */
static json_t *
json_from_text(const char *text)
{
	json_t *value = json_string(text ? text : "");
	char *ascii;

	if (value)
		return value;
	ascii = xstrdup(text);
	for (char *c = ascii; *c; c++)
		if ((unsigned char)*c > 126)
			*c = '?';
	value = json_string(ascii);
	free(ascii);
	return value;
}

static void
set_text(json_t *object, const char *key, const char *text)
{
	if (text && *text)
		json_object_set_new(object, key, json_from_text(text));
}

static const char *
state_name(const Row *row)
{
	return row->state == ROW__STATE__HELD ? "held" : "waiting";
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
	json_object_set_new(shown, "state", json_string(state_name(row)));
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

/* What only one message is worth. */
static void
show_whole(const struct listing *l, const Row *row, json_t *shown)
{
	char place[QUEUE_PLACE_MAX];

	queue_body_place(l->job.api->queue, row->envelope, place);
	json_object_set_new(shown, "body", json_string(place));
	json_object_set_new(shown, "first_attempt", json_from_time(row->first_attempt_us));
	json_object_set_new(shown, "delay_told", json_boolean(row->delay_sent));
	json_object_set_new(shown, "released", json_boolean(row->released));
	set_text(shown, "helo", row->envelope->helo);
	set_text(shown, "client", row->envelope->client);
	set_text(shown, "header_from", row->envelope->header_from);
}

/* The suspension that holds it back, when there is one. */
static void
show_suspension(const struct listing *l, const Row *row, json_t *shown)
{
	const char *own = l->job.api->egress;

	if (row->state == ROW__STATE__HELD)
		return;
	for (size_t i = 0; i < l->suspended_count; i++)
		if (selector_matches_row(&l->suspended[i].selector, row, own ? own : "")) {
			json_object_set(shown, "suspension", l->suspended[i].shown);
			return;
		}
}

static void
listing_place(struct listing *l, const Row *row)
{
	l->started = true;
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
	l->next = l->site ? xasprintf("%" PRIu64 "/%s", l->at_us, id)
			  : xasprintf("%s/%s", id, l->at_site);
}

static void
on_row(void *arg, Row *row)
{
	struct listing *l = arg;
	const char *own = l->job.api->egress;
	json_t *shown;

	l->examined++;
	listing_place(l, row);
	if ((l->state < 0 || (int)row->state == l->state) &&
		selector_matches_row(&l->selector, row, own ? own : "")) {
		l->total++;
		if (json_array_size(l->rows) < l->limit) {
			shown = json_from_row(row);
			show_suspension(l, row, shown);
			if (l->whole)
				show_whole(l, row, shown);
			json_array_append_new(l->rows, shown);
			if (json_array_size(l->rows) == l->limit)
				listing_mark(l);
		}
	}
	row_free(row);
}

static json_t *
queue_numbers(struct queue *queue)
{
	struct queue_stats stats;

	queue_stats(queue, &stats);
	return json_pack("{s:I, s:I, s:I, s:I, s:I}", "inbound",
		(json_int_t)stats.records[TOPIC_INBOUND], "ready",
		(json_int_t)stats.records[TOPIC_READY], "rows", (json_int_t)stats.rows, "bodies",
		(json_int_t)stats.bodies, "bad", (json_int_t)stats.bad);
}

static size_t
listing_step(struct listing *l)
{
	struct rows *rows = l->job.api->rows;

	if (l->site)
		return rows_due(rows, l->site, l->at_us, l->started ? l->at_id : NULL, SCAN_STEP,
			on_row, l);
	return rows_scan(
		rows, ROWS_ANY, l->started ? l->at_id : NULL, l->at_site, SCAN_STEP, on_row, l);
}

/* Whether the table's counts tell the total: nothing, or a site alone was asked for. */
static bool
listing_counted(const struct listing *l)
{
	for (int i = 0; i < SELECTOR_FIELDS; i++)
		if (i != SELECT_SITE && l->selector.text[i])
			return false;
	return l->state < 0;
}

/* Returns whether the end was reached. */
static bool
listing_read(struct listing *l, bool counted)
{
	size_t got;

	do {
		got = listing_step(l);
		if (got < SCAN_STEP)
			return true;
		if (l->next && (counted || l->after))
			return false;
	} while (l->examined < EXAMINE_MAX && !atomic_load(&l->job.api->hurry));
	if (!l->next)
		listing_mark(l);
	return false;
}

static void
listing_total(struct listing *l, bool counted, bool ended)
{
	json_t *result = l->job.result;

	if (counted)
		l->total = rows_count(l->job.api->rows, l->site);
	else if (l->after) {
		json_object_set_new(result, "total", json_null());
		return;
	}
	json_object_set_new(result, "total", json_integer((json_int_t)l->total));
	json_object_set_new(result, "total_exact",
		json_boolean((counted || ended) && rows_complete(l->job.api->rows)));
}

static void
listing_suspensions(struct listing *l)
{
	const char *field;
	json_t *shown;
	size_t i;

	l->suspended = xcalloc(json_array_size(l->suspensions) + 1, sizeof *l->suspended);
	json_array_foreach(l->suspensions, i, shown)
	{
		struct suspended *at = &l->suspended[l->suspended_count++];

		at->shown = shown;
		selector_parse(&at->selector, json_object_get(shown, "selector"), &field);
	}
}

static void
listing_run(struct job *job)
{
	struct listing *l = (struct listing *)job;
	const bool counted = listing_counted(l);
	bool ended = true;

	listing_suspensions(l);
	l->rows = json_array();
	job->result = json_object();
	if (l->selector.text[SELECT_ID])
		rows_of(job->api->rows, l->selector.id, on_row, l);
	else
		ended = listing_read(l, counted);
	if (ended && l->total <= l->limit) { /* all that matched is in the page */
		free(l->next);
		l->next = NULL;
	}
	json_object_set_new(job->result, "rows", l->rows);
	listing_total(l, counted, ended);
	json_object_set_new(job->result, "queue", queue_numbers(job->api->queue));
}

static void
listing_then(struct job *job)
{
	struct listing *l = (struct listing *)job;

	if (!job->result) {
		reply_fault(job->exchange, &job->fault);
		return;
	}
	json_object_set_new(job->result, "next", page_next(job->exchange, "queue", l->next));
	reply_json(job->exchange, 200, job->result);
}

static void
listing_release(struct job *job)
{
	struct listing *l = (struct listing *)job;

	for (size_t i = 0; i < l->suspended_count; i++)
		selector_wipe(&l->suspended[i].selector);
	free(l->suspended);
	json_decref(l->suspensions);
	selector_wipe(&l->selector);
	free(l->at_site);
	free(l->next);
	free(l);
}

static struct listing *
listing_new(struct exchange *x, void (*run)(struct job *job))
{
	struct listing *l = xcalloc(1, sizeof *l);

	l->job = (struct job){
		.exchange = x, .run = run, .then = listing_then, .release = listing_release
	};
	l->suspensions = suspensions_now(x->api);
	l->state = -1;
	l->limit = PAGE_MAX;
	return l;
}

static int
take_state(struct exchange *x, int *state_out)
{
	const char *text = query_text(x, "state");

	*state_out = !text                     ? -1
		: strcmp(text, "held") == 0    ? (int)ROW__STATE__HELD
		: strcmp(text, "waiting") == 0 ? (int)ROW__STATE__WAITING
					       : -2;
	if (*state_out == -2)
		reply_error(x, 400, "state", "one of: waiting, held");
	return *state_out == -2 ? -1 : 0;
}

/* "<due>/<id>" along a site, "<id>/<site>" by key. */
static int
take_after(struct exchange *x, struct listing *l, const char *after)
{
	const char *slash = after ? strchr(after, '/') : NULL;
	const char *id = l->site && slash ? slash + 1 : after;
	char text[ID_TEXT_SIZE] = "", *end;

	if (!after)
		return 0;
	l->after = l->started = true;
	snprintf(text, sizeof text, "%s", id);
	if (slash && id_parse(text, l->at_id) == 0) {
		l->at_us = strtoull(after, &end, 10);
		l->at_site = xstrdup(slash + 1);
		if (l->site ? is_digit(*after) && end == slash && strlen(id) == ID_TEXT_SIZE - 1
			    : slash == after + ID_TEXT_SIZE - 1)
			return 0;
	}
	page_refuse(x);
	return -1;
}

static int
take_selector(struct exchange *x, struct selector *selector)
{
	static const char *const names[SELECTOR_FIELDS] = { "id", "site", "provider", "account",
		"credential", "domain", "egress_ip" };
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

/* The site whose index is read. */
static void
take_site(struct listing *l)
{
	l->site = l->selector.text[SELECT_SITE];
	if (!l->site && l->state == (int)ROW__STATE__HELD)
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
	job_start(&l->job);
	return;
refused:
	listing_release(&l->job);
}

/* On its way to the sender, or in somebody's hands: it is no row yet. */
static bool
on_seen(void *arg, const struct queue_seen *seen)
{
	static const char *const states[TOPIC_COUNT] = { "inbound", "ready" };
	struct listing *l = arg;
	const Envelope *envelope = seen->envelope;
	Row row = ROW__INIT;
	json_t *shown;

	if (memcmp(envelope->id.data, l->selector.id, ID_SIZE) != 0)
		return !atomic_load(&l->job.api->hurry);
	row.envelope = (Envelope *)envelope;
	shown = json_from_row(&row);
	json_object_set_new(shown, "state", json_string(states[seen->topic]));
	json_object_set_new(shown, "since",
		json_from_time(seen->since_us ? seen->since_us : envelope->accepted_us));
	show_whole(l, &row, shown);
	json_array_append_new(l->rows, shown);
	return false;
}

static void
message_run(struct job *job)
{
	struct listing *l = (struct listing *)job;

	listing_run(job);
	for (enum topic topic = 0; topic < TOPIC_COUNT && !json_array_size(l->rows); topic++)
		queue_look(job->api->queue, topic, on_seen, l);
	if (!json_array_size(l->rows)) /* it became rows meanwhile, perhaps */
		rows_of(job->api->rows, l->selector.id, on_row, l);
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
	job_start(&l->job);
}
