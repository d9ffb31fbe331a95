/*
 * book.c - the mails that an account was sent.
 *
 * mailings, tell -> [book] -> relay.config
 *
 *   told/<account>   {"version", "mails": ["<us>\t<key>\t<object>\t<to>", ...]}, oldest first
 *
 * A mail is a text of four parts, because there may be 64 of them for each of 10,000 accounts.
 */
#include "control/mails/book.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/config/directory.h"
#include "control/look/json_from.h"
#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/base/text.h"
#include "shared/queue/config.h"

#define KIND "told"

struct book {
	struct queue *queue;
	struct directory *directory;
};

struct line {
	uint64_t us;
	const char *parts[3]; /* key, object, to */
	size_t lengths[3];
};

/* False for a line that another build wrote. */
static bool
line_read(const char *text, struct line *line)
{
	char *end;

	if (!text)
		return false;
	line->us = strtoull(text, &end, 10);
	for (int i = 0; i < 3; i++) {
		if (*end != '\t')
			return false;
		line->parts[i] = end + 1;
		line->lengths[i] = strcspn(end + 1, "\t");
		end += 1 + line->lengths[i];
	}
	return true;
}

static bool
part_is(const struct line *line, int i, const char *text)
{
	return strlen(text) == line->lengths[i] &&
		memcmp(line->parts[i], text, line->lengths[i]) == 0;
}

static json_t *
mails_of(const struct book *book, const char *account)
{
	return json_object_get(directory_get(book->directory, KIND, account), "mails");
}

/* What it is about as it stands in a line. */
static void
object_text(const char *object, char out[BOOK_OBJECT_MAX + 1])
{
	text_clean(out, BOOK_OBJECT_MAX + 1, 0, object, strlen(object));
}

struct book *
book_new(struct queue *queue, struct directory *directory)
{
	struct book *book = xmalloc(sizeof *book);

	*book = (struct book){ queue, directory };
	return book;
}

void
book_free(struct book **book)
{
	free(*book);
	*book = NULL;
}

static json_t *
entry_with(const struct book *book, const char *account, const char *line)
{
	const json_t *old = directory_get(book->directory, KIND, account);
	json_t *mails = json_copy(mails_of(book, account));
	const json_int_t now = (json_int_t)clock_us(), before = directory_version(old);

	if (!json_is_array(mails)) {
		json_decref(mails);
		mails = json_array();
	}
	json_array_append_new(mails, json_string(line));
	while (json_array_size(mails) > BOOK_MAILS_MAX)
		json_array_remove(mails, 0);
	return json_pack("{s:I, s:o}", "version", now > before ? now : before + 1, "mails", mails);
}

void
book_note(
	struct book *book, const char *account, const char *key, const char *object, const char *to)
{
	char about[BOOK_OBJECT_MAX + 1], *line, *name, *text;
	json_t *entry;

	if (!directory_get(book->directory, "account", account))
		return;
	object_text(object, about);
	line = xasprintf("%" PRIu64 "\t%s\t%s\t%s", clock_us(), key, about, to);
	name = xasprintf(KIND "/%s", account);
	entry = entry_with(book, account, line);
	text = json_dumps(entry, JSON_COMPACT);
	if (!text)
		die("out of memory", "json_dumps");
	directory_set(book->directory, name, entry);
	queue_config_put(book->queue, name, text, NULL, NULL);
	free(text);
	free(name);
	free(line);
}

uint64_t
book_last(const struct book *book, const char *account, const char *key, const char *object)
{
	json_t *mails = mails_of(book, account);
	char about[BOOK_OBJECT_MAX + 1];
	struct line line;

	object_text(object, about);
	for (size_t i = json_array_size(mails); i-- > 0;)
		if (line_read(json_string_value(json_array_get(mails, i)), &line) &&
			part_is(&line, 0, key) && part_is(&line, 1, about))
			return line.us;
	return 0;
}

unsigned
book_count(const struct book *book, const char *account, uint64_t since_us)
{
	json_t *mails = mails_of(book, account);
	unsigned count = 0;
	struct line line;

	for (size_t i = json_array_size(mails); i-- > 0;)
		count += line_read(json_string_value(json_array_get(mails, i)), &line) &&
			line.lengths[1] > 0 && line.us >= since_us;
	return count;
}

json_t *
book_show(const struct book *book, const char *account)
{
	json_t *mails = mails_of(book, account), *shown = json_array();
	struct line line;

	for (size_t i = json_array_size(mails); i-- > 0;)
		if (line_read(json_string_value(json_array_get(mails, i)), &line))
			json_array_append_new(shown,
				json_pack("{s:o, s:s#, s:s#, s:s#}", "at", json_from_time(line.us),
					"mail", line.parts[0], (int)line.lengths[0], "about",
					line.parts[1], (int)line.lengths[1], "to", line.parts[2],
					(int)line.lengths[2]));
	return shown;
}
