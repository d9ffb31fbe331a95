/*
 * kafka_state_private.h - what the files of mail.state share.
 *
 *   sender's loop         queue thread         state thread                   sender's loop
 *   row_put, defer -> produce -> ack -> [kafka_rows] waits for -> [kafka_follow] -> callback
 *   claim          -> produce -> ack ->  the record, read back      row_cache   -> gained, claimed
 *
 * kafka_state.c   who owns a partition, until when, and who is told
 * kafka_rows.c    writing: body, then rows, then the record's end
 * kafka_zombie.c  answering what a process wrote that was not the owner any more
 * kafka_follow.c  reading: the log of each partition, folded into the cache, and nothing else
 * kafka_fold.c    what one record of it does to the cache
 * kafka_view.c    views of the rows
 * kafka_trim.c    mail.deferred: which bodies are needed
 * kafka_renew.c   and appending anew those that wait for long
 *
 * The cache is a function of the log alone. Records that this process wrote get there by being read
 * back, too, so that a record of another owner before, between or after ours has its right place.
 * The epoch of a row record is judged at the record's place: a row with an epoch below the newest
 * claim before it is a zombie's and changes nothing. Therefore a checkpoint is no more than an
 * offset.
 */
#ifndef SHARED_KAFKA_STATE_PRIVATE_H
#define SHARED_KAFKA_STATE_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/queue.h>

#include "shared/queue/kafka/client/kafka_queue.h"
#include "shared/queue/kafka/produce/kafka_producer.h"
#include "shared/queue/kafka/rows/row_cache.h"

#define LEASE_MS 40000 /* less than the session's 45 s */
#define CLAIM_KEY "claim/"
#define STATE_KEY_MAX (ID_TEXT_SIZE + 512)

struct metric;
struct probe;

/*
 * kafka_follow.c. Reads partitions of mail.state into a cache on a thread of its own. All hooks are
 * called on that thread; any may be NULL.
 */
struct follow_hooks {
	/* While records are folded; may be called again for the same record. */
	void (*claimed)(void *arg, int32_t partition, int64_t offset);
	void (*zombie)(void *arg, const rd_kafka_message_t *message, int64_t newest);
	/* An owner's tombstone: zombies' records of its key before it need no answer. */
	void (*removed)(void *arg, const rd_kafka_message_t *message);
	/* The checkpoint that is about to be stored. The hook may move it back. */
	void (*point)(void *arg, int32_t partition, struct row_point *point);
	/* The checkpoint is stored: every record before `next` is in the cache. */
	void (*folded)(void *arg, int32_t partition, int64_t next);
	/* The log ends before the offset that had been read: it is read again from the start. */
	void (*wiped)(void *arg, int32_t partition);
	/* At the end of each turn, at least ten a second. */
	void (*turn)(void *arg);
	void *arg;
	const char *file; /* of the cache, in state_dir; names its probe as well */
};
struct follower;
/* NULL after logging why. */
struct follower *follower_new(struct kafka_queue *queue, const struct follow_hooks *hooks);
/* Hooks may still be called, and use the follower, until this returns. */
void follower_free(struct follower **follower);
/* From any thread. Begins at the checkpoint, or from the start when that is of no use. */
void follower_want(struct follower *follower, int32_t partition, bool wanted);
void follower_wake(struct follower *follower);
struct row_cache *follower_cache(struct follower *follower);
/* Whether the cache cannot be written. It stays as it is until it can. */
bool follower_stuck(struct follower *follower);
/* Whether the cache holds all records that each partition had when its reading began. */
bool follower_complete(struct follower *follower);
/* Whether each partition of the list was read up to its offset. */
bool follower_reached(struct follower *follower, const rd_kafka_topic_partition_list_t *ends);
/* The brokers' time by the newest record read; 0: none was. */
uint64_t follower_clock_us(struct follower *follower);
/* Records still to be read until where the log ended when the reading began. */
uint64_t follower_remaining(struct follower *follower);
rd_kafka_t *follower_handle(struct follower *follower);
/* Answers to the owner's admin requests. */
rd_kafka_queue_t *follower_admin_answers(struct follower *follower);

/* kafka_fold.c: 0 or -errno of the cache's write. `epoch`: the newest claim's so far. */
int fold_record(struct row_cache *cache, const struct follow_hooks *hooks, int64_t *epoch,
	const rd_kafka_message_t *message);

enum ownership {
	OWNERSHIP_AWAY,
	OWNERSHIP_CLAIMING,  /* the claim is under way */
	OWNERSHIP_REPLAYING, /* our claim is in the log, and is not read yet */
	OWNERSHIP_OURS,
	OWNERSHIP_FENCED /* another claim came after ours; if the group keeps us, we claim again */
};

enum flight_kind { FLIGHT_CLAIM, FLIGHT_BODY, FLIGHT_ROW };

/* A record under way, from kafka_produce() until it has been read back. */
struct flight {
	struct kafka_message message;
	TAILQ_ENTRY(flight) link; /* rows: of its partition, in the order they were produced */
	struct flight *next_ack;
	struct kafka_state *state;
	enum flight_kind kind;
	struct write *write;   /* NULL: a claim, or the answer to a zombie */
	struct zombie *zombie; /* that is answered */
	uint64_t tenure;       /* the partition's when it was produced */
	uint64_t turn;         /* claims: the partition's */
	void (*on_claim)(struct kafka_state *state, const struct flight *claim); /* under lock */
	uint64_t number; /* rows: of the partition's */
	int64_t offset;
	int err;
	bool acked;
	unsigned char bytes[]; /* key, value or header */
};

struct renewal;

/* A call that waits for its records. */
struct write {
	TAILQ_ENTRY(write) link;
	struct loop *loop;
	queue_cb cb;
	void *arg;
	struct record *record;   /* to be deferred */
	struct kafka_body *body; /* pinned until the record of the body has come to an end: the
				    caller may have its own record again before that */
	struct renewal *renewal; /* of a body that is appended anew */
	Row **rows;              /* copies of the record's rows, until its body has its place */
	size_t row_count;
	int32_t partition;
	int64_t body_offset; /* where the rows point; < 0: not acknowledged, or no body */
	int64_t body_from;   /* body_offset will not be below this */
	unsigned left;
	int err;
	bool answered;
	uint64_t asked_ms;
};
TAILQ_HEAD(write_list, write);

/* A record of a process that was not the owner any more. */
struct zombie {
	TAILQ_ENTRY(zombie) link;
	int64_t offset, newest;
	uint64_t written_us;
	Row *row; /* the row of the last such record of its key; NULL: a tombstone */
	bool under_way;
	size_t key_size;
	char key[];
};

struct state_partition {
	enum ownership state; /* state_partition_enter() */
	int32_t number;
	int64_t epoch;        /* our claim's offset, from REPLAYING on */
	int64_t next;         /* read up to here */
	uint64_t turn;        /* counts claims: answers to an older claim are ignored */
	uint64_t tenure;      /* counts how often it was given to us; not our claims */
	int64_t newest_claim; /* that was read */
	uint64_t fenced_ms;
	int64_t body_end; /* behind our last body, or behind all bodies; -1: not known */
	int64_t trimmed;
	int64_t missing_to; /* below it bodies are gone, though rows may name some */
	/* A row that failed may be durable: its body is kept until one that was produced behind it
	 * has been read back. INT64_MAX: there is none. */
	int64_t doubtful_body;
	uint64_t doubtful_to, produced; /* counts row records */
	struct renewal *renewal;        /* of a body of the partition, under way */
	uint64_t renew_after_ms;
	bool told;         /* the view was told `gained` */
	bool again;        /* the view is to be told again, since the rows are read again */
	struct loop *loop; /* of on_claimed; NULL: nobody waits */
	void (*on_claimed)(void *arg, int32_t partition, int err);
	void *arg;
	TAILQ_HEAD(, flight) flying;
	TAILQ_HEAD(, zombie) zombies;
};

struct kafka_view {
	struct rows base;
	struct kafka_state *state;
	enum rows_scope scope;
	struct loop *loop;
	const struct rows_subscriber *subscriber;
	void *arg;
	atomic_uint uses; /* the view itself, and tasks on their way to `loop` */
	bool closed;      /* on `loop` */
};

struct kafka_state {
	struct kafka_queue *queue;
	atomic_ullong lease_ms; /* the lease ends then, by clock_boot_ms() */
	atomic_uint unacked;    /* flights */
	atomic_uint reading;    /* renewals */
	uint64_t renew_us;      /* bodies older than this are appended anew */
	uint64_t lag_us;        /* a zombie's record older than this may have replaced ours */
	uint64_t trim_ms;       /* from one trim to the next */

	pthread_mutex_t acks_lock; /* nothing is called with it held */
	struct flight *acks, **last_ack;

	pthread_mutex_t lock;
	struct follower *mine, *all; /* started when they are first needed */
	struct kafka_view *view;     /* ROWS_MINE */
	struct state_partition *partitions[ROW_PARTITIONS_MAX];
	int32_t partitions_count; /* all from here on are NULL */
	struct write_list writes; /* not all of their records have come to an end */
	struct write_list ended;  /* to be answered by the state thread */
	unsigned replaying;
	bool closing;
	uint64_t late_checked_ms, trimmed_ms;
	uint64_t all_ask_ms; /* the thread's that reads all: when to ask for partitions again */
	int32_t all_count;   /* ... and how many it knows */
	struct probe *probe;
	struct metric *owned, *rebuild_partitions, *rebuild_remaining, *claims, *zombies, *bodies,
		*bodiless, *bad;
};

/* kafka_state_partition.c; under lock. NULL: never claimed. */
struct state_partition *state_partition_of(struct kafka_state *state, int32_t number);
/* The only way to another state. Which states may follow each is a table in
 * kafka_state_partition.c. */
void state_partition_enter(struct state_partition *partition, enum ownership next);
bool
state_partition_leased(const struct kafka_state *state, const struct state_partition *partition);
/* Whether everything that the view shows may be worked on. */
bool state_leased(const struct kafka_state *state);
/* The follower that knows most: what operators look at. NULL: there is none yet. */
struct follower *state_shown(const struct kafka_state *state);
/* <id as text>/<site>; its length. */
size_t state_key(char key[STATE_KEY_MAX], const uint8_t *id, const char *site, size_t site_length);

/* kafka_state.c */
/* The follower of the scope, started when first asked for. NULL: it cannot be started. */
struct follower *state_follower(struct kafka_state *state, enum rows_scope scope);

/* kafka_flight.c */
void flight_produce(struct kafka_state *state, struct flight *flight);
struct flight *flight_new(struct kafka_state *state, enum flight_kind kind, int32_t partition,
	size_t key_size, size_t value_size);
/* A row under our epoch, its body at `body_offset` of mail.deferred (< 0: as the row says). */
struct flight *flight_of_row(struct kafka_state *state, const struct state_partition *partition,
	const Row *row, int64_t body_offset);
struct flight *flight_of_tombstone(struct kafka_state *state,
	const struct state_partition *partition, const char *key, size_t key_size);
bool key_is_flying(const struct state_partition *partition, const char *key, size_t key_size);

/* kafka_rows.c */
/* State thread: takes acknowledgements, ends what was read back, answers zombies and late calls. */
void rows_turn(struct kafka_state *state);
void rows_folded(struct kafka_state *state, struct state_partition *partition);
/* Under lock: the partition's flights fail. */
void rows_released(struct kafka_state *state, struct state_partition *partition);
void rows_free(struct kafka_state *state);

/* kafka_zombie.c: under lock. */
void
zombie_note(struct state_partition *partition, const rd_kafka_message_t *message, int64_t newest);
void zombie_free(struct state_partition *partition, struct zombie *zombie);
void zombies_settle(struct state_partition *partition, const rd_kafka_message_t *message);
void zombies_answer(struct kafka_state *state);
void zombie_answered(struct state_partition *partition, struct zombie *zombie, int err);
/* What became of a row of ours that was read back: 0 or -errno. */
int zombie_fate(const struct state_partition *partition, const struct flight *flight);

/* kafka_view.c: a turn of the follower of all partitions. */
void view_all_turn(void *arg);

/* kafka_trim.c: state thread. */
void trim_turn(struct kafka_state *state);
/* kafka_renew.c: state thread. */
void renew_turn(struct kafka_state *state);
/* Under lock: gives the write the rows that are to point to the new place. */
void renew_rows(struct kafka_state *state, struct write *write);
void renew_end(struct write *write, int err);
/* kafka_rows.c, under lock: appends the body and has its rows follow; ends in renew_end(). */
void renew_produce(struct kafka_state *state, struct state_partition *partition,
	const Envelope *envelope, struct kafka_body *body, struct renewal *renewal);
/* Where the row's body is in mail.deferred; < 0: it has none. Under lock. */
int64_t
body_place(struct kafka_state *state, const struct state_partition *partition, const Row *row);

#endif
