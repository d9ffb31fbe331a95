/*
 * lmdb_body.c - the bytes of messages, in pieces of at most one page.
 *
 * A longer value would take a run of pages. A large queue that empties leaves free pages in no
 * order. To find runs, LMDB would gather ever more free pages in memory, grow the file when it
 * finds none, and write the list of gathered pages with every commit. Single pages are just used
 * again.
 *
 * A piece has its body's id in its key. Readers and removers compare the id at each piece: the next
 * message's bytes lie right behind, and a wrong size must not lead into them.
 *
 * Functions that take the writer's transaction return 0 or an LMDB error.
 */
#include "shared/queue/lmdb/lmdb_private.h"

#include <string.h>

#define PIECE 4080 /* with the page's header, 4096 */
#define KEY_SIZE (ID_SIZE + 2)

/* The value in the table `body`. */
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

/* Deletes all pieces, whatever size the body should have. */
static int
pieces_delete(struct lmdb_queue *queue, MDB_txn *txn, const uint8_t *id)
{
	unsigned char bytes[KEY_SIZE];
	MDB_val key = { KEY_SIZE, bytes }, value;
	MDB_cursor *cursor;
	int rc = mdb_cursor_open(txn, queue->piece, &cursor);

	if (rc)
		return rc;
	piece_key(bytes, id, 0);
	rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
	while (!rc && memcmp(key.mv_data, id, ID_SIZE) == 0) {
		rc = mdb_cursor_del(cursor, 0);
		if (!rc)
			rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
	}
	mdb_cursor_close(cursor);
	return rc == MDB_NOTFOUND ? 0 : rc;
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
	int rc = body->spilled ? 0 : pieces_delete(queue, txn, id);

	return rc ? rc : mdb_del(txn, queue->body, &key, NULL);
}

/* Whether the cursor is at the piece with this key, and the piece has byte `skip`. */
static bool
is_piece(
	const MDB_val *key, const unsigned char wanted[KEY_SIZE], const MDB_val *value, size_t skip)
{
	return key->mv_size == KEY_SIZE && memcmp(key->mv_data, wanted, KEY_SIZE) == 0 &&
		skip < value->mv_size && value->mv_size <= PIECE;
}

int
body_copy(struct lmdb_queue *queue, MDB_txn *txn, const uint8_t *id, uint64_t offset, size_t length,
	unsigned char *out)
{
	unsigned char wanted[KEY_SIZE];
	MDB_val key = { KEY_SIZE, wanted }, value;
	uint64_t number = offset / PIECE;
	size_t skip = offset % PIECE, part;
	MDB_cursor *cursor;
	int rc = mdb_cursor_open(txn, queue->piece, &cursor);

	if (rc)
		return rc;
	for (enum MDB_cursor_op op = MDB_SET_KEY; length && !rc; op = MDB_NEXT) {
		piece_key(wanted, id, number++);
		rc = mdb_cursor_get(cursor, &key, &value, op);
		if (!rc && !is_piece(&key, wanted, &value, skip))
			rc = MDB_NOTFOUND;
		if (rc)
			break;
		part = value.mv_size - skip < length ? value.mv_size - skip : length;
		memcpy(out, (unsigned char *)value.mv_data + skip, part);
		out += part;
		length -= part;
		skip = 0;
		if (length && value.mv_size != PIECE)
			rc = MDB_NOTFOUND;
	}
	mdb_cursor_close(cursor);
	return rc;
}
