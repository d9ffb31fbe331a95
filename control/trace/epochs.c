/*
 * epochs.c - which epoch of a day a message belongs to.
 *
 * day.c -> [epochs] -> table epoch of YYYYMMDD.db
 */
#include <stdlib.h>
#include <string.h>

#include "control/trace/day_private.h"
#include "shared/base/log.h"

static void
append(struct epochs *epochs, const uint8_t start[ID_SIZE])
{
	epochs->starts = xrealloc(epochs->starts, (epochs->count + 1) * sizeof *epochs->starts);
	memcpy(epochs->starts[epochs->count++], start, ID_SIZE);
}

/* Takes the rows of a statement, whose first column is an id. */
static int
each_id(struct day *day, const char *text, void (*take)(struct epochs *epochs, const uint8_t *id))
{
	sqlite3_stmt *made = NULL;
	int rc = sqlite3_prepare_v2(day->connection, text, -1, &made, NULL);

	while (!rc && (rc = sqlite3_step(made)) == SQLITE_ROW) {
		rc = 0;
		if (sqlite3_column_bytes(made, 0) == ID_SIZE)
			take(&day->epochs, sqlite3_column_blob(made, 0));
	}
	sqlite3_finalize(made);
	return rc == SQLITE_DONE ? 0 : day_error(day->connection);
}

static void
take_newest(struct epochs *epochs, const uint8_t *id)
{
	memcpy(epochs->newest, id, ID_SIZE);
}

static int
fill(struct day *day)
{
	sqlite3_stmt *made = NULL;
	int rc = sqlite3_prepare_v2(day->connection,
		"SELECT count(*) FROM message INDEXED BY message_account WHERE epoch=?1", -1, &made,
		NULL);

	if (!rc)
		rc = sqlite3_bind_int(made, 1, (int)day->epochs.count - 1);
	if (!rc && (rc = sqlite3_step(made)) == SQLITE_ROW)
		day->epochs.filled = (unsigned)sqlite3_column_int(made, 0);
	sqlite3_finalize(made);
	return rc == SQLITE_ROW ? 0 : day_error(day->connection);
}

int
epochs_load(struct day *day)
{
	int err;

	day->epochs.count = 0;
	err = each_id(day, "SELECT start FROM epoch ORDER BY number", append);
	if (!err)
		err = each_id(day, "SELECT max(id) FROM message", take_newest);
	return err ? err : fill(day);
}

int
epoch_of(const struct epochs *epochs, const uint8_t id[ID_SIZE])
{
	size_t number = epochs->count - 1;

	while (number > 0 && memcmp(id, epochs->starts[number], ID_SIZE) < 0)
		number--;
	return (int)number;
}

int
epoch_grow(struct day *day, const uint8_t id[ID_SIZE])
{
	struct epochs *epochs = &day->epochs;
	sqlite3_stmt *made;

	if (memcmp(id, epochs->newest, ID_SIZE) <= 0)
		return 0;
	memcpy(epochs->newest, id, ID_SIZE);
	if (epochs->filled++ < EPOCH_MESSAGES)
		return 0;
	made = day_statement(day, NEW_EPOCH);
	if (!made)
		return day_error(day->connection);
	sqlite3_bind_int(made, 1, (int)epochs->count);
	sqlite3_bind_blob(made, 2, id, ID_SIZE, SQLITE_STATIC);
	append(epochs, id);
	epochs->filled = 1;
	return day_run(day, made);
}
