/*
 * api_events.c - events: the latest, those of a time or of somebody, and new ones as they come. On
 * the worker, in slices.
 *
 * mail.events -> event_reader -> event_pick -> [api_events]
 *
 * Without "since" and "after" the answer has the newest events: hours are read backwards, in
 * windows that grow, each window forwards. Otherwise the answer is a page from that place on. A
 * page that takes too long ends where the reading is. An empty page may wait for new events
 * ("wait"), so that a client follows by asking again and again, and keeps nothing that other
 * clients need.
 */
#include <stdlib.h>
#include <string.h>

#include "control/http/api_private.h"
#include "control/look/event_pick.h"
#include "control/look/newest.h"
#include "shared/base/date.h"
#include "shared/base/log.h"
#include "shared/queue/event_reader.h"

#define LIST "events"
#define WAIT_MAX_S 25 /* less than the usual deadlines of HTTP clients */
#define LOOK_MS 500   /* between looks for new events */
#define PAGE_MS 5000  /* of searching, in one answer */
#define WINDOW_US UINT64_C(3600000000)
#define WINDOW_GROWS 12
#define WINDOW_MAX_US (WINDOW_US * 24 * 6) /* all older events are one window: they are few */
#define BEHIND_MAX 1000                    /* so many in a row are not due to a wrong clock */
#define ORDER_US 60000000 /* an event may stand so much later than others of its time */

struct events {
	struct job job;
	struct event_pick pick;
	struct event_reader *reader;
	char *after; /* NULL: not given */
	bool backwards;
	size_t limit;
	uint64_t end_ms, wait_ms; /* until when to search, and how long to wait */
	struct newest *found;
	json_t *answer;
	/* backwards: [from, to) is being read */
	uint64_t from_us, to_us, span_us;
	unsigned behind;      /* older lines in a row */
	char stop[DATE_SIZE]; /* what an event's time begins with that ends it; "": nothing */
	char *place;          /* behind all events */
	bool more;
};

/* ---- reading ---- */

static bool
wanted(const struct events *e, const json_t *event)
{
	const uint64_t us = event_time_us(event);

	return pick_matches(&e->pick, event) &&
		(!e->backwards || (us >= e->from_us && us < e->to_us));
}

/* Whether the line is of a later time than asked for. */
static bool
is_behind(const struct events *e, const char *text, size_t length)
{
	static const char prefix[] = "{\"time\":\"";
	const size_t size = strlen(e->stop);

	return size > 0 && length > sizeof prefix + size &&
		memcmp(text, prefix, sizeof prefix - 1) == 0 &&
		memcmp(text + sizeof prefix - 1, e->stop, size) >= 0;
}

/* Events stand in order of time, but only about. */
static void
set_stop(struct events *e, uint64_t end_us)
{
	if (end_us < UINT64_MAX - ORDER_US)
		date_iso(end_us + ORDER_US, e->stop);
}

/* False: the page has enough. */
static bool
on_line(void *arg, const char *text, size_t length)
{
	struct events *e = arg;
	json_t *event;

	e->behind = is_behind(e, text, length) ? e->behind + 1 : 0;
	if (atomic_load(&e->job.api->hurry) || e->behind == BEHIND_MAX)
		return false;
	if (!pick_may(&e->pick, text, length))
		return true;
	event = json_loadb(text, length, 0, NULL);
	if (!json_is_object(event) || !wanted(e, event)) {
		json_decref(event);
		return true;
	}
	newest_add(e->found, event, length);
	return e->backwards || !newest_full(e->found);
}

/* False: the text is no place. */
static bool
open_reader(struct events *e)
{
	const uint64_t since_us = e->backwards ? e->from_us : e->pick.since_us;

	if (!e->reader)
		e->reader = queue_events_open(e->job.api->queue, since_us, e->after);
	return e->reader;
}

/* ---- the answer ---- */

static void
finish(struct events *e, bool more)
{
	if (!e->place)
		e->place = event_reader_place(e->reader);
	e->more = more;
	e->job.result = json_pack("{s:o, s:n}", "events", e->answer, "total");
	e->answer = NULL;
}

/* "next" is where more events are already, "place" where more may come. */
static void
events_then(struct job *job)
{
	struct events *e = (struct events *)job;
	struct exchange *x = job->exchange;

	if (!job->result && !job->fault.status) {
		page_refuse(x);
	} else if (!job->result) {
		reply_fault(x, &job->fault);
	} else {
		json_object_set_new(
			job->result, "next", page_next(x, LIST, e->more ? e->place : NULL));
		json_object_set_new(job->result, "place", page_next(x, LIST, e->place));
		reply_json(x, 200, job->result);
	}
}

/* ---- forwards ---- */

static void
page_end(struct events *e, bool more)
{
	e->answer = newest_take(e->found);
	finish(e, more);
}

static void
forwards(struct events *e, enum events_state state)
{
	const uint64_t now_ms = clock_mono_ms();
	const bool over = e->job.over || atomic_load(&e->job.api->hurry);

	if (state == EVENTS_STOPPED)
		page_end(e, newest_full(e->found) || over);
	else if (state == EVENTS_MORE && now_ms < e->end_ms && !over)
		e->job.more = true;
	else if (state == EVENTS_MORE)
		page_end(e, true);
	else if (newest_seen(e->found) == 0 && now_ms < e->wait_ms && !over)
		e->job.pause_ms = LOOK_MS;
	else
		page_end(e, false);
}

/* ---- backwards ---- */

/* The events of an older window go before the events that are there already. */
static void
window_take(struct events *e)
{
	json_t *older = newest_take(e->found);

	json_array_extend(older, e->answer);
	json_decref(e->answer);
	e->answer = older;
}

static void
window_open(struct events *e, uint64_t to_us)
{
	const uint64_t since_us = e->pick.since_us;

	e->to_us = to_us;
	set_stop(e, to_us);
	e->from_us = to_us > e->span_us && to_us - e->span_us > since_us ? to_us - e->span_us
									 : since_us;
	e->span_us = e->span_us < WINDOW_MAX_US ? e->span_us * WINDOW_GROWS : UINT64_MAX;
	newest_free(&e->found);
	e->found = newest_new(e->limit - json_array_size(e->answer));
}

static void
window_end(struct events *e)
{
	const bool full = newest_full(e->found);

	if (!e->place)
		e->place = event_reader_place(e->reader);
	event_reader_close(&e->reader);
	window_take(e);
	if (full || e->from_us <= e->pick.since_us || e->job.over ||
		atomic_load(&e->job.api->hurry)) {
		finish(e, false);
		return;
	}
	e->behind = 0;
	window_open(e, e->from_us);
	e->job.more = true;
}

/* The first window has no end: another machine's clock may be ahead. */
static void
windows_start(struct events *e)
{
	const uint64_t now_us = clock_us();
	const bool until = e->pick.until_us < now_us;

	e->answer = json_array();
	e->span_us = WINDOW_US;
	window_open(e, until ? e->pick.until_us : now_us);
	if (until)
		return;
	e->to_us = UINT64_MAX;
	*e->stop = '\0';
}

/* ---- the job ---- */

static void
events_run(struct job *job)
{
	struct events *e = (struct events *)job;
	enum events_state state;

	if (!open_reader(e))
		return;
	state = event_reader_next(e->reader, SLICE_MS, on_line, e);
	if (state == EVENTS_FAILED)
		fault_set(&job->fault, 503, "", EVENTS_UNREAD);
	else if (!e->backwards)
		forwards(e, state);
	else if (state == EVENTS_MORE)
		job->more = true;
	else
		window_end(e);
}

static void
events_release(struct job *job)
{
	struct events *e = (struct events *)job;

	job->api->searches--;
	event_reader_close(&e->reader);
	newest_free(&e->found);
	json_decref(e->answer);
	pick_wipe(&e->pick);
	free(e->after);
	free(e->place);
	free(e);
}

/* ---- the request ---- */

static int
take_fields(struct exchange *x, struct event_pick *pick)
{
	for (int i = 0; i < PICK_FIELDS; i++) {
		const char *text = query_text(x, pick_names[i]);

		if (text && pick_set(pick, (enum pick_field)i, text) < 0) {
			reply_error(x, 400, pick_names[i], "%s", pick_right((enum pick_field)i));
			return -1;
		}
	}
	return 0;
}

static int
take_time(struct exchange *x, const char *name, uint64_t *us)
{
	const char *text = query_text(x, name);

	if (!text || pick_time(text, clock_us(), us) == 0)
		return 0;
	reply_error(
		x, 400, name, "a time like 2026-11-24T03:56 or 03:56 (UTC), or 10m, 2h, 3d ago");
	return -1;
}

/* False after a reply. */
static bool
take_request(struct exchange *x, struct events *e)
{
	const long wait_s = query_number(x, "wait", 0, 0, WAIT_MAX_S);
	struct page page;

	if (wait_s < 0 || !page_take(x, LIST, &page) ||
		take_time(x, "since", &e->pick.since_us) < 0 ||
		take_time(x, "until", &e->pick.until_us) < 0 || take_fields(x, &e->pick) < 0)
		return false;
	e->limit = page.limit;
	e->after = page.after ? xstrdup(page.after) : NULL;
	e->backwards = !e->after && !query_text(x, "since");
	e->end_ms = clock_mono_ms() + PAGE_MS;
	e->wait_ms = clock_mono_ms() + (uint64_t)wait_s * 1000;
	return true;
}

void
api_events(struct exchange *x)
{
	struct events *e;

	if (!search_begin(x))
		return;
	e = xcalloc(1, sizeof *e);
	e->job = (struct job){ .exchange = x,
		.api = x->api,
		.run = events_run,
		.then = events_then,
		.release = events_release };
	pick_init(&e->pick);
	if (!take_request(x, e)) {
		events_release(&e->job);
		return;
	}
	if (e->backwards) {
		windows_start(e);
	} else {
		set_stop(e, e->pick.until_us);
		e->found = newest_new(e->limit);
	}
	job_start(&e->job);
}
