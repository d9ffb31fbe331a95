/*
 * kafka_config.h - relay.config: its subscribers.
 */
#ifndef SHARED_KAFKA_CONFIG_H
#define SHARED_KAFKA_CONFIG_H

#include "shared/base/loop.h"
#include "shared/queue/kafka/client/kafka_queue.h"

struct config_subscriber *kafka_config_subscribe(struct queue *base, struct loop *loop,
	void (*on_entry)(void *arg, const char *key, const char *json), void *arg);
void kafka_config_unsubscribe(struct config_subscriber *base);
/* Waits for the threads of subscribers that have ended. No subscription may go on. */
void kafka_config_close(struct kafka_queue *queue);

#endif
