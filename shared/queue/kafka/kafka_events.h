/*
 * kafka_events.h - mail.events: reading.
 */
#ifndef SHARED_KAFKA_EVENTS_H
#define SHARED_KAFKA_EVENTS_H

#include "shared/queue/queue_backend.h"

/* queue_events_read() */
void kafka_events_read(struct queue *base, uint64_t since_us,
	bool (*on_event)(void *arg, const char *json, size_t length), void *arg);

#endif
