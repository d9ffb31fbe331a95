/*
 * lmdb_writer.c - the one thread that writes: it commits whatever has queued up.
 *
 * While a commit waits for the disk the next batch gathers, so one fdatasync serves many
 * operations. Completions go out as one task for each loop and commit.
 *
 * Without room, the batch is tried again without new mail, which is refused. Operations that empty
 * the queue have a reserve (lmdb_space.c). Any other failure of a commit ends the process: after a
 * failed fdatasync nobody knows what is on the disk, and a second try would lie, since the kernel
 * drops the dirty mark. The next start reads what is really there.
 */
#include "shared/queue/lmdb/lmdb_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/queue/answers.h"
#include "shared/queue/lmdb/event_file.h"

/* What a batch may do. Without room the next level is tried. */
enum level { LEVEL_ALL, LEVEL_NO_PUTS, LEVEL_REMOVALS };

static void
op_answer(void *arg, int err)
{
	struct op *op = arg;

	if (op->record)
		record_done(op->record, err);
	if (op->cb)
		op->cb(op->arg, err);
	free(op);
}

/* Answers the operations of a list. A caller without a loop is called from here. */
static void
answer_all(struct op *ops)
{
	struct answers *answers = NULL;
	struct op *next;

	for (struct op *op = ops; op; op = next) {
		next = op->next;
		if (atomic_exchange(&op->state, OP_ANSWERED) == OP_ANSWERED)
			free(op);
		else
			answers_add(&answers, op->loop, op_answer, op, op->err);
	}
	answers_send(&answers);
}

/* The writer frees the operation when it comes to it; whoever asked hears now. A record in it is
 * the caller's again, so what is in the transaction already is not answered with -ETIMEDOUT: the
 * caller would work on, and the commit would take the record away or bring rows back. */
static void
answer_if_late(struct op *op, uint64_t now_us, struct answers **answers)
{
	int state = OP_QUEUED;

	if (!op->cb || now_us - op->asked_us < LATE_MS * UINT64_C(1000))
		return;
	if (!atomic_compare_exchange_strong(&op->state, &state, OP_ANSWERED)) {
		if (state != OP_APPLIED || op->record ||
			!atomic_compare_exchange_strong(&op->state, &state, OP_ANSWERED))
			return;
	}
	answers_add(answers, op->loop, op->cb, op->arg, -ETIMEDOUT);
}

void
writer_answer_late(struct lmdb_queue *queue)
{
	uint64_t now_us = clock_mono_us();
	struct answers *answers = NULL;

	pthread_mutex_lock(&queue->lock);
	for (struct op *op = queue->batch; op; op = op->next)
		answer_if_late(op, now_us, &answers);
	for (struct op *op = queue->pending.first; op; op = op->next)
		answer_if_late(op, now_us, &answers);
	for (struct op *op = queue->spooling.first; op; op = op->next)
		answer_if_late(op, now_us, &answers);
	for (int i = 0; i < 2; i++)
		if (queue->working[i])
			answer_if_late(queue->working[i], now_us, &answers);
	pthread_mutex_unlock(&queue->lock);
	answers_send(&answers);
}

static bool
is_full(int rc)
{
	return rc == MDB_MAP_FULL || rc == ENOSPC || rc == EDQUOT;
}

static bool
allowed(const struct op *op, enum level level)
{
	if (level == LEVEL_ALL)
		return true;
	if (level == LEVEL_NO_PUTS)
		return op->kind != OP_PUT;
	return op->kind == OP_FINISH || op->kind == OP_ROW_REMOVE || op->kind == OP_SUBSCRIBE;
}

/* One transaction with all operations that the level allows. */
static int
try_commit(struct lmdb_queue *queue, struct op *ops, enum level level)
{
	MDB_txn *txn;
	int rc = mdb_txn_begin(queue->env, NULL, 0, &txn);

	memset(queue->touched, 0, sizeof queue->touched);
	for (struct op *op = ops; op && !rc; op = op->next) {
		int state = OP_QUEUED;

		if (op->kind == OP_EVENT || op->cancelled)
			continue;
		op->given_up = !allowed(op, level);
		if (op->given_up) {
			op->err = -ENOSPC;
			continue;
		}
		if (!atomic_compare_exchange_strong(&op->state, &state, OP_TAKEN) &&
			state == OP_ANSWERED) {
			op->cancelled = true;
			continue;
		}
		rc = apply(queue, txn, op);
		state = OP_TAKEN;
		atomic_compare_exchange_strong(&op->state, &state, OP_APPLIED);
	}
	if (!rc)
		return mdb_txn_commit(txn);
	if (txn)
		mdb_txn_abort(txn);
	return rc;
}

static void
unlinks_drop(struct lmdb_queue *queue)
{
	struct op *next;

	for (struct op *op = queue->unlinks.first; op; op = next) {
		next = op->next;
		free(op);
	}
	queue->unlinks.first = NULL;
}

static void
unlinks_run(struct lmdb_queue *queue)
{
	struct op *next;

	for (struct op *op = queue->unlinks.first; op; op = next) {
		next = op->next;
		spool_submit(queue, op);
	}
	queue->unlinks.first = NULL;
}

/* Removes the files of spilled bodies whose put was refused. */
static void
unlink_refused(struct lmdb_queue *queue, struct op *ops)
{
	for (struct op *op = ops; op; op = op->next) {
		struct op *unlink;

		if (op->kind != OP_PUT || !op->spill || !(op->given_up || op->cancelled))
			continue;
		unlink = op_new(queue, OP_UNLINK, 0, NULL, NULL);
		memcpy(unlink->id, op->id, ID_SIZE);
		spool_submit(queue, unlink);
	}
}

static bool
has_work(const struct op *ops)
{
	for (; ops; ops = ops->next)
		if (ops->kind != OP_EVENT)
			return true;
	return false;
}

static uint64_t
new_bytes(const struct op *ops)
{
	uint64_t bytes = 0;

	for (; ops; ops = ops->next)
		if (ops->kind == OP_PUT)
			bytes += 2 * 4096 + (ops->spill ? 0 : ops->size) + ops->packed_size;
	return bytes;
}

/* Logs at most once a second that the level refuses operations. */
static void
say_full(struct lmdb_queue *queue, enum level level)
{
	const char *effect = level == LEVEL_NO_PUTS ? "new mail is refused"
						    : "only removals are possible";
	unsigned left_out;

	if (said_now(&queue->said_full, effect, 1000, &left_out))
		LOG_WARN("the queue is full", "effect", effect, SAID_LEFT_OUT(left_out));
}

/* Commits as much of the batch as there is room for. False: no room even for removals. */
static bool
commit(struct lmdb_queue *queue, struct op *ops)
{
	uint64_t bytes = new_bytes(ops);
	int level = bytes && !space_fits(queue, bytes) ? LEVEL_NO_PUTS : LEVEL_ALL;
	int rc;

	for (; level <= LEVEL_REMOVALS; level++) {
		if (level != LEVEL_ALL)
			say_full(queue, level);
		rc = try_commit(queue, ops, level);
		if (!rc) {
			unlinks_run(queue);
			unlink_refused(queue, ops);
			return true;
		}
		unlinks_drop(queue);
		if (!is_full(rc))
			die("the queue cannot be written", mdb_strerror(rc));
		atomic_store(&queue->full, true);
	}
	return false;
}

static void
after_commit(struct lmdb_queue *queue, struct op *ops)
{
	for (struct op *op = ops; op; op = op->next) {
		if (op->kind == OP_CONFIG && !op->err && !op->cancelled)
			config_changed(queue, op);
		else if (op->kind == OP_SUBSCRIBE)
			config_subscriber_begin(queue, op);
	}
	for (int topic = 0; topic < TOPIC_COUNT; topic++)
		if (queue->touched[topic])
			consumers_wake(queue, topic);
}

/* Events are acknowledged before the commit: they do not wait for it. */
static struct op *
write_events(struct lmdb_queue *queue, struct op *ops)
{
	struct op_list events = { 0 }, others = { 0 };
	struct op *next;

	for (struct op *op = ops; op; op = next) {
		next = op->next;
		if (op->kind != OP_EVENT) {
			op_list_add(&others, op);
			continue;
		}
		event_file_add(queue->events[op->event], (const char *)op->packed, op->packed_size);
		op_list_add(&events, op);
	}
	for (int i = 0; i < EVENT_CLASSES; i++)
		event_file_flush(queue->events[i]);
	pthread_mutex_lock(&queue->lock);
	queue->batch = others.first;
	pthread_mutex_unlock(&queue->lock);
	answer_all(events.first);
	return others.first;
}

/* Keeps removals for the next batch, ahead of new operations. A record whose removal was dropped
 * would come back at the next start as if it had never been delivered. */
static struct op *
keep_removals(struct lmdb_queue *queue, struct op *ops)
{
	struct op_list kept = { 0 }, failed = { 0 };
	struct op *next;

	for (struct op *op = ops; op; op = next) {
		next = op->next;
		atomic_int *state = &op->state;
		int taken = OP_APPLIED;

		if (!op->cb && allowed(op, LEVEL_REMOVALS)) {
			atomic_compare_exchange_strong(state, &taken, OP_QUEUED);
			queue->urgent += op_is_urgent(op);
			op_list_add(&kept, op);
		} else {
			op->err = -ENOSPC;
			op_list_add(&failed, op);
		}
	}
	if (kept.first) {
		*kept.last = queue->pending.first;
		if (!queue->pending.first)
			queue->pending.last = kept.last;
		queue->pending.first = kept.first;
	}
	return failed.first;
}

static void
write_batch(struct lmdb_queue *queue, struct op *ops)
{
	bool done = true;

	ops = write_events(queue, ops);
	if (has_work(ops))
		done = commit(queue, ops);
	if (done)
		after_commit(queue, ops);
	pthread_mutex_lock(&queue->lock);
	queue->batch = NULL;
	if (!done && !queue->closing)
		ops = keep_removals(queue, ops);
	pthread_mutex_unlock(&queue->lock);
	answer_all(ops);
	if (!done)
		usleep(200000);
}

/*
 * Waits for work. When nobody waits for that work, also waits a while for more. Under queue->lock.
 */
static void
await_work(struct lmdb_queue *queue)
{
	struct timespec until;
	uint64_t until_us;

	queue->waiting = true;
	while (!queue->urgent && !queue->closing) {
		if (!queue->pending.first) {
			pthread_cond_wait(&queue->wake, &queue->lock);
			continue;
		}
		until_us = queue->pending.first->asked_us + LAZY_US;
		if (clock_mono_us() >= until_us)
			break;
		until.tv_sec = (time_t)(until_us / 1000000);
		until.tv_nsec = (long)(until_us % 1000000 * 1000);
		pthread_cond_timedwait(&queue->wake, &queue->lock, &until);
	}
	queue->waiting = false;
}

/* Takes at most BATCH_BYTES of operations. Under queue->lock. */
static struct op *
take_batch(struct lmdb_queue *queue)
{
	struct op *first = queue->pending.first, *op = first;
	uint64_t bytes = 0;

	for (; op; op = op->next) {
		queue->urgent -= op_is_urgent(op);
		bytes += (op->spill ? 0 : op->size) + op->packed_size + 256;
		if (bytes >= BATCH_BYTES || !op->next)
			break;
	}
	if (op) {
		queue->pending.first = op->next;
		op->next = NULL;
	}
	queue->batch = first;
	return first;
}

static void *
writer_run(void *arg)
{
	struct lmdb_queue *queue = arg;
	struct op *batch;

	pthread_setname_np(pthread_self(), "queue-writer");
	pthread_mutex_lock(&queue->lock);
	for (;;) {
		await_work(queue);
		batch = take_batch(queue);
		if (!batch)
			break; /* closing, and everything is durable */
		pthread_mutex_unlock(&queue->lock);
		write_batch(queue, batch);
		pthread_mutex_lock(&queue->lock);
	}
	pthread_mutex_unlock(&queue->lock);
	return NULL;
}

void
writer_start(struct lmdb_queue *queue)
{
	thread_start(&queue->writer, writer_run, queue);
}

void
writer_stop(struct lmdb_queue *queue)
{
	pthread_mutex_lock(&queue->lock);
	queue->closing = true;
	pthread_mutex_unlock(&queue->lock);
	pthread_cond_signal(&queue->wake);
	pthread_join(queue->writer, NULL);
}
