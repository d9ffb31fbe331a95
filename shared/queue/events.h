/*
 * events.h - mail.events.
 */
#ifndef SHARED_QUEUE_EVENTS_H
#define SHARED_QUEUE_EVENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/queue/call.h"

/* On one machine each class is kept apart, under caps of its own: strangers can make as many floods
 * as they like, and what operators changed is kept longer than mail is. */
enum event_class { EVENT_OF_MAIL, EVENT_FLOOD, EVENT_AUDIT, EVENT_CLASSES };
/* mail.events: one JSON object (no newline); `cb` (may be NULL) once it is on its way to disk. One
 * that cannot be written and has no `cb` goes to the log. Use event.h. */
void queue_event_put(struct queue *queue, enum event_class class, const char *json, size_t length,
	queue_cb cb, void *arg);
/* Reads what there is from `since_us` on, oldest first, until `on_event` returns false. Blocking,
 * for tests: event_reader.h reads in pieces. */
void queue_events_read(struct queue *queue, uint64_t since_us,
	bool (*on_event)(void *arg, const char *json, size_t length), void *arg);

#endif
