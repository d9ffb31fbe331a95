/*
 * lmdb_bad.c - records and rows that cannot be read: set aside, shown, removed.
 *
 * reader -> report_bad() -> writer moves it to the table `bad` -> an operator looks, and decides
 *
 * An unreadable entry must neither stop the others nor get lost: its bytes are kept, and its body
 * too.
 */
#include "shared/queue/lmdb/lmdb_private.h"

#include <string.h>

#include "shared/base/log.h"

void
report_bad(struct lmdb_queue *queue, const char *table, const MDB_val *key)
{
	struct op *op;
	size_t length = strlen(table);

	LOG_ERROR("the queue holds something that cannot be read; it is set aside", "table", table);
	op = op_new(queue, OP_BAD, length + 1 + key->mv_size, NULL, NULL);
	memcpy(op->packed, table, length);
	op->packed[length] = '/';
	memcpy(op->packed + length + 1, key->mv_data, key->mv_size);
	op_submit(queue, op);
}

size_t
lmdb_bad_scan(struct queue *base, const void *from, size_t from_length, size_t limit,
	queue_bad_cb on_bad, void *arg)
{
	struct lmdb_queue *queue = (struct lmdb_queue *)base;
	struct reader *reader = reader_begin(queue);
	MDB_val key = { from_length, (void *)from }, value;
	MDB_cursor *cursor;
	size_t count = 0;
	int rc = mdb_cursor_open(reader->txn, queue->bad, &cursor);

	if (rc)
		lmdb_die("bad", rc);
	rc = mdb_cursor_get(cursor, &key, &value, from_length ? MDB_SET_RANGE : MDB_FIRST);
	for (; !rc && count < limit; count++) {
		on_bad(arg, key.mv_data, key.mv_size, value.mv_data, value.mv_size);
		rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
	}
	if (rc && rc != MDB_NOTFOUND)
		lmdb_die("bad", rc);
	mdb_cursor_close(cursor);
	reader_end(queue, reader);
	return count;
}

void
lmdb_bad_remove(struct queue *base, const void *key, size_t key_length, queue_cb cb, void *arg)
{
	struct lmdb_queue *queue = (struct lmdb_queue *)base;
	struct op *op = op_new(queue, OP_BAD_REMOVE, key_length, cb, arg);

	memcpy(op->packed, key, key_length);
	op_submit(queue, op);
}
