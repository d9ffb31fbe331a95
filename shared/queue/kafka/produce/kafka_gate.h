/*
 * kafka_gate.h - which records may go to a partition now, and which wait. For kafka_producer.c
 * alone, under its lock.
 *
 * One batch of a partition is under way at a time. Records that come meanwhile wait here and go
 * together once the batch is acknowledged: so batches grow with load, as a commit of the embedded
 * queue does. librdkafka 2.0.2 would not send them earlier either (an idempotent producer sends
 * nothing more to a partition that has five records under way), but burns a core while it waits.
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

/* 1: the message may go now. 0: it waits, with copies of its key and header. -ENOSPC: too many
 * wait. */
int kafka_gate_enter(struct kafka_gates *gates, struct kafka_message *message);
/* A message that went has its report. Returns the messages that may go now, linked by next. */
struct kafka_message *kafka_gate_leave(struct kafka_gates *gates, struct kafka_gate *gate);
/* Takes all messages that wait at this gate out of it. Returns them linked by next. */
struct kafka_message *kafka_gate_clear(struct kafka_gates *gates, struct kafka_gate *gate);
/* Takes out the messages that have waited since before `before_us`. Returns them linked by next. */
struct kafka_message *kafka_gates_expire(struct kafka_gates *gates, uint64_t before_us);
void kafka_gates_free(struct kafka_gates *gates);

#endif
