/*
 * search.c - looks for messages, day by day.
 *
 * api_messages.c -> [search] -> day.c
 *
 * For each day one statement walks one index in the order of ids, and says of each row whether the
 * other fields match, too. The statement is made of constant pieces; what was asked for is bound.
 */
#include "control/trace/search.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

#include "control/look/event_pick.h"
#include "shared/base/json_text.h"
#include "shared/base/log.h"
#include "shared/base/loop.h"

#define COUNT_MAX 50000 /* rows that a field is counted to */
#define LOOK_UP_COST 8  /* of a row that is looked up in another table, against one of the index */
#define STEPS 64        /* rows between looks at the clock */

const char *const trace_names[TRACE_FIELDS] = { "account", "sender", "credential", "message_id",
	"recipient", "domain", "class", "state" };

/* Parameter i + 1 of each statement is field i; then come the ids that bound the walk. Where the
 * index begins with the epoch, the walk goes from epoch to epoch. */
enum table { MESSAGE, RECIPIENT };
static const struct {
	enum table table;
	const char *index, *condition;
	bool by_epoch;
} fields[TRACE_FIELDS] = {
	/* clang-format off */
	[TRACE_ACCOUNT] = { MESSAGE, "message_account", "m.account = ?1", true },
	[TRACE_SENDER] = { MESSAGE, "message_sender", "m.sender = ?2 COLLATE NOCASE", true },
	[TRACE_CREDENTIAL] = { MESSAGE, "message_credential", "m.credential = ?3", true },
	[TRACE_MESSAGE_ID] = { MESSAGE, "message_message_id", "m.message_id = ?4 COLLATE NOCASE", true },
	[TRACE_RECIPIENT] = { RECIPIENT, "recipient_address", "r.address = ?5 COLLATE NOCASE", true },
	[TRACE_DOMAIN] = { RECIPIENT, "recipient_domain", "r.domain = ?6", true },
	[TRACE_CLASS] = { RECIPIENT, "recipient_class", "r.class = ?7", false },
	[TRACE_STATE] = { RECIPIENT, "recipient_state", "r.state = ?8", false },
	/* clang-format on */
};
#define FROM_ID 9
#define TO_ID 10

static const struct {
	const char *rows, *id, *epoch;
} tables[] = {
	[MESSAGE] = { "message m", "m.id", "m.epoch" },
	[RECIPIENT] = { "recipient r", "r.message", "r.epoch" },
};

struct search {
	const char *directory;
	const struct trace_filter *filter;
	json_t *days; /* what is left of them, the next one last */
	struct day *day;
	const char *name;
	sqlite3_stmt *walk;
	uint8_t from[ID_SIZE], to[ID_SIZE]; /* [from, to) is still to be searched */
	bool has_last;
	uint8_t last[ID_SIZE]; /* the last message that was looked at */
	uint8_t found[ID_SIZE];
	size_t limit;
	json_t *messages;
	bool full;
};

/* ---- the filter ---- */

void
filter_init(struct trace_filter *filter)
{
	*filter = (struct trace_filter){ .until_us = UINT64_MAX };
}

void
filter_wipe(struct trace_filter *filter)
{
	for (size_t i = 0; i < TRACE_FIELDS; i++)
		free(filter->texts[i]);
	filter_init(filter);
}

static char *
message_id_form(const char *text)
{
	const size_t length = strlen(text);

	if (length > 2 && text[0] == '<' && text[length - 1] == '>')
		return xstrndup(text + 1, length - 2);
	return xstrdup(text);
}

static char *
state_form(const char *text)
{
	const enum trace_state state = trace_state_find(text);

	return state < TRACE_STATES ? xasprintf("%d", (int)state) : NULL;
}

int
filter_set(struct trace_filter *filter, enum trace_field field, const char *text)
{
	char *form = NULL;

	if (!*text)
		return -EINVAL;
	switch (field) {
	case TRACE_SENDER: form = strcmp(text, "<>") == 0 ? xstrdup("") : pick_mailbox(text); break;
	case TRACE_RECIPIENT: form = strcmp(text, "<>") ? pick_mailbox(text) : NULL; break;
	case TRACE_DOMAIN: form = pick_domain(text); break;
	case TRACE_MESSAGE_ID: form = message_id_form(text); break;
	case TRACE_STATE: form = state_form(text); break;
	default: form = xstrdup(text);
	}
	free(filter->texts[field]);
	filter->texts[field] = form;
	return form ? 0 : -EINVAL;
}

const char *
filter_right(enum trace_field field)
{
	switch (field) {
	case TRACE_SENDER: return "an address like a@b.example, or <> for the null sender";
	case TRACE_RECIPIENT: return "an address like a@b.example";
	case TRACE_DOMAIN: return "a recipient's domain like b.example";
	case TRACE_STATE:
		return "one of accepted, released, held, deferred, delivered, bounced, expired, "
		       "sandboxed";
	default: return "a text that is not empty";
	}
}

/* ---- statements ---- */

static void
bind_all(const struct search *search, sqlite3_stmt *made)
{
	for (int i = 0; i < TRACE_FIELDS; i++) {
		const char *text = search->filter->texts[i];

		if (text && i == TRACE_STATE)
			sqlite3_bind_int(made, i + 1, (int)strtol(text, NULL, 10));
		else if (text)
			sqlite3_bind_text(made, i + 1, text, -1, SQLITE_STATIC);
	}
	sqlite3_bind_blob(made, FROM_ID, search->from, ID_SIZE, SQLITE_STATIC);
	sqlite3_bind_blob(made, TO_ID, search->to, ID_SIZE, SQLITE_STATIC);
}

/* Takes the text over. NULL on an error. */
static sqlite3_stmt *
prepare(const struct search *search, char *text)
{
	sqlite3_stmt *made = NULL;

	sqlite3_prepare_v2(day_connection(search->day), text, -1, &made, NULL);
	free(text);
	if (made)
		bind_all(search, made);
	return made;
}

/* Writes " FROM ..., WHERE ...": the rows that an index (NULL: the table itself) leads to. */
static void
walk_text(FILE *out, enum table table, const char *index, bool by_epoch, const char *condition)
{
	const char *id = tables[table].id;

	fprintf(out, " FROM %s%s", by_epoch ? "epoch e CROSS JOIN " : "", tables[table].rows);
	if (index)
		fprintf(out, " INDEXED BY %s", index);
	fprintf(out, " WHERE %s >= ?9 AND %s < ?10", id, id);
	if (by_epoch)
		fprintf(out, " AND %s = e.number", tables[table].epoch);
	if (condition)
		fprintf(out, " AND %s", condition);
}

/* How many rows the field leads to, up to COUNT_MAX; -1 on an error. */
static int
count(const struct search *search, int field)
{
	sqlite3_stmt *made;
	char *text;
	size_t length;
	FILE *out = xopen_memstream(&text, &length);
	int rows = -1;

	fputs("SELECT count(*) FROM (SELECT 1", out);
	walk_text(out, fields[field].table, fields[field].index, fields[field].by_epoch,
		fields[field].condition);
	fprintf(out, " LIMIT %d)", COUNT_MAX);
	xclose_memstream(out);
	made = prepare(search, text);
	if (made && sqlite3_step(made) == SQLITE_ROW)
		rows = sqlite3_column_int(made, 0);
	sqlite3_finalize(made);
	return rows;
}

static bool
asks_of(const struct search *search, enum table table)
{
	for (size_t i = 0; i < TRACE_FIELDS; i++)
		if (search->filter->texts[i] && fields[i].table == table)
			return true;
	return false;
}

/* What a row of the field's walk costs: an index that has all that is asked for is cheap. */
static int
weight(const struct search *search, int field)
{
	return fields[field].table == MESSAGE && asks_of(search, RECIPIENT) ? LOOK_UP_COST : 1;
}

/* The field whose walk is the cheapest; TRACE_FIELDS: there is no field; -1 on an error. */
static int
cheapest(const struct search *search)
{
	int best = TRACE_FIELDS, least = COUNT_MAX * LOOK_UP_COST + 1;

	for (int i = 0; i < TRACE_FIELDS && least > 0; i++) {
		const int rows = search->filter->texts[i] ? count(search, i) : least;

		if (rows < 0)
			return -1;
		if (search->filter->texts[i] && rows * weight(search, i) < least) {
			least = rows * weight(search, i);
			best = i;
		}
	}
	return best;
}

/* Writes the conditions on one table's fields, each behind " AND ". */
static void
conditions(const struct search *search, FILE *out, enum table table)
{
	for (size_t i = 0; i < TRACE_FIELDS; i++)
		if (search->filter->texts[i] && fields[i].table == table)
			fprintf(out, " AND %s", fields[i].condition);
}

/* Whether a row of the message's has to be read for a walk over recipients: a recipient's row has
 * the account, too. */
static bool
asks_of_message(const struct search *search)
{
	for (size_t i = 0; i < TRACE_FIELDS; i++)
		if (search->filter->texts[i] && fields[i].table == MESSAGE && i != TRACE_ACCOUNT)
			return true;
	return false;
}

/* Writes what a row has to match that the leader's index does not tell. */
static void
match_text(const struct search *search, FILE *out, enum table table)
{
	conditions(search, out, table);
	if (table == MESSAGE && asks_of(search, RECIPIENT)) {
		fputs(" AND EXISTS(SELECT 1 FROM recipient r WHERE r.message = m.id", out);
		conditions(search, out, RECIPIENT);
		fputs(")", out);
	} else if (table == RECIPIENT && asks_of_message(search)) {
		fputs(" AND EXISTS(SELECT 1 FROM message m WHERE m.id = r.message", out);
		conditions(search, out, MESSAGE);
		fputs(")", out);
	} else if (table == RECIPIENT && search->filter->texts[TRACE_ACCOUNT]) {
		fputs(" AND r.account = ?1", out);
	}
}

/* "SELECT id, whether it matches FROM the leader's table, in order". */
static sqlite3_stmt *
walk_prepare(const struct search *search, int leader)
{
	const bool open = search->filter->open, led = leader < TRACE_FIELDS;
	const bool by_epoch = led && fields[leader].by_epoch;
	const enum table table = open ? RECIPIENT : led ? fields[leader].table : MESSAGE;
	char *text;
	size_t length;
	FILE *out = xopen_memstream(&text, &length);

	fprintf(out, "SELECT %s, 1", tables[table].id);
	match_text(search, out, table);
	if (open)
		walk_text(out, table, "recipient_open", false, "r.state < 4");
	else
		walk_text(out, table, led ? fields[leader].index : NULL, by_epoch,
			led ? fields[leader].condition : NULL);
	fprintf(out, " ORDER BY %s%s %s", by_epoch ? "e.number DESC, " : "", tables[table].id,
		open ? "ASC" : "DESC");
	xclose_memstream(out);
	return prepare(search, text);
}

/* ---- days ---- */

static void
day_end(struct search *search)
{
	sqlite3_finalize(search->walk);
	search->walk = NULL;
	day_close(&search->day);
	json_array_remove(search->days, json_array_size(search->days) - 1);
}

static int
day_start(struct search *search)
{
	int leader, err;

	search->name = json_string_value(
		json_array_get(search->days, json_array_size(search->days) - 1));
	err = day_open(search->directory, search->name, false, &search->day);
	if (err == -ENOENT ||
		err == -ESTALE) { /* its time was over meanwhile, or it is just made */
		day_end(search);
		return 0;
	}
	if (err)
		return err;
	leader = search->filter->open ? TRACE_FIELDS : cheapest(search);
	if (leader >= 0)
		search->walk = walk_prepare(search, leader);
	return search->walk ? 0 : day_error(day_connection(search->day));
}

/* The days in question, those to be searched first last. */
static json_t *
days_chosen(const struct search *search)
{
	json_t *all = days_list(search->directory), *chosen = json_array(), *one;
	char first[DAY_NAME_SIZE], last[DAY_NAME_SIZE];
	size_t i;

	day_name(search->from, first);
	day_name(search->to, last);
	json_array_foreach(all, i, one)
	{
		const char *name = json_string_value(one);

		if (strcmp(name, first) < 0 || strcmp(name, last) > 0)
			continue;
		if (search->filter->open)
			json_array_insert(chosen, 0, one);
		else
			json_array_append(chosen, one);
	}
	json_decref(all);
	return chosen;
}

/* ---- the walk ---- */

static int
found(struct search *search, const uint8_t id[ID_SIZE])
{
	json_t *message;
	int err;

	if (json_array_size(search->messages) == search->limit) {
		search->full = true;
		return 0;
	}
	err = day_message(search->day, id, false, &message);
	if (err)
		return err == -ENOENT ? 0 : err;
	memcpy(search->found, id, ID_SIZE);
	json_array_append_new(search->messages, message);
	return 0;
}

/* Several recipients of a message may match. */
static int
look_at(struct search *search)
{
	const uint8_t *id = sqlite3_column_blob(search->walk, 0);
	const bool again = search->has_last && memcmp(search->found, id, ID_SIZE) == 0 &&
		json_array_size(search->messages) > 0;

	if (sqlite3_column_bytes(search->walk, 0) != ID_SIZE)
		return -EBADMSG;
	if (!again && sqlite3_column_int(search->walk, 1)) {
		const int err = found(search, id);

		if (err || search->full)
			return err;
	}
	memcpy(search->last, id, ID_SIZE);
	search->has_last = true;
	return 0;
}

static int
steps(struct search *search)
{
	for (int i = 0; i < STEPS && !search->full; i++) {
		const int rc = sqlite3_step(search->walk);
		int err;

		if (rc == SQLITE_DONE) {
			day_end(search);
			return 0;
		}
		err = rc == SQLITE_ROW ? look_at(search) : day_error(day_connection(search->day));
		if (err)
			return err;
	}
	return 0;
}

enum search_state
search_run(struct search *search, unsigned ms, char broken[DAY_NAME_SIZE])
{
	const uint64_t end_ms = clock_mono_ms() + ms;
	int err = 0;

	*broken = '\0';
	while (!err && !search->full && json_array_size(search->days) > 0) {
		if (clock_mono_ms() > end_ms)
			return SEARCH_MORE;
		err = search->walk ? steps(search) : day_start(search);
	}
	if (err == -EBADMSG)
		memcpy(broken, search->name, DAY_NAME_SIZE);
	return err ? SEARCH_FAILED : SEARCH_DONE;
}

json_t *
search_take(struct search *search, bool *more, uint8_t next[ID_SIZE])
{
	json_t *messages = search->messages;

	*more = search->has_last && (search->full || json_array_size(search->days) > 0);
	memcpy(next, search->last, ID_SIZE);
	search->messages = NULL;
	return messages;
}

/* The id, or the next one. */
static void
id_or_next(const uint8_t id[ID_SIZE], bool next, uint8_t out[ID_SIZE])
{
	memcpy(out, id, ID_SIZE);
	for (size_t i = ID_SIZE; next && i-- > 0;)
		next = ++out[i] == 0;
}

static void
bound_from(struct search *search, const uint8_t id[ID_SIZE], bool behind)
{
	uint8_t from[ID_SIZE];

	id_or_next(id, behind, from);
	if (memcmp(from, search->from, ID_SIZE) > 0)
		memcpy(search->from, from, ID_SIZE);
}

static void
bound_to(struct search *search, const uint8_t id[ID_SIZE], bool behind)
{
	uint8_t to[ID_SIZE];

	id_or_next(id, behind, to);
	if (memcmp(to, search->to, ID_SIZE) < 0)
		memcpy(search->to, to, ID_SIZE);
}

struct search *
search_new(const char *directory, const struct trace_filter *filter, size_t limit,
	const uint8_t *after)
{
	struct search *search = xcalloc(1, sizeof *search);

	search->directory = directory;
	search->filter = filter;
	search->limit = limit;
	search->messages = json_array();
	id_at(filter->since_us, search->from);
	id_at(filter->until_us, search->to);
	if (filter->id) {
		bound_from(search, filter->id, false);
		bound_to(search, filter->id, true);
	}
	if (after && filter->open)
		bound_from(search, after, true);
	else if (after)
		bound_to(search, after, false);
	search->days = days_chosen(search);
	return search;
}

void
search_free(struct search **search)
{
	if (!*search)
		return;
	sqlite3_finalize((*search)->walk);
	day_close(&(*search)->day);
	json_decref((*search)->days);
	json_decref((*search)->messages);
	free(*search);
	*search = NULL;
}

int
search_message(const char *directory, const uint8_t id[ID_SIZE], const char *account, json_t **out)
{
	char name[DAY_NAME_SIZE];
	const char *owner;
	struct day *day;
	int err;

	*out = NULL;
	day_name(id, name);
	err = day_open(directory, name, false, &day);
	if (err)
		return err;
	err = day_message(day, id, true, out);
	day_close(&day);
	owner = json_text(*out, "account");
	if (!err && account && (!owner || strcmp(owner, account) != 0)) {
		json_decref(*out);
		*out = NULL;
		err = -ENOENT;
	}
	return err;
}
