/*
 * events_read.h - reads the events of a queue from `since_us` on, oldest first, until `on_event`
 * returns false. Blocks.
 */
#ifndef TESTS_EVENTS_READ_H
#define TESTS_EVENTS_READ_H

#include "shared/queue/event_reader.h"
#include "shared/queue/events.h"

static void
events_read(struct queue *queue, uint64_t since_us,
	bool (*on_event)(void *arg, const char *json, size_t length), void *arg)
{
	struct event_reader *reader = queue_events_open(queue, since_us, NULL);

	while (event_reader_next(reader, 1000, on_event, arg) == EVENTS_MORE)
		;
	event_reader_close(&reader);
}

#endif
