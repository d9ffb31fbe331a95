/*
 * api_summary.c - sums the queue up in a few lines: whose mail waits, for how long, and the classes
 * of last replies. On the worker, one slice a turn, so that other requests have their turns.
 *
 * queue (topics, rows) -> [api_summary] -> groups of (key; class of the last reply; age)
 *
 * All mail that is not delivered yet is counted in exactly one group and one cell, so that sums are
 * totals. The parameter "by" says which key a record or row belongs to. "" is the key of mail
 * without one: not scanned, not routed, or held.
 */
#include <stdlib.h>
#include <string.h>

#include <uthash.h>

#include "control/http/api_private.h"
#include "control/look/json_from.h"
#include "control/queue/listing.h"
#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/base/named.h"
#include "shared/mail/address.h"

#define GROUPS_DEFAULT 50
#define GROUPS_MAX 1000
#define KEYS_MAX 20000 /* keys in memory; further keys count as one */
#define SLICE 5000     /* rows a turn: some milliseconds */
#define STEP 250
#define SEVERAL "(several)" /* recipients in more than one domain */

static const struct {
	const char *name;
	uint64_t seconds;
} ages[] = {
	{ "5m", 300 },
	{ "1h", 3600 },
	{ "4h", 14400 },
	{ "1d", 86400 },
	{ "older", UINT64_MAX },
};
#define AGES (sizeof ages / sizeof *ages)

enum summary_by { BY_PROVIDER, BY_SITE, BY_DOMAIN, BY_ACCOUNT, BY_COUNT };
static const char *const by_names[BY_COUNT] = { "provider", "site", "domain", "account" };

struct cell {
	char class[REPLY_CLASS_MAX];
	uint64_t ages[AGES];
};

struct group {
	UT_hash_handle hh;
	uint64_t total, oldest_us, suspended, states[MAIL_STATES];
	struct cell *cells;
	size_t cells_count;
	char key[];
};

/* The group and cell in which a record was counted. */
struct counted {
	struct group *group;
	enum mail_state state;
	size_t cell, age;
	bool suspended;
};

struct summary {
	struct listing l; /* first: selector, facts, messages seen */
	enum summary_by by;
	struct group *groups, *others; /* others: of keys beyond KEYS_MAX */
	size_t limit;
	uint64_t now_us;
	bool begun;
};

/* Counting */

static struct group *
group_new(const char *key)
{
	struct group *group;

	NAMED_NEW(key, key, group);
	return group;
}

static void
group_free(struct group *group)
{
	free(group->cells);
	free(group);
}

static struct group *
group_get(struct summary *s, const char *key)
{
	struct group *group;

	HASH_FIND_STR(s->groups, key, group);
	if (group)
		return group;
	if (HASH_COUNT(s->groups) >= KEYS_MAX)
		return s->others;
	group = group_new(key);
	HASH_ADD_STR(s->groups, key, group);
	return group;
}

static size_t
cell_get(struct group *group, const char *class)
{
	size_t i = 0;

	while (i < group->cells_count && strcmp(group->cells[i].class, class) != 0)
		i++;
	if (i < group->cells_count)
		return i;
	group->cells = xrealloc(group->cells, ++group->cells_count * sizeof *group->cells);
	group->cells[i] = (struct cell){ 0 };
	memcpy(group->cells[i].class, class, REPLY_CLASS_MAX);
	return i;
}

static size_t
age_of(const struct summary *s, uint64_t accepted_us)
{
	const uint64_t age = s->now_us > accepted_us ? (s->now_us - accepted_us) / 1000000 : 0;
	size_t i = 0;

	while (i + 1 < AGES && age >= ages[i].seconds)
		i++;
	return i;
}

static void
domain_of(const Recipient *recipient, char out[256])
{
	const char *at = strrchr(recipient->address, '@');

	if (!at || !address_domain_canonical(at + 1, strlen(at + 1), out))
		snprintf(out, 256, "%s", at ? at + 1 : "");
}

static void
domains_of(const Envelope *envelope, char out[256])
{
	char other[256] = "";

	*out = '\0';
	for (size_t i = 0; i < envelope->n_recipients; i++) {
		domain_of(envelope->recipients[i], i ? other : out);
		if (i && strcmp(out, other) != 0) {
			snprintf(out, 256, SEVERAL);
			return;
		}
	}
}

static void
key_of(const struct summary *s, const Row *row, char out[SITE_PROVIDER_MAX + 1])
{
	const bool held = row->state == ROW__STATE__HELD;

	*out = '\0';
	switch (s->by) {
	case BY_PROVIDER:
		if (!held)
			site_provider(row->site, out);
		break;
	case BY_SITE:
		if (!held)
			snprintf(out, SITE_PROVIDER_MAX + 1, "%s", row->site);
		break;
	case BY_DOMAIN: domains_of(row->envelope, out); break;
	case BY_ACCOUNT: snprintf(out, SITE_PROVIDER_MAX + 1, "%s", row->envelope->account); break;
	case BY_COUNT: break;
	}
}

static struct counted
count_row(struct summary *s, const Row *row, enum mail_state state)
{
	const uint64_t accepted_us = row->envelope->accepted_us;
	char key[SITE_PROVIDER_MAX + 1], class[REPLY_CLASS_MAX] = "";
	struct counted at = { .state = state,
		.age = age_of(s, accepted_us),
		.suspended = is_suspended(&s->l.around, row) };

	key_of(s, row, key);
	shown_class(&s->l.around, row, class);
	at.group = group_get(s, key);
	at.cell = cell_get(at.group, class);
	at.group->total++;
	at.group->suspended += at.suspended;
	at.group->states[state]++;
	at.group->cells[at.cell].ages[at.age]++;
	if (!at.group->oldest_us || accepted_us < at.group->oldest_us)
		at.group->oldest_us = accepted_us;
	return at;
}

static void
uncount(void *arg, void *what)
{
	struct counted *at = what;

	(void)arg;
	at->group->total--;
	at->group->suspended -= at->suspended;
	at->group->states[at->state]--;
	at->group->cells[at->cell].ages[at->age]--;
	free(at);
}

/* Reading */

static bool
on_seen(void *arg, const struct queue_seen *seen)
{
	struct summary *s = arg;
	const Row row = row_of_record(&s->l.around, seen);
	struct counted *counted;

	if (atomic_load(&s->l.job.api->hurry))
		return false;
	if (!listing_matches(&s->l, &row))
		return true;
	counted = xmalloc(sizeof *counted);
	*counted = count_row(s, &row, state_of_record(&s->l.around, seen));
	seen_add(&s->l.seen, seen->envelope->id.data, seen->topic, counted);
	return true;
}

static void
on_row(void *arg, Row *row)
{
	struct summary *s = arg;
	struct counted *counted = seen_forget(&s->l.seen, row->envelope->id.data);

	s->l.examined++;
	listing_place(&s->l, row);
	if (counted)
		uncount(NULL, counted);
	if (selector_matches_row(&s->l.selector, row, s->l.around.egress))
		count_row(s, row, state_of_row(&s->l.around, row));
	row_free(row);
}

static void
records_read(struct summary *s)
{
	struct api *api = s->l.job.api;

	for (enum topic topic = 0; topic < TOPIC_COUNT; topic++)
		if (!queue_look(api->queue, topic, on_seen, s))
			s->l.inexact = true;
	seen_settle(&s->l.seen, uncount, NULL);
	if (!rows_refresh(api->rows) || !rows_complete(api->rows))
		s->l.inexact = true;
}

/* Reads one slice; returns whether the end was reached. */
static bool
rows_read(struct summary *s)
{
	const uint64_t until = s->l.examined + SLICE;

	while (s->l.examined < until)
		if (listing_read_on(&s->l, STEP, on_row, s) < STEP)
			return true;
	return false;
}

/* The answer */

static int
by_total(const void *a, const void *b)
{
	const struct group *x = *(struct group *const *)a, *y = *(struct group *const *)b;

	if (x->total != y->total)
		return x->total < y->total ? 1 : -1;
	return strcmp(x->key, y->key);
}

static void
group_add(struct group *to, const struct group *from)
{
	to->total += from->total;
	to->suspended += from->suspended;
	if (from->total && (!to->oldest_us || from->oldest_us < to->oldest_us))
		to->oldest_us = from->oldest_us;
	for (int i = 0; i < MAIL_STATES; i++)
		to->states[i] += from->states[i];
	for (size_t i = 0; i < from->cells_count; i++) {
		const size_t cell = cell_get(to, from->cells[i].class);

		for (size_t age = 0; age < AGES; age++)
			to->cells[cell].ages[age] += from->cells[i].ages[age];
	}
}

static json_t *
cell_shown(const struct cell *cell)
{
	json_t *by_age = json_object();
	uint64_t total = 0;

	for (size_t age = 0; age < AGES; age++) {
		total += cell->ages[age];
		json_object_set_new(
			by_age, ages[age].name, json_integer((json_int_t)cell->ages[age]));
	}
	if (total)
		return json_pack("{s:s, s:I, s:o}", "class", cell->class, "total",
			(json_int_t)total, "ages", by_age);
	json_decref(by_age);
	return NULL;
}

static int
by_class(const void *a, const void *b)
{
	return strcmp(((const struct cell *)a)->class, ((const struct cell *)b)->class);
}

static json_t *
group_shown(struct group *group)
{
	json_t *states = json_object(), *replies = json_array(), *cell;

	for (int i = 0; i < MAIL_STATES; i++)
		json_object_set_new(
			states, mail_states[i], json_integer((json_int_t)group->states[i]));
	if (group->cells_count)
		qsort(group->cells, group->cells_count, sizeof *group->cells, by_class);
	for (size_t i = 0; i < group->cells_count; i++) {
		cell = cell_shown(&group->cells[i]);
		if (cell)
			json_array_append_new(replies, cell);
	}
	return json_pack("{s:I, s:o, s:o, s:I, s:o}", "total", (json_int_t)group->total, "oldest",
		json_from_time(group->total ? group->oldest_us : 0), "states", states, "suspended",
		(json_int_t)group->suspended, "replies", replies);
}

static struct group **
groups_sorted(const struct summary *s, size_t *count_out)
{
	struct group **list = xcalloc(HASH_COUNT(s->groups) + 1, sizeof(struct group *));
	size_t count = 0;

	for (struct group *group = s->groups; group; group = group->hh.next)
		if (group->total)
			list[count++] = group;
	qsort(list, count, sizeof *list, by_total);
	*count_out = count;
	return list;
}

static void
summary_answer(struct summary *s)
{
	struct group *all = group_new("");
	json_t *result = json_object(), *shown = json_array(), *one;
	size_t count;
	struct group **list = groups_sorted(s, &count);

	for (size_t i = 0; i < count; i++) {
		if (i >= s->limit) {
			group_add(s->others, list[i]);
			continue;
		}
		group_add(all, list[i]);
		one = group_shown(list[i]);
		json_object_set_new(one, by_names[s->by], json_from_text(list[i]->key));
		json_array_append_new(shown, one);
	}
	group_add(all, s->others);
	json_object_set_new(result, "by", json_string(by_names[s->by]));
	json_object_set_new(result, "groups", shown);
	json_object_set_new(result, "others", group_shown(s->others));
	json_object_set_new(result, "all", group_shown(all));
	json_object_set_new(result, "exact", json_boolean(!s->l.inexact));
	around_show(&s->l.around, result);
	s->l.job.result = result;
	group_free(all);
	free(list);
}

static void
summary_run(struct job *job)
{
	struct summary *s = (struct summary *)job;
	bool ended;

	if (!s->begun) {
		s->begun = true;
		inflight_parse(s->l.around.inflight);
		records_read(s);
	}
	ended = rows_read(s);
	if (!ended && !atomic_load(&job->api->hurry)) {
		job->more = true;
		return;
	}
	if (!ended)
		s->l.inexact = true;
	summary_answer(s);
}

static void
summary_then(struct job *job)
{
	const struct summary *s = (const struct summary *)job;

	if (s->by == BY_ACCOUNT)
		accounts_name(job->api, json_object_get(job->result, "groups"));
	reply_json(job->exchange, 200, job->result);
}

static void
summary_release(struct job *job)
{
	struct summary *s = (struct summary *)job;
	struct group *group, *next;

	HASH_ITER (hh, s->groups, group, next) {
		HASH_DEL(s->groups, group);
		group_free(group);
	}
	group_free(s->others);
	for (size_t i = 0; i < s->l.seen.count; i++)
		free(s->l.seen.mail[i].what);
	listing_wipe(&s->l);
	free(s);
}

static int
take_by(struct exchange *x, enum summary_by *by_out)
{
	const char *text = query_text(x, "by");

	*by_out = BY_PROVIDER;
	while (text && *by_out < BY_COUNT && strcmp(text, by_names[*by_out]) != 0)
		++*by_out;
	if (*by_out < BY_COUNT)
		return 0;
	reply_error(x, 400, "by", "one of: provider, site, domain, account");
	return -1;
}

void
api_queue_summary(struct exchange *x)
{
	const long limit = query_number(x, "limit", GROUPS_DEFAULT, 1, GROUPS_MAX);
	struct summary *s;

	if (limit < 0)
		return;
	s = xcalloc(1, sizeof *s);
	s->l.job = (struct job){
		.exchange = x, .run = summary_run, .then = summary_then, .release = summary_release
	};
	s->limit = (size_t)limit;
	s->now_us = clock_us();
	s->others = group_new("");
	surroundings_take(&s->l.around, x->api);
	if (take_by(x, &s->by) < 0 || take_selector(x, &s->l.selector) < 0) {
		summary_release(&s->l.job);
		return;
	}
	s->l.site = s->l.selector.text[SELECT_SITE];
	listing_start(&s->l);
}
