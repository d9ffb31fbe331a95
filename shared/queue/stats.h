/*
 * stats.h - the queue in numbers, and its brokers' clock.
 */
#ifndef SHARED_QUEUE_STATS_H
#define SHARED_QUEUE_STATS_H

#include <stdint.h>

#include "shared/queue/call.h"

/* The time by the brokers' clock, as far as recent records tell. It may be behind, but is never
 * ahead. 0: not known, or the queue has no clock but this machine's. */
uint64_t queue_clock_us(struct queue *queue);

/* For metrics and tests: records in a topic, and rows. */
struct queue_stats {
	uint64_t records[TOPIC_COUNT];
	uint64_t rows;
	uint64_t oldest_us[TOPIC_COUNT]; /* accepted_us of the oldest record, 0 when empty */
	uint64_t bodies;                 /* messages with a body: in topics, or waiting */
	uint64_t bad;                    /* set aside (bad.h) */
	uint64_t events_lost; /* events that nothing would take, and that went to the log */
};
void queue_stats(struct queue *queue, struct queue_stats *out);

#endif
