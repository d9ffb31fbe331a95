/*
 * queue_kafka.c - the queue of a cluster.
 */
#include "shared/queue_backend.h"

#include "shared/log.h"

struct queue *
queue_kafka_open(const struct config *config)
{
	(void)config;
	LOG_ERROR("this build knows the embedded queue only: set queue.backend to lmdb");
	return NULL;
}
