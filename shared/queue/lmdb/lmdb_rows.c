/*
 * lmdb_rows.c - waiting mail: the sender's rows (message x site) as operations of the writer, and
 * the view of the rows. row_table.c knows the tables.
 */
#include "shared/base/container_of.h"
#include "shared/queue/lmdb/lmdb_private.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/log.h"

size_t
row_pack(unsigned char *out, const Row *row)
{
	struct row_item item = { rows_lane(row->envelope->account), row->due_us,
		(uint32_t)strlen(row->site), (uint32_t)row__get_packed_size(row) };

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

struct lmdb_rows {
	struct rows base;
	struct lmdb_queue *queue;
	struct task task; /* calls on_open() */
	const struct rows_subscriber *subscriber;
	void *arg;
	bool closed;
};

/* The one process owns all rows from start to end, so the partition is gained once. */
static void
on_open(struct task *task)
{
	struct lmdb_rows *rows = container_of(task, struct lmdb_rows, task);
	const struct rows_subscriber *subscriber = rows->subscriber;

	rows->subscriber = NULL;
	if (rows->closed)
		free(rows);
	else
		subscriber->gained(rows->arg, 0);
}

struct rows *
lmdb_rows_open(struct queue *base, enum rows_scope scope, struct loop *loop,
	const struct rows_subscriber *subscriber, void *arg)
{
	struct lmdb_rows *rows = xmalloc(sizeof *rows);

	*rows = (struct lmdb_rows){ .base.ops = base->ops,
		.queue = (struct lmdb_queue *)base,
		.task.run = on_open,
		.subscriber = subscriber,
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
	if (!rows->subscriber)
		free(rows);
}

bool
lmdb_rows_mine(struct rows *base, int partition)
{
	(void)base, (void)partition;
	return true;
}

/* Reading. */

struct reading {
	struct lmdb_queue *queue;
	struct reader *reader;
};

static MDB_txn *
reading_begin(void *arg, const struct row_table **tables, size_t *count_out)
{
	struct reading *reading = arg;

	reading->reader = reader_begin(reading->queue);
	tables[0] = &reading->queue->rows;
	*count_out = 1;
	return reading->reader->txn;
}

static void
reading_end(void *arg, MDB_txn *txn)
{
	struct reading *reading = arg;

	(void)txn;
	reader_end(reading->queue, reading->reader);
}

static void
reading_bad(void *arg, const MDB_val *key)
{
	report_bad(((struct reading *)arg)->queue, "rows", key);
}

static struct row_source
source_of(struct rows *base, struct reading *reading)
{
	reading->queue = ((struct lmdb_rows *)base)->queue;
	return (struct row_source){ reading, reading_begin, reading_end, reading_bad };
}

size_t
lmdb_rows_due(struct rows *base, const struct rows_place *from, size_t limit, queue_row_cb on_row,
	void *arg)
{
	struct reading reading;
	struct row_source source = source_of(base, &reading);

	return row_source_due(&source, from, limit, on_row, arg);
}

size_t
lmdb_rows_scan(struct rows *base, int partition, const uint8_t *after_id, const char *after_site,
	size_t limit, queue_row_cb on_row, void *arg)
{
	struct reading reading;
	struct row_source source = source_of(base, &reading);

	(void)partition;
	return row_source_scan(&source, after_id, after_site, limit, on_row, arg);
}

size_t
lmdb_rows_of(struct rows *base, const uint8_t *id, queue_row_cb on_row, void *arg)
{
	struct reading reading;
	struct row_source source = source_of(base, &reading);

	return row_source_of(&source, id, on_row, arg);
}

uint64_t
lmdb_rows_count(struct rows *base, const char *site)
{
	struct lmdb_queue *queue = ((struct lmdb_rows *)base)->queue;
	struct reader *reader = reader_begin(queue);
	uint64_t count;
	int rc = row_table_count(&queue->rows, reader->txn, site, &count);

	if (rc)
		lmdb_die("rows", rc);
	reader_end(queue, reader);
	return count;
}
