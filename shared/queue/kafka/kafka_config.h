/*
 * kafka_config.h - relay.config: those who watch it.
 */
#ifndef SHARED_KAFKA_CONFIG_H
#define SHARED_KAFKA_CONFIG_H

#include "shared/base/loop.h"
#include "shared/queue/kafka/client/kafka_queue.h"

struct config_watch *kafka_config_watch(struct queue *base, struct loop *loop,
	void (*on_entry)(void *arg, const char *key, const char *json), void *arg);
void kafka_config_unwatch(struct config_watch *base);
/* Waits for the threads of watches that have ended. No watch may still run. */
void kafka_config_close(struct kafka_queue *queue);

#endif
