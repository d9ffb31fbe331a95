/*
 * events.h - mail.events: writes events. event.h builds them, event_reader.h reads them in pieces.
 */
#ifndef SHARED_QUEUE_EVENTS_H
#define SHARED_QUEUE_EVENTS_H

#include <stddef.h>

#include "shared/queue/call.h"

/* On one machine each class has files and caps of its own. Strangers can make any number of floods,
 * and what operators changed is kept for longer than mail's events. */
enum event_class { EVENT_OF_MAIL, EVENT_FLOOD, EVENT_AUDIT, EVENT_CLASSES };
/* Writes an event: one JSON object without newline, made by event.h. `cb` (may be NULL) comes when
 * the event is on its way to disk. An event without `cb` that cannot be written goes to the log. */
void queue_event_put(struct queue *queue, enum event_class class, const char *json, size_t length,
	queue_cb cb, void *arg);
#endif
