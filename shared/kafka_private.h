/*
 * kafka_private.h - what the files of the cluster's queue share.
 *
 *   caller's loop            broker        queue thread                       caller's loop
 *   queue_put(), ... -> produce -> ack -> [kafka_producer] -> completions, one task a loop
 *   on_record <- [kafka_consumer] <- fetch <- broker
 *
 * queue_kafka.c     opens and closes; what a put, a forward, a defer produces, in which order
 * kafka_client.c    settings of every handle (brokers, TLS, SASL), its log, its errors
 * kafka_producer.c  producers by kind of record (kafka_handle.c) and the queue thread that takes
 *                   their reports and answers (kafka_answers.c, kafka_tally.c); one batch of a
 *                   partition at a time (kafka_gate.c), large ones by turns (kafka_large.c)
 * kafka_consumer.c  a group's member: partitions, records in hand, commits, trimming; with
 *                   kafka_partition.c, kafka_commit.c, kafka_bad.c (kafka_consumer.h)
 * kafka_offsets.c   which offsets of a partition are finished, and the commit's metadata; pure
 * kafka_body.c      bodies by place: those of records in hand, and those used lately
 * kafka_reader.c    reads single records by offset
 * kafka_state.c     mail.state: claims, replay, lease, writing rows
 * kafka_follow.c, kafka_fold.c, kafka_rows.c, kafka_view.c, kafka_trim.c, kafka_renew.c
 *                   its parts: kafka_state_private.h
 * row_table.c       rows by key and by due time in a local LMDB, by partition
 * kafka_look.c      reads what is unfinished in a topic, whoever has it in hand
 * kafka_config.c    relay.config: those who watch it
 * kafka_events.c    mail.events: reading
 * kafka_stats.c     what waits in the whole cluster, and whether the brokers answer
 * kafka_topics.c    `shout topics`: creates and verifies; kafka_settings.c: what is right
 */
#ifndef SHARED_KAFKA_PRIVATE_H
#define SHARED_KAFKA_PRIVATE_H

#include <pthread.h>
#include <sys/queue.h>

#include <librdkafka/rdkafka.h>

#include "shared/loop.h"
#include "shared/queue_backend.h"
#include "shared/state_dir.h"

/*
 * -ETIMEDOUT after this. It is made up of waiting for others, of what librdkafka is given, and of
 * the two seconds by which that looks at its clock.
 */
#define LATE_MS QUEUE_LATE_MS
#define PATIENCE_MS(late_ms) ((late_ms) / 20)
#define DELIVERY_MS(late_ms) ((late_ms) / 5 * 4)
#define KAFKA_ENVELOPE "envelope" /* the header that holds the packed Envelope (state: Row) */
/* Who reads mail.inbound and mail.ready. */
#define KAFKA_GROUP_SCANNER "shout-scanner"
#define KAFKA_GROUP_SENDER "shout-sender"
extern const char *const kafka_group_name[TOPIC_COUNT];
/* The largest record on the wire: message_size_limit, its key and envelope. */
#define KAFKA_MESSAGE_MAX "67108864"

/* Numbers go into Envelope.body_topic: they are for ever. */
enum kafka_topic {
	KAFKA_NONE,
	KAFKA_INBOUND,
	KAFKA_READY,
	KAFKA_DEFERRED,
	KAFKA_STATE,
	KAFKA_EVENTS,
	KAFKA_CONFIG,
	KAFKA_TOPICS
};
extern const char *const kafka_topic_name[KAFKA_TOPICS]; /* "mail.inbound", ... */
enum kafka_topic kafka_topic_of(enum topic topic);

struct metric;

struct kafka_queue {
	struct queue base;
	const struct config *config;
	unsigned late_ms;    /* LATE_MS; tests shorten it */
	unsigned session_ms; /* of a group's members; 0: as it should be; tests shorten it */
	struct kafka_producer *producer;
	struct kafka_bodies *bodies;
	pthread_mutex_t consumers_lock;
	struct kafka_consumer *consumers;
	struct kafka_state *state;
	struct kafka_stats *stats;
	struct metric *events_lost;
	pthread_mutex_t watches_lock;
	pthread_cond_t watches_changed;
	struct kafka_watch *watches;
	struct state_dir state_dir;
	char *spool_dir;
	int spool_fd;
};

/*
 * kafka_client.c: a configuration with everything that all handles share (brokers, security,
 * logging), for the caller to add to. Never NULL; ends in rd_kafka_new().
 */
rd_kafka_conf_t *kafka_conf(const struct config *config);
/* Sets one property; a wrong one is a bug: it ends the process. */
void kafka_set(rd_kafka_conf_t *conf, const char *name, const char *value);
/* Sets each `offset` of the list to where the partition starts (RD_KAFKA_OFFSET_BEGINNING) or ends
 * (RD_KAFKA_OFFSET_END). Waits for `timeout_ms` at most. */
rd_kafka_resp_err_t kafka_find_offsets(
	rd_kafka_t *rk, rd_kafka_topic_partition_list_t *partitions, int64_t where, int timeout_ms);
/* Both of one partition; each wait is `timeout_ms` at most. */
rd_kafka_resp_err_t kafka_find_ends(rd_kafka_t *rk, enum kafka_topic topic, int32_t partition,
	int timeout_ms, int64_t *low, int64_t *high);
/* All of a topic, without offsets; NULL: the brokers do not answer. */
rd_kafka_topic_partition_list_t *
kafka_find_partitions(rd_kafka_t *rk, enum kafka_topic topic, int timeout_ms);
/* A record's, with the place of its body; NULL: it has none that can be read. */
Envelope *kafka_envelope(enum kafka_topic topic, const rd_kafka_message_t *message);
/* What became of a DeleteRecords request: its own error, or the first of a partition. */
rd_kafka_resp_err_t kafka_deleted(rd_kafka_event_t *event);
/* 0, -ETIMEDOUT, -ENOSPC or -EIO for what librdkafka calls an error. */
int kafka_errno(rd_kafka_resp_err_t err);

/*
 * kafka_producer.c. A record on its way. The caller embeds it and keeps it, and `value`, until
 * on_ack, which is called once, always on the queue thread. `key` and `header` (the packed
 * Envelope; none when header_size is 0) are copied. `value` NULL: a tombstone. `partition` is
 * explicit; RD_KAFKA_PARTITION_UA leaves it to the client.
 *
 * At most 100,000 records and 256 MB are under way by one of its handles: -ENOSPC beyond. Large
 * ones (1 MB) wait for their turn instead.
 *
 * on_ack comes after LATE_MS at the latest, with -ETIMEDOUT, where on_let_go is given: then the
 * message and, when it is a large one, its value have to stay until that is called, too, behind
 * on_ack, once. Without it on_ack may come as late again, for one that waited for others.
 */
struct kafka_message {
	enum kafka_topic topic;
	int32_t partition;
	const void *key, *header, *value;
	size_t key_size, header_size, value_size;
	void (*on_ack)(struct kafka_message *message, int err, int64_t offset);
	void (*on_let_go)(struct kafka_message *message);
	/* the producer's */
	uint64_t asked_us;
	bool answered;
	LIST_ENTRY(kafka_message) watched;
	struct kafka_handle *handle;
	struct kafka_gate *gate;
	struct kafka_message *next;
	void *copy;
	int err;
};
/* NULL after logging why. */
struct kafka_producer *kafka_producer_new(struct kafka_queue *queue);
/* Waits for what is under way, at most LATE_MS. */
void kafka_producer_free(struct kafka_producer **producer);
void kafka_produce(struct kafka_producer *producer, struct kafka_message *message);
/* From the queue thread: hands `cb` to `loop` (or calls it, when there is none) at the end of this
 * turn, together with all the others for that loop. */
void
kafka_answer(struct kafka_producer *producer, struct loop *loop, queue_cb cb, void *arg, int err);
/* Calls `fn` on the queue thread once after each turn's reports, before the answers go out: one
 * transaction for all rows of a turn (kafka_state.c). */
void kafka_on_turn(struct kafka_producer *producer, void (*fn)(void *arg), void *arg);

/*
 * kafka_body.c. Where a body is: topic, partition, offset of the record that carries it, whose key
 * is the message's id: a record of another key is not it, whatever went wrong with the place or the
 * topic. A body up to QUEUE_INLINE_MAX is kept in memory, a larger one in a file of the spool
 * directory. Bodies in use are pinned; others stay within a bound, longest unused go first. From
 * any thread.
 */
struct kafka_place {
	enum kafka_topic topic;
	int32_t partition;
	int64_t offset;
	uint8_t id[ID_SIZE];
};
struct kafka_body;
struct kafka_bodies *kafka_bodies_new(struct kafka_queue *queue);
void kafka_bodies_free(struct kafka_bodies **bodies);
struct kafka_place kafka_place_of(const Envelope *envelope);
struct kafka_place kafka_place_new(
	enum kafka_topic topic, int32_t partition, int64_t offset, const uint8_t id[ID_SIZE]);
/* Takes in the body of a record that was just received (copied), pinned. */
struct kafka_body *kafka_body_keep(
	struct kafka_bodies *bodies, struct kafka_place place, const void *data, size_t size);
void kafka_body_pin(struct kafka_body *body); /* once more */
void kafka_body_unpin(struct kafka_body *body);
/* Finds it or reads it from the broker; then `on_body` on `loop` with it pinned, or with NULL and
 * -ENOENT (it is not there any more), -ETIMEDOUT. May call back before it returns. */
typedef void (*kafka_body_cb)(void *arg, int err, struct kafka_body *body);
void kafka_body_get(struct kafka_bodies *bodies, struct kafka_place place, struct loop *loop,
	kafka_body_cb on_body, void *arg);
/* queue_body() */
void kafka_body_read(struct queue *base, const Envelope *envelope, uint64_t offset, size_t length,
	queue_body_cb cb, void *arg);
/* All of it, in memory or mapped, valid while it is pinned: for producing it on. */
const void *kafka_body_data(struct kafka_body *body, size_t *size_out);

/*
 * kafka_consumer.c. One consumer of a topic in this process, on its loop. Of mail.ready, partitions
 * are claimed through kafka_state.c before their records come.
 */
struct consumer *kafka_consume(struct queue *base, enum topic topic, struct loop *loop,
	unsigned window, void (*on_record)(void *arg, struct record *record), void *arg);
void kafka_consumer_stop(struct consumer *base);
/* A last commit, and out of the group. For the end of the queue, first of all: no consumer's loop
 * runs any more, and none is freed later. */
void kafka_consumers_close(struct kafka_queue *queue);
void kafka_abandon(struct record *base);
void kafka_finish(struct record *base);
/* What kafka_state.c and queue_kafka.c need of a record: its partition, the loop it is handled on,
 * its body (pinned while it is in hand; NULL: of mail.inbound, it has to be read again). */
int32_t kafka_record_partition(const struct record *record);
struct loop *kafka_record_loop(const struct record *record);
struct kafka_body *kafka_record_body(const struct record *record);
/* One that was read again: its pin is the record's. */
void kafka_record_take_body(struct record *record, struct kafka_body *body);
struct kafka_queue *kafka_record_queue(const struct record *record);

/*
 * kafka_state.c. Owner's half, called by the consumer of mail.ready on its loop:
 *   claim:   writes the claim, replays mail.state up to it, opens the partition's rows, tells the
 *            view `gained`, then on_claimed on `loop`. err: the claim failed; try again. Each
 *            claim is answered once; -ECANCELED when the partition is released meanwhile.
 *   release: the partition is somebody else's: tells the view `lost`; its writes fail from now on.
 *   leased:  a commit that was sent at `sent_ms` (clock_boot_ms()) succeeded: attempts and row
 * writes may start until 40 s after it. A claim gives no lease. kafka_state_free() waits for what
 * is under way, so it comes before kafka_producer_free().
 */
struct kafka_state *kafka_state_new(struct kafka_queue *queue);
void kafka_state_free(struct kafka_state **state);
void kafka_state_claim(struct kafka_state *state, int32_t partition, struct loop *loop,
	void (*on_claimed)(void *arg, int32_t partition, int err), void *arg);
void kafka_state_release(struct kafka_state *state, int32_t partition);
/* Claims from that loop that are under way are not answered any more: it ends. */
void kafka_state_forget_claims(struct kafka_state *state, const struct loop *loop);
void kafka_state_leased(struct kafka_state *state, uint64_t sent_ms);
void kafka_defer(struct record *base, Row *const *rows, size_t count, queue_cb cb, void *arg);
void kafka_row_put(struct queue *base, const Row *row, queue_cb cb, void *arg);
void kafka_row_remove(struct queue *base, const Row *row, queue_cb cb, void *arg);
struct rows *kafka_rows_open(struct queue *base, enum rows_scope scope, struct loop *loop,
	const struct rows_watch *watch, void *arg);
void kafka_rows_close(struct rows *base);
size_t kafka_rows_due(struct rows *base, const struct rows_place *from, size_t limit,
	queue_row_cb on_row, void *arg);
size_t kafka_rows_scan(struct rows *base, int partition, const uint8_t *after_id,
	const char *after_site, size_t limit, queue_row_cb on_row, void *arg);
size_t kafka_rows_of(struct rows *base, const uint8_t *id, queue_row_cb on_row, void *arg);
uint64_t kafka_rows_count(struct rows *base, const char *site);
bool kafka_rows_complete(struct rows *base);
bool kafka_rows_refresh(struct rows *base);
bool kafka_rows_mine(struct rows *base, int partition);
/* Where the body of a message that waits is now, when that is not where its envelope says any more:
 * it was deferred since, or appended anew. False: no row of ours has it. */
bool kafka_state_place(struct kafka_state *state, int32_t partition, const uint8_t id[ID_SIZE],
	struct kafka_place *place_out);
/* The body of a message that waits is gone: somebody has to look. */
void kafka_state_bodiless(struct kafka_state *state, int32_t partition, const uint8_t id[ID_SIZE]);
/* queue_clock_us() */
uint64_t kafka_clock_us(struct queue *base);
/* Rows of the partitions that are ours, and what cannot be read, for queue_stats(). */
void kafka_state_count(struct kafka_state *state, struct queue_stats *out);
/* queue_bad_scan(), queue_bad_remove(): of rows, in kafka_view.c. */
size_t kafka_bad_rows_scan(struct queue *base, const void *from, size_t from_length, size_t limit,
	queue_bad_cb on_bad, void *arg);
void kafka_bad_rows_remove(
	struct queue *base, const void *key, size_t key_length, queue_cb cb, void *arg);
/* kafka_bad.c: of rows, and what this process set aside of other topics. */
size_t kafka_bad_scan(struct queue *base, const void *from, size_t from_length, size_t limit,
	queue_bad_cb on_bad, void *arg);
void
kafka_bad_remove(struct queue *base, const void *key, size_t key_length, queue_cb cb, void *arg);
const char *kafka_bad_machine(const struct queue *base);
uint64_t kafka_bad_count(const struct kafka_queue *queue);

/* kafka_look.c: queue_look() */
bool kafka_look(struct queue *base, enum topic topic, queue_seen_cb on_seen, void *arg);

/* kafka_config.c, kafka_events.c */
struct config_watch *kafka_config_watch(struct queue *base, struct loop *loop,
	void (*on_entry)(void *arg, const char *key, const char *json), void *arg);
void kafka_config_unwatch(struct config_watch *base);
/* Waits for what watched; all have been unwatched. */
void kafka_config_close(struct kafka_queue *queue);
struct event_reader *kafka_events_open(
	struct queue *base, uint64_t since_us, const char *place);

/* kafka_stats.c: asks the brokers every few seconds, on a thread of its own. */
struct kafka_stats *kafka_stats_new(struct kafka_queue *queue);
void kafka_stats_free(struct kafka_stats **stats);
void kafka_stats_read(struct kafka_stats *stats, struct queue_stats *out);
/* queue_space() */
int kafka_stats_space(const struct kafka_stats *stats);

#endif
