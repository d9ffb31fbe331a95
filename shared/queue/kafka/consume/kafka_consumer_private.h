/*
 * kafka_consumer_private.h - what the files of a group's member share.
 *
 * kafka_consumer.c   the member: its handle, polling, handing out, stopping
 * kafka_partition.c  a partition from its assignment to its loss, its records
 * kafka_commit.c     commits, the lease, the promise, trimming, reading what was committed
 * kafka_bad.c        what could not be read
 *
 * Everything here runs on the consumer's loop. After the loop's end it runs in the thread that
 * closes the queue.
 */
#ifndef SHARED_KAFKA_CONSUMER_PRIVATE_H
#define SHARED_KAFKA_CONSUMER_PRIVATE_H

#include <stdbool.h>
#include <stdint.h>

#include <event2/event.h>
#include <event2/event_struct.h>
#include <uthash.h>

#include "shared/base/timer.h"
#include "shared/queue/kafka/client/kafka_client.h"
#include "shared/queue/kafka/client/kafka_record.h"
#include "shared/queue/kafka/consume/kafka_consumer.h"
#include "shared/queue/kafka/consume/kafka_offsets.h"

/*
 * The steps of a partition on its way to being read. Fetching begins once all partitions of an
 * assignment are READY; after ASSIGN_PATIENCE_MS it begins with those that are.
 */
enum partition_state {
	PARTITION_FOREIGN,  /* somebody else's */
	PARTITION_CLAIMING, /* kafka_state.c writes a claim and replays; mail.ready only */
	PARTITION_FAILED,   /* the claim failed: again with the next tick */
	PARTITION_CLAIMED,  /* its committed offset is to be read */
	PARTITION_ASKED,    /* ... and was asked for */
	PARTITION_READY,
	PARTITION_RUNNING,
};

/* Records in hand of an account, and the bytes of their bodies that are kept. */
struct account_use {
	UT_hash_handle hh;
	size_t records, bytes;
	char account[];
};

struct consumer_record {
	struct kafka_record head;
	struct partition *partition;
	int64_t offset;
	struct account_use *use; /* its account */
	size_t kept_bytes;
	uint64_t arrived_ms;
	struct consumer_record *next, **at; /* among the partition's, in the order they came */
};

struct partition {
	struct kafka_consumer *consumer;
	int32_t number;
	enum partition_state state;
	unsigned claims; /* claims without an answer; the last one's answer counts */
	rd_kafka_queue_t *queue;
	struct kafka_offsets *offsets; /* from READY on */
	struct consumer_record *records, **records_last;
	int64_t seen; /* behind the newest offset that ever came; a record below may be in hand */
	int64_t promised; /* no record from here on may be handed out before the next commit */
	int64_t promise_asked;
	int64_t redelivered_below; /* INT64_MAX: below what the log holds when it is first read */
	int64_t committed, trimmed;
	uint64_t trimmed_ms;
	struct consumer_record *pending; /* one of `records`: from it on they wait for a commit */
};

#define ASSIGN_PATIENCE_MS 5000
#define PROMISE 256 /* records of a partition that may be handed out beyond its last commit */
#define DOUBTS 8192 /* slots: a message in each at most */

struct kafka_consumer {
	struct consumer base;
	struct kafka_consumer *next; /* of the queue; under its consumers_lock */
	struct kafka_queue *queue;
	enum kafka_topic topic;
	const char *group;
	char *identity; /* group.instance.id */
	struct loop *loop;
	unsigned window, near, load; /* by weight */
	bool stuck;                  /* so the window counts, else `near` */
	unsigned in_hand;
	struct account_use *accounts; /* accounts with records in hand */
	size_t kept_bytes;     /* of bodies that are kept; a file counts as QUEUE_INLINE_MAX */
	size_t kept_bytes_max; /* of mail.inbound */
	void (*on_record)(void *arg, struct record *record);
	void *arg;
	rd_kafka_t *rk;
	rd_kafka_queue_t *main, *answers; /* answers: of the admin calls */
	int eventfd;
	struct event readable;
	struct timer second;
	struct task start, more;
	bool started, more_posted, handing_out, stopped, closed;
	struct partition **partitions; /* by number; those never assigned are NULL */
	int32_t partitions_count, turn;
	bool assigning; /* librdkafka waits for our rd_kafka_assign() */
	uint64_t assigning_ms;
	bool committing, commit_wanted;
	uintptr_t commits_sent;
	uint64_t commit_sent_ms; /* the last of them; clock_boot_ms() */
	bool leaving;            /* nothing more is handed out of the partitions it has */
	struct ask *ask;         /* what was committed: the question that is under way */
	bool ask_failed;         /* so wait for the next tick */
	uint64_t doubts[DOUBTS]; /* messages that came as Envelope.again lately; is_doubtful() */
	struct {
		struct metric *in_hand, *lag, *oldest, *commits, *commit_failures, *rebalances;
		struct metric *redelivered, *trimmed, *bad;
	} metric;
};

/* kafka_partition.c */
void
partitions_gain(struct kafka_consumer *consumer, const rd_kafka_topic_partition_list_t *partitions);
void partitions_lose(struct kafka_consumer *consumer);
/* Takes each partition's next step: claims again, asks for offsets, assigns. */
void partitions_advance(struct kafka_consumer *consumer, bool tick);
struct partition *partition_of(struct kafka_consumer *consumer, int32_t number);
/* What was committed for the partition is known. offset < 0: nothing was. */
void partition_resume(struct partition *partition, int64_t offset, const char *text, size_t length);
/* Makes a message of the partition's queue a record in hand. NULL when the message is finished or
 * in hand already, or could not be read. */
struct consumer_record *
partition_take(struct partition *partition, const rd_kafka_message_t *message);
/* Whether a record of this offset may be handed out by now. */
bool partition_may_give(const struct partition *partition, int64_t offset);
void partitions_free(struct kafka_consumer *consumer);
void record_free(struct consumer_record *record);

/* kafka_consumer.c: there may be something to hand out. */
void consumer_more(struct kafka_consumer *consumer);

/* kafka_commit.c */
void commit(struct kafka_consumer *consumer);
/* Commits soon, because a promise runs out. */
void commit_early(struct kafka_consumer *consumer);
void ask_committed(struct kafka_consumer *consumer);
/* ask_poll() takes the answer if it has come; ask_end() waits for it. */
void ask_poll(struct kafka_consumer *consumer);
void ask_end(struct kafka_consumer *consumer);
/* Trims what is committed once more: the member that should have done so may have failed. */
void trim_again(struct partition *partition);
void on_admin_event(struct kafka_consumer *consumer, rd_kafka_event_t *event);

/* kafka_bad.c: keeps a record that has no readable envelope; false when that failed. */
bool bad_keep(struct kafka_queue *queue, const rd_kafka_message_t *message);

#endif
