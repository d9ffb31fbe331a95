/*
 * api_messages.c - what became of messages, from the trace: searches, one message, and the
 * auditor's list of messages without an end. On the worker, in slices.
 *
 * trace (search.c) -> [api_messages], with what replies mean (replies.c)
 *
 * Under accounts/{account} nothing of another account is found.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control/http/api_private.h"
#include "control/look/event_pick.h"
#include "control/trace/replies.h"
#include "control/trace/search.h"
#include "control/trace/trace.h"
#include "shared/base/date.h"
#include "shared/base/json_text.h"
#include "shared/base/log.h"
#include "shared/config/config.h"

#define LIST "messages"
#define OPEN_LIST "open"
#define SEARCH_MS 2000 /* of searching, in one answer; the page then ends where the search is */

struct messages {
	struct job job;
	struct trace_filter filter;
	struct search *search;
	uint64_t end_ms;
	const char *list;
	bool nothing; /* no message can match */
	/* one message */
	uint8_t id[ID_SIZE];
	char *account; /* NULL: any */
	bool more;
	char next[ID_TEXT_SIZE];
};

static void
messages_release(struct job *job)
{
	struct messages *m = (struct messages *)job;

	search_free(&m->search);
	filter_wipe(&m->filter);
	free(m->account);
	free(m);
}

static struct messages *
messages_new(struct exchange *x, void (*run)(struct job *job), void (*then)(struct job *job))
{
	struct messages *m = xcalloc(1, sizeof *m);

	m->job = (struct job){
		.exchange = x, .api = x->api, .run = run, .then = then, .release = messages_release
	};
	filter_init(&m->filter);
	return m;
}

/* ---- lists ---- */

static void
page_end(struct messages *m)
{
	uint8_t next[ID_SIZE];
	json_t *found = search_take(m->search, &m->more, next);

	id_format(next, m->next);
	m->job.result = json_pack("{s:o, s:n, s:o}", "messages", found, "total", "kept_since",
		json_from_time(trace_kept_since_us(m->job.api->trace)));
}

static void
list_run(struct job *job)
{
	struct messages *m = (struct messages *)job;
	char broken[DAY_NAME_SIZE];
	enum search_state state = search_run(m->search, SLICE_MS, broken);

	if (state == SEARCH_FAILED) {
		if (*broken)
			trace_suspect(job->api->trace, broken);
		fault_set(&job->fault, 503, "",
			"the trace cannot be read now, and is made anew: try again in a moment");
	} else if (state == SEARCH_MORE && clock_mono_ms() < m->end_ms &&
		!atomic_load(&job->api->hurry)) {
		job->more = true;
	} else {
		page_end(m);
	}
}

static void
list_then(struct job *job)
{
	struct messages *m = (struct messages *)job;

	if (!job->result) {
		reply_fault(job->exchange, &job->fault);
		return;
	}
	json_object_set_new(
		job->result, "next", page_next(job->exchange, m->list, m->more ? m->next : NULL));
	reply_json(job->exchange, 200, job->result);
}

static bool
take_time(struct exchange *x, const char *name, uint64_t *us)
{
	const char *text = query_text(x, name);

	if (!text || pick_time(text, clock_us(), us) == 0)
		return true;
	reply_error(
		x, 400, name, "a time like 2026-11-24T03:56 or 03:56 (UTC), or 10m, 2h, 3d ago");
	return false;
}

static bool
take_fields(struct exchange *x, struct trace_filter *filter)
{
	for (unsigned i = 0; i < TRACE_FIELDS; i++) {
		const char *text = query_text(x, trace_names[i]);

		if (text && filter_set(filter, (enum trace_field)i, text) < 0) {
			reply_error(
				x, 400, trace_names[i], "%s", filter_right((enum trace_field)i));
			return false;
		}
	}
	return true;
}

/* An id is a time of one millisecond, and one of its messages. */
static bool
take_id(struct exchange *x, struct messages *m)
{
	const char *text = query_text(x, "id");

	if (!text)
		return true;
	if (id_parse(text, m->id) == 0) {
		m->filter.id = m->id;
		return true;
	}
	reply_error(x, 400, "id", "a message's id of 26 characters, as 250 said");
	return false;
}

/* Takes limit and after, and starts the search. */
static bool
list_start(struct exchange *x, struct messages *m)
{
	uint8_t after[ID_SIZE];
	struct page page;

	if (!page_take(x, m->list, &page))
		return false;
	if (page.after && id_parse(page.after, after) < 0) {
		page_refuse(x);
		return false;
	}
	m->search = search_new(
		trace_directory(x->api->trace), &m->filter, page.limit, page.after ? after : NULL);
	m->end_ms = clock_mono_ms() + SEARCH_MS;
	job_start(&m->job);
	return true;
}

static void
list(struct exchange *x, const char *account)
{
	struct messages *m = messages_new(x, list_run, list_then);

	m->list = LIST;
	if (account)
		m->filter.texts[TRACE_ACCOUNT] = xstrdup(account);
	if (!take_fields(x, &m->filter) || !take_id(x, m) ||
		!take_time(x, "since", &m->filter.since_us) ||
		!take_time(x, "until", &m->filter.until_us) || !list_start(x, m))
		messages_release(&m->job);
}

void
api_messages(struct exchange *x)
{
	list(x, NULL);
}

/* Whether there is the account; else the request is refused. */
static bool
account_there(struct exchange *x)
{
	if (directory_get(x->api->directory, "account", x->parameters[0]))
		return true;
	reply_error(x, 404, "account", "there is no account \"%.40s\"", x->parameters[0]);
	return false;
}

void
api_account_messages(struct exchange *x)
{
	if (account_there(x))
		list(x, x->parameters[0]);
}

/* ---- the auditor's list ---- */

void
api_open(struct exchange *x)
{
	struct messages *m = messages_new(x, list_run, list_then);
	const uint64_t lifetime_us = atomic_load(&x->api->config->sender.lifetime) * 1000;

	m->list = OPEN_LIST;
	m->filter.open = true;
	m->filter.until_us = clock_us() - lifetime_us;
	if (!take_fields(x, &m->filter) || !take_time(x, "older", &m->filter.until_us) ||
		!list_start(x, m))
		messages_release(&m->job);
}

/* ---- one message ---- */

static const char *
domain_of(const char *address)
{
	const char *at = address ? strrchr(address, '@') : NULL;

	return at ? at + 1 : NULL;
}

/* Says of each event what its reply means. */
static void
explain(const struct api *api, json_t *message, const uint8_t id[ID_SIZE])
{
	const char *from = json_text(message, "from");
	const uint64_t lifetime_ms = from && !*from
		? atomic_load(&api->config->sender.null_lifetime)
		: atomic_load(&api->config->sender.lifetime);
	json_t *event;
	size_t i;

	json_array_foreach(json_object_get(message, "events"), i, event)
	{
		const char *name = json_text(event, "event"), *class = json_text(event, "class");
		const struct reply_facts facts = { .site = json_text(event, "site"),
			.domain = domain_of(from),
			.from = from,
			.ended = name && trace_state_find(name) >= TRACE_ENDS,
			.until_us = id_time_us(id) + lifetime_ms * 1000 };

		if (class)
			json_object_set_new(event, "meaning", reply_meaning(class, &facts));
	}
}

static void
one_run(struct job *job)
{
	struct messages *m = (struct messages *)job;
	const struct trace *trace = job->api->trace;
	char day[DAY_NAME_SIZE];
	int err = search_message(trace_directory(trace), m->id, m->account, &job->result);

	if (err == -ENOENT) {
		fault_set(&job->fault, 404, "id", "the trace has no such message");
	} else if (err) {
		day_name(m->id, day);
		if (err == -EBADMSG)
			trace_suspect(job->api->trace, day);
		fault_set(&job->fault, 503, "",
			"the trace cannot be read now, and is made anew: try again in a moment");
	} else {
		explain(job->api, job->result, m->id);
		json_object_set_new(job->result, "kept_until",
			json_from_time(id_time_us(m->id) / DAY_US * DAY_US + DAY_US +
				job->api->config->control.trace_keep * 1000));
	}
}

static void
one(struct exchange *x, const char *text, const char *account)
{
	struct messages *m = messages_new(x, one_run, NULL);

	m->account = account ? xstrdup(account) : NULL;
	if (id_parse(text, m->id) == 0) {
		job_start(&m->job);
		return;
	}
	reply_error(x, 404, "id", "the trace has no such message");
	messages_release(&m->job);
}

void
api_message(struct exchange *x)
{
	one(x, x->parameters[0], NULL);
}

void
api_account_message(struct exchange *x)
{
	if (account_there(x))
		one(x, x->parameters[1], x->parameters[0]);
}
