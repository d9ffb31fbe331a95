/*
 * kafka_queue.h - the queue of a cluster, as its files see it.
 */
#ifndef SHARED_KAFKA_QUEUE_H
#define SHARED_KAFKA_QUEUE_H

#include <pthread.h>

#include "shared/base/state_dir.h"
#include "shared/queue/queue_backend.h"

struct metric;

struct kafka_queue {
	struct queue base;
	const struct config *config;
	unsigned late_ms;    /* LATE_MS; tests shorten it */
	unsigned session_ms; /* of a group's members; 0: as it should be; tests shorten it */
	struct kafka_producer *producer;
	struct kafka_bodies *bodies;
	pthread_mutex_t consumers_lock;
	struct kafka_consumer *consumers;
	struct kafka_state *state;
	struct kafka_stats *stats;
	struct metric *events_lost;
	pthread_mutex_t subscribers_lock;
	pthread_cond_t subscribers_changed;
	struct kafka_subscriber *subscribers;
	struct state_dir state_dir;
	char *spool_dir;
	int spool_fd;
};

#endif
