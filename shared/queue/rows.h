/*
 * rows.h - waiting mail: the sender's rows (topic mail.state). queue.h tells of threads and errors.
 */
#ifndef SHARED_QUEUE_ROWS_H
#define SHARED_QUEUE_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/mail/envelope.h"
#include "shared/queue/call.h"

struct rows;

/* The longest Row.site, in bytes: LMDB's keys end at 511. */
#define QUEUE_SITE_MAX 400

/*
 * A row is a message at a site: its key is <id>/<site>. The message's body stays in the queue until
 * its last row is removed. A row with due_us 0 has no due time: it is held, or suspended.
 *
 * A row belongs to the partition of its message (Envelope.partition, 0 in the embedded queue). Only
 * the process that owns the partition writes the row; any other process gets -ECANCELED.
 */

/* One durable step: writes the rows and finishes the record; the body stays. `rows` is packed
 * before queue_defer() returns. On an error the record is the caller's again. */
void queue_defer(struct record *record, Row *const *rows, size_t count, queue_cb cb, void *arg);
/* Writes a row, or writes it anew (same id and site). `cb` may be NULL. */
void queue_row_put(struct queue *queue, const Row *row, queue_cb cb, void *arg);
/* Removes a row. The message's last row takes the body along. `cb` may be NULL. */
void queue_row_remove(struct queue *queue, const Row *row, queue_cb cb, void *arg);

/*
 * A view of the rows. ROWS_MINE: the rows of partitions that this process owns; in a cluster
 * partitions come and go. ROWS_ALL: every row, for reading only. `subscriber` (ROWS_MINE only, else
 * NULL) is called on `loop`, after rows_open() has returned:
 *
 *   gained: the partition's rows are complete, and this process may work on them. The partition's
 *           records of mail.ready come afterwards. It may come twice without a `lost`: read the
 *           rows again.
 *   lost:   from now on the rows are another process's. Start no more work on them; work under
 *           way may end. Writes for the partition fail (-ECANCELED); do not try them again. The
 *           partition may be gained again later.
 *
 * Open the view before queue_consume(TOPIC_READY).
 */
enum rows_scope { ROWS_MINE, ROWS_ALL };
#define ROWS_ANY (-1)
struct rows_subscriber {
	void (*gained)(void *arg, uint32_t partition);
	void (*lost)(void *arg, uint32_t partition);
};
struct rows *rows_open(struct queue *queue, enum rows_scope scope, struct loop *loop,
	const struct rows_subscriber *subscriber, void *arg);
void rows_close(struct rows **rows);
/*
 * Whether work on the partition's mail may start now; with ROWS_ANY, work on any mail at all. Ask
 * right before an attempt: a process that stood still, or cannot reach the brokers, may no longer
 * be the owner and cannot have heard `lost`. Mail waits while the answer is false, which may change
 * back.
 */
bool rows_mine(struct rows *rows, int partition);

/*
 * Reads rows, in place and at once. Each function returns how many rows it handed over; the callee
 * frees the Row with row_free(). A `limit` bounds one call: go on from where it ended.
 *
 *   due:  rows of one site from a place on. Rows without a due time come at 0.
 *   scan: rows by key, after the row (after_id, after_site); after_id NULL: from the start. Rows
 *         of one partition, or of all with ROWS_ANY.
 *   of:   the rows of one message.
 */
typedef void (*queue_row_cb)(void *arg, Row *row);
/* A site's rows lie in lanes, one lane for each account. A lane is ordered by (due_us, id). */
struct rows_place {
	const char *site;
	uint64_t lane; /* rows_lane() */
	uint64_t due_us;
	const uint8_t *id; /* after the row of this id; NULL: from `due_us` on */
	bool further;      /* goes on with the lanes after this one */
};
uint64_t rows_lane(const char *account);
size_t rows_due(struct rows *rows, const struct rows_place *from, size_t limit, queue_row_cb on_row,
	void *arg);
size_t rows_scan(struct rows *rows, int partition, const uint8_t *after_id, const char *after_site,
	size_t limit, queue_row_cb on_row, void *arg);
size_t rows_of(struct rows *rows, const uint8_t id[ID_SIZE], queue_row_cb on_row, void *arg);
/* How many rows the site has (NULL: all sites have), at once whatever their number. */
uint64_t rows_count(struct rows *rows, const char *site);
/* False: a cluster's rows are still being read, as after a start; more may follow. */
bool rows_complete(struct rows *rows);
/* Waits (QUEUE_SEEN_MS at most) until the view shows everything that was durable at the call.
 * False: it does not. For ROWS_ALL. */
bool rows_refresh(struct rows *rows);

#endif
