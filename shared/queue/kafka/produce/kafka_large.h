/*
 * kafka_large.h - large records take turns. For kafka_producer.c alone, under its lock.
 */
#ifndef SHARED_KAFKA_LARGE_H
#define SHARED_KAFKA_LARGE_H

#include "shared/queue/kafka/produce/kafka_producer.h"

struct kafka_large {
	struct kafka_message *first, **last; /* waiting, by asked_us */
	size_t waiting, bytes_under_way;
};

/* 1: the message may go now. 0: it waits, with copies of its key and header. -ENOSPC: too many
 * wait. */
int kafka_large_enter(struct kafka_large *large, struct kafka_message *message);
/* A message of so many bytes has its report. Returns the messages that may go now, linked by
 * next. */
struct kafka_message *kafka_large_leave(struct kafka_large *large, size_t bytes);
/* Takes out the messages that have waited since before `before_us`. Returns them linked by next. */
struct kafka_message *kafka_large_expire(struct kafka_large *large, uint64_t before_us);

#endif
