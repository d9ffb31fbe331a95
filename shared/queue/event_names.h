/*
 * event_names.h - the names of the files of events: YYYYMMDDTHH, "_NN" for the parts of a busy
 * hour, and the ending of the event's class. The order of names is the order of time.
 */
#ifndef SHARED_EVENT_NAMES_H
#define SHARED_EVENT_NAMES_H

#include <stddef.h>
#include <stdint.h>

#define EVENT_NAME_SIZE 48
#define EVENT_HOUR_LENGTH 11 /* YYYYMMDDTHH */

struct event_names {
	char (*names)[EVENT_NAME_SIZE]; /* the caller frees them */
	size_t count, space;
};

void event_name(char name[EVENT_NAME_SIZE], uint64_t us, unsigned part, const char *ending);
/* All files with the ending, the oldest first. Pure but for reading the directory. */
struct event_names event_names_list(int dir_fd, const char *ending);

#endif
