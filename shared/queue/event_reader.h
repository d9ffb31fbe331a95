/*
 * event_reader.h - reads mail.events piece by piece, from a time or a place on: for searches that
 * let others have their turn, and for readers who follow new events.
 *
 *   r = queue_events_open(queue, since_us, place);
 *   while (event_reader_next(r, 50, on_event, arg) == EVENTS_MORE) ...
 *   place = event_reader_place(r);
 *   event_reader_close(&r);
 *
 * A place is text. It means the same to a later reader of the same queue, also when files have gone
 * or come meanwhile. Any thread may use a reader, one thread at a time. A call may block for
 * seconds while brokers do not answer.
 */
#ifndef SHARED_EVENT_READER_H
#define SHARED_EVENT_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct event_reader;
struct queue;

/* Longer lines are skipped. */
#define EVENT_LINE_MAX (4u << 20)

enum events_state {
	EVENTS_END,     /* no more for now */
	EVENTS_MORE,    /* the time is up */
	EVENTS_STOPPED, /* by on_event */
	EVENTS_FAILED   /* the brokers do not answer; logged */
};

/* Events older than `since_us` are skipped. `place` NULL: from `since_us` on. Returns NULL when the
 * text is no place of this queue. */
struct event_reader *queue_events_open(struct queue *queue, uint64_t since_us, const char *place);
/* Hands over lines, about the oldest first, for some `ms`, or until `on_event` returns false. A
 * line is what the file has, and may be no JSON. */
enum events_state event_reader_next(struct event_reader *reader, unsigned ms,
	bool (*on_event)(void *arg, const char *json, size_t length), void *arg);
/* The place behind the last line that was handed over. The caller frees it. */
char *event_reader_place(const struct event_reader *reader);
/* Takes NULL. */
void event_reader_close(struct event_reader **reader);

/* The first member of a backend's own reader. */
struct event_reader {
	enum events_state (*next)(struct event_reader *reader, unsigned ms,
		bool (*on_event)(void *arg, const char *json, size_t length), void *arg);
	char *(*place)(const struct event_reader *reader);
	void (*close)(struct event_reader *reader);
};

#endif
