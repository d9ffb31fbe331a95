/*
 * kafka_gate.h - who may go to a partition now, and who waits; kafka_producer.c's alone, under its
 * lock.
 *
 * One batch of a partition is under way at a time. What comes meanwhile waits here and goes
 * together once that is acknowledged: so batches grow with load, as a commit of the embedded queue
 * does. librdkafka 2.0.2 would not send it earlier either (an idempotent producer sends nothing
 * more to a partition that has five records under way), but it burns a core while it waits.
 */
#ifndef SHARED_KAFKA_GATE_H
#define SHARED_KAFKA_GATE_H

#include "shared/queue/kafka/client/kafka_client.h"
#include "shared/queue/kafka/produce/kafka_producer.h"

struct kafka_gate;
struct kafka_gates {
	struct kafka_gate **topics[KAFKA_TOPICS]; /* by partition */
	int32_t counts[KAFKA_TOPICS];
	size_t waiting, waiting_bytes;
};

/* 1: it may go now. 0: it waits, with copies of its key and header. -ENOSPC: too many wait. */
int kafka_gate_enter(struct kafka_gates *gates, struct kafka_message *message);
/* One of those that went has its report: the messages that may go now, linked by next. */
struct kafka_message *kafka_gate_leave(struct kafka_gates *gates, struct kafka_gate *gate);
/* All that wait for this one, linked by next. They have left. */
struct kafka_message *kafka_gate_clear(struct kafka_gates *gates, struct kafka_gate *gate);
/* Those that have waited since before `before_us`, linked by next. They have left. */
struct kafka_message *kafka_gates_expire(struct kafka_gates *gates, uint64_t before_us);
void kafka_gates_free(struct kafka_gates *gates);

#endif
