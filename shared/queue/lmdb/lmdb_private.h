/*
 * lmdb_private.h - what the files of the embedded queue share.
 *
 *   caller's loop             writer thread                          caller's loop
 *   queue_put(), ... -> op -> [pending] -> [batch] -> LMDB commit -> completions, one task a loop
 *                         \-> spool pool (spilled bodies: fdatasync, rename, fsync) -> [pending]
 *
 * queue_lmdb.c opens, closes, reads, and has the housekeeper (a thread, once a second).
 * lmdb_op.c lists operations; lmdb_writer.c is the writer thread; lmdb_apply.c says what an
 * operation does to the tables. lmdb_body.c has the bytes of messages, lmdb_consumer.c hands out
 * records and shows them, lmdb_rows.c is waiting mail, lmdb_bad.c what cannot be read,
 * lmdb_config.c relay.config. lmdb_reader.c makes read transactions, lmdb_space.c knows the room,
 * lmdb_memory.c keeps RSS small. lmdb_spool.c keeps spilled bodies, and has the pool for what must
 * not delay the writer. event_file.c writes the events, event_files.c reads them.
 *
 * Tables:
 *   body     id                  -> 'i' or 's' (the file spool/<id text> is the body), its size
 *   piece    id, number          -> bytes of a body 'i'
 *   inbound, ready
 *            sequence, 8 bytes big-endian -> packed Envelope
 *   rows, lanes, sites           -> row_table.h
 *   parked   id                  -> nothing: the topic record is gone, the rows need the body
 *   config   key                 -> JSON
 *   bad      table name '/' key  -> what could not be read, for an operator
 * A body goes with its topic record when no row needs it, or else (parked) with its last row.
 */
#ifndef SHARED_QUEUE_PRIVATE_H
#define SHARED_QUEUE_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>

#include <lmdb.h>

#include "shared/base/loop.h"
#include "shared/base/said.h"
#include "shared/base/state_dir.h"
#include "shared/queue/queue_backend.h"
#include "shared/queue/row_table.h"

#define BATCH_BYTES (4u * 1024 * 1024) /* of one transaction */
#define LATE_MS QUEUE_LATE_MS          /* -ETIMEDOUT after this */
#define LAZY_US 5000 /* removals that nobody waits for may wait so long for others */

enum op_kind {
	OP_PUT,
	OP_FORWARD,
	OP_FINISH,
	OP_DEFER,
	OP_ROW_PUT,
	OP_ROW_REMOVE,
	OP_CONFIG,
	OP_SUBSCRIBE,
	OP_BAD, /* move a record or row that cannot be read to `bad` */
	OP_BAD_REMOVE,
	OP_EVENT,  /* append to the event file */
	OP_UNLINK, /* pool: remove a spool file */
	OP_EVENTS, /* pool: sync and prune event files */
};

/* Who answers: the housekeeper (when late) or the writer. They race for the state with atomic
 * exchanges. */
enum op_state {
	OP_QUEUED,  /* the housekeeper may cancel it: the caller's data is unread */
	OP_TAKEN,   /* the writer is reading the caller's data */
	OP_APPLIED, /* in the transaction: may still become durable when answered late */
	OP_ANSWERED,
};

struct op {
	struct op *next;
	enum op_kind kind;
	atomic_int state;
	int err;
	bool cancelled, given_up; /* writer: answered before it began; refused in this batch */
	enum topic topic, from;
	enum event_class event;
	uint64_t sequence; /* of the record, in `from` */
	uint8_t id[ID_SIZE];
	struct loop *loop;
	queue_cb cb;
	void *arg;
	uint64_t asked_us; /* monotonic */
	struct lmdb_record *record;
	const void *data; /* the body; it stays the caller's */
	uint64_t size;
	const char *spill; /* name of the offered file; stands behind the envelope in `packed` */
	struct lmdb_subscriber *subscriber;
	size_t packed_size;
	unsigned char packed[];
};

/* A row inside op's `packed`: this struct, then the site, then the packed Row. */
struct row_item {
	uint64_t lane, due_us;
	uint32_t site_length, row_length;
};

/* A read transaction, reset and kept between uses. */
struct reader {
	struct reader *next;
	MDB_txn *txn;
};

struct topic_state {
	const char *name;
	MDB_dbi dbi;
	uint64_t last; /* writer: sequence of the newest record */
	pthread_mutex_t lock;
	uint64_t position; /* under lock: newest sequence handed to a consumer */
	uint64_t handed;   /* under lock: newest sequence that any consumer may have seen */
	unsigned consumers;
};

struct op_list {
	struct op *first, **last;
};

struct lmdb_queue {
	struct queue base;
	MDB_env *env;
	MDB_dbi body, piece, parked, config, bad;
	struct row_table rows;
	struct topic_state topics[TOPIC_COUNT];
	struct state_dir state_dir;
	int spool_fd;
	char *spool_dir;
	struct event_file *events[EVENT_CLASSES];
	const struct config *settings; /* only for lmdb_reload() */
	_Atomic unsigned min_free;
	void *map; /* of the environment's file; NULL: not found */
	size_t map_length;

	pthread_mutex_t lock; /* pending, batch, spooling, working, waiting, closing */
	pthread_cond_t wake;
	struct op_list pending;
	unsigned urgent;  /* of pending: somebody waits for their answers */
	struct op *batch; /* the operations that the writer commits now, linked by next */
	bool waiting, closing;
	pthread_t writer;

	struct op_list spooling;
	struct op *working[2];
	pthread_cond_t spool_wake;
	bool spool_closing, events_syncing;
	pthread_t pool[2];

	pthread_mutex_t housekeeper_lock;
	pthread_cond_t housekeeper_wake;
	bool housekeeper_closing;
	pthread_t housekeeper;

	pthread_mutex_t readers_lock;
	struct reader *readers;

	pthread_mutex_t consumers_lock;
	struct lmdb_consumer *consumers;
	pthread_mutex_t subscribers_lock;
	struct lmdb_subscriber *subscribers;

	/* writer only */
	struct op_list unlinks; /* OP_UNLINKs for after the commit */
	bool touched[TOPIC_COUNT];
	uint64_t reserve, allocated, free_bytes, free_counted_us;
	struct said said_full;

	atomic_bool full;
};

/* The files' parts of struct queue_ops. */
struct consumer *lmdb_consume(struct queue *base, enum topic topic, struct loop *loop,
	unsigned window, void (*on_record)(void *arg, struct record *record), void *arg);
void lmdb_consumer_stop(struct consumer *base);
void lmdb_abandon(struct record *base);
void lmdb_forward(
	struct record *base, enum topic topic, const Envelope *envelope, queue_cb cb, void *arg);
void lmdb_finish(struct record *base);
void lmdb_defer(struct record *base, Row *const *rows, size_t count, queue_cb cb, void *arg);
bool lmdb_look(struct queue *base, enum topic topic, queue_seen_cb on_seen, void *arg);
void lmdb_row_put(struct queue *base, const Row *row, queue_cb cb, void *arg);
void lmdb_row_remove(struct queue *base, const Row *row, queue_cb cb, void *arg);
struct rows *lmdb_rows_open(struct queue *base, enum rows_scope scope, struct loop *loop,
	const struct rows_subscriber *subscriber, void *arg);
void lmdb_rows_close(struct rows *base);
bool lmdb_rows_mine(struct rows *base, int partition);
size_t lmdb_rows_due(struct rows *base, const struct rows_place *from, size_t limit,
	queue_row_cb on_row, void *arg);
size_t lmdb_rows_scan(struct rows *base, int partition, const uint8_t *after_id,
	const char *after_site, size_t limit, queue_row_cb on_row, void *arg);
size_t lmdb_rows_of(struct rows *base, const uint8_t *id, queue_row_cb on_row, void *arg);
uint64_t lmdb_rows_count(struct rows *base, const char *site);
void lmdb_config_put(struct queue *base, const char *key, const char *json, queue_cb cb, void *arg);
struct config_subscriber *lmdb_config_subscribe(struct queue *base, struct loop *loop,
	void (*on_entry)(void *arg, const char *key, const char *json), void *arg);
void lmdb_config_unsubscribe(struct config_subscriber *base);
size_t lmdb_bad_scan(struct queue *base, const void *from, size_t from_length, size_t limit,
	queue_bad_cb on_bad, void *arg);
void
lmdb_bad_remove(struct queue *base, const void *key, size_t key_length, queue_cb cb, void *arg);
int lmdb_space(const struct queue *base);

/* lmdb_reader.c */
struct reader *reader_begin(struct lmdb_queue *queue);
void reader_end(struct lmdb_queue *queue, struct reader *reader);
/* Dies: after a failed read of the environment nothing sensible can be done. */
void lmdb_die(const char *what, int rc) __attribute__((noreturn));
void readers_close(struct lmdb_queue *queue);

/* lmdb_op.c */
struct op *
op_new(struct lmdb_queue *queue, enum op_kind kind, size_t packed_size, queue_cb cb, void *arg);
void op_submit(struct lmdb_queue *queue, struct op *op);
void op_list_add(struct op_list *list, struct op *op);
/* Whether somebody waits for the answer. Then the writer commits without waiting for more. */
bool op_is_urgent(const struct op *op);

/* lmdb_writer.c */
void writer_start(struct lmdb_queue *queue);
void writer_stop(struct lmdb_queue *queue);
/* Answers operations that wait for longer than LATE_MS. On the housekeeper. */
void writer_answer_late(struct lmdb_queue *queue);

/* lmdb_body.c */
struct body_info {
	bool there, spilled;
	uint64_t size;
};
int body_find(struct lmdb_queue *queue, MDB_txn *txn, const uint8_t *id, struct body_info *out);
/* Stores the body of an operation. The id has none yet. */
int body_put(struct lmdb_queue *queue, MDB_txn *txn, const struct op *op);
/* Removes the body, and tells what it was. The file of a spilled body is left alone. */
int body_remove(
	struct lmdb_queue *queue, MDB_txn *txn, const uint8_t *id, const struct body_info *body);
/* Copies bytes of a body that is not spilled. MDB_NOTFOUND when a piece is missing. */
int body_copy(struct lmdb_queue *queue, MDB_txn *txn, const uint8_t *id, uint64_t offset,
	size_t length, unsigned char *out);

/* lmdb_apply.c: 0 or an LMDB error. The error for the caller goes to op->err. */
int apply(struct lmdb_queue *queue, MDB_txn *txn, struct op *op);

#define BAD_ROWS "rows/" /* keys of rows in the table bad: this, then the row's key */
#define BAD_ROWS_LENGTH (sizeof BAD_ROWS - 1)

/* lmdb_bad.c: the writer will set the entry aside. */
void report_bad(struct lmdb_queue *queue, const char *table, const MDB_val *key);

/* lmdb_rows.c: writes one row_item with its site and Row. `out` NULL: only measures. */
size_t row_pack(unsigned char *out, const Row *row);

/* lmdb_space.c */
void space_open(struct lmdb_queue *queue, uint64_t map_size);
/* Writer: whether new mail of so many bytes leaves the reserve, which emptying the queue needs. */
bool space_fits(struct lmdb_queue *queue, uint64_t bytes);
/* Housekeeper: renews the answer of queue_space(). */
void space_refresh(struct lmdb_queue *queue);
uint64_t space_used(struct lmdb_queue *queue);

/* lmdb_memory.c */
void memory_open(struct lmdb_queue *queue);
/* Housekeeper. */
void memory_release(struct lmdb_queue *queue);

/* lmdb_consumer.c */
void consumers_wake(struct lmdb_queue *queue, enum topic topic);
void consumers_close(struct lmdb_queue *queue);
/* The operation on a record has ended. On the consumer's loop. */
void record_done(struct lmdb_record *record, int err);

/* lmdb_config.c */
void config_changed(struct lmdb_queue *queue, const struct op *op);
void config_subscriber_begin(struct lmdb_queue *queue, struct op *op);
void config_close(struct lmdb_queue *queue);

/* lmdb_spool.c */
int spool_open(struct lmdb_queue *queue);
void spool_close(struct lmdb_queue *queue);
void spool_submit(struct lmdb_queue *queue, struct op *op);
int spool_read(struct lmdb_queue *queue, const uint8_t *id, uint64_t offset, size_t length,
	void *out, size_t *length_out);

#endif
