/*
 * kafka_rows.c - writing waiting mail in a cluster.
 *
 *   defer:  body ack -> rows' acks -> read back into the table -> record finished -> callback
 *   put:    row's ack -> read back into the table -> callback
 *   remove: likewise, with a tombstone
 *
 * sender -> [kafka_rows] -> mail.deferred, mail.state
 *
 * Only an owner with a lease writes. Without a lease a write fails with -ETIMEDOUT, since the lease
 * may be renewed. Once the partition is somebody else's, it fails with -ECANCELED. A row that is
 * durable but not read back in time is -ETIMEDOUT as well, and may be written again.
 */
#include "shared/queue/kafka/rows/kafka_state_private.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/log.h"
#include "shared/metrics/metrics.h"
#include "shared/queue/answers.h"
#include "shared/queue/kafka/body/kafka_body.h"
#include "shared/queue/kafka/client/kafka_record.h"
#include "shared/queue/kafka/rows/kafka_rows.h"

/* Calls. */

static void
on_answer(void *arg, int err)
{
	struct write *write = arg;

	if (write->record && !err)
		queue_finish(write->record);
	if (write->cb)
		write->cb(write->arg, err);
	free(write);
}

static struct write *
write_new(struct kafka_state *state, int32_t partition, queue_cb cb, void *arg)
{
	struct write *write = xcalloc(1, sizeof *write);

	write->loop = loop_current();
	write->cb = cb;
	write->arg = arg;
	write->partition = partition;
	write->body_offset = -1;
	write->asked_ms = clock_mono_ms();
	TAILQ_INSERT_TAIL(&state->writes, write, link);
	return write;
}

static void
rows_drop(struct write *write)
{
	for (size_t i = 0; i < write->row_count; i++)
		row_free(write->rows[i]);
	free(write->rows);
	write->rows = NULL;
	write->row_count = 0;
}

/* Under lock. A record of the call has come to its end. */
static void
write_part_done(struct kafka_state *state, struct write *write, int err)
{
	if (err)
		write->err = err;
	if (--write->left)
		return;
	rows_drop(write);
	TAILQ_REMOVE(&state->writes, write, link);
	TAILQ_INSERT_TAIL(&state->ended, write, link);
}

static void
note_doubt(struct state_partition *partition, const struct flight *flight, int err)
{
	const struct write *write = flight->write;

	if (!err && flight->number > partition->doubtful_to)
		partition->doubtful_body = INT64_MAX;
	if (!err || !write || write->body_offset < 0)
		return;
	partition->doubtful_to = partition->produced;
	if (write->body_offset < partition->doubtful_body)
		partition->doubtful_body = write->body_offset;
}

static void
flight_done(struct kafka_state *state, struct state_partition *partition, struct flight *flight,
	int err)
{
	note_doubt(partition, flight, err);
	TAILQ_REMOVE(&partition->flying, flight, link);
	if (flight->zombie)
		zombie_answered(partition, flight->zombie, err);
	if (flight->write)
		write_part_done(state, flight->write, err);
	free(flight);
}

/* Under lock. The error of a write that must not begin; 0: it may. */
static int
refusal(const struct kafka_state *state, const struct state_partition *partition)
{
	if (!partition || partition->state == OWNERSHIP_AWAY)
		return -ECANCELED;
	return state_partition_leased(state, partition) ? 0 : -ETIMEDOUT;
}

/* Under lock. Produces the row's record as part of a call. */
static void
write_row(struct kafka_state *state, struct write *write, struct flight *flight)
{
	flight->write = write;
	write->left++;
	flight_produce(state, flight);
}

void
kafka_row_put(struct queue *base, const Row *row, queue_cb cb, void *arg)
{
	struct kafka_state *state = ((struct kafka_queue *)base)->state;
	struct state_partition *partition;
	struct write *write;
	int64_t body;
	int err;

	pthread_mutex_lock(&state->lock);
	partition = state_partition_of(state, (int32_t)row->envelope->partition);
	err = refusal(state, partition);
	if (!err && (body = body_place(state, partition, row)) < 0)
		err = -ENOENT; /* rows come into being by deferring a record */
	if (!err) {
		write = write_new(state, partition->number, cb, arg);
		write->body_offset = body; /* the row may be the last to need it: no trimming */
		write_row(state, write, flight_of_row(state, partition, row, body));
	}
	pthread_mutex_unlock(&state->lock);
	if (err && cb)
		cb(arg, err);
}

void
kafka_row_remove(struct queue *base, const Row *row, queue_cb cb, void *arg)
{
	struct kafka_state *state = ((struct kafka_queue *)base)->state;
	char key[STATE_KEY_MAX];
	size_t key_size = state_key(key, row->envelope->id.data, row->site, strlen(row->site));
	struct state_partition *partition;
	struct write *write;
	int err;

	pthread_mutex_lock(&state->lock);
	partition = state_partition_of(state, (int32_t)row->envelope->partition);
	err = refusal(state, partition);
	if (!err) {
		write = write_new(state, partition->number, cb, arg);
		write_row(state, write, flight_of_tombstone(state, partition, key, key_size));
	}
	pthread_mutex_unlock(&state->lock);
	if (err && cb)
		cb(arg, err);
}

/* Deferring: first the body. */

static struct flight *
flight_of_body(struct kafka_state *state, const Envelope *envelope, struct kafka_body *body,
	int32_t partition)
{
	size_t size = envelope__get_packed_size(envelope), body_size;
	struct flight *flight = flight_new(state, FLIGHT_BODY, partition, ID_SIZE, size);

	memcpy(flight->bytes, envelope->id.data, ID_SIZE);
	envelope__pack(envelope, flight->bytes + ID_SIZE);
	flight->message.header = flight->bytes + ID_SIZE;
	flight->message.header_size = size;
	flight->message.value = kafka_body_data(body, &body_size);
	if (!flight->message.value)
		flight->message.value = "";
	flight->message.value_size = body_size;
	return flight;
}

void
kafka_defer(struct record *base, Row *const *rows, size_t count, queue_cb cb, void *arg)
{
	const struct kafka_record *record = kafka_record_of(base);
	struct kafka_state *state = record->queue->state;
	struct state_partition *partition;
	struct write *write;
	struct flight *flight;
	int err;

	pthread_mutex_lock(&state->lock);
	partition = state_partition_of(state, record->partition);
	err = refusal(state, partition);
	if (!err) {
		write = write_new(state, partition->number, cb, arg);
		write->record = base;
		write->body = record->body;
		kafka_body_pin(write->body);
		write->body_from = partition->body_end;
		write->loop = record->loop;
		write->rows = xmalloc(count * sizeof(Row *));
		write->row_count = count;
		for (size_t i = 0; i < count; i++)
			write->rows[i] = row_copy(rows[i]);
		write->left = 1;
		flight = flight_of_body(
			state, record_envelope(base), write->body, partition->number);
		flight->write = write;
		flight_produce(state, flight);
	}
	pthread_mutex_unlock(&state->lock);
	if (err && cb)
		cb(arg, err);
}

void
renew_produce(struct kafka_state *state, struct state_partition *partition,
	const Envelope *envelope, struct kafka_body *body, struct renewal *renewal)
{
	struct write *write = write_new(state, partition->number, NULL, NULL);
	struct flight *flight = flight_of_body(state, envelope, body, partition->number);

	write->renewal = renewal;
	write->body_from = partition->body_end;
	write->left = 1;
	flight->write = write;
	flight_produce(state, flight);
}

/* Whether the row's owner writes it at this moment. */
static bool
row_is_flying(const struct state_partition *partition, const Row *row)
{
	char key[STATE_KEY_MAX];
	size_t key_size = state_key(key, row->envelope->id.data, row->site, strlen(row->site));

	return key_is_flying(partition, key, key_size);
}

/* Under lock. The body is durable, so its rows are written and point to it. */
static void
body_acked(struct kafka_state *state, struct flight *flight)
{
	struct write *write = flight->write;
	struct state_partition *partition = state_partition_of(state, write->partition);
	int err = flight->err ? flight->err : refusal(state, partition);

	if (!flight->err && flight->offset >= partition->body_end)
		partition->body_end = flight->offset + 1;
	write->body_offset = flight->err ? -1 : flight->offset;
	if (!err && flight->tenure != partition->tenure)
		err = -ECANCELED;
	if (write->renewal && !err)
		renew_rows(state, write);
	for (size_t i = 0; i < write->row_count && !err && !write->answered; i++)
		if (!write->renewal || !row_is_flying(partition, write->rows[i]))
			write_row(state, write,
				flight_of_row(
					state, partition, write->rows[i], write->body_offset));
	if (write->renewal)
		renew_end(write, err);
	if (write->body)
		kafka_body_unpin(write->body);
	write->body = NULL;
	write_part_done(state, write, err);
	free(flight);
}

/* The state thread's turns. */

static void
row_acked(struct kafka_state *state, struct flight *flight)
{
	struct state_partition *partition = state_partition_of(state, flight->message.partition);

	flight->acked = true;
	if (flight->err)
		flight_done(state, partition, flight, flight->err);
	else if (partition->state == OWNERSHIP_AWAY || flight->tenure != partition->tenure)
		flight_done(state, partition, flight, -ECANCELED);
}

/* Ends the flights whose records were read back. */
void
rows_folded(struct kafka_state *state, struct state_partition *partition)
{
	struct flight *flight, *next;

	for (flight = TAILQ_FIRST(&partition->flying); flight; flight = next) {
		next = TAILQ_NEXT(flight, link);
		if (!flight->acked || flight->offset >= partition->next)
			return;
		flight_done(state, partition, flight, zombie_fate(partition, flight));
	}
}

void
rows_released(struct kafka_state *state, struct state_partition *partition)
{
	struct flight *flight, *next;

	for (flight = TAILQ_FIRST(&partition->flying); flight; flight = next) {
		next = TAILQ_NEXT(flight, link);
		if (flight->acked)
			flight_done(state, partition, flight, -ECANCELED);
	}
	follower_wake(state->mine);
}

static void
take_acks(struct kafka_state *state)
{
	struct flight *flight, *next;

	pthread_mutex_lock(&state->acks_lock);
	flight = state->acks;
	state->acks = NULL;
	pthread_mutex_unlock(&state->acks_lock);
	for (; flight; flight = next) {
		next = flight->next_ack;
		if (flight->kind == FLIGHT_CLAIM) {
			flight->on_claim(state, flight);
			free(flight);
		} else if (flight->kind == FLIGHT_BODY) {
			body_acked(state, flight);
		} else {
			row_acked(state, flight);
		}
	}
}

/* Under lock. A late call was answered, so its record is the caller's again. */
static void
answer_late(struct kafka_state *state)
{
	const uint64_t now = clock_mono_ms();
	struct answers *answers = NULL;
	struct write *write;

	if (now < state->late_checked_ms + 1000)
		return;
	state->late_checked_ms = now;
	TAILQ_FOREACH (write, &state->writes, link) {
		if (now < write->asked_ms + LATE_MS)
			break;
		if (write->answered || !write->cb || !write->loop)
			continue;
		write->answered = true;
		answers_add(&answers, write->loop, write->cb, write->arg, -ETIMEDOUT);
	}
	answers_send(&answers);
}

static void
answer_ended(struct write_list *ended)
{
	struct answers *answers = NULL;
	struct write *write;

	while ((write = TAILQ_FIRST(ended))) {
		TAILQ_REMOVE(ended, write, link);
		if (write->answered)
			free(write);
		else
			answers_add(&answers, write->loop, on_answer, write, write->err);
	}
	answers_send(&answers);
}

/* A turn. */

void
rows_turn(struct kafka_state *state)
{
	struct write_list ended = TAILQ_HEAD_INITIALIZER(ended);

	pthread_mutex_lock(&state->lock);
	take_acks(state);
	for (int i = 0; i < state->partitions_count; i++)
		if (state->partitions[i])
			rows_folded(state, state->partitions[i]);
	zombies_answer(state);
	answer_late(state);
	TAILQ_CONCAT(&ended, &state->ended, link);
	pthread_mutex_unlock(&state->lock);
	answer_ended(&ended);
}

/* No record is under way any more. Some acknowledgements may have come too late to be looked at. */
void
rows_free(struct kafka_state *state)
{
	struct flight *flight, *next;
	struct write *write;

	for (flight = state->acks; flight; flight = next) {
		next = flight->next_ack;
		if (flight->kind != FLIGHT_ROW)
			free(flight);
	}
	TAILQ_CONCAT(&state->writes, &state->ended, link);
	while ((write = TAILQ_FIRST(&state->writes))) {
		TAILQ_REMOVE(&state->writes, write, link);
		rows_drop(write);
		free(write);
	}
}
