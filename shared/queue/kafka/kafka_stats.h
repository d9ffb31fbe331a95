/*
 * kafka_stats.h - what waits in the whole cluster.
 */
#ifndef SHARED_KAFKA_STATS_H
#define SHARED_KAFKA_STATS_H

#include "shared/queue/kafka/client/kafka_queue.h"

/* Asks the brokers every few seconds, on a thread of its own. */
struct kafka_stats *kafka_stats_new(struct kafka_queue *queue);
void kafka_stats_free(struct kafka_stats **stats);
void kafka_stats_read(struct kafka_stats *stats, struct queue_stats *out);
/* queue_space() */
int kafka_stats_space(const struct kafka_stats *stats);

#endif
