/*
 * event_names.h - how the files of events are called: YYYYMMDDTHH, "_NN" for the parts of a busy
 * hour, and the ending of their class. By name is by time.
 */
#ifndef SHARED_EVENT_NAMES_H
#define SHARED_EVENT_NAMES_H

#include <stddef.h>
#include <stdint.h>

#define EVENT_NAME_SIZE 48
#define EVENT_HOUR_LENGTH 11 /* YYYYMMDDTHH */

struct event_names {
	char (*names)[EVENT_NAME_SIZE]; /* the caller's to free */
	size_t count, space;
};

void event_name(char name[EVENT_NAME_SIZE], uint64_t us, unsigned part, const char *ending);
/* All files with the ending, the oldest first. */
struct event_names event_names_list(int dir_fd, const char *ending);

#endif
