/*
 * row_table.h - waiting mail as LMDB tables: rows by key, by lane and due time, counted by site.
 *
 * One implementation for both backends. The embedded queue keeps one in its own environment and
 * transactions; in a cluster row_cache.c keeps one for each partition.
 *
 *   rows<suffix>    id site                          -> struct row_head, packed Row
 *   lanes<suffix>   site NUL lane due_us id          -> nothing; numbers are 8 bytes BE
 *   sites<suffix>   site NUL                         -> how many rows (8 bytes, host order)
 *   bodies<suffix>  offset (8 bytes BE)              -> struct row_body; in a cluster only
 *
 * Writers return 0 or an LMDB error, which ends their transaction. A read that fails ends the
 * process.
 */
#ifndef SHARED_ROW_TABLE_H
#define SHARED_ROW_TABLE_H

#include <lmdb.h>

#include "shared/queue/rows.h"

#define ROW_KEY_MAX (ID_SIZE + QUEUE_SITE_MAX)
#define LANE_KEY_MAX (QUEUE_SITE_MAX + 1 + 8 + 8 + ID_SIZE)

struct row_table {
	MDB_dbi rows, lanes, sites, bodies;
	bool has_bodies;
};

/* Stands before the packed Row. The embedded queue stores only due_us. */
struct row_head {
	uint64_t due_us;
	int64_t body; /* offset in mail.deferred; < 0: none */
};

struct row_body {
	uint64_t rows, seen_us; /* that need the body; when the first was written */
	uint8_t id[ID_SIZE];
};

/* A row to write. Everything is borrowed. */
struct row_entry {
	const uint8_t *id;
	const char *site;
	size_t site_length;
	uint64_t lane;
	struct row_head head;
	uint64_t now_us; /* becomes row_body.seen_us */
	const void *packed;
	size_t packed_size;
};

static inline void
put_be64(unsigned char *out, uint64_t value)
{
	for (int i = 7; i >= 0; i--, value >>= 8)
		out[i] = (unsigned char)value;
}

static inline uint64_t
get_be64(const unsigned char *in)
{
	uint64_t value = 0;

	for (int i = 0; i < 8; i++)
		value = value << 8 | in[i];
	return value;
}

size_t row_key(unsigned char *key, const uint8_t *id, const char *site, size_t site_length);

/* Opens or creates the tables. Counts and indexes what an older version wrote, which takes some
 * seconds for a million rows. */
int row_table_open(struct row_table *table, MDB_txn *txn, const char *suffix, bool has_bodies);
int row_table_put(const struct row_table *table, MDB_txn *txn, const struct row_entry *entry);
/* Removes the row with this key of `rows`. */
int row_table_remove(
	const struct row_table *table, MDB_txn *txn, const MDB_val *key, bool *was_there_out);
int row_table_clear(const struct row_table *table, MDB_txn *txn);
/* `site` NULL: counts all rows. */
int
row_table_count(const struct row_table *table, MDB_txn *txn, const char *site, uint64_t *count_out);
/* The packed Row with this key, inside the map; MDB_NOTFOUND. */
int
row_table_get(const struct row_table *table, MDB_txn *txn, const MDB_val *key, MDB_val *packed_out);
/* The row_head of a row; with `site` NULL, of any row of the message. MDB_NOTFOUND. */
int row_table_head(const struct row_table *table, MDB_txn *txn, const uint8_t *id, const char *site,
	struct row_head *head_out);
/* The body of the lowest offset from `*offset` on that any row needs; MDB_NOTFOUND. */
int row_table_first_body(
	const struct row_table *table, MDB_txn *txn, int64_t *offset, struct row_body *body_out);

/*
 * Reads rows as rows_due(), rows_scan() and rows_of() promise (queue.h), over several tables of one
 * environment as if they were one. `begin` opens a short read transaction and names the tables.
 * `end` ends the transaction. `bad` is told the key of a row that cannot be read, inside the
 * transaction; the key is valid until `bad` returns.
 */
#define ROW_TABLES_MAX 1024
struct row_source {
	void *arg;
	MDB_txn *(*begin)(void *arg, const struct row_table **tables, size_t *count_out);
	void (*end)(void *arg, MDB_txn *txn);
	void (*bad)(void *arg, const MDB_val *key);
};
size_t row_source_due(const struct row_source *source, const struct rows_place *from, size_t limit,
	queue_row_cb on_row, void *arg);
size_t row_source_scan(const struct row_source *source, const uint8_t *after_id,
	const char *after_site, size_t limit, queue_row_cb on_row, void *arg);
size_t
row_source_of(const struct row_source *source, const uint8_t *id, queue_row_cb on_row, void *arg);

#endif
