/*
 * kafka_events.h - mail.events: reading.
 */
#ifndef SHARED_KAFKA_EVENTS_H
#define SHARED_KAFKA_EVENTS_H

#include "shared/queue/queue_backend.h"

/* queue_events_open() */
struct event_reader *kafka_events_open(struct queue *base, uint64_t since_us, const char *place);

#endif
