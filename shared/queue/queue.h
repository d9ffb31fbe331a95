/*
 * queue.h - the only way in or out of a topic. Two backends: queue_lmdb.c (one machine) and, in a
 * cluster, Kafka. Role code cannot tell which one it runs on.
 *
 * A record is one message with all its recipients: its envelope (protobuf) and its body, the
 * RFC 5322 bytes as they go on the wire without dot-stuffing.
 *
 * Threads: every callback arrives on the loop that made the call (loop_current() at that time); a
 * caller without a loop is called from one of the queue's own threads. A callback may come before
 * the call returns. A loop lives until the callbacks of its calls have come.
 *
 * Errors are negative errno values:
 *   -ENOSPC     the queue is full (map size, or less free disk than queue.min_free)   -> 452
 *   -ETIMEDOUT  not durable within 20 s; it may still become so                       -> 451
 *   -ENOENT     no such body or row
 *   -ECANCELED  the queue is closing
 * A write that the disk refused to make durable ends the process: nothing is known after that.
 */
#ifndef SHARED_QUEUE_H
#define SHARED_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/mail/envelope.h"

struct config;
struct loop;
struct queue;
struct consumer;
struct record;
struct config_watch;
struct rows;

enum topic { TOPIC_INBOUND, TOPIC_READY, TOPIC_COUNT };

/* What is asked of the queue is answered by then, with -ETIMEDOUT when it is slow. */
#define QUEUE_LATE_MS 20000

/* Bodies up to this size travel in memory, larger ones as a spill file. */
#define QUEUE_INLINE_MAX (256u * 1024)
/* The most that one queue_body() call hands over. */
#define QUEUE_PIECE_MAX (64u * 1024)
/* The longest Row.site, in bytes: LMDB's keys end at 511. */
#define QUEUE_SITE_MAX 400

/* Opens (and creates) the queue of `state_dir`; NULL after logging why. One process at a time. */
struct queue *queue_open(const struct config *config);
/* Waits until everything put so far is durable, then frees. No consumer loop may run any more. */
void queue_close(struct queue **queue);
/* Settings of the configuration that it was opened with have changed (config_live.h). */
void queue_reload(struct queue *queue);

typedef void (*queue_cb)(void *arg, int err);

/*
 * A body to put. Either `data` (<= QUEUE_INLINE_MAX), which stays the caller's and must not change
 * until the callback; or `spill`, the name of a closed file in queue_spool_dir() of `size` bytes,
 * which queue_put() takes over, whatever comes of it.
 */
struct body {
	const void *data;
	const char *spill;
	uint64_t size;
};

/* The directory for spill files, on the queue's file system. */
const char *queue_spool_dir(const struct queue *queue);

/* Whether the queue takes mail at the moment: 0 or -ENOSPC. Cheap, for the door. */
int queue_space(const struct queue *queue);

/*
 * Appends a record; `cb` with 0 once it is durable. The envelope is packed before this returns.
 * A record whose id the queue holds already (a DSN made again after a crash) is taken as done: 0;
 * or, in a cluster, it comes twice, and says so (record_redelivered()).
 */
void queue_put(struct queue *queue, enum topic topic, const Envelope *envelope,
	const struct body *body, queue_cb cb, void *arg);

/*
 * Hands the topic's records to `on_record` on `loop`, oldest first, never more than `window`
 * unfinished ones at a time (by recipients_weight(), give or take a few records). At least once: a
 * record whose process died before it was finished comes again (record_redelivered()). Every record
 * ends in exactly one of queue_finish(), queue_forward(), queue_defer() or record_abandon(). In a
 * cluster a process has at most one consumer of a topic.
 */
struct consumer *queue_consume(struct queue *queue, enum topic topic, struct loop *loop,
	unsigned window, void (*on_record)(void *arg, struct record *record), void *arg);
/* No record comes after this. On the consumer's loop. */
void consumer_stop(struct consumer *consumer);

const Envelope *record_envelope(const struct record *record); /* lives as long as the record */
/* Whether somebody may have worked on it before, or on another record of the same message. */
bool record_redelivered(const struct record *record);
/* Gives the record back unfinished: it comes again after the next start. */
void record_abandon(struct record *record);

/* On to the next stage with a new envelope; `cb` with 0 once durable, when `record` is gone. On an
 * error the record is the caller's again, unfinished. */
void queue_forward(
	struct record *record, enum topic topic, const Envelope *envelope, queue_cb cb, void *arg);
/* Done for ever: the record and its body are removed. */
void queue_finish(struct record *record);

/*
 * Reads the records of a topic that are not finished, oldest first (in a cluster by partition),
 * whoever has them in hand. Blocks, for a disk or (QUEUE_SEEN_MS at most) for brokers. Mail goes on
 * meanwhile: who reads the topics in the order of its flow, and the rows after them, may see it
 * twice but cannot miss it. In a cluster what ended within the last second may be among it.
 * Returns whether all was seen: not when `on_seen` returned false, when it is more than
 * QUEUE_SEEN_MAX records or QUEUE_SEEN_BYTES of a cluster, or when brokers do not answer in time.
 */
#define QUEUE_SEEN_MS 5000
#define QUEUE_SEEN_MAX 200000
#define QUEUE_SEEN_BYTES (128u << 20)
struct queue_seen {
	const Envelope *envelope; /* valid during the call */
	enum topic topic;
	uint64_t since_us; /* when it came into the topic; 0: the queue does not know */
};
typedef bool (*queue_seen_cb)(void *arg, const struct queue_seen *seen);
bool queue_look(struct queue *queue, enum topic topic, queue_seen_cb on_seen, void *arg);

/*
 * Reads min(length, QUEUE_PIECE_MAX) bytes of a message's body at `offset`. The bytes are valid
 * during the callback only. err: 0, -ENOENT when there is no such body (any more), another one when
 * it cannot be read now; length 0 at the end of the body.
 */
typedef void (*queue_body_cb)(void *arg, int err, const void *data, size_t length);
void queue_body(struct queue *queue, const Envelope *envelope, uint64_t offset, size_t length,
	queue_body_cb cb, void *arg);

/* Where the body is, for people: "mail.deferred/3@1200", or a place in this machine's queue. */
#define QUEUE_PLACE_MAX 64
void queue_body_place(struct queue *queue, const Envelope *envelope, char out[QUEUE_PLACE_MAX]);

/*
 * Waiting mail (the sender's rows, topic mail.state). A row is message x site: its key is
 * <id>/<site>. Its body stays in the queue until its last row is removed. A row whose due_us is 0
 * has no due time (it is held, or suspended).
 *
 * Rows belong to the partition of their message (Envelope.partition, 0 in the embedded queue); only
 * the process that owns it writes them: -ECANCELED to any other.
 */

/* One durable step: the rows are in, the record is finished, its body stays. `rows` is packed
 * before this returns. On an error the record is the caller's again. */
void queue_defer(struct record *record, Row *const *rows, size_t count, queue_cb cb, void *arg);
/* Writes a row anew (same id and site). `cb` may be NULL. */
void queue_row_put(struct queue *queue, const Row *row, queue_cb cb, void *arg);
/* Removes a row; the body goes with its message's last row. `cb` may be NULL. */
void queue_row_remove(struct queue *queue, const Row *row, queue_cb cb, void *arg);

/*
 * A view of the rows. ROWS_MINE: those of the partitions this process owns, which come and go in a
 * cluster; ROWS_ALL: every row there is, for reading only. `watch` (ROWS_MINE only, else NULL)
 * hears on `loop`, after rows_open() has returned:
 *   gained: the partition's rows are complete and this process's to work on. Its records of
 *           mail.ready come after that. It may come twice without a `lost`: read the rows again.
 *   lost:   they are somebody else's from now on. Nothing of it may be started any more; what is
 *           under way may end. Writes for it fail (-ECANCELED), and need not be tried again. The
 *           same partition may be gained again later.
 * Open the view before queue_consume(TOPIC_READY).
 */
enum rows_scope { ROWS_MINE, ROWS_ALL };
#define ROWS_ANY (-1)
struct rows_watch {
	void (*gained)(void *arg, uint32_t partition);
	void (*lost)(void *arg, uint32_t partition);
};
struct rows *rows_open(struct queue *queue, enum rows_scope scope, struct loop *loop,
	const struct rows_watch *watch, void *arg);
void rows_close(struct rows **rows);
/*
 * Whether work on the partition's mail may start now, or (ROWS_ANY) on any at all. Ask right before
 * an attempt: a process that was stopped, or that cannot reach the brokers, may not be the owner
 * any more and cannot have heard `lost`. Mail waits while this is false; it may become true again.
 */
bool rows_mine(struct rows *rows, int partition);

/*
 * Reading rows, in place and at once. Each returns how many it handed over; the Row is the
 * callee's to free with row_free(). A `limit` bounds one call: go on from where it ended.
 *   due:  rows of one site from a place on. Those without a due time come at 0.
 *   scan: rows by key, after the row (after_id, after_site); after_id NULL: from the start. Those
 *         of one partition, or of all with ROWS_ANY.
 *   of:   the rows of one message.
 */
typedef void (*queue_row_cb)(void *arg, Row *row);
/* A site's rows lie in lanes, one for each account, and in a lane by (due_us, id). */
struct rows_place {
	const char *site;
	uint64_t lane; /* rows_lane() */
	uint64_t due_us;
	const uint8_t *id; /* after this one; NULL: from `due_us` on */
	bool further;      /* then those of the lanes after it */
};
uint64_t rows_lane(const char *account);
size_t rows_due(struct rows *rows, const struct rows_place *from, size_t limit, queue_row_cb on_row,
	void *arg);
size_t rows_scan(struct rows *rows, int partition, const uint8_t *after_id, const char *after_site,
	size_t limit, queue_row_cb on_row, void *arg);
size_t rows_of(struct rows *rows, const uint8_t id[ID_SIZE], queue_row_cb on_row, void *arg);
/* How many rows a site has, or all (NULL): at once, whatever their number. */
uint64_t rows_count(struct rows *rows, const char *site);
/* False: a cluster's rows are still being read, as after a start; there may be more than shown. */
bool rows_complete(struct rows *rows);
/* Waits (QUEUE_SEEN_MS at most) until the view shows all that was durable when this was called;
 * false: it does not. Of ROWS_ALL. */
bool rows_refresh(struct rows *rows);

/*
 * relay.config: the truth for accounts, settings and operator rules. Keys are text
 * ("account/<id>", "rule/<id>"), values JSON; the last value of a key counts, an empty one removes.
 *   account/<id>    {"version","id","name","contact","status":"active|disabled|deleted","policy",
 *                    "display_address","limits":{...},"domains":[{"name","verified",
 *                    "mailboxes"}],"created_us"}; deleted: "deleted_us", "status_before", and
 *                    nothing of it is served, its users and addresses neither
 *   user/<name>     {"version","account","enabled","verifier","created_us"}
 *   ip/<network>    {"version","account","active","created_us"}
 *   owner           {"version","id"}: whose accounts these are (owner.h)
 *   rule/<number>   {"number","action":"retry|bounce|release","selector","accepted_before_us",
 *                    "by"}: an operator's command for the mail that matches the selector
 *                    (selector.h) and was accepted before it, wherever that is. Numbers are 20
 *                    digits in the key and grow, so that Row.rule says which are done. Kept 6
 *                    days, and as long as older mail is no row yet.
 *   audit/<number>  {"version","event","expects"}: a change whose event may not be written yet
 *                    (control/config/commit.c)
 *   suspension/<selector>  {"version","selector","reason","by","since_us","until_us"}: what
 *                    matches waits until the entry is removed, or (not 0) until then. In the key
 *                    stand the selector's fields as in a query, so that there is one for each.
 */
void
queue_config_put(struct queue *queue, const char *key, const char *json, queue_cb cb, void *arg);
/* Calls `on_entry` on `loop` with every entry there is (key order), then with key NULL once, then
 * with every change as it comes (json NULL: removed), until queue_config_unwatch(). */
struct config_watch *queue_config_watch(struct queue *queue, struct loop *loop,
	void (*on_entry)(void *arg, const char *key, const char *json), void *arg);
/* Nothing is told any more, and the loop may go. On that loop, `on_entry` included, or once it no
 * longer runs. NULL is fine. */
void queue_config_unwatch(struct config_watch **watch);

/* On one machine each class is kept apart, under caps of its own: strangers can make as many floods
 * as they like, and what operators changed is kept longer than mail is. */
enum event_class { EVENT_OF_MAIL, EVENT_FLOOD, EVENT_AUDIT, EVENT_CLASSES };
/* mail.events: one JSON object (no newline); `cb` (may be NULL) once it is on its way to disk. One
 * that cannot be written and has no `cb` goes to the log. Use event.h. */
void queue_event_put(struct queue *queue, enum event_class class, const char *json, size_t length,
	queue_cb cb, void *arg);
/* Reads what there is from `since_us` on, oldest first, until `on_event` returns false. Blocking,
 * for tests: event_reader.h reads in pieces. */
void queue_events_read(struct queue *queue, uint64_t since_us,
	bool (*on_event)(void *arg, const char *json, size_t length), void *arg);

/*
 * Records and rows that could not be read, and were set aside. A key is <table>/<key there>, bytes;
 * that of a row is "rows/" and the row's key. The value is what stood there.
 */
typedef void (*queue_bad_cb)(
	void *arg, const void *key, size_t key_length, const void *value, size_t length);
/* At once, up to `limit` by key from `from` on (itself included); how many. The bytes are valid
 * during the callback. The page behind a key starts at that key with a NUL behind it. */
size_t queue_bad_scan(struct queue *queue, const void *from, size_t from_length, size_t limit,
	queue_bad_cb on_bad, void *arg);
/* For ever; a row's body goes when no other row holds it. -ENOENT when it is not there. */
void
queue_bad_remove(struct queue *queue, const void *key, size_t key_length, queue_cb cb, void *arg);
/* Where the cluster's queue keeps on each machine what that set aside: the machine that these calls
 * are about, ours. NULL: they are about all there is. */
const char *queue_bad_machine(const struct queue *queue);

/* The time by the brokers' clock, as far as records that came lately tell; it may be behind, never
 * ahead. 0: not known, as for a queue that has no clock but ours. */
uint64_t queue_clock_us(struct queue *queue);

/* For metrics and tests: records in a topic, rows, and bytes used of the map. */
struct queue_stats {
	uint64_t records[TOPIC_COUNT];
	uint64_t rows;
	uint64_t used_bytes, map_bytes;
	uint64_t oldest_us[TOPIC_COUNT]; /* accepted_us of the oldest record, 0 when empty */
	uint64_t bodies;                 /* messages held, in topics or waiting */
	uint64_t bad;                    /* set aside, as above */
	uint64_t events_lost;            /* events that went to the log: nothing would take them */
};
void queue_stats(struct queue *queue, struct queue_stats *out);

#endif
