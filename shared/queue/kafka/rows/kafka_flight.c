/*
 * kafka_flight.c - records on their way to mail.state and mail.deferred.
 *
 * kafka_state, kafka_rows, kafka_zombie -> [kafka_flight] -> producer -> acks, for the state thread
 */
#include "shared/queue/kafka/rows/kafka_state_private.h"

#include <stdlib.h>
#include <string.h>

#include "shared/base/log.h"
#include "shared/queue/kafka/produce/kafka_producer.h"

struct flight *
flight_new(struct kafka_state *state, enum flight_kind kind, int32_t partition, size_t key_size,
	size_t value_size)
{
	struct flight *flight = xmalloc(sizeof *flight + key_size + value_size);

	memset(flight, 0, sizeof *flight);
	flight->state = state;
	flight->kind = kind;
	flight->message.topic = kind == FLIGHT_BODY ? KAFKA_DEFERRED : KAFKA_STATE;
	flight->message.partition = partition;
	flight->message.key = flight->bytes;
	flight->message.key_size = key_size;
	flight->message.value = flight->bytes + key_size;
	flight->message.value_size = value_size;
	return flight;
}

/* The queue thread hands the flight to the state thread. The flight may be freed when this
 * returns. */
static void
on_ack(struct kafka_message *message, int err, int64_t offset)
{
	struct flight *flight = (struct flight *)message;
	struct kafka_state *state = flight->state;
	bool first;

	flight->err = err;
	flight->offset = offset;
	flight->next_ack = NULL;
	pthread_mutex_lock(&state->acks_lock);
	first = !state->acks;
	if (first)
		state->last_ack = &state->acks;
	*state->last_ack = flight;
	state->last_ack = &flight->next_ack;
	pthread_mutex_unlock(&state->acks_lock);
	if (first)
		follower_wake(state->mine);
	atomic_fetch_sub(&state->unacked, 1);
}

/* Under lock, so that the order in `flying` is the log's. */
void
flight_produce(struct kafka_state *state, struct flight *flight)
{
	struct state_partition *partition = state_partition_of(state, flight->message.partition);

	flight->tenure = partition->tenure;
	flight->message.on_ack = on_ack;
	if (flight->kind == FLIGHT_ROW) {
		flight->number = ++partition->produced;
		TAILQ_INSERT_TAIL(&partition->flying, flight, link);
	}
	atomic_fetch_add(&state->unacked, 1);
	kafka_produce(state->queue->producer, &flight->message);
}

struct flight *
flight_of_row(struct kafka_state *state, const struct state_partition *partition, const Row *row,
	int64_t body_offset)
{
	Envelope envelope = *row->envelope;
	Row ours = *row;
	char key[STATE_KEY_MAX];
	size_t key_size = state_key(key, envelope.id.data, row->site, strlen(row->site));
	struct flight *flight;

	ours.envelope = &envelope;
	ours.epoch = partition->epoch;
	if (body_offset >= 0) {
		envelope.body_topic = KAFKA_DEFERRED;
		envelope.body_offset = body_offset;
	}
	flight = flight_new(
		state, FLIGHT_ROW, partition->number, key_size, row__get_packed_size(&ours));
	memcpy(flight->bytes, key, key_size);
	row__pack(&ours, flight->bytes + key_size);
	return flight;
}

/* A tombstone has no value, so the header holds our epoch. */
struct flight *
flight_of_tombstone(struct kafka_state *state, const struct state_partition *partition,
	const char *key, size_t key_size)
{
	Row header = ROW__INIT;
	struct flight *flight;
	size_t size;

	header.epoch = partition->epoch;
	size = row__get_packed_size(&header);
	flight = flight_new(state, FLIGHT_ROW, partition->number, key_size, size);
	memcpy(flight->bytes, key, key_size);
	row__pack(&header, flight->bytes + key_size);
	flight->message.header = flight->bytes + key_size;
	flight->message.header_size = size;
	flight->message.value = NULL;
	flight->message.value_size = 0;
	return flight;
}

/* Such a record may lie behind the zombie's already. */
bool
key_is_flying(const struct state_partition *partition, const char *key, size_t key_size)
{
	const struct flight *flight;

	TAILQ_FOREACH (flight, &partition->flying, link)
		if (flight->message.key_size == key_size && !memcmp(flight->bytes, key, key_size))
			return true;
	return false;
}
