/*
 * event_names.c - the names of the files of events.
 */
#include "shared/queue/event_names.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "shared/base/log.h"

void
event_name(char name[EVENT_NAME_SIZE], uint64_t us, unsigned part, const char *ending)
{
	time_t seconds = (time_t)(us / 1000000);
	struct tm tm;
	size_t length;

	gmtime_r(&seconds, &tm);
	length = strftime(name, EVENT_NAME_SIZE, "%Y%m%dT%H", &tm);
	if (part)
		snprintf(name + length, EVENT_NAME_SIZE - length, "_%02u%s", part, ending);
	else
		snprintf(name + length, EVENT_NAME_SIZE - length, "%s", ending);
}

static bool
is_ours(const char *name, const char *ending)
{
	const size_t length = strlen(name);

	if (length <= EVENT_HOUR_LENGTH || length >= EVENT_NAME_SIZE)
		return false;
	name += EVENT_HOUR_LENGTH;
	if (*name == '_')
		name += strcspn(name, ".");
	return strcmp(name, ending) == 0;
}

static int
compare_names(const void *a, const void *b)
{
	return strcmp(a, b);
}

struct event_names
event_names_list(int dir_fd, const char *ending)
{
	const int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct event_names list = { 0 };
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		if (!is_ours(entry->d_name, ending))
			continue;
		if (list.count == list.space) {
			list.space = list.space * 2 + 64;
			list.names = xrealloc(list.names, list.space * sizeof *list.names);
		}
		snprintf(list.names[list.count++], EVENT_NAME_SIZE, "%s", entry->d_name);
	}
	if (dir)
		closedir(dir);
	else if (fd >= 0)
		close(fd);
	if (list.count)
		qsort(list.names, list.count, sizeof *list.names, compare_names);
	return list;
}
