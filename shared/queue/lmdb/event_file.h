/*
 * event_file.h - the events of the embedded queue: hourly files of JSON lines in state_dir/events,
 * capped in size and age. Each class of events has files and caps of its own.
 */
#ifndef SHARED_EVENT_FILE_H
#define SHARED_EVENT_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/queue/events.h"

struct event_file;

/* `dir` is made when missing. NULL after logging why. */
struct event_file *
event_file_open(const char *dir, enum event_class class, uint64_t size_max, uint64_t keep_ms);
/* Makes what was written durable. */
void event_file_close(struct event_file **file);

/* Other caps, from now on. From any thread. */
void event_file_cap(struct event_file *file, uint64_t size_max, uint64_t keep_ms);

/* Gathers a line, and writes what was gathered by one write(2). Always one and the same thread. */
void event_file_add(struct event_file *file, const char *json, size_t length);
void event_file_flush(struct event_file *file);

/* Whether there is something for event_file_tidy() to do. From any thread. */
bool event_file_dirty(struct event_file *file);
/* fdatasync of what was written, then old files go. From any one thread. */
void event_file_tidy(struct event_file *file);

/* Where its files are, and how their names end; for readers. */
int event_file_dir(const struct event_file *file);
const char *event_file_ending(const struct event_file *file);

/* Events that found no room (they went to the log instead). */
uint64_t event_file_lost(struct event_file *file);

#endif
