/*
 * lmdb_body.c - the bytes of messages, in pieces of at most one page.
 *
 * A value that is longer takes a run of pages. What a large queue leaves behind when it empties is
 * free pages in no order: LMDB would gather ever more of them in memory in search of runs, grow
 * the file when it finds none, and write the list of those in memory with every commit. Pages that
 * are asked for one by one are just used again.
 *
 * What is called with the writer's transaction returns 0 or an LMDB error.
 */
#include "shared/lmdb_private.h"

#include <string.h>

#define PIECE 4080 /* with the page's header, 4096 */
#define KEY_SIZE (ID_SIZE + 2)

/* What `body` holds. */
struct head {
	unsigned char kind; /* 'i', or 's': spilled */
	unsigned char size[8];
};

static void
piece_key(unsigned char key[KEY_SIZE], const uint8_t *id, uint64_t number)
{
	memcpy(key, id, ID_SIZE);
	key[ID_SIZE] = (unsigned char)(number >> 8);
	key[ID_SIZE + 1] = (unsigned char)number;
}

static int
pieces_put(struct lmdb_queue *queue, MDB_txn *txn, const uint8_t *id, const void *data, size_t size)
{
	unsigned char bytes[KEY_SIZE];
	int rc = 0;

	for (size_t at = 0; at < size && !rc; at += PIECE) {
		MDB_val key = { KEY_SIZE, bytes };
		MDB_val value = { size - at < PIECE ? size - at : PIECE,
			(unsigned char *)data + at };

		piece_key(bytes, id, at / PIECE);
		rc = mdb_put(txn, queue->piece, &key, &value, 0);
	}
	return rc;
}

static int
pieces_delete(struct lmdb_queue *queue, MDB_txn *txn, const uint8_t *id, size_t size)
{
	unsigned char bytes[KEY_SIZE];
	MDB_val key = { KEY_SIZE, bytes }, value;
	MDB_cursor *cursor;
	int rc = mdb_cursor_open(txn, queue->piece, &cursor);

	if (rc)
		return rc;
	piece_key(bytes, id, 0);
	for (size_t at = 0; at < size && !rc; at += PIECE) {
		rc = mdb_cursor_get(cursor, &key, &value, at ? MDB_NEXT : MDB_SET);
		if (!rc)
			rc = mdb_cursor_del(cursor, 0);
	}
	mdb_cursor_close(cursor);
	return rc;
}

int
body_find(struct lmdb_queue *queue, MDB_txn *txn, const uint8_t *id, struct body_info *out)
{
	MDB_val key = { ID_SIZE, (void *)id }, value;
	int rc = mdb_get(txn, queue->body, &key, &value);
	const struct head *head;

	*out = (struct body_info){ 0 };
	if (rc)
		return rc == MDB_NOTFOUND ? 0 : rc;
	if (value.mv_size != sizeof *head)
		return MDB_CORRUPTED;
	head = value.mv_data;
	*out = (struct body_info){
		.there = true, .spilled = head->kind == 's', .size = get_be64(head->size)
	};
	return 0;
}

int
body_put(struct lmdb_queue *queue, MDB_txn *txn, const struct op *op)
{
	struct head head = { .kind = op->spill ? 's' : 'i' };
	MDB_val key = { ID_SIZE, (void *)op->id }, value = { sizeof head, &head };
	int rc;

	put_be64(head.size, op->size);
	rc = mdb_put(txn, queue->body, &key, &value, 0);
	return rc || op->spill ? rc : pieces_put(queue, txn, op->id, op->data, op->size);
}

int
body_remove(struct lmdb_queue *queue, MDB_txn *txn, const uint8_t *id, const struct body_info *body)
{
	MDB_val key = { ID_SIZE, (void *)id };
	int rc = body->spilled ? 0 : pieces_delete(queue, txn, id, body->size);

	return rc ? rc : mdb_del(txn, queue->body, &key, NULL);
}

void
body_copy(struct lmdb_queue *queue, MDB_txn *txn, const uint8_t *id, uint64_t offset, size_t length,
	unsigned char *out)
{
	unsigned char bytes[KEY_SIZE];
	MDB_val key = { KEY_SIZE, bytes }, value;
	size_t skip = offset % PIECE, part;
	MDB_cursor *cursor;
	int rc = mdb_cursor_open(txn, queue->piece, &cursor);

	if (rc)
		lmdb_die("body", rc);
	piece_key(bytes, id, offset / PIECE);
	for (enum MDB_cursor_op op = MDB_SET; length; op = MDB_NEXT) {
		rc = mdb_cursor_get(cursor, &key, &value, op);
		if (rc)
			lmdb_die("body", rc);
		part = value.mv_size - skip < length ? value.mv_size - skip : length;
		memcpy(out, (unsigned char *)value.mv_data + skip, part);
		out += part;
		length -= part;
		skip = 0;
	}
	mdb_cursor_close(cursor);
}
