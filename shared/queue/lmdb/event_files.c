/*
 * event_files.c - reads the files of events, also while they are written, turned and removed.
 *
 * A place is the name and the offset for each class: "20261130T18_01:4096,20261130T18:512". The
 * reader leaves a file for the next one only at an end that it saw after it saw the next file: from
 * then on nobody writes to the file. A line counts only with its newline. A last line without one
 * in a file that is left was cut off by a crash.
 */
#include "shared/queue/lmdb/event_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shared/base/json.h"
#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/base/text.h"
#include "shared/queue/event_names.h"

#define CHUNK (64u * 1024)
#define TIME_PREFIX "{\"time\":\""
#define TIME_LENGTH 33   /* TIME_PREFIX and the time */
#define LINES_A_LOOK 256 /* between looks at the clock */
#define WRITING_US 60000000

/* Where a reader is in the files of one class. */
struct cursor {
	int dir_fd;
	const char *ending;
	char name[EVENT_NAME_SIZE]; /* of the file, or where the search for a file begins */
	int fd;
	uint64_t offset;          /* of buffer + begin in the file */
	struct event_names after; /* the files behind this one; the next is after_next */
	size_t after_next;
	char *buffer;
	size_t begin, end, space;
	bool begun;       /* a file was opened, or an attempt was made */
	bool at_end;      /* found in this call; a later look reads the directory again */
	bool skipping;    /* the present line is too long */
	const char *line; /* NULL: there is none for now */
	size_t length;
	uint64_t line_offset;
};

struct files_reader {
	struct event_reader base;
	struct cursor cursors[EVENT_CLASSES];
	struct json since; /* how an event of that time begins */
};

/* ---- lines of a file ---- */

/* A line without a time is handed over: better too much than too little. */
static bool
is_since(const char *line, size_t length, const struct json *since)
{
	if (length < since->length || memcmp(line, TIME_PREFIX, sizeof TIME_PREFIX - 1) != 0)
		return true;
	return memcmp(line, since->text, since->length) >= 0;
}

/* Takes the next line of the buffer, without its newline. False: no line is whole. */
static bool
take_line(struct cursor *cursor)
{
	char *begin = cursor->buffer + cursor->begin;
	const size_t size = cursor->end - cursor->begin;
	char *newline = size > 0 ? memchr(begin, '\n', size) : NULL;

	if (!newline)
		return false;
	*newline = '\0';
	cursor->line = begin;
	cursor->length = (size_t)(newline - begin);
	cursor->line_offset = cursor->offset;
	cursor->offset += cursor->length + 1;
	cursor->begin += cursor->length + 1;
	return true;
}

static void
make_room(struct cursor *cursor)
{
	if (cursor->begin > 0) {
		memmove(cursor->buffer, cursor->buffer + cursor->begin,
			cursor->end - cursor->begin);
		cursor->end -= cursor->begin;
		cursor->begin = 0;
	}
	if (cursor->end >= EVENT_LINE_MAX) {
		cursor->skipping = true;
		cursor->offset += cursor->end;
		cursor->end = 0;
	}
	if (cursor->space - cursor->end < CHUNK) {
		cursor->space = cursor->end + CHUNK;
		cursor->buffer = xrealloc(cursor->buffer, cursor->space);
	}
}

/* Whether the file had more bytes. */
static bool
read_more(struct cursor *cursor)
{
	ssize_t n;

	make_room(cursor);
	n = pread(cursor->fd, cursor->buffer + cursor->end, CHUNK,
		(off_t)(cursor->offset + cursor->end));
	if (n <= 0)
		return false;
	cursor->end += (size_t)n;
	return true;
}

/* Takes the file's next event. */
static bool
next_line(struct cursor *cursor, const struct json *since)
{
	do {
		while (take_line(cursor)) {
			const bool whole = !cursor->skipping && cursor->length >= 2 &&
				cursor->line[cursor->length - 1] == '}';

			cursor->skipping = false;
			if (whole && is_since(cursor->line, cursor->length, since))
				return true;
		}
	} while (read_more(cursor));
	cursor->line = NULL;
	return false;
}

/* ---- from file to file ---- */

static void
leave_file(struct cursor *cursor)
{
	if (cursor->fd >= 0)
		close(cursor->fd);
	cursor->fd = -1;
	cursor->offset = cursor->begin = cursor->end = 0;
	cursor->skipping = false;
}

/* Looks for files behind the present one (at first, from where to begin). Whether there are any. */
static bool
look_further(struct cursor *cursor)
{
	free(cursor->after.names);
	cursor->after = event_names_list(cursor->dir_fd, cursor->ending);
	cursor->after_next = 0;
	while (cursor->after_next < cursor->after.count) {
		const int order = strcmp(cursor->after.names[cursor->after_next], cursor->name);

		if (order > 0 || (order == 0 && !cursor->begun))
			return true;
		cursor->after_next++;
	}
	return false;
}

static void
open_next(struct cursor *cursor)
{
	const char *name = cursor->after.names[cursor->after_next++];
	const uint64_t offset = strcmp(name, cursor->name) == 0 ? cursor->offset : 0;

	leave_file(cursor);
	cursor->offset = offset;
	memcpy(cursor->name, name, EVENT_NAME_SIZE);
	cursor->begun = true;
	cursor->fd = openat(cursor->dir_fd, name, O_RDONLY | O_CLOEXEC);
	if (cursor->fd < 0 && errno != ENOENT)
		LOG_WARN("events cannot be read", "file", name, "error", strerror(errno));
}

/* Leaves a file only when the next file was known before this file's end was seen. */
static void
advance(struct cursor *cursor, const struct json *since)
{
	for (;;) {
		if (cursor->fd >= 0 && next_line(cursor, since))
			return;
		if (cursor->after_next < cursor->after.count) {
			open_next(cursor);
		} else if (!look_further(cursor)) {
			cursor->at_end = true;
			return;
		}
	}
}

/* ---- the reader ---- */

static bool
has_time(const struct cursor *cursor)
{
	return cursor->length >= TIME_LENGTH &&
		memcmp(cursor->line, TIME_PREFIX, sizeof TIME_PREFIX - 1) == 0;
}

/* A line without a time goes first, so that it delays no other line. */
static struct cursor *
older(struct cursor *a, struct cursor *b)
{
	if (!a || !b->line)
		return a ? a : b->line ? b : NULL;
	if (!has_time(a) || !has_time(b))
		return has_time(a) ? b : a;
	return memcmp(a->line, b->line, TIME_LENGTH) <= 0 ? a : b;
}

static struct cursor *
oldest(struct files_reader *reader)
{
	struct cursor *cursors = reader->cursors, *found = NULL;

	for (int i = 0; i < EVENT_CLASSES; i++) {
		if (!cursors[i].line && !cursors[i].at_end)
			advance(&cursors[i], &reader->since);
		found = older(found, &cursors[i]);
	}
	return found;
}

static enum events_state
files_next(struct event_reader *base, unsigned ms,
	bool (*on_event)(void *arg, const char *json, size_t length), void *arg)
{
	struct files_reader *reader = (struct files_reader *)base;
	const uint64_t until_ms = clock_mono_ms() + ms;
	struct cursor *cursor;
	bool more;

	for (int i = 0; i < EVENT_CLASSES; i++)
		reader->cursors[i].at_end = reader->cursors[i].dir_fd < 0;
	for (unsigned i = 1; (cursor = oldest(reader)); i++) {
		more = on_event(arg, cursor->line, cursor->length);
		cursor->line = NULL;
		if (!more)
			return EVENTS_STOPPED;
		if (i % LINES_A_LOOK == 0 && clock_mono_ms() >= until_ms)
			return EVENTS_MORE;
	}
	return EVENTS_END;
}

static char *
place_of(const struct cursor *cursor)
{
	const size_t length = strcspn(cursor->name, ".");

	return xasprintf("%.*s:%llu", (int)length, cursor->name,
		(unsigned long long)(cursor->line ? cursor->line_offset : cursor->offset));
}

static char *
files_place(const struct event_reader *base)
{
	const struct files_reader *reader = (const struct files_reader *)base;
	char *place = xstrdup(""), *one, *longer;

	for (int i = 0; i < EVENT_CLASSES; i++) {
		one = place_of(&reader->cursors[i]);
		longer = xasprintf("%s%s%s", place, i ? "," : "", one);
		free(place);
		free(one);
		place = longer;
	}
	return place;
}

static void
files_close(struct event_reader *base)
{
	struct files_reader *reader = (struct files_reader *)base;

	for (int i = 0; i < EVENT_CLASSES; i++) {
		leave_file(&reader->cursors[i]);
		free(reader->cursors[i].buffer);
		free(reader->cursors[i].after.names);
	}
	json_free(&reader->since);
	free(reader);
}

/* Reads "20261130T18_01:4096". False: the text is no place. */
static bool
take_place(struct cursor *cursor, const char **text)
{
	const char *colon = strchr(*text, ':');
	const size_t length = colon ? (size_t)(colon - *text) : 0;
	char *end;

	if (length < EVENT_HOUR_LENGTH || length > EVENT_HOUR_LENGTH + 8 ||
		strspn(*text, "0123456789T_") != length || !is_digit(colon[1]))
		return false;
	snprintf(cursor->name, sizeof cursor->name, "%.*s%s", (int)length, *text, cursor->ending);
	errno = 0;
	cursor->offset = strtoull(colon + 1, &end, 10);
	*text = end;
	return !errno && cursor->offset <= INT64_MAX;
}

static bool
take_places(struct files_reader *reader, const char *text)
{
	for (int i = 0; i < EVENT_CLASSES; i++)
		if ((i && *text++ != ',') || !take_place(&reader->cursors[i], &text))
			return false;
	return !*text;
}

/*
 * An event gets its time shortly before it is written, so the file of the hour before may have it.
 */
static void
begin_at(struct cursor *cursor, uint64_t since_us)
{
	event_name(
		cursor->name, since_us > WRITING_US ? since_us - WRITING_US : 0, 0, cursor->ending);
}

struct event_reader *
event_files_open(
	struct event_file *const files[EVENT_CLASSES], uint64_t since_us, const char *place)
{
	static const struct event_reader calls = { files_next, files_place, files_close };
	struct files_reader *reader = xcalloc(1, sizeof *reader);

	reader->base = calls;
	for (int i = 0; i < EVENT_CLASSES; i++) {
		struct cursor *cursor = &reader->cursors[i];

		cursor->fd = -1;
		cursor->dir_fd = files[i] ? event_file_dir(files[i]) : -1;
		cursor->ending = files[i] ? event_file_ending(files[i]) : "";
		begin_at(cursor, since_us);
	}
	json_begin(&reader->since);
	json_time(&reader->since, "time", since_us);
	json_end(&reader->since);
	reader->since.length -= 3; /* cut behind the milliseconds: without Z"} */
	if (place && !take_places(reader, place)) {
		files_close(&reader->base);
		return NULL;
	}
	return &reader->base;
}
