/*
 * queue_private.h - what the files of the embedded queue share.
 *
 *   caller's loop             writer thread                          caller's loop
 *   queue_put(), ... -> op -> [pending] -> [batch] -> LMDB commit -> completions, one task a loop
 *                         \-> spool pool (spilled bodies: fdatasync, rename, fsync) -> [pending]
 *
 * queue_lmdb.c opens, closes and reads; queue_writer.c is the writer thread; queue_apply.c says
 * what each operation does to the tables; queue_space.c knows what room there is; queue_memory.c
 * keeps RSS small; queue_consumer.c hands out records; queue_rows.c is waiting mail;
 * queue_config.c watches relay.config; queue_spool.c keeps spilled bodies and the small pool for
 * what must not hold up the writer; event_file.c keeps the events.
 *
 * Tables:
 *   body     id                  -> 'i' bytes, or 's' size (the file spool/<id text> is the body)
 *   inbound, ready
 *            sequence, 8 bytes big-endian -> packed Envelope
 *   rows     id site             -> due_us (8 bytes, host order) packed Row
 *   due      site NUL due_us (8 bytes big-endian) id -> nothing; rows with a due time only
 *   parked   id                  -> nothing: its topic record is gone, its rows hold the body
 *   config   key                 -> JSON
 *   bad      table name '/' key  -> what could not be read, for a human
 * A body goes when its topic record goes and no row is there, or with the last row once parked.
 */
#ifndef SHARED_QUEUE_PRIVATE_H
#define SHARED_QUEUE_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>

#include <lmdb.h>

#include "shared/loop.h"
#include "shared/queue.h"

#define BATCH_BYTES (4u * 1024 * 1024) /* of one transaction */
#define LATE_MS 20000                  /* -ETIMEDOUT after this */
#define LAZY_US 5000 /* removals nobody waits for may wait this long for company */
#define SITE_MAX 400 /* LMDB keys end at 511 bytes */

enum op_kind {
	OP_PUT,
	OP_FORWARD,
	OP_FINISH,
	OP_DEFER,
	OP_ROW_PUT,
	OP_ROW_REMOVE,
	OP_CONFIG,
	OP_WATCH,
	OP_BAD,    /* move a record or row that cannot be read to `bad` */
	OP_EVENT,  /* append to the event file */
	OP_UNLINK, /* pool: remove a spool file */
	OP_EVENTS, /* pool: sync and prune event files */
};

/* Who may answer: the watch (when late) and the writer race for it with atomic exchanges. */
enum op_state {
	OP_QUEUED,  /* the watch may cancel it: the caller's data is not needed any more then */
	OP_TAKEN,   /* the writer is reading the caller's data */
	OP_APPLIED, /* in the transaction; the watch may answer, it may still become durable */
	OP_ANSWERED,
};

struct op {
	struct op *next;
	enum op_kind kind;
	atomic_int state;
	int err;
	bool cancelled, given_up; /* writer: answered before it began; refused in this batch */
	enum topic topic, from;
	uint64_t sequence; /* of the record, in `from` */
	uint8_t id[ID_SIZE];
	struct loop *loop;
	queue_cb cb;
	void *arg;
	uint64_t asked_us; /* monotonic */
	struct record *record;
	const void *data; /* body, the caller's */
	uint64_t size;
	const char *spill; /* name of the offered file, behind the envelope in `packed` */
	struct watcher *watcher;
	size_t packed_size;
	unsigned char packed[];
};

/* One row inside an op's `packed`: this, the site, the packed Row. */
struct row_item {
	uint64_t due_us;
	uint32_t site_length, row_length;
};

/* A read transaction that is reset between uses. */
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

struct queue {
	MDB_env *env;
	MDB_dbi body, rows, due, parked, config, bad;
	struct topic_state topics[TOPIC_COUNT];
	int lock_fd, state_fd, spool_fd;
	char *spool_dir;
	struct event_file *events;
	unsigned min_free;
	void *map; /* of the environment's file; NULL: not found */
	size_t map_length;

	pthread_mutex_t lock; /* pending, batch, spooling, working, waiting, closing */
	pthread_cond_t wake;
	struct op_list pending;
	unsigned urgent;  /* of pending: somebody waits for them */
	struct op *batch; /* what the writer works on, linked by next */
	bool waiting, closing;
	pthread_t writer;

	struct op_list spooling;
	struct op *working[2];
	pthread_cond_t spool_wake;
	bool spool_closing, events_syncing;
	pthread_t pool[2];

	pthread_mutex_t watch_lock;
	pthread_cond_t watch_wake;
	bool watch_closing;
	pthread_t watch;

	pthread_mutex_t readers_lock;
	struct reader *readers;

	pthread_mutex_t consumers_lock;
	struct consumer *consumers;
	struct watcher *watchers; /* writer only */

	/* writer only */
	struct op_list unlinks; /* OP_UNLINKs for after the commit */
	bool touched[TOPIC_COUNT];
	uint64_t reserve, allocated, free_bytes, free_counted_us, said_full_us;

	atomic_bool full;
	atomic_ullong bad_count;
};

/* queue_lmdb.c */
struct reader *reader_begin(struct queue *queue);
void reader_end(struct queue *queue, struct reader *reader);
void put_be64(unsigned char *out, uint64_t value);
uint64_t get_be64(const unsigned char *in);
/* A read of the environment failed: nothing sensible can be done. */
void lmdb_die(const char *what, int rc) __attribute__((noreturn));

/* queue_writer.c */
struct op *
op_new(struct queue *queue, enum op_kind kind, size_t packed_size, queue_cb cb, void *arg);
void op_submit(struct queue *queue, struct op *op);
void op_list_add(struct op_list *list, struct op *op);
void writer_start(struct queue *queue);
void writer_stop(struct queue *queue);
/* Tells those who waited longer than LATE_MS; from the watch thread. */
void writer_answer_late(struct queue *queue);

/* queue_apply.c: 0 or an LMDB error; what the caller shall hear goes to op->err. */
int apply(struct queue *queue, MDB_txn *txn, struct op *op);
size_t row_key(unsigned char *key, const uint8_t *id, const char *site, size_t site_length);
size_t due_key(unsigned char *key, const char *site, size_t site_length, uint64_t due_us,
	const uint8_t *id);
#define ROW_KEY_MAX (ID_SIZE + SITE_MAX)
#define DUE_KEY_MAX (SITE_MAX + 1 + 8 + ID_SIZE)
void report_bad(struct queue *queue, const char *table, const MDB_val *key);

/* queue_rows.c: writes one row_item, its site and Row; `out` NULL only measures. */
size_t row_pack(unsigned char *out, const Row *row);

/* queue_space.c */
void space_open(struct queue *queue, uint64_t map_size);
/* Writer: whether new mail of so many bytes leaves the reserve for what empties the queue. */
bool space_fits(struct queue *queue, uint64_t bytes);
/* Watch thread, once a second: the answer of queue_space(). */
void space_refresh(struct queue *queue);
uint64_t space_used(struct queue *queue);

/* queue_memory.c */
void memory_open(struct queue *queue);
/* Watch thread, once a second. */
void memory_release(struct queue *queue);

/* queue_consumer.c */
void consumers_wake(struct queue *queue, enum topic topic);
void consumers_close(struct queue *queue);
/* A record's operation has come to its end, on its consumer's loop. */
void record_done(struct record *record, int err);

/* queue_config.c */
void config_changed(struct queue *queue, const struct op *op);
void config_watch_begin(struct queue *queue, struct op *op);
void config_close(struct queue *queue);

/* queue_spool.c */
int spool_open(struct queue *queue);
void spool_close(struct queue *queue);
void spool_submit(struct queue *queue, struct op *op);
int spool_read(struct queue *queue, const uint8_t *id, uint64_t offset, size_t length, void *out,
	size_t *length_out);

#endif
