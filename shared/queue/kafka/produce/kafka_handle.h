/*
 * kafka_handle.h - librdkafka's producers, one for each kind of record. For kafka_producer.c alone.
 */
#ifndef SHARED_KAFKA_HANDLE_H
#define SHARED_KAFKA_HANDLE_H

#include <stdatomic.h>

#include "shared/queue/kafka/client/kafka_client.h"
#include "shared/queue/kafka/client/kafka_queue.h"
#include "shared/queue/kafka/produce/kafka_producer.h"

enum kafka_lane { LANE_SMALL, LANE_LARGE, LANE_EVENTS, LANES };

struct kafka_handle {
	struct kafka_handle *next; /* of the list of replaced handles */
	rd_kafka_t *rk;
	rd_kafka_queue_t *reports;
	rd_kafka_topic_t *topics[KAFKA_TOPICS];
	atomic_size_t in_flight; /* of a lane's handle, raised under the producer's lock */
	uint64_t born_ms;
	bool failed; /* queue thread */
};

/* Copies key and header, which the caller may reuse, and with `value` the value as well. */
void kafka_message_keep(struct kafka_message *message, bool value);
enum kafka_lane kafka_lane_of(const struct kafka_message *message);
/* `on_reports` is called by a thread of librdkafka for the first report of an empty queue. NULL
 * after logging why. */
struct kafka_handle *kafka_handle_new(const struct kafka_queue *queue, enum kafka_lane lane,
	void (*on_reports)(rd_kafka_t *rk, void *arg), void *arg);
/* Takes NULL. */
void kafka_handle_free(struct kafka_handle *handle);
/* Gives the message to librdkafka, which copies key and header, and reads the value until the
 * message's report. 0; or -errno, and no report comes. */
int kafka_handle_send(struct kafka_handle *handle, struct kafka_message *message);

#endif
