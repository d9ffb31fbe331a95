/*
 * kafka_gate.c - one batch of a partition at a time.
 *
 * kafka_produce() -> [kafka_gate] -> kafka_handle, and on with each report
 *
 * Owns the copies of what waits. A message that waits keeps its place: no message of its partition
 * overtakes it.
 */
#include "shared/queue/kafka/produce/kafka_gate.h"

#include <errno.h>
#include <stdlib.h>

#include "shared/base/log.h"
#include "shared/queue/kafka/produce/kafka_handle.h"

#define WAITING_MAX 90000u
#define WAITING_BYTES_MAX (256u * 1024 * 1024)
#define BATCH_BYTES 900000u /* librdkafka's batch.size is 1,000,000 */

struct kafka_gate {
	unsigned under_way;
	struct kafka_message *first, **last; /* waiting, by asked_us */
};

static size_t
size_of(const struct kafka_message *message)
{
	return message->key_size + message->header_size + message->value_size;
}

static struct kafka_gate *
gate_of(struct kafka_gates *gates, const struct kafka_message *message)
{
	struct kafka_gate ***topic = &gates->topics[message->topic];
	int32_t *count = &gates->counts[message->topic];

	if (message->partition >= *count) {
		*topic = xrealloc(
			*topic, ((size_t)message->partition + 1) * sizeof(struct kafka_gate *));
		for (; *count <= message->partition; ++*count) {
			(*topic)[*count] = xcalloc(1, sizeof(struct kafka_gate));
			(*topic)[*count]->last = &(*topic)[*count]->first;
		}
	}
	return (*topic)[message->partition];
}

static void
wait_in(struct kafka_gates *gates, struct kafka_gate *gate, struct kafka_message *message)
{
	kafka_message_keep(message, false);
	message->next = NULL;
	*gate->last = message;
	gate->last = &message->next;
	gates->waiting++;
	gates->waiting_bytes += size_of(message);
}

int
kafka_gate_enter(struct kafka_gates *gates, struct kafka_message *message)
{
	struct kafka_gate *gate = gate_of(gates, message);

	message->gate = NULL;
	if (!gate->under_way) {
		gate->under_way = 1;
		message->gate = gate;
		return 1;
	}
	if (gates->waiting >= WAITING_MAX ||
		gates->waiting_bytes + size_of(message) > WAITING_BYTES_MAX)
		return -ENOSPC;
	wait_in(gates, gate, message);
	return 0;
}

static struct kafka_message *
take_first(struct kafka_gates *gates, struct kafka_gate *gate)
{
	struct kafka_message *message = gate->first;

	gate->first = message->next;
	if (!gate->first)
		gate->last = &gate->first;
	message->next = NULL;
	gates->waiting--;
	gates->waiting_bytes -= size_of(message);
	return message;
}

struct kafka_message *
kafka_gate_leave(struct kafka_gates *gates, struct kafka_gate *gate)
{
	struct kafka_message *batch = NULL, **end = &batch;
	size_t bytes = 0;

	if (--gate->under_way)
		return NULL;
	while (gate->first && (!bytes || bytes + size_of(gate->first) <= BATCH_BYTES)) {
		bytes += size_of(gate->first);
		*end = take_first(gates, gate);
		(*end)->gate = gate;
		end = &(*end)->next;
		gate->under_way++;
	}
	return batch;
}

struct kafka_message *
kafka_gate_clear(struct kafka_gates *gates, struct kafka_gate *gate)
{
	struct kafka_message *all = NULL, **end = &all;

	while (gate->first) {
		*end = take_first(gates, gate);
		end = &(*end)->next;
	}
	return all;
}

struct kafka_message *
kafka_gates_expire(struct kafka_gates *gates, uint64_t before_us)
{
	struct kafka_message *late = NULL, **end = &late;

	for (int topic = 0; topic < KAFKA_TOPICS; topic++) {
		for (int32_t i = 0; i < gates->counts[topic]; i++) {
			struct kafka_gate *gate = gates->topics[topic][i];

			while (gate->first && gate->first->asked_us < before_us) {
				*end = take_first(gates, gate);
				end = &(*end)->next;
			}
		}
	}
	return late;
}

void
kafka_gates_free(struct kafka_gates *gates)
{
	for (int topic = 0; topic < KAFKA_TOPICS; topic++) {
		for (int32_t i = 0; i < gates->counts[topic]; i++)
			free(gates->topics[topic][i]);
		free(gates->topics[topic]);
	}
}
