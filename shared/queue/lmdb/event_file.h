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

/* Makes `dir` when missing. NULL after logging why. */
struct event_file *
event_file_open(const char *dir, enum event_class class, uint64_t size_max, uint64_t keep_ms);
/* Makes all written lines durable. */
void event_file_close(struct event_file **file);

/* Sets other caps, from now on. From any thread. */
void event_file_cap(struct event_file *file, uint64_t size_max, uint64_t keep_ms);

/* Gathers a line (event_file_add), and writes the gathered lines by one write(2)
 * (event_file_flush). Both on one and the same thread. */
void event_file_add(struct event_file *file, const char *json, size_t length);
void event_file_flush(struct event_file *file);

/* Whether event_file_tidy() has work. From any thread. */
bool event_file_dirty(struct event_file *file);
/* Syncs written lines, then removes old files. From any thread, one at a time. */
void event_file_tidy(struct event_file *file);

/* The files' directory and the ending of their names, for readers. */
int event_file_dir(const struct event_file *file);
const char *event_file_ending(const struct event_file *file);

/* How many events found no room and went to the log. */
uint64_t event_file_lost(struct event_file *file);

#endif
