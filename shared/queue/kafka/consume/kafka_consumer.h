/*
 * kafka_consumer.h - members of a group: records that come, and what became of them.
 */
#ifndef SHARED_KAFKA_CONSUMER_H
#define SHARED_KAFKA_CONSUMER_H

#include "shared/base/loop.h"
#include "shared/queue/kafka/client/kafka_queue.h"

/*
 * One consumer of a topic in this process, on its loop. Partitions of mail.ready are claimed
 * through kafka_state.c before their records come.
 */
struct consumer *kafka_consume(struct queue *base, enum topic topic, struct loop *loop,
	unsigned window, void (*on_record)(void *arg, struct record *record), void *arg);
void kafka_consumer_stop(struct consumer *base);
/* Commits a last time and leaves the group. The first step of closing the queue: no consumer's
 * loop runs any more, and no consumer is freed later. */
void kafka_consumers_close(struct kafka_queue *queue);
void kafka_abandon(struct record *base);
void kafka_finish(struct record *base);

#endif
