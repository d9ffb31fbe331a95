/*
 * lmdb_reader.c - short read transactions, on the caller's thread.
 *
 * A transaction that has ended is kept, reset, for the next reader. Keep transactions short: an
 * open one keeps every page that is freed meanwhile. A failed read ends the process.
 */
#include "shared/queue/lmdb/lmdb_private.h"

#include <stdlib.h>

#include "shared/base/log.h"

void
lmdb_die(const char *what, int rc)
{
	LOG_ERROR("cannot read the queue", "what", what);
	die("cannot read the queue", mdb_strerror(rc));
}

struct reader *
reader_begin(struct lmdb_queue *queue)
{
	struct reader *reader;
	int rc;

	pthread_mutex_lock(&queue->readers_lock);
	reader = queue->readers;
	if (reader)
		queue->readers = reader->next;
	pthread_mutex_unlock(&queue->readers_lock);
	if (reader) {
		rc = mdb_txn_renew(reader->txn);
	} else {
		reader = xmalloc(sizeof *reader);
		rc = mdb_txn_begin(queue->env, NULL, MDB_RDONLY, &reader->txn);
	}
	if (rc)
		lmdb_die("transaction", rc);
	return reader;
}

void
reader_end(struct lmdb_queue *queue, struct reader *reader)
{
	mdb_txn_reset(reader->txn);
	pthread_mutex_lock(&queue->readers_lock);
	reader->next = queue->readers;
	queue->readers = reader;
	pthread_mutex_unlock(&queue->readers_lock);
}

void
readers_close(struct lmdb_queue *queue)
{
	struct reader *next;

	for (struct reader *reader = queue->readers; reader; reader = next) {
		next = reader->next;
		mdb_txn_abort(reader->txn);
		free(reader);
	}
	queue->readers = NULL;
}
