/*
 * day.c - makes rows of events.
 *
 * mail.events -> trace.c -> [day] -> YYYYMMDD.db
 *
 * Events come about the oldest first only, and may come twice: after a crash of control from the
 * last place, after a crash of a sender with another time. So the event's own key (its event_id, or
 * its name, attempt, site and recipients) is the key of its row, and a recipient's state follows
 * the newest event, except that no other event undoes an end.
 */
#include "control/trace/day.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

#include "control/look/event_key.h"
#include "control/trace/day_private.h"
#include "shared/base/date.h"
#include "shared/base/json_text.h"
#include "shared/base/log.h"
#include "shared/mail/address.h"

#define BUSY_MS 5000

const char *const trace_states[TRACE_STATES] = { "accepted", "released", "held", "deferred",
	"delivered", "bounced", "expired", "sandboxed" };

/* "state < 4" in the schema is TRACE_ENDS. FORM counts the forms that a file had: one of another
 * form is made anew. What is asked together is in one index: so a search reads no row in vain. */
#define FORM 2
#define TEXT_OF(number) #number
#define FORM_TEXT(form) TEXT_OF(form)
static const char schema[] =
	"BEGIN; CREATE TABLE epoch(number INTEGER PRIMARY KEY, start BLOB);"
	"INSERT INTO epoch VALUES(0, zeroblob(16));"
	"CREATE TABLE message(id BLOB PRIMARY KEY, account TEXT, sender TEXT,"
	" header_from TEXT, message_id TEXT, credential TEXT, client TEXT, helo TEXT, tls TEXT,"
	" size INTEGER, scanned INTEGER, verdict TEXT, epoch INTEGER) WITHOUT ROWID;"
	"CREATE INDEX message_account ON message(epoch, account, id);"
	"CREATE INDEX message_sender ON message(epoch, sender COLLATE NOCASE, id);"
	"CREATE INDEX message_credential ON message(epoch, credential, id);"
	"CREATE INDEX message_message_id"
	" ON message(epoch, message_id COLLATE NOCASE, id) WHERE message_id IS NOT NULL;"
	"CREATE TABLE recipient(message BLOB, address TEXT, domain TEXT,"
	" state INTEGER, class TEXT, due INTEGER, at INTEGER, account TEXT, epoch INTEGER,"
	" PRIMARY KEY(message, address)) WITHOUT ROWID;"
	"CREATE INDEX recipient_address"
	" ON recipient(epoch, address COLLATE NOCASE, message);"
	"CREATE INDEX recipient_domain ON recipient(epoch, domain, message, account);"
	"CREATE INDEX recipient_state"
	" ON recipient(state, message, class, domain, account);"
	"CREATE INDEX recipient_class"
	" ON recipient(class, message, state, domain, account) WHERE class IS NOT NULL;"
	"CREATE INDEX recipient_open ON recipient(message) WHERE state < 4;"
	/* state: what the event tells of all recipients; NULL: only of those it names, or nothing
	 */
	"CREATE TABLE event(message BLOB, key TEXT, at INTEGER, name TEXT,"
	" state INTEGER, details TEXT, PRIMARY KEY(message, key)) WITHOUT ROWID;"
	"PRAGMA user_version=" FORM_TEXT(FORM) "; COMMIT;";

/* A power cut must not leave a place (trace.c) that is ahead of the rows: synchronous is FULL. */
static const char settings[] =
	"PRAGMA temp_store=MEMORY; PRAGMA cache_size=-8000; PRAGMA synchronous=FULL;"
	"PRAGMA trusted_schema=OFF;";
/* The cache holds the pages of an epoch that change: a batch writes each of them once. */
static const char writer_settings[] = "PRAGMA cache_size=-48000; PRAGMA journal_mode=WAL;"
				      "PRAGMA journal_size_limit=67108864;"
				      "PRAGMA wal_autocheckpoint=16000;";

static const char *const texts[STATEMENTS] = {
	[BEGIN] = "BEGIN IMMEDIATE",
	[COMMIT] = "COMMIT",
	[ROLLBACK] = "ROLLBACK",
	[ACCEPTED] = "INSERT INTO message(id, account, sender, header_from, message_id, credential,"
		     " client, helo, tls, size, epoch) VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11)"
		     " ON CONFLICT(id) DO UPDATE SET account=?2, sender=?3, header_from=?4,"
		     " message_id=coalesce(?5, message_id), credential=?6, client=?7, helo=?8,"
		     " tls=?9, size=?10",
	[MENTIONED] = "INSERT OR IGNORE INTO message(id, account, epoch) VALUES(?1,?2,?3)",
	[SCANNED] = "UPDATE message SET scanned=?2, verdict=?3, message_id=coalesce(?4, message_id)"
		    " WHERE id=?1 AND scanned IS NULL",
	[NEW_RECIPIENT] = "INSERT OR IGNORE INTO recipient(message, address, domain, state, at,"
			  " account, epoch) VALUES(?1,?2,?3,?4,?5,?6,?7)",
	[STATE] = "INSERT INTO recipient(message, address, domain, state, at, account, epoch,"
		  " class, due) VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9)"
		  " ON CONFLICT(message, address) DO UPDATE SET"
		  " state=?4, at=?5, class=?8, due=?9"
		  " WHERE CASE WHEN (?4 < 4) = (state < 4) THEN ?5 >= at ELSE ?4 >= 4 END",
	[STATE_OF_ALL] = "UPDATE recipient SET state=?2, at=?3, due=NULL"
			 " WHERE message=?1 AND state < 4 AND at <= ?3",
	[EVENT] = "INSERT OR IGNORE INTO event(message, key, at, name, state, details)"
		  " VALUES(?1,?2,?3,?4,?5,?6)",
	[NEW_EPOCH] = "INSERT INTO epoch(number, start) VALUES(?1,?2)",
	[NEWEST_OF_ALL] = "SELECT state, at FROM event WHERE message=?1 AND state IS NOT NULL"
			  " ORDER BY at DESC LIMIT 1",
	[GET_MESSAGE] = "SELECT account, sender, message_id, credential, size, header_from, client,"
			" helo, tls, scanned, verdict FROM message WHERE id=?1",
	[GET_RECIPIENTS] = "SELECT address, state, class, due, at FROM recipient WHERE message=?1"
			   " ORDER BY address",
	[GET_EVENTS] = "SELECT at, name, details FROM event WHERE message=?1 ORDER BY at, key",
};

enum trace_state
trace_state_find(const char *name)
{
	unsigned i = 0;

	while (i < TRACE_STATES && strcmp(trace_states[i], name) != 0)
		i++;
	return (enum trace_state)i;
}

/* ---- SQLite ---- */

int
day_error(sqlite3 *connection)
{
	const int extended = sqlite3_extended_errcode(connection);

	switch (extended & 0xff) {
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB: return -EBADMSG;
	case SQLITE_FULL: return -ENOSPC;
	case SQLITE_CANTOPEN: return -ENOENT;
	case SQLITE_NOMEM: die("no memory", "SQLite");
	/* A file that is shorter than it says, or a table that is not there. */
	case SQLITE_IOERR: return extended == SQLITE_IOERR_SHORT_READ ? -EBADMSG : -EIO;
	case SQLITE_ERROR: return -EBADMSG;
	default: return -EIO;
	}
}

sqlite3 *
day_connection(struct day *day)
{
	return day->connection;
}

/* The first column of a statement's only row. */
static int
number_of(sqlite3 *connection, const char *text, int *out)
{
	sqlite3_stmt *made = NULL;
	int rc = sqlite3_prepare_v2(connection, text, -1, &made, NULL);

	if (!rc && (rc = sqlite3_step(made)) == SQLITE_ROW)
		*out = sqlite3_column_int(made, 0);
	sqlite3_finalize(made);
	return rc == SQLITE_ROW ? 0 : day_error(connection);
}

/* A file that was just made gets its tables, all at once. */
static int
set_up_form(sqlite3 *connection, bool write)
{
	int form = 0, tables = 0;
	int err = number_of(connection, "PRAGMA user_version", &form);

	if (err || form == FORM)
		return err;
	err = number_of(connection, "SELECT count(*) FROM sqlite_schema", &tables);
	if (err)
		return err;
	if (!write || tables)
		return -ESTALE;
	return sqlite3_exec(connection, schema, NULL, NULL, NULL) ? day_error(connection) : 0;
}

static int
set_up(struct day *day, bool write)
{
	sqlite3 *connection = day->connection;
	int err;

	sqlite3_extended_result_codes(connection, 1);
	sqlite3_busy_timeout(connection, BUSY_MS);
	if (sqlite3_exec(connection, settings, NULL, NULL, NULL) ||
		(write && sqlite3_exec(connection, writer_settings, NULL, NULL, NULL)))
		return day_error(connection);
	err = set_up_form(connection, write);
	return err || !write ? err : epochs_load(day);
}

int
day_open(const char *directory, const char *name, bool write, struct day **out)
{
	char *path = xasprintf("%s/%s.db", directory, name);
	struct day *day = xcalloc(1, sizeof *day);
	const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX |
		(write ? SQLITE_OPEN_CREATE : 0);
	int err = 0;

	if (sqlite3_open_v2(path, &day->connection, flags, NULL))
		err = day->connection ? day_error(day->connection) : -EIO;
	if (!err)
		err = set_up(day, write);
	free(path);
	if (err)
		day_close(&day);
	*out = day;
	return err;
}

void
day_close(struct day **day)
{
	if (!*day)
		return;
	for (size_t i = 0; i < STATEMENTS; i++)
		sqlite3_finalize((*day)->statements[i]);
	free((*day)->epochs.starts);
	sqlite3_close((*day)->connection);
	free(*day);
	*day = NULL;
}

int
day_check(const char *directory, const char *name)
{
	struct day *day;
	int tables, err = day_open(directory, name, false, &day);

	if (!err)
		err = number_of(day->connection, "SELECT count(*) FROM sqlite_schema", &tables);
	day_close(&day);
	return err;
}

sqlite3_stmt *
day_statement(struct day *day, enum statement which)
{
	sqlite3_stmt **made = &day->statements[which];

	if (!*made)
		sqlite3_prepare_v3(
			day->connection, texts[which], -1, SQLITE_PREPARE_PERSISTENT, made, NULL);
	return *made;
}

static void
bind_text(sqlite3_stmt *made, int at, const char *text)
{
	if (text && *text)
		sqlite3_bind_text(made, at, text, -1, SQLITE_STATIC);
}

static void
bind_id(sqlite3_stmt *made, const uint8_t id[ID_SIZE])
{
	sqlite3_bind_blob(made, 1, id, ID_SIZE, SQLITE_STATIC);
}

int
day_run(struct day *day, sqlite3_stmt *made)
{
	const int rc = made ? sqlite3_step(made) : SQLITE_ERROR;
	const int err = rc == SQLITE_DONE || rc == SQLITE_ROW ? 0 : day_error(day->connection);

	sqlite3_reset(made);
	sqlite3_clear_bindings(made);
	return err;
}

int
day_begin(struct day *day)
{
	return day_run(day, day_statement(day, BEGIN));
}

int
day_commit(struct day *day)
{
	return day_run(day, day_statement(day, COMMIT));
}

void
day_rollback(struct day *day)
{
	day_run(day, day_statement(day, ROLLBACK));
}

/* ---- an event becomes rows ---- */

/* The Message-ID without brackets; NULL: there is none. The text lives as long as the event. */
static const char *
message_id(json_t *event)
{
	const char *text = json_text(event, "message_id");
	const size_t length = text ? strlen(text) : 0;

	if (length < 2 || text[0] != '<' || text[length - 1] != '>')
		return length ? text : NULL;
	json_object_set_new(event, "message_id", json_stringn(text + 1, length - 2));
	return json_text(event, "message_id");
}

static void
domain_of(const char *address, char out[256])
{
	const char *at = strrchr(address, '@');

	if (!at || !address_domain_canonical(at + 1, strlen(at + 1), out))
		*out = '\0';
}

static int
accepted(struct day *day, const uint8_t id[ID_SIZE], json_t *event)
{
	static const char *const fields[] = { "account", "from", "header_from", NULL, "credential",
		"client", "helo", "tls" };
	sqlite3_stmt *made = day_statement(day, ACCEPTED);

	bind_id(made, id);
	sqlite3_bind_int(made, 11, epoch_of(&day->epochs, id));
	for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
		bind_text(made, (int)i + 2,
			fields[i] ? json_text(event, fields[i]) : message_id(event));
	/* The null sender is a sender, too. */
	sqlite3_bind_text(made, 3, json_text(event, "from") ? json_text(event, "from") : "", -1,
		SQLITE_STATIC);
	sqlite3_bind_int64(made, 10, json_integer_value(json_object_get(event, "size")));
	return day_run(day, made);
}

/* An event of a message that was not told as accepted yet, or never is (a DSN). */
static int
mentioned(struct day *day, const uint8_t id[ID_SIZE], json_t *event)
{
	sqlite3_stmt *made = day_statement(day, MENTIONED);
	const char *scanned = json_text(event, "scanned");
	uint64_t us;
	int err;

	bind_id(made, id);
	bind_text(made, 2, json_text(event, "account"));
	sqlite3_bind_int(made, 3, epoch_of(&day->epochs, id));
	err = day_run(day, made);
	if (err || !scanned || date_read(scanned, 0, &us) < 0)
		return err;
	made = day_statement(day, SCANNED);
	bind_id(made, id);
	sqlite3_bind_int64(made, 2, (sqlite3_int64)us);
	bind_text(made, 3, json_text(event, "verdict"));
	bind_text(made, 4, message_id(event));
	return day_run(day, made);
}

/* Sets one recipient's state, unless something newer is known. */
static int
one_recipient(struct day *day, enum statement which, const uint8_t id[ID_SIZE],
	enum trace_state state, uint64_t us, json_t *event, const char *address)
{
	sqlite3_stmt *made = day_statement(day, which);
	const char *due = json_text(event, "due");
	char domain[256];
	uint64_t due_us;

	domain_of(address, domain);
	bind_id(made, id);
	sqlite3_bind_text(made, 2, address, -1, SQLITE_STATIC);
	bind_text(made, 3, domain);
	sqlite3_bind_int(made, 4, (int)state);
	sqlite3_bind_int64(made, 5, (sqlite3_int64)us);
	bind_text(made, 6, json_text(event, "account"));
	sqlite3_bind_int(made, 7, epoch_of(&day->epochs, id));
	if (which == STATE) {
		bind_text(made, 8, json_text(event, "class"));
		if (due && date_read(due, 0, &due_us) == 0)
			sqlite3_bind_int64(made, 9, (sqlite3_int64)due_us);
	}
	return day_run(day, made);
}

static int
all_recipients(struct day *day, const uint8_t id[ID_SIZE], enum trace_state state, uint64_t us)
{
	sqlite3_stmt *made = day_statement(day, STATE_OF_ALL);

	bind_id(made, id);
	sqlite3_bind_int(made, 2, (int)state);
	sqlite3_bind_int64(made, 3, (sqlite3_int64)us);
	return day_run(day, made);
}

/* Recipients that come after an event about all of them. */
static int
catch_up(struct day *day, const uint8_t id[ID_SIZE])
{
	sqlite3_stmt *made = day_statement(day, NEWEST_OF_ALL);
	enum trace_state state = TRACE_ACCEPTED;
	uint64_t us = 0;

	if (!made)
		return day_error(day->connection);
	bind_id(made, id);
	if (sqlite3_step(made) == SQLITE_ROW) {
		state = (enum trace_state)sqlite3_column_int(made, 0);
		us = (uint64_t)sqlite3_column_int64(made, 1);
	}
	sqlite3_reset(made);
	return us ? all_recipients(day, id, state, us) : 0;
}

/* Writes the event's row. Its details are what no column has. */
static int
event_row(struct day *day, const uint8_t id[ID_SIZE], enum trace_state state, uint64_t us,
	json_t *event, const char *name)
{
	static const char *const columns[] = { "time", "id", "account", "scanned", "message_id",
		"event_id", "originator" };
	sqlite3_stmt *made = day_statement(day, EVENT);
	char *key = event_key(event, name), *details;
	int err;

	for (size_t i = 0; i < sizeof columns / sizeof *columns; i++)
		json_object_del(event, columns[i]);
	details = json_dumps(event, JSON_COMPACT);
	bind_id(made, id);
	bind_text(made, 2, key);
	sqlite3_bind_int64(made, 3, (sqlite3_int64)us);
	bind_text(made, 4, name);
	if (state < TRACE_STATES)
		sqlite3_bind_int(made, 5, (int)state);
	bind_text(made, 6, details);
	err = day_run(day, made);
	free(details);
	free(key);
	return err;
}

int
day_take(struct day *day, const uint8_t id[ID_SIZE], uint64_t us, json_t *event)
{
	const char *name = json_text(event, "event");
	const json_t *to = json_object_get(event, "to");
	const enum trace_state state = trace_state_find(name ? name : "");
	const bool is_accepted = state == TRACE_ACCEPTED;
	json_t *one;
	size_t i;
	int err = epoch_grow(day, id);

	if (!err)
		err = is_accepted ? accepted(day, id, event) : mentioned(day, id, event);

	if (state < TRACE_STATES)
		json_array_foreach(to, i, one) if (!err && json_is_string(one))
			err = one_recipient(day, is_accepted ? NEW_RECIPIENT : STATE, id, state, us,
				event, json_string_value(one));
	if (!err && is_accepted)
		return catch_up(day, id);
	if (!err && !to && state < TRACE_STATES)
		err = all_recipients(day, id, state, us);
	return err ? err
		   : event_row(day, id, to ? TRACE_STATES : state, us, event, name ? name : "");
}
