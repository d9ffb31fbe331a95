/*
 * records.h - the topics of the queue: records and bodies, in and out. queue.h tells of threads and
 * errors.
 */
#ifndef SHARED_QUEUE_RECORDS_H
#define SHARED_QUEUE_RECORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/mail/envelope.h"
#include "shared/queue/call.h"

struct consumer;

/* Bodies up to this size travel in memory, larger ones as a spill file. */
#define QUEUE_INLINE_MAX (256u * 1024)
/* One queue_body() call hands over at most so many bytes. */
#define QUEUE_PIECE_MAX (64u * 1024)

/*
 * A body to put. Either `data` (<= QUEUE_INLINE_MAX), which stays the caller's and must not change
 * until the callback. Or `spill`, the name of a closed file in queue_spool_dir() of `size` bytes;
 * queue_put() takes the file over, whether it succeeds or not.
 */
struct body {
	const void *data;
	const char *spill;
	uint64_t size;
};

/* The directory for spill files, on the queue's file system. */
const char *queue_spool_dir(const struct queue *queue);

/* Whether the queue takes mail now: 0 or -ENOSPC. Cheap: ingress asks before it takes a message. */
int queue_space(const struct queue *queue);

/*
 * Appends a record. `cb` gets 0 when the record is durable. The envelope is packed before
 * queue_put() returns. When the embedded queue has the id already (a DSN made again after a crash),
 * the put counts as done: 0. In a cluster the record comes twice, and record_redelivered() says so.
 */
void queue_put(struct queue *queue, enum topic topic, const Envelope *envelope,
	const struct body *body, queue_cb cb, void *arg);

/*
 * Hands the topic's records to `on_record` on `loop`, oldest first. At most `window` are unfinished
 * at a time (by recipients_weight(), give or take a few records). At least once: a record whose
 * process died before it was finished comes again (record_redelivered()). Every record ends in
 * exactly one of queue_finish(), queue_forward(), queue_defer() and record_abandon(). In a cluster
 * a process has at most one consumer of a topic.
 */
struct consumer *queue_consume(struct queue *queue, enum topic topic, struct loop *loop,
	unsigned window, void (*on_record)(void *arg, struct record *record), void *arg);
/* From now on no record comes. On the consumer's loop. */
void consumer_stop(struct consumer *consumer);

const Envelope *record_envelope(const struct record *record); /* lives as long as the record */
/* Whether somebody may have worked on this record, or on another one of the message, before. */
bool record_redelivered(const struct record *record);
/* Gives the record back unfinished. The record comes again after the next start. */
void record_abandon(struct record *record);

/* Moves the message to the next topic with a new envelope. `cb` gets 0 when that is durable;
 * `record` has gone then. On an error the record is the caller's again, unfinished. */
void queue_forward(
	struct record *record, enum topic topic, const Envelope *envelope, queue_cb cb, void *arg);
/* Removes the record and its body for ever. */
void queue_finish(struct record *record);

/*
 * Reads the unfinished records of a topic, oldest first (in a cluster by partition), whoever has
 * them in hand. Blocks, for a disk or (QUEUE_SEEN_MS at most) for brokers. Mail goes on meanwhile:
 * a caller who reads the topics in the order of the flow, and the rows last, may see a message
 * twice but misses none. In a cluster a record that ended within the last second may be seen.
 * Returns whether everything was seen. False: `on_seen` returned false, a cluster has more than
 * QUEUE_SEEN_MAX records or QUEUE_SEEN_BYTES, or brokers did not answer in time.
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
 * Reads min(length, QUEUE_PIECE_MAX) bytes of a message's body from `offset` on. The bytes are
 * valid during the callback only; length 0 is the end of the body. err: 0, -ENOENT when there is no
 * such body (any more), another error when the body cannot be read now.
 */
typedef void (*queue_body_cb)(void *arg, int err, const void *data, size_t length);
void queue_body(struct queue *queue, const Envelope *envelope, uint64_t offset, size_t length,
	queue_body_cb cb, void *arg);

/* Where the body is, for people: "mail.deferred/3@1200", or a place in this machine's queue. */
#define QUEUE_PLACE_MAX 64
void queue_body_place(struct queue *queue, const Envelope *envelope, char out[QUEUE_PLACE_MAX]);

#endif
