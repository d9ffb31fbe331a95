/*
 * bounces.c - counts, day by day, by an index that has all that is asked for.
 *
 * api_bounces.c -> [bounces] -> day.c
 */
#include "control/trace/bounces.h"

#include <sqlite3.h>

#include "control/trace/day.h"
#include "shared/base/log.h"

static void
add(json_t *classes, const char *class, json_int_t recipients, json_int_t last_us)
{
	json_t *found = json_object_get(classes, class);
	json_int_t before;

	if (!found) {
		found = json_pack("{s:s, s:I, s:I}", "class", class, "recipients", (json_int_t)0,
			"last_us", (json_int_t)0);
		json_object_set_new(classes, class, found);
	}
	before = json_integer_value(json_object_get(found, "recipients"));
	json_object_set_new(found, "recipients", json_integer(before + recipients));
	if (last_us > json_integer_value(json_object_get(found, "last_us")))
		json_object_set_new(found, "last_us", json_integer(last_us));
}

int
bounces_count(const char *directory, const char *name, const char *account, uint64_t since_us,
	uint64_t until_us, json_t *classes)
{
	/* States 5 and 6: bounced and expired. */
	static const char text[] =
		"SELECT coalesce(class, 'other'), count(*), max(message) FROM recipient"
		" INDEXED BY recipient_state WHERE state IN (5, 6) AND message >= ?1"
		" AND message < ?2 AND account = ?3 GROUP BY class";
	uint8_t from[ID_SIZE], to[ID_SIZE];
	sqlite3_stmt *made = NULL;
	struct day *day;
	int rc, err = day_open(directory, name, false, &day);

	if (err)
		return err;
	id_at(since_us, from);
	id_at(until_us, to);
	rc = sqlite3_prepare_v2(day_connection(day), text, -1, &made, NULL);
	if (!rc) {
		sqlite3_bind_blob(made, 1, from, ID_SIZE, SQLITE_STATIC);
		sqlite3_bind_blob(made, 2, to, ID_SIZE, SQLITE_STATIC);
		sqlite3_bind_text(made, 3, account, -1, SQLITE_STATIC);
		while ((rc = sqlite3_step(made)) == SQLITE_ROW)
			add(classes, (const char *)sqlite3_column_text(made, 0),
				sqlite3_column_int64(made, 1),
				(json_int_t)id_time_us(sqlite3_column_blob(made, 2)));
	}
	err = rc == SQLITE_DONE ? 0 : day_error(day_connection(day));
	sqlite3_finalize(made);
	day_close(&day);
	return err;
}
