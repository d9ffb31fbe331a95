/*
 * kafka_record.h - what all files of the cluster's queue may know of a record in hand.
 */
#ifndef SHARED_KAFKA_RECORD_H
#define SHARED_KAFKA_RECORD_H

#include "shared/queue/kafka/client/kafka_queue.h"

/* The consumer's records begin with this. */
struct kafka_record {
	struct record base;
	struct kafka_queue *queue;
	struct loop *loop; /* the record belongs to this loop */
	int32_t partition;
	struct kafka_body *body; /* pinned; NULL: to be read at the envelope's place */
};

static inline struct kafka_record *
kafka_record_of(struct record *base)
{
	return (struct kafka_record *)base;
}

#endif
