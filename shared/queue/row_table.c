/*
 * row_table.c - waiting mail as LMDB tables: rows by key, by lane and due time, counted by site.
 *
 * queue_lmdb -> [row_table] <- row_cache <- mail.state
 *
 * Readers copy at most READ_MAX rows out of a short transaction and call back after its end. A
 * callback may take long, and an open transaction keeps every page that is freed meanwhile.
 */
#include "shared/queue/row_table.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/log.h"

#define READ_MAX 64

static void
table_die(int rc)
{
	die("cannot read the table of rows", mdb_strerror(rc));
}

static size_t
head_size(const struct row_table *table)
{
	return table->has_bodies ? sizeof(struct row_head) : sizeof(uint64_t);
}

static struct row_head
head_of(const struct row_table *table, const MDB_val *value)
{
	struct row_head head = { .body = -1 };

	if (value->mv_size >= head_size(table))
		memcpy(&head, value->mv_data, head_size(table));
	return head;
}

size_t
row_key(unsigned char *key, const uint8_t *id, const char *site, size_t site_length)
{
	assert(site_length <= QUEUE_SITE_MAX);
	memcpy(key, id, ID_SIZE);
	if (site_length)
		memcpy(key + ID_SIZE, site, site_length);
	return ID_SIZE + site_length;
}

#define AFTER_SITE (1 + 8 + 8 + ID_SIZE)

static size_t
lane_key(unsigned char *key, const char *site, size_t site_length, uint64_t lane, uint64_t due_us,
	const uint8_t *id)
{
	assert(site_length <= QUEUE_SITE_MAX);
	memcpy(key, site, site_length);
	key[site_length] = '\0';
	put_be64(key + site_length + 1, lane);
	put_be64(key + site_length + 9, due_us);
	memcpy(key + site_length + 17, id, ID_SIZE);
	return site_length + AFTER_SITE;
}

/* 0 when the row cannot be read. */
static uint64_t
lane_of(const struct row_table *table, const MDB_val *value)
{
	const size_t head = head_size(table);
	Row *row = value->mv_size > head
		? row_unpack((uint8_t *)value->mv_data + head, value->mv_size - head)
		: NULL;
	uint64_t lane = row ? rows_lane(row->envelope->account) : 0;

	row_free(row);
	return lane;
}

static size_t
site_key(unsigned char *key, const void *site, size_t site_length)
{
	assert(site_length <= QUEUE_SITE_MAX);
	memcpy(key, site, site_length);
	key[site_length] = '\0';
	return site_length + 1;
}

/* Opening. */

static int
count_site(const struct row_table *table, MDB_txn *txn, const void *site, size_t length, int by)
{
	unsigned char bytes[QUEUE_SITE_MAX + 1];
	MDB_val key = { site_key(bytes, site, length), bytes }, value;
	uint64_t count = 0;
	int rc = mdb_get(txn, table->sites, &key, &value);

	if (rc && rc != MDB_NOTFOUND)
		return rc;
	if (!rc)
		memcpy(&count, value.mv_data, sizeof count);
	if (by < 0 && count <= 1)
		return rc ? 0 : mdb_del(txn, table->sites, &key, NULL);
	count += (uint64_t)(int64_t)by;
	value = (MDB_val){ sizeof count, &count };
	return mdb_put(txn, table->sites, &key, &value, 0);
}

static int
count_all(const struct row_table *table, MDB_txn *txn)
{
	MDB_cursor *cursor;
	MDB_val key, value;
	MDB_stat sites;
	int rc = mdb_stat(txn, table->sites, &sites);

	if (rc || sites.ms_entries)
		return rc;
	rc = mdb_cursor_open(txn, table->rows, &cursor);
	if (rc)
		return rc;
	for (rc = mdb_cursor_get(cursor, &key, &value, MDB_FIRST); !rc;
		rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) {
		rc = count_site(
			table, txn, (char *)key.mv_data + ID_SIZE, key.mv_size - ID_SIZE, 1);
		if (rc)
			break;
	}
	mdb_cursor_close(cursor);
	return rc == MDB_NOTFOUND ? 0 : rc;
}

/*
 * Removes the table `due` of older versions, which had no lanes. An older version makes it again.
 */
static int
index_old_forget(const struct row_table *table, MDB_txn *txn, const char *suffix)
{
	char *name = xasprintf("due%s", suffix);
	MDB_dbi due;
	int rc = mdb_dbi_open(txn, name, 0, &due);

	free(name);
	if (rc)
		return rc == MDB_NOTFOUND ? 0 : rc;
	rc = mdb_drop(txn, due, 1);
	return rc ? rc : mdb_drop(txn, table->lanes, 0);
}

static int
index_all(const struct row_table *table, MDB_txn *txn)
{
	unsigned char bytes[LANE_KEY_MAX];
	MDB_val key, value, place = { 0, bytes }, nothing = { 0, NULL };
	MDB_stat rows, lanes;
	MDB_cursor *cursor;
	int rc = mdb_stat(txn, table->rows, &rows);

	if (!rc)
		rc = mdb_stat(txn, table->lanes, &lanes);
	if (rc || rows.ms_entries == lanes.ms_entries)
		return rc;
	rc = mdb_drop(txn, table->lanes, 0);
	if (!rc)
		rc = mdb_cursor_open(txn, table->rows, &cursor);
	if (rc)
		return rc;
	for (rc = mdb_cursor_get(cursor, &key, &value, MDB_FIRST); !rc;
		rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) {
		place.mv_size = lane_key(bytes, (char *)key.mv_data + ID_SIZE,
			key.mv_size - ID_SIZE, lane_of(table, &value),
			head_of(table, &value).due_us, key.mv_data);
		rc = mdb_put(txn, table->lanes, &place, &nothing, 0);
		if (rc)
			break;
	}
	mdb_cursor_close(cursor);
	return rc == MDB_NOTFOUND ? 0 : rc;
}

static int
table_open(MDB_txn *txn, const char *name, const char *suffix, MDB_dbi *dbi_out)
{
	char *full = xasprintf("%s%s", name, suffix);
	int rc = mdb_dbi_open(txn, full, MDB_CREATE, dbi_out);

	free(full);
	return rc;
}

int
row_table_open(struct row_table *table, MDB_txn *txn, const char *suffix, bool has_bodies)
{
	int rc = table_open(txn, "rows", suffix, &table->rows);

	table->has_bodies = has_bodies;
	if (!rc)
		rc = table_open(txn, "lanes", suffix, &table->lanes);
	if (!rc)
		rc = table_open(txn, "sites", suffix, &table->sites);
	if (!rc && has_bodies)
		rc = table_open(txn, "bodies", suffix, &table->bodies);
	if (!rc)
		rc = count_all(table, txn);
	if (!rc)
		rc = index_old_forget(table, txn, suffix);
	return rc ? rc : index_all(table, txn);
}

int
row_table_clear(const struct row_table *table, MDB_txn *txn)
{
	int rc = mdb_drop(txn, table->rows, 0);

	if (!rc)
		rc = mdb_drop(txn, table->lanes, 0);
	if (!rc)
		rc = mdb_drop(txn, table->sites, 0);
	if (!rc && table->has_bodies)
		rc = mdb_drop(txn, table->bodies, 0);
	return rc;
}

/* Writing. */

static int
body_count(const struct row_table *table, MDB_txn *txn, const struct row_head *head,
	const uint8_t *id, uint64_t now_us, int by)
{
	unsigned char bytes[8];
	MDB_val key = { sizeof bytes, bytes }, value;
	struct row_body body = { .seen_us = now_us };
	int rc;

	if (!table->has_bodies || head->body < 0)
		return 0;
	put_be64(bytes, (uint64_t)head->body);
	rc = mdb_get(txn, table->bodies, &key, &value);
	if (rc && rc != MDB_NOTFOUND)
		return rc;
	if (!rc)
		memcpy(&body, value.mv_data, sizeof body);
	if (by < 0 && body.rows <= 1)
		return rc ? 0 : mdb_del(txn, table->bodies, &key, NULL);
	body.rows += (uint64_t)(int64_t)by;
	memcpy(body.id, id, ID_SIZE);
	value = (MDB_val){ sizeof body, &body };
	return mdb_put(txn, table->bodies, &key, &value, 0);
}

/* Removes the entries that lead to the row with this key, if there is one. */
static int
row_unindex(const struct row_table *table, MDB_txn *txn, const MDB_val *key,
	struct row_head *head_out, bool *was_there_out)
{
	unsigned char bytes[LANE_KEY_MAX];
	const uint8_t *id = key->mv_data;
	MDB_val value, place = { 0, bytes };
	int rc = mdb_get(txn, table->rows, (MDB_val *)key, &value);

	*was_there_out = rc == 0;
	if (rc)
		return rc == MDB_NOTFOUND ? 0 : rc;
	*head_out = head_of(table, &value);
	place.mv_size = lane_key(bytes, (const char *)id + ID_SIZE, key->mv_size - ID_SIZE,
		lane_of(table, &value), head_out->due_us, id);
	rc = mdb_del(txn, table->lanes, &place, NULL);
	return rc == MDB_NOTFOUND ? 0 : rc;
}

static int
row_index(const struct row_table *table, MDB_txn *txn, const struct row_entry *entry)
{
	unsigned char bytes[LANE_KEY_MAX];
	MDB_val key = { 0, bytes }, nothing = { 0, NULL };

	key.mv_size = lane_key(
		bytes, entry->site, entry->site_length, entry->lane, entry->head.due_us, entry->id);
	return mdb_put(txn, table->lanes, &key, &nothing, 0);
}

int
row_table_put(const struct row_table *table, MDB_txn *txn, const struct row_entry *entry)
{
	unsigned char bytes[ROW_KEY_MAX];
	MDB_val key = { row_key(bytes, entry->id, entry->site, entry->site_length), bytes };
	MDB_val value = { head_size(table) + entry->packed_size, NULL };
	struct row_head old = { .body = -1 };
	bool was_there;
	int rc = row_unindex(table, txn, &key, &old, &was_there);

	if (!rc)
		rc = mdb_put(txn, table->rows, &key, &value, MDB_RESERVE);
	if (rc)
		return rc;
	memcpy(value.mv_data, &entry->head, head_size(table));
	memcpy((char *)value.mv_data + head_size(table), entry->packed, entry->packed_size);
	if (!was_there)
		rc = count_site(table, txn, entry->site, entry->site_length, 1);
	if (!rc)
		rc = row_index(table, txn, entry);
	if (rc || old.body == entry->head.body)
		return rc;
	rc = body_count(table, txn, &entry->head, entry->id, entry->now_us, 1);
	return rc ? rc : body_count(table, txn, &old, entry->id, 0, -1);
}

int
row_table_remove(
	const struct row_table *table, MDB_txn *txn, const MDB_val *key, bool *was_there_out)
{
	struct row_head old = { .body = -1 };
	int rc = row_unindex(table, txn, key, &old, was_there_out);

	if (rc || !*was_there_out)
		return rc;
	rc = mdb_del(txn, table->rows, (MDB_val *)key, NULL);
	if (!rc)
		rc = count_site(table, txn, (const char *)key->mv_data + ID_SIZE,
			key->mv_size - ID_SIZE, -1);
	return rc ? rc : body_count(table, txn, &old, key->mv_data, 0, -1);
}

/* Asking. */

int
row_table_count(const struct row_table *table, MDB_txn *txn, const char *site, uint64_t *count_out)
{
	unsigned char bytes[QUEUE_SITE_MAX + 1];
	MDB_val key = { 0, bytes }, value;
	MDB_stat stat;
	int rc;

	*count_out = 0;
	if (!site) {
		rc = mdb_stat(txn, table->rows, &stat);
		*count_out = rc ? 0 : stat.ms_entries;
		return rc;
	}
	if (strlen(site) > QUEUE_SITE_MAX)
		return 0;
	key.mv_size = site_key(bytes, site, strlen(site));
	rc = mdb_get(txn, table->sites, &key, &value);
	if (!rc)
		memcpy(count_out, value.mv_data, sizeof *count_out);
	return rc == MDB_NOTFOUND ? 0 : rc;
}

int
row_table_get(const struct row_table *table, MDB_txn *txn, const MDB_val *key, MDB_val *packed_out)
{
	MDB_val value;
	int rc = mdb_get(txn, table->rows, (MDB_val *)key, &value);

	*packed_out = (MDB_val){ 0, NULL };
	if (!rc && value.mv_size > head_size(table))
		*packed_out = (MDB_val){ value.mv_size - head_size(table),
			(char *)value.mv_data + head_size(table) };
	return rc;
}

int
row_table_head(const struct row_table *table, MDB_txn *txn, const uint8_t *id, const char *site,
	struct row_head *head_out)
{
	unsigned char bytes[ROW_KEY_MAX];
	MDB_val key = { row_key(bytes, id, site ? site : "", site ? strlen(site) : 0), bytes };
	MDB_val value;
	MDB_cursor *cursor;
	int rc = mdb_cursor_open(txn, table->rows, &cursor);

	if (rc)
		return rc;
	rc = mdb_cursor_get(cursor, &key, &value, site ? MDB_SET_KEY : MDB_SET_RANGE);
	if (!rc && memcmp(key.mv_data, id, ID_SIZE) != 0)
		rc = MDB_NOTFOUND;
	if (!rc)
		*head_out = head_of(table, &value);
	mdb_cursor_close(cursor);
	return rc;
}

int
row_table_first_body(
	const struct row_table *table, MDB_txn *txn, int64_t *offset, struct row_body *body_out)
{
	unsigned char bytes[8];
	MDB_val key = { sizeof bytes, bytes }, value;
	MDB_cursor *cursor;
	int rc = mdb_cursor_open(txn, table->bodies, &cursor);

	if (rc)
		return rc;
	put_be64(bytes, (uint64_t)*offset);
	rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
	if (!rc) {
		*offset = (int64_t)get_be64(key.mv_data);
		memcpy(body_out, value.mv_data, sizeof *body_out);
	}
	mdb_cursor_close(cursor);
	return rc;
}

/* Reading: a walk over the keys of `rows` or of `lanes`, of all tables in one order. */

struct walk {
	bool by_lane;
	unsigned char key[LANE_KEY_MAX + 1]; /* the lowest key that may be handed over */
	size_t key_size;
	size_t prefix_size; /* a key that differs in these first bytes ends the walk */
	Row *rows[READ_MAX];
	size_t count;
	bool over;
};

/* Where the walk stands in one table. */
struct place {
	const struct row_table *table;
	MDB_cursor *cursor;
	MDB_val key, value;
	bool over;
};

static void
place_check(struct place *place, const struct walk *walk, int rc)
{
	if (rc && rc != MDB_NOTFOUND)
		table_die(rc);
	place->over = rc || place->key.mv_size < walk->prefix_size ||
		memcmp(place->key.mv_data, walk->key, walk->prefix_size) != 0;
}

static void
place_open(
	struct place *place, const struct row_table *table, const struct walk *walk, MDB_txn *txn)
{
	int rc = mdb_cursor_open(txn, walk->by_lane ? table->lanes : table->rows, &place->cursor);

	if (rc)
		table_die(rc);
	place->table = table;
	place->key = (MDB_val){ walk->key_size, (void *)walk->key };
	place_check(place, walk,
		mdb_cursor_get(place->cursor, &place->key, &place->value, MDB_SET_RANGE));
}

static bool
comes_before(const MDB_val *a, const MDB_val *b)
{
	size_t common = a->mv_size < b->mv_size ? a->mv_size : b->mv_size;
	int order = memcmp(a->mv_data, b->mv_data, common);

	return order < 0 || (!order && a->mv_size < b->mv_size);
}

static struct place *
next_place(struct place *places, size_t count)
{
	struct place *next = NULL;

	for (size_t i = 0; i < count; i++)
		if (!places[i].over && (!next || comes_before(&places[i].key, &next->key)))
			next = &places[i];
	return next;
}

/* The row at the place. NULL: it cannot be read. */
static Row *
place_row(const struct place *place, const struct walk *walk, MDB_txn *txn,
	const struct row_source *source)
{
	const unsigned char *bytes = place->key.mv_data;
	unsigned char row_bytes[ROW_KEY_MAX];
	MDB_val key = place->key, packed;
	Row *row;
	int rc;

	if (walk->by_lane)
		key = (MDB_val){ row_key(row_bytes, bytes + place->key.mv_size - ID_SIZE,
					 (const char *)bytes, place->key.mv_size - AFTER_SITE),
			row_bytes };
	rc = row_table_get(place->table, txn, &key, &packed);
	if (rc == MDB_NOTFOUND)
		return NULL;
	if (rc)
		table_die(rc);
	row = packed.mv_size ? row_unpack(packed.mv_data, packed.mv_size) : NULL;
	if (!row)
		source->bad(source->arg, &key);
	return row;
}

static void
walk_take(struct walk *walk, struct place *place, MDB_txn *txn, const struct row_source *source)
{
	Row *row = place_row(place, walk, txn, source);

	if (row)
		walk->rows[walk->count++] = row;
	memcpy(walk->key, place->key.mv_data, place->key.mv_size);
	walk->key[place->key.mv_size] = '\0'; /* the lowest key above this one */
	walk->key_size = place->key.mv_size + 1;
	place_check(
		place, walk, mdb_cursor_get(place->cursor, &place->key, &place->value, MDB_NEXT));
}

/* Reads up to `max` rows from the walk's key on, in one transaction. Moves the key past the last
 * row. */
static void
walk_on(struct walk *walk, const struct row_source *source, size_t max)
{
	const struct row_table *tables[ROW_TABLES_MAX];
	size_t table_count;
	MDB_txn *txn = source->begin(source->arg, tables, &table_count);
	struct place *places = xmalloc(table_count * sizeof *places + 1), *next = NULL;

	for (size_t i = 0; i < table_count; i++)
		place_open(&places[i], tables[i], walk, txn);
	walk->count = 0;
	for (size_t seen = 0; seen < max && (next = next_place(places, table_count)); seen++)
		walk_take(walk, next, txn, source);
	walk->over = !next_place(places, table_count);
	for (size_t i = 0; i < table_count; i++)
		mdb_cursor_close(places[i].cursor);
	source->end(source->arg, txn);
	free(places);
}

static size_t
walk_all(struct walk *walk, const struct row_source *source, size_t limit, queue_row_cb on_row,
	void *arg)
{
	size_t handed = 0;

	while (handed < limit && !walk->over) {
		size_t room = limit - handed;

		walk_on(walk, source, room < READ_MAX ? room : READ_MAX);
		for (size_t i = 0; i < walk->count; i++)
			on_row(arg, walk->rows[i]);
		handed += walk->count;
	}
	return handed;
}

size_t
row_source_due(const struct row_source *source, const struct rows_place *from, size_t limit,
	queue_row_cb on_row, void *arg)
{
	static const uint8_t first[ID_SIZE];
	struct walk walk = { .by_lane = true };
	size_t site_length = strlen(from->site);

	if (site_length > QUEUE_SITE_MAX)
		return 0;
	walk.key_size = lane_key(walk.key, from->site, site_length, from->lane, from->due_us,
		from->id ? from->id : first);
	if (from->id)
		walk.key[walk.key_size++] = '\0';
	walk.prefix_size = site_length + (from->further ? 1 : 9);
	return walk_all(&walk, source, limit, on_row, arg);
}

size_t
row_source_scan(const struct row_source *source, const uint8_t *after_id, const char *after_site,
	size_t limit, queue_row_cb on_row, void *arg)
{
	static const uint8_t first[ID_SIZE];
	struct walk walk = { .over = false };

	if (!after_id) {
		walk.key_size = row_key(walk.key, first, "", 0);
	} else {
		walk.key_size = row_key(walk.key, after_id, after_site, strlen(after_site));
		walk.key[walk.key_size++] = '\0';
	}
	return walk_all(&walk, source, limit, on_row, arg);
}

size_t
row_source_of(const struct row_source *source, const uint8_t *id, queue_row_cb on_row, void *arg)
{
	struct walk walk = { .prefix_size = ID_SIZE };

	walk.key_size = row_key(walk.key, id, "", 0);
	return walk_all(&walk, source, SIZE_MAX, on_row, arg);
}
