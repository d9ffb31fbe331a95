/*
 * api_queue.c - the API's reading half of the queue: what waits where, and why. On the worker.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/api_private.h"
#include "shared/date.h"
#include "shared/log.h"

#define LIST_DEFAULT 100
#define LIST_MAX 1000
#define SCAN_STEP 256

struct listing {
	struct job job;
	char *site, *account, *domain, *id_text;
	int state; /* of Row; -1: any */
	size_t limit;
	char after_id[ID_TEXT_SIZE]; /* "": from the start */
	char *after_site;
	uint64_t total;
	bool counted; /* the total is known: the scan ends with the page */
	json_t *rows;
	/* of the scan */
	uint8_t at_id[ID_SIZE];
	char *at_site;
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
	json_object_set_new(shown, "from", json_from_text(e->mail_from));
	json_object_set_new(shown, "to", recipients);
	json_object_set_new(shown, "size", json_integer((json_int_t)e->size));
	json_object_set_new(shown, "accepted", json_from_time(e->accepted_us));
	json_object_set_new(shown, "due",
		row->state == ROW__STATE__HELD ? json_null() : json_from_time(row->due_us));
	json_object_set_new(shown, "attempts", json_integer(row->attempts));
	json_object_set_new(shown, "last_attempt", json_from_time(row->last_attempt_us));
	set_text(shown, "last_reply", row->last_reply);
	set_text(shown, "last_host", row->last_host);
	set_text(shown, "reason", row->reason);
	set_text(shown, "signature", e->signature);
	set_text(shown, "message_id", e->message_id);
	set_text(shown, "subject", e->subject);
	return shown;
}

static bool
has_recipient_at(const Envelope *envelope, const char *domain)
{
	for (size_t i = 0; i < envelope->n_recipients; i++) {
		const char *at = strrchr(envelope->recipients[i]->address, '@');

		if (at && strcasecmp(at + 1, domain) == 0)
			return true;
	}
	return false;
}

static bool
listing_matches(const struct listing *l, const Row *row)
{
	return (l->state < 0 || (int)row->state == l->state) &&
		(!l->site || strcasecmp(row->site, l->site) == 0) &&
		(!l->account || strcmp(row->envelope->account, l->account) == 0) &&
		(!l->domain || has_recipient_at(row->envelope, l->domain));
}

/* Rows come by key: whether this one is behind the page before. */
static bool
listing_behind(const struct listing *l, const Row *row)
{
	char id[ID_TEXT_SIZE];
	int order;

	if (!*l->after_id)
		return true;
	id_format(row->envelope->id.data, id);
	order = strcmp(id, l->after_id);
	return order > 0 || (order == 0 && strcmp(row->site, l->after_site) > 0);
}

static void
on_row(void *arg, Row *row)
{
	struct listing *l = arg;

	memcpy(l->at_id, row->envelope->id.data, ID_SIZE);
	free(l->at_site);
	l->at_site = xstrdup(row->site);
	if (listing_matches(l, row)) {
		l->total += !l->counted;
		if (json_array_size(l->rows) < l->limit && listing_behind(l, row))
			json_array_append_new(l->rows, json_from_row(row));
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

/* All of a site, and nothing else asked for: no scan is needed to know how many there are. */
static void
listing_count(struct listing *l, struct rows *rows)
{
	uint8_t id[ID_SIZE];

	if (!l->site || l->account || l->domain || l->state >= 0)
		return;
	l->total = rows_count(rows, l->site);
	l->counted = l->total > 0;
	if (!l->counted || !*l->after_id || id_parse(l->after_id, id) != 0)
		return;
	memcpy(l->at_id, id, ID_SIZE);
	l->at_site = xstrdup(l->after_site);
}

static bool
listing_done(const struct listing *l)
{
	return l->counted &&
		(json_array_size(l->rows) == l->limit ||
			(!*l->after_id && json_array_size(l->rows) == l->total));
}

static void
listing_run(struct job *job)
{
	struct listing *l = (struct listing *)job;
	struct queue *queue = job->api->queue;
	uint8_t id[ID_SIZE];
	size_t got;

	l->rows = json_array();
	if (l->id_text && id_parse(l->id_text, id) == 0) {
		rows_of(job->api->rows, id, on_row, l);
	} else {
		listing_count(l, job->api->rows);
		do
			got = rows_scan(job->api->rows, ROWS_ANY, l->at_site ? l->at_id : NULL,
				l->at_site, SCAN_STEP, on_row, l);
		while (got == SCAN_STEP && !listing_done(l) && !atomic_load(&job->api->hurry));
	}
	job->result = json_pack("{s:o, s:I, s:o}", "rows", l->rows, "total", (json_int_t)l->total,
		"queue", queue_numbers(queue));
}

static void
listing_release(struct job *job)
{
	struct listing *l = (struct listing *)job;

	free(l->site);
	free(l->account);
	free(l->domain);
	free(l->id_text);
	free(l->after_site);
	free(l->at_site);
	free(l);
}

static char *
copy_of(const char *text)
{
	return text ? xstrdup(text) : NULL;
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

static int
check_after(struct exchange *x)
{
	const char *after = query_text(x, "after");

	if (!after || (strlen(after) > ID_TEXT_SIZE && after[ID_TEXT_SIZE - 1] == '/'))
		return 0;
	reply_error(x, 400, "after", "<id>/<site> of the last row of the page before");
	return -1;
}

static int
check_id(struct exchange *x)
{
	const char *text = query_text(x, "id");
	uint8_t id[ID_SIZE];

	if (!text || id_parse(text, id) == 0)
		return 0;
	reply_error(x, 400, "id", "26 signs of a message id");
	return -1;
}

void
api_queue_list(struct exchange *x)
{
	static const char *const known[] = { "id", "site", "account", "domain", "state", "limit",
		"after", NULL };
	struct listing *l;
	const char *after;
	long limit;
	int state;

	if (!query_known(x, known) ||
		(limit = query_number(x, "limit", LIST_DEFAULT, 1, LIST_MAX)) < 0 ||
		take_state(x, &state) < 0 || check_after(x) < 0 || check_id(x) < 0)
		return;
	after = query_text(x, "after");
	l = xcalloc(1, sizeof *l);
	*l = (struct listing){
		.job = {.exchange = x, .run = listing_run, .release = listing_release},
		.site = copy_of(query_text(x, "site")),
		.account = copy_of(query_text(x, "account")),
		.domain = copy_of(query_text(x, "domain")),
		.id_text = copy_of(query_text(x, "id")),
		.state = state,
		.limit = (size_t)limit,
		.after_site = after ? xstrdup(after + ID_TEXT_SIZE) : NULL,
	};
	if (after)
		memcpy(l->after_id, after, ID_TEXT_SIZE - 1);
	job_start(&l->job);
}

static void
message_run(struct job *job)
{
	listing_run(job);
	if (json_array_size(json_object_get(job->result, "rows")) > 0)
		return;
	json_decref(job->result);
	job->result = NULL;
	fault_set(&job->fault, 404, "id",
		"no message with this id waits: \"why\" tells what became of it");
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
	l = xcalloc(1, sizeof *l);
	*l = (struct listing){
		.job = {.exchange = x, .run = message_run, .release = listing_release},
		.id_text = xstrdup(x->parameters[0]),
		.state = -1,
		.limit = LIST_MAX,
	};
	job_start(&l->job);
}
