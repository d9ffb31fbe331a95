/*
 * kafka_tally.h - what became of records, for metrics and the log. For kafka_producer.c alone.
 */
#ifndef SHARED_KAFKA_TALLY_H
#define SHARED_KAFKA_TALLY_H

#include "shared/base/said.h"
#include "shared/queue/kafka/client/kafka_client.h"
#include "shared/queue/kafka/produce/kafka_producer.h"

struct metric;

struct kafka_tally {
	struct metric *latency[KAFKA_TOPICS], *errors[KAFKA_TOPICS], *unknown[KAFKA_TOPICS];
	struct metric *in_flight, *large_waiting, *replaced;
	struct said said[KAFKA_TOPICS];
};

void kafka_tally_init(struct kafka_tally *tally);
/* The message is answered with `err`. */
void kafka_tally_answer(struct kafka_tally *tally, const struct kafka_message *message, int err);

#endif
