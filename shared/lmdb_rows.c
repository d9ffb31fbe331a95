/*
 * lmdb_rows.c - waiting mail: the sender's rows (message x site), their index by due time, and
 * reading them.
 *
 * Readers copy at most READ_MAX rows out of one short transaction and call back after its end.
 */
#include "shared/lmdb_private.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "shared/log.h"

#define READ_MAX 64

size_t
row_pack(unsigned char *out, const Row *row)
{
	struct row_item item = { row->due_us, (uint32_t)strlen(row->site),
		(uint32_t)row__get_packed_size(row) };

	if (out) {
		memcpy(out, &item, sizeof item);
		memcpy(out + sizeof item, row->site, item.site_length);
		row__pack(row, out + sizeof item + item.site_length);
	}
	return sizeof item + item.site_length + item.row_length;
}

void
lmdb_row_put(struct queue *base, const Row *row, queue_cb cb, void *arg)
{
	struct lmdb_queue *queue = (struct lmdb_queue *)base;
	struct op *op = op_new(queue, OP_ROW_PUT, row_pack(NULL, row), cb, arg);

	memcpy(op->id, row->envelope->id.data, ID_SIZE);
	row_pack(op->packed, row);
	op_submit(queue, op);
}

void
lmdb_row_remove(struct queue *base, const Row *row, queue_cb cb, void *arg)
{
	struct lmdb_queue *queue = (struct lmdb_queue *)base;
	struct op *op = op_new(queue, OP_ROW_REMOVE, strlen(row->site), cb, arg);

	memcpy(op->id, row->envelope->id.data, ID_SIZE);
	memcpy(op->packed, row->site, op->packed_size);
	op_submit(queue, op);
}

/* Where a reader goes on, and what it got. */
struct walk {
	unsigned char key[DUE_KEY_MAX + 1]; /* of rows or due: the first that may be handed over */
	size_t key_size;
	size_t prefix_size; /* keys that differ in these bytes end the walk */
	Row *rows[READ_MAX];
	size_t count;
	bool over;
};

static MDB_cursor *
open_cursor(struct reader *reader, MDB_dbi dbi)
{
	MDB_cursor *cursor;
	int rc = mdb_cursor_open(reader->txn, dbi, &cursor);

	if (rc)
		lmdb_die("rows", rc);
	return cursor;
}

static Row *
row_read(struct lmdb_queue *queue, const MDB_val *key, const MDB_val *value)
{
	Row *row = NULL;

	if (value->mv_size > sizeof row->due_us)
		row = row_unpack((const unsigned char *)value->mv_data + sizeof row->due_us,
			value->mv_size - sizeof row->due_us);
	if (!row)
		report_bad(queue, "rows", key);
	return row;
}

/* The row that an entry of `due` stands for: `site` NUL due id. */
static Row *
row_of_due(struct lmdb_queue *queue, struct reader *reader, const MDB_val *due)
{
	const unsigned char *bytes = due->mv_data;
	size_t site_length = due->mv_size - 9 - ID_SIZE;
	unsigned char row[ROW_KEY_MAX];
	MDB_val key = {
		row_key(row, bytes + due->mv_size - ID_SIZE, (const char *)bytes, site_length), row
	};
	MDB_val value;
	int rc = mdb_get(reader->txn, queue->rows, &key, &value);

	if (rc == MDB_NOTFOUND)
		return NULL;
	if (rc)
		lmdb_die("rows", rc);
	return row_read(queue, &key, &value);
}

/* One transaction: up to `max` rows from the walk's key on. The key moves past the last one. */
static void
walk_on(struct lmdb_queue *queue, struct walk *walk, MDB_dbi dbi, size_t max)
{
	struct reader *reader = reader_begin(queue);
	MDB_cursor *cursor = open_cursor(reader, dbi);
	MDB_val key = { walk->key_size, walk->key }, value;
	int rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);

	walk->count = 0;
	for (size_t seen = 0; seen < max && !rc; seen++) {
		Row *row;

		if (key.mv_size < walk->prefix_size ||
			memcmp(key.mv_data, walk->key, walk->prefix_size) != 0) {
			rc = MDB_NOTFOUND;
			break;
		}
		row = dbi == queue->due ? row_of_due(queue, reader, &key)
					: row_read(queue, &key, &value);
		if (row)
			walk->rows[walk->count++] = row;
		memcpy(walk->key, key.mv_data, key.mv_size);
		walk->key[key.mv_size] = '\0'; /* the least key after this one */
		walk->key_size = key.mv_size + 1;
		rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
	}
	if (rc && rc != MDB_NOTFOUND)
		lmdb_die("rows", rc);
	walk->over = rc == MDB_NOTFOUND;
	mdb_cursor_close(cursor);
	reader_end(queue, reader);
}

static size_t
walk_all(struct lmdb_queue *queue, struct walk *walk, MDB_dbi dbi, size_t limit,
	queue_row_cb on_row, void *arg)
{
	size_t handed = 0;

	while (handed < limit && !walk->over) {
		size_t room = limit - handed;

		walk_on(queue, walk, dbi, room < READ_MAX ? room : READ_MAX);
		for (size_t i = 0; i < walk->count; i++)
			on_row(arg, walk->rows[i]);
		handed += walk->count;
	}
	return handed;
}

struct lmdb_rows {
	struct rows base;
	struct lmdb_queue *queue;
	struct task task; /* tells the watch */
	const struct rows_watch *watch;
	void *arg;
	bool closed;
};

/* One process owns them all, from the start to the end. */
static void
on_open(struct task *task)
{
	struct lmdb_rows *rows = (struct lmdb_rows *)((char *)task -
		offsetof(struct lmdb_rows, task));
	const struct rows_watch *watch = rows->watch;

	rows->watch = NULL;
	if (rows->closed)
		free(rows);
	else
		watch->gained(rows->arg, 0);
}

struct rows *
lmdb_rows_open(struct queue *base, enum rows_scope scope, struct loop *loop,
	const struct rows_watch *watch, void *arg)
{
	struct lmdb_rows *rows = xmalloc(sizeof *rows);

	*rows = (struct lmdb_rows){ .base.ops = base->ops,
		.queue = (struct lmdb_queue *)base,
		.task.run = on_open,
		.watch = watch,
		.arg = arg };
	if (scope == ROWS_MINE)
		loop_post(loop, &rows->task);
	return &rows->base;
}

void
lmdb_rows_close(struct rows *base)
{
	struct lmdb_rows *rows = (struct lmdb_rows *)base;

	rows->closed = true;
	if (!rows->watch)
		free(rows);
}

size_t
lmdb_rows_due(struct rows *base, const char *site, uint64_t after_us, const uint8_t *after_id,
	size_t limit, queue_row_cb on_row, void *arg)
{
	struct lmdb_queue *queue = ((struct lmdb_rows *)base)->queue;
	static const uint8_t first[ID_SIZE];
	struct walk walk = { .over = false };
	size_t site_length = strlen(site);

	walk.key_size = due_key(walk.key, site, site_length, after_us, after_id ? after_id : first);
	if (after_id)
		walk.key[walk.key_size++] = '\0';
	walk.prefix_size = site_length + 1;
	return walk_all(queue, &walk, queue->due, limit, on_row, arg);
}

size_t
lmdb_rows_scan(struct rows *base, int partition, const uint8_t *after_id, const char *after_site,
	size_t limit, queue_row_cb on_row, void *arg)
{
	struct lmdb_queue *queue = ((struct lmdb_rows *)base)->queue;
	static const uint8_t first[ID_SIZE];
	struct walk walk = { .over = false };

	(void)partition;
	if (!after_id) {
		walk.key_size = row_key(walk.key, first, "", 0);
	} else {
		walk.key_size = row_key(walk.key, after_id, after_site, strlen(after_site));
		walk.key[walk.key_size++] = '\0';
	}
	return walk_all(queue, &walk, queue->rows, limit, on_row, arg);
}

size_t
lmdb_rows_of(struct rows *base, const uint8_t *id, queue_row_cb on_row, void *arg)
{
	struct lmdb_queue *queue = ((struct lmdb_rows *)base)->queue;
	struct walk walk = { .prefix_size = ID_SIZE };

	walk.key_size = row_key(walk.key, id, "", 0);
	return walk_all(queue, &walk, queue->rows, SIZE_MAX, on_row, arg);
}
