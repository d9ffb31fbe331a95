/*
 * rows.h - mail that waits.
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

#endif
