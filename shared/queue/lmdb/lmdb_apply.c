/*
 * lmdb_apply.c - what each operation does to the tables, inside the writer's transaction.
 *
 * Functions return 0 or an LMDB error, which ends the transaction. An error of one operation alone
 * (no such body) goes to op->err, and the other operations go on.
 */
#include "shared/queue/lmdb/lmdb_private.h"

#include <errno.h>
#include <string.h>

#include "shared/base/log.h"

/* mdb_del() for which a missing key is no error. */
static int
del(MDB_txn *txn, MDB_dbi dbi, void *data, size_t size, bool *was_there_out)
{
	MDB_val key = { size, data };
	int rc = mdb_del(txn, dbi, &key, NULL);

	if (was_there_out)
		*was_there_out = rc == 0;
	return rc == MDB_NOTFOUND ? 0 : rc;
}

static int
append(struct lmdb_queue *queue, MDB_txn *txn, struct op *op)
{
	struct topic_state *topic = &queue->topics[op->topic];
	unsigned char sequence[8];
	MDB_val key = { sizeof sequence, sequence };
	MDB_val value = { op->packed_size, op->packed };

	if (op->spill)
		value.mv_size = (size_t)((const unsigned char *)op->spill - op->packed);
	put_be64(sequence, ++topic->last);
	queue->touched[op->topic] = true;
	return mdb_put(txn, topic->dbi, &key, &value, MDB_APPEND);
}

/* The file is removed after the commit. When the transaction fails, the file stays. */
static void
unlink_later(struct lmdb_queue *queue, const uint8_t *id)
{
	struct op *op = op_new(queue, OP_UNLINK, 0, NULL, NULL);

	memcpy(op->id, id, ID_SIZE);
	op_list_add(&queue->unlinks, op);
}

static int
body_delete(struct lmdb_queue *queue, MDB_txn *txn, const uint8_t *id)
{
	struct body_info body;
	int rc = body_find(queue, txn, id, &body);

	if (rc || !body.there)
		return rc;
	if (body.spilled)
		unlink_later(queue, id);
	return body_remove(queue, txn, id, &body);
}

static int
apply_put(struct lmdb_queue *queue, MDB_txn *txn, struct op *op)
{
	struct body_info body;
	int rc = body_find(queue, txn, op->id, &body);

	if (rc)
		return rc;
	if (body.there) {
		op->err = 0;
		if (op->spill && !body.spilled)
			unlink_later(queue, op->id);
		return 0;
	}
	if (op->err) /* the pool could not take the file */
		return 0;
	rc = body_put(queue, txn, op);
	return rc ? rc : append(queue, txn, op);
}

static int
take_record(struct lmdb_queue *queue, MDB_txn *txn, struct op *op, bool *was_there_out)
{
	unsigned char sequence[8];

	put_be64(sequence, op->sequence);
	return del(txn, queue->topics[op->from].dbi, sequence, sizeof sequence, was_there_out);
}

/* When the record has gone, an earlier call forwarded it that was answered with -ETIMEDOUT. */
static int
apply_forward(struct lmdb_queue *queue, MDB_txn *txn, struct op *op)
{
	bool was_there;
	int rc = take_record(queue, txn, op, &was_there);

	if (rc || !was_there)
		return rc;
	return append(queue, txn, op);
}

static int
has_prefix(MDB_txn *txn, MDB_dbi dbi, const void *prefix, size_t length, bool *has_out)
{
	MDB_val key = { length, (void *)prefix }, value;
	MDB_cursor *cursor;
	MDB_stat stat;
	int rc = mdb_stat(txn, dbi, &stat);

	*has_out = false;
	if (rc || !stat.ms_entries)
		return rc;
	rc = mdb_cursor_open(txn, dbi, &cursor);
	if (rc)
		return rc;
	rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
	*has_out = !rc && key.mv_size >= length && !memcmp(key.mv_data, prefix, length);
	mdb_cursor_close(cursor);
	return rc == MDB_NOTFOUND ? 0 : rc;
}

/* Counts rows that were set aside, too: they need the body, until an operator decides. */
static int
has_rows(struct lmdb_queue *queue, MDB_txn *txn, const uint8_t *id, bool *has_out)
{
	char bad[BAD_ROWS_LENGTH + ID_SIZE];
	int rc = has_prefix(txn, queue->rows.rows, id, ID_SIZE, has_out);

	if (rc || *has_out)
		return rc;
	memcpy(bad, BAD_ROWS, BAD_ROWS_LENGTH);
	memcpy(bad + BAD_ROWS_LENGTH, id, ID_SIZE);
	return has_prefix(txn, queue->bad, bad, sizeof bad, has_out);
}

/* The message has left its topic. The body stays if rows need it, otherwise it goes. */
static int
park_or_delete(struct lmdb_queue *queue, MDB_txn *txn, const uint8_t *id)
{
	MDB_val key = { ID_SIZE, (void *)id }, nothing = { 0, NULL };
	bool rows;
	int rc = has_rows(queue, txn, id, &rows);

	if (rc)
		return rc;
	if (rows)
		return mdb_put(txn, queue->parked, &key, &nothing, 0);
	return body_delete(queue, txn, id);
}

static int
apply_finish(struct lmdb_queue *queue, MDB_txn *txn, struct op *op)
{
	bool was_there;
	int rc = take_record(queue, txn, op, &was_there);

	if (rc || !was_there)
		return rc;
	return park_or_delete(queue, txn, op->id);
}

static int
rows_write(struct lmdb_queue *queue, MDB_txn *txn, struct op *op)
{
	size_t at = 0;
	int rc = 0;

	while (at < op->packed_size && !rc) {
		struct row_item item;
		struct row_entry entry = { .id = op->id };

		memcpy(&item, op->packed + at, sizeof item);
		at += sizeof item;
		entry.site = (const char *)op->packed + at;
		entry.site_length = item.site_length;
		entry.lane = item.lane;
		entry.head.due_us = item.due_us;
		entry.packed = op->packed + at + item.site_length;
		entry.packed_size = item.row_length;
		rc = row_table_put(&queue->rows, txn, &entry);
		at += item.site_length + item.row_length;
	}
	return rc;
}

static int
apply_rows(struct lmdb_queue *queue, MDB_txn *txn, struct op *op)
{
	struct body_info body;
	int rc = body_find(queue, txn, op->id, &body);

	if (rc)
		return rc;
	if (!body.there) {
		op->err = -ENOENT;
		return 0;
	}
	return rows_write(queue, txn, op);
}

static int
apply_defer(struct lmdb_queue *queue, MDB_txn *txn, struct op *op)
{
	bool was_there;
	int rc = apply_rows(queue, txn, op);

	if (rc || op->err)
		return rc;
	rc = take_record(queue, txn, op, &was_there);
	return rc ? rc : park_or_delete(queue, txn, op->id);
}

/* A row has gone. The last row takes a parked body along. */
static int
body_release(struct lmdb_queue *queue, MDB_txn *txn, uint8_t *id)
{
	bool rows, parked;
	int rc = has_rows(queue, txn, id, &rows);

	if (rc || rows)
		return rc;
	rc = del(txn, queue->parked, id, ID_SIZE, &parked);
	return rc || !parked ? rc : body_delete(queue, txn, id);
}

static int
apply_row_remove(struct lmdb_queue *queue, MDB_txn *txn, struct op *op)
{
	unsigned char row[ROW_KEY_MAX];
	MDB_val key = { row_key(row, op->id, (char *)op->packed, op->packed_size), row };
	bool was_there;
	int rc = row_table_remove(&queue->rows, txn, &key, &was_there);

	return rc || !was_there ? rc : body_release(queue, txn, op->id);
}

static int
apply_config(struct lmdb_queue *queue, MDB_txn *txn, struct op *op)
{
	size_t key_length = strlen((char *)op->packed);
	MDB_val key = { key_length, op->packed };
	MDB_val value = { op->packed_size - key_length - 2, op->packed + key_length + 1 };

	if (!value.mv_size)
		return del(txn, queue->config, key.mv_data, key.mv_size, NULL);
	return mdb_put(txn, queue->config, &key, &value, 0);
}

static MDB_dbi
table_named(const struct lmdb_queue *queue, const char *name, size_t length)
{
	for (int i = 0; i < TOPIC_COUNT; i++)
		if (strlen(queue->topics[i].name) == length &&
			!memcmp(queue->topics[i].name, name, length))
			return queue->topics[i].dbi;
	return queue->rows.rows;
}

/* The body of what is set aside stays, until an operator decides. */
static int
apply_bad(struct lmdb_queue *queue, MDB_txn *txn, struct op *op)
{
	unsigned char *slash = memchr(op->packed, '/', op->packed_size);
	size_t length = (size_t)(slash - op->packed);
	MDB_dbi table = table_named(queue, (char *)op->packed, length);
	MDB_val bad = { op->packed_size, op->packed };
	MDB_val key = { op->packed_size - length - 1, slash + 1 }, value, copy;
	bool was_there;
	int rc = mdb_get(txn, table, &key, &value);

	if (rc)
		return rc == MDB_NOTFOUND ? 0 : rc;
	copy.mv_size = value.mv_size;
	if (bad.mv_size > (size_t)mdb_env_get_maxkeysize(queue->env))
		bad.mv_size = (size_t)mdb_env_get_maxkeysize(queue->env);
	rc = mdb_put(txn, queue->bad, &bad, &copy, MDB_RESERVE);
	if (rc)
		return rc;
	/* The put may have moved the page that `value` pointed into. */
	rc = mdb_get(txn, table, &key, &value);
	if (rc)
		return rc;
	memcpy(copy.mv_data, value.mv_data, value.mv_size);
	if (table == queue->rows.rows)
		return row_table_remove(&queue->rows, txn, &key, &was_there);
	return mdb_del(txn, table, &key, NULL);
}

static int
apply_bad_remove(struct lmdb_queue *queue, MDB_txn *txn, struct op *op)
{
	bool was_there;
	int rc = del(txn, queue->bad, op->packed, op->packed_size, &was_there);

	if (!rc && !was_there)
		op->err = -ENOENT;
	if (rc || !was_there || op->packed_size < BAD_ROWS_LENGTH + ID_SIZE ||
		memcmp(op->packed, BAD_ROWS, BAD_ROWS_LENGTH) != 0)
		return rc;
	return body_release(queue, txn, op->packed + BAD_ROWS_LENGTH);
}

int
apply(struct lmdb_queue *queue, MDB_txn *txn, struct op *op)
{
	switch (op->kind) {
	case OP_PUT: return apply_put(queue, txn, op);
	case OP_FORWARD: return apply_forward(queue, txn, op);
	case OP_FINISH: return apply_finish(queue, txn, op);
	case OP_DEFER: return apply_defer(queue, txn, op);
	case OP_ROW_PUT: return apply_rows(queue, txn, op);
	case OP_ROW_REMOVE: return apply_row_remove(queue, txn, op);
	case OP_CONFIG: return apply_config(queue, txn, op);
	case OP_BAD: return apply_bad(queue, txn, op);
	case OP_BAD_REMOVE: return apply_bad_remove(queue, txn, op);
	case OP_SUBSCRIBE:
	case OP_EVENT:
	case OP_UNLINK:
	case OP_EVENTS: break;
	}
	return 0;
}
