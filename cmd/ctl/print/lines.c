/*
 * lines.c - files of JSON, one object a line.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/ctl/ctl.h"
#include "shared/base/json_text.h"
#include "shared/base/log.h"

#define LINE_MAX_BYTES (1 << 20)
#define ITEMS_MAX 10000000

struct source {
	const struct ctl *ctl;
	const char *path;
	FILE *stream;
	char *line;
	size_t space;
	unsigned number; /* the line's number */
};

static int
wrong(const struct source *source, const char *why, const char *what)
{
	ctl_error(source->ctl, "%s: line %u: %s%s", source->path, source->number, why, what);
	return -1;
}

/* The object of the next line; NULL after saying what is wrong, or at the end. */
static json_t *
next(struct source *source, bool *end_out)
{
	const ssize_t length = getline(&source->line, &source->space, source->stream);
	json_error_t error;
	json_t *object;

	*end_out = length < 0 && !ferror(source->stream);
	if (length < 0) {
		if (!*end_out)
			ctl_error(source->ctl, "%s: %s", source->path, strerror(errno));
		return NULL;
	}
	source->number++;
	if (length > LINE_MAX_BYTES) {
		wrong(source, "it is longer than 1 MiB", "");
		return NULL;
	}
	object = json_loadb(source->line, (size_t)length, JSON_REJECT_DUPLICATES, &error);
	explicit_bzero(source->line, (size_t)length);
	if (!object)
		wrong(source, "no JSON: ", error.text);
	else if (!json_is_object(object))
		wrong(source, "a JSON object is needed", "");
	if (json_is_object(object))
		return object;
	json_decref(object);
	return NULL;
}

static int
check_head(const struct source *source, const char *kind, const json_t *head)
{
	const char *is = json_text(head, "shout");
	const json_t *version = json_object_get(head, "version");

	if (!is || strcmp(is, kind) != 0)
		return wrong(source, "shout: the file is something else than ", kind);
	if (!json_is_integer(version) || json_integer_value(version) < 1)
		return wrong(source, "version: a number from 1 is needed", "");
	if (json_integer_value(version) > LINES_VERSION)
		return wrong(source,
			"version: the file was written by a newer shoutctl, which can read it", "");
	return 0;
}

/* 1 when the line is the end, and no item is missing. */
static int
check_end(const struct source *source, const json_t *object, size_t items)
{
	const json_t *end = json_object_get(object, "end");

	if (!end)
		return 0;
	if (json_object_size(object) != 1 || !json_is_integer(end) ||
		(size_t)json_integer_value(end) != items)
		return wrong(source, "end: it is not the number of lines that came", "");
	return 1;
}

static int
read_items(struct source *source, json_t *items)
{
	json_t *object;
	bool end;
	int ended;

	for (;;) {
		object = next(source, &end);
		if (!object && end)
			return wrong(source, "the file is cut off behind it", "");
		if (!object)
			return -1;
		ended = check_end(source, object, json_array_size(items));
		if (ended || json_array_size(items) >= ITEMS_MAX) {
			json_decref(object);
			break;
		}
		json_array_append_new(items, object);
	}
	if (ended < 0)
		return -1;
	json_decref(next(source, &end));
	return end ? 0 : wrong(source, "something stands behind the end", "");
}

static int
read_all(struct source *source, const char *kind, struct lines *lines)
{
	bool end;

	lines->head = next(source, &end);
	if (!lines->head)
		return end ? wrong(source, "the file is empty", "") : -1;
	if (check_head(source, kind, lines->head) < 0)
		return -1;
	lines->items = json_array();
	return read_items(source, lines->items);
}

int
lines_read(const struct ctl *ctl, const char *path, const char *kind, struct lines *lines_out)
{
	const bool standard = strcmp(path, "-") == 0;
	struct source source = { .ctl = ctl, .path = path };
	int err;

	*lines_out = (struct lines){ 0 };
	source.stream = standard ? stdin : fopen(path, "re");
	if (!source.stream) {
		ctl_error(ctl, "cannot read %s: %s", path, strerror(errno));
		return -1;
	}
	err = read_all(&source, kind, lines_out);
	free(source.line);
	if (!standard)
		fclose(source.stream);
	if (err)
		lines_free(lines_out);
	return err;
}

void
lines_free(struct lines *lines)
{
	json_decref(lines->head);
	json_decref(lines->items);
	*lines = (struct lines){ 0 };
}

void
lines_put(FILE *stream, json_t *object)
{
	char *text = json_dumps(object, JSON_COMPACT);

	if (!text)
		die("out of memory", "json_dumps");
	fprintf(stream, "%s\n", text);
	explicit_bzero(text, strlen(text));
	free(text);
	json_decref(object);
}
