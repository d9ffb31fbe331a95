/*
 * event_files.h - reading the files of event_file.h.
 */
#ifndef SHARED_EVENT_FILES_H
#define SHARED_EVENT_FILES_H

#include "shared/queue/event_reader.h"
#include "shared/queue/lmdb/event_file.h"

/* queue_events_open() of the embedded queue; the files outlive the reader. */
struct event_reader *event_files_open(
	struct event_file *const files[EVENT_CLASSES], uint64_t since_us, const char *place);

#endif
