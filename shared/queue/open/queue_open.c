/*
 * queue_open.c - the backend that the configuration names.
 */
#include "shared/config/config.h"
#include "shared/queue/queue_backend.h"

struct queue *
queue_open(const struct config *config)
{
	return config->queue.backend == BACKEND_KAFKA ? queue_kafka_open(config)
						      : queue_lmdb_open(config);
}
