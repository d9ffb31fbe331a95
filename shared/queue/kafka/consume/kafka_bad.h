/*
 * kafka_bad.h - queue_bad_scan(), queue_bad_remove(): what could not be read.
 */
#ifndef SHARED_KAFKA_BAD_H
#define SHARED_KAFKA_BAD_H

#include "shared/queue/kafka/client/kafka_queue.h"

/* Bad rows, and the records of other topics that this process set aside. */
size_t kafka_bad_scan(struct queue *base, const void *from, size_t from_length, size_t limit,
	queue_bad_cb on_bad, void *arg);
void
kafka_bad_remove(struct queue *base, const void *key, size_t key_length, queue_cb cb, void *arg);
const char *kafka_bad_machine(const struct queue *base);
uint64_t kafka_bad_count(const struct kafka_queue *queue);

#endif
