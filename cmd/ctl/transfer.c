/*
 * transfer.c - the commands about files: export, import, backup and restore.
 *
 * An import or a restore looks at the whole file before anything is changed. Entries that cannot be
 * taken are told by their lines, and then nothing is changed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cmd/ctl/ctl.h"
#include "shared/base/date.h"
#include "shared/base/json_text.h"
#include "shared/base/log.h"
#include "shared/base/loop.h"

#define PAGE 200
#define CHUNK_BYTES (256 * 1024) /* of a restore, in one request */

static void
print_taken(json_t *answer)
{
	print_json(answer);
	json_decref(answer);
}

static json_t *
head_new(const char *kind)
{
	char now[DATE_SIZE];

	date_iso(clock_us(), now);
	return json_pack(
		"{s:s, s:i, s:s}", "shout", kind, "version", LINES_VERSION, "created", now);
}

/* Writes the items and the end behind the head. If the file is "-", nothing else is printed. */
static int
write_lines(const struct ctl *ctl, const char *path, json_t *head, const json_t *items,
	const char *noun)
{
	const size_t count = json_array_size(items);
	struct ctl_file file;
	json_t *item;
	size_t i;

	if (file_begin(ctl, &file, path, ctl_has(ctl, "force")) < 0) {
		json_decref(head);
		return CTL_FAILED;
	}
	lines_put(file.stream, head);
	json_array_foreach(items, i, item) lines_put(file.stream, json_incref(item));
	lines_put(file.stream, json_pack("{s:I}", "end", (json_int_t)count));
	if (file_end(ctl, &file, true) < 0)
		return CTL_FAILED;
	if (strcmp(path, "-") == 0)
		return CTL_OK;
	if (ctl->json)
		print_taken(json_pack("{s:s, s:I}", "file", path, noun, (json_int_t)count));
	else
		printf("%zu %s in %s\n", count, noun, path);
	return CTL_OK;
}

/* Export */

static json_t *
export_one(const struct ctl *ctl)
{
	char *id = ctl_encode(ctl->words[0]), *path = xasprintf("accounts/%s/export", id);
	json_t *document = ctl_request(ctl, "GET", path, NULL);

	free(id);
	free(path);
	return document ? json_pack("[o]", document) : NULL;
}

static json_t *
export_all(const struct ctl *ctl)
{
	json_t *all = json_array(), *page;
	char *after = xstrdup(""), *path;

	do {
		path = xasprintf("export?limit=%d%s%s", PAGE, *after ? "&after=" : "", after);
		page = ctl_request(ctl, "GET", path, NULL);
		free(path);
		free(after);
		after = NULL;
		if (!page) {
			json_decref(all);
			return NULL;
		}
		json_array_extend(all, json_object_get(page, "accounts"));
		if (json_is_string(json_object_get(page, "next")))
			after = ctl_encode(json_text(page, "next"));
		json_decref(page);
	} while (after);
	return all;
}

int
account_export(const struct ctl *ctl)
{
	const bool all = ctl_has(ctl, "all");
	json_t *accounts;
	int status;

	if (all && ctl->words_count > 0) {
		ctl_error(ctl, "an account, or --all");
		return CTL_USAGE;
	}
	accounts = all ? export_all(ctl) : export_one(ctl);
	if (!accounts)
		return CTL_FAILED;
	status = write_lines(
		ctl, ctl_option(ctl, "output"), head_new("accounts"), accounts, "accounts");
	json_decref(accounts);
	return status;
}

/* Import */

struct import {
	const struct ctl *ctl;
	bool replace;
	json_t *results; /* one object for each line */
	json_t *claimed; /* key: line */
	size_t refused;
};

static void
refuse_line(struct import *import, json_t *result, const char *error, const char *field)
{
	import->refused++;
	json_object_set_new(result, "result", json_string("refused"));
	json_object_set_new(result, "error", json_string(error));
	json_object_set_new(result, "field", json_string(field));
}

/* Two lines of a file cannot both have a domain, a user or an address. */
static void
claim(struct import *import, json_t *result, const json_t *claims, json_int_t line)
{
	json_t *key;
	size_t i;

	json_array_foreach(claims, i, key)
	{
		const char *name = json_string_value(key);
		const json_t *other = json_object_get(import->claimed, name);
		char *error;

		if (other) {
			error = xasprintf(
				"line %lld has it, too", (long long)json_integer_value(other));
			refuse_line(import, result, error, name);
			free(error);
			return;
		}
		json_object_set_new(import->claimed, name, json_integer(line));
	}
}

/* Asks the API about one line's account; false when there is no answer. */
static bool
import_line(struct import *import, const json_t *document, size_t line, bool look)
{
	json_t *refusal = NULL, *result = json_pack("{s:I}", "line", (json_int_t)line), *reply;
	const char *word;

	reply = ctl_try(import->ctl, "POST", "import",
		json_pack("{s:O, s:b, s:b}", "document", document, "replace", import->replace,
			"dry_run", look),
		&refusal);
	if (!reply && !refusal) {
		json_decref(result);
		return false;
	}
	json_array_append_new(import->results, result);
	if (refusal) {
		refuse_line(import, result, text_of(refusal, "error"), text_of(refusal, "field"));
		json_decref(refusal);
		return true;
	}
	word = text_of(reply, "result");
	json_object_set(result, "account", json_object_get(reply, "account"));
	json_object_set(result, "result", json_object_get(reply, "result"));
	json_object_set(result, "changed", json_object_get(reply, "changed"));
	if (look)
		claim(import, result, json_object_get(reply, "claims"), (json_int_t)line);
	if (look && strcmp(word, "changed") == 0 && !import->replace)
		refuse_line(
			import, result, "it is here and differs: --replace makes it so", "account");
	json_decref(reply);
	return true;
}

static bool
import_all(struct import *import, const json_t *items, bool look)
{
	json_t *item;
	size_t i;

	json_decref(import->results);
	json_decref(import->claimed);
	import->results = json_array();
	import->claimed = json_object();
	json_array_foreach(
		items, i, item) if (!import_line(import, item, i + 2, look)) return false;
	return true;
}

static size_t
count_of(const struct import *import, const char *word)
{
	json_t *result;
	size_t i, count = 0;

	json_array_foreach(import->results, i, result)
		count += strcmp(text_of(result, "result"), word) == 0;
	return count;
}

static void
print_result(const json_t *result)
{
	json_t *what;
	size_t i;

	printf("line %lld: %s %s", (long long)json_integer_value(json_object_get(result, "line")),
		text_of(result, "result"), text_of(result, "account"));
	if (json_object_get(result, "error")) {
		print_clean(stdout, text_of(result, "field"));
		printf(": ");
		print_clean(stdout, text_of(result, "error"));
	}
	json_array_foreach(json_object_get(result, "changed"), i, what)
	{
		printf("%s", i ? ", " : " (");
		print_clean(stdout, json_string_value(what));
	}
	printf("%s\n", i ? ")" : "");
}

static void
print_import(const struct import *import, bool done)
{
	static const char *const words[] = { "new", "changed", "same", "refused" };
	json_t *all, *result;
	size_t i;

	if (import->ctl->json) {
		all = json_pack("{s:b, s:O}", "done", done, "accounts", import->results);
		for (i = 0; i < sizeof words / sizeof *words; i++)
			json_object_set_new(all, words[i],
				json_integer((json_int_t)count_of(import, words[i])));
		print_json(all);
		json_decref(all);
		return;
	}
	json_array_foreach(import->results, i,
		result) if (strcmp(text_of(result, "result"), "same") != 0) print_result(result);
	for (i = 0; i < sizeof words / sizeof *words; i++)
		printf("%s%zu %s", i ? ", " : "", count_of(import, words[i]), words[i]);
	printf("%s\n", done ? "" : "; nothing is done");
}

int
account_import(const struct ctl *ctl)
{
	struct import import = { .ctl = ctl, .replace = ctl_has(ctl, "replace") };
	bool answered, done = false;
	struct lines lines;

	if (lines_read(ctl, ctl->words[0], "accounts", &lines) < 0)
		return CTL_FAILED;
	answered = import_all(&import, lines.items, true);
	if (answered && !import.refused && !ctl_has(ctl, "dry-run"))
		done = answered = import_all(&import, lines.items, false);
	if (answered)
		print_import(&import, done);
	json_decref(import.results);
	json_decref(import.claimed);
	lines_free(&lines);
	return answered && !import.refused ? CTL_OK : CTL_FAILED;
}

/* Backup */

int
backup(const struct ctl *ctl)
{
	json_t *reply = ctl_request(ctl, "GET", "backup", NULL), *head;
	int status;

	if (!reply)
		return CTL_FAILED;
	head = head_new("backup");
	json_object_set(head, "owner", json_object_get(reply, "owner"));
	status = write_lines(
		ctl, ctl->words[0], head, json_object_get(reply, "entries"), "entries");
	json_decref(reply);
	return status;
}

/* Restore */

struct restore {
	const struct ctl *ctl;
	const char *owner;
	bool look;
	json_t *chunk; /* {key: value} */
	json_t *lines; /* key: its line */
	size_t bytes;
	json_int_t entries; /* entries that were not here before */
};

/* Names the line of the refused entry. */
static void
tell_refusal(const struct restore *restore, const json_t *refusal)
{
	const char *field = text_of(refusal, "field"), *key;
	json_int_t line = 0;
	json_t *value;

	json_object_foreach(restore->lines, key, value) if (strncmp(field, key, strlen(key)) == 0)
		line = json_integer_value(value);
	if (line)
		ctl_error(restore->ctl, "line %lld: %s: %s", (long long)line, field,
			text_of(refusal, "error"));
	else
		ctl_error(restore->ctl, "%s%s%s", field, *field ? ": " : "",
			text_of(refusal, "error"));
}

/* False after saying why not. */
static bool
chunk_send(struct restore *restore)
{
	json_t *refusal = NULL, *reply;

	if (json_object_size(restore->chunk) == 0)
		return true;
	reply = ctl_try(restore->ctl, "POST", "restore",
		json_pack("{s:s, s:O, s:b}", "owner", restore->owner, "entries", restore->chunk,
			"dry_run", restore->look),
		&refusal);
	if (refusal)
		tell_refusal(restore, refusal);
	json_decref(refusal);
	restore->entries += json_integer_value(json_object_get(reply, "entries"));
	json_decref(reply);
	json_object_clear(restore->chunk);
	json_object_clear(restore->lines);
	restore->bytes = 0;
	return reply != NULL;
}

static bool
chunk_add(struct restore *restore, const json_t *item, size_t line)
{
	const char *key = text_of(item, "key");
	json_t *value = json_object_get(item, "value");
	const size_t bytes = json_dumpb(value, NULL, 0, JSON_COMPACT) + strlen(key);

	if (json_object_size(item) != 2 || !*key || !json_is_object(value) ||
		json_object_get(restore->chunk, key)) {
		ctl_error(restore->ctl, "line %zu: key and value are needed, each key once", line);
		return false;
	}
	if (restore->bytes + bytes > CHUNK_BYTES && !chunk_send(restore))
		return false;
	json_object_set(restore->chunk, key, value);
	json_object_set_new(restore->lines, key, json_integer((json_int_t)line));
	restore->bytes += bytes;
	return true;
}

/* Restores the owner first: nothing may be served before its owner is known. */
static bool
restore_all(struct restore *restore, const json_t *items)
{
	bool good = true;
	json_t *item;
	size_t i;

	restore->entries = 0;
	json_array_foreach(items, i, item) if (strcmp(text_of(item, "key"), "owner") == 0)
		good = good && chunk_add(restore, item, i + 2);
	good = good && chunk_send(restore);
	json_array_foreach(items, i, item)
	{
		if (good && strcmp(text_of(item, "key"), "owner") != 0)
			good = chunk_add(restore, item, i + 2);
	}
	return good && chunk_send(restore);
}

static void
print_restored(const struct restore *restore, size_t items)
{
	const char *what = restore->look ? "would come" : "came";

	if (restore->ctl->json)
		print_taken(json_pack("{s:I, s:I, s:b}", "entries", (json_int_t)items, "restored",
			restore->entries, "dry_run", restore->look));
	else
		printf("%lld of %zu entries %s, the others are here\n", (long long)restore->entries,
			items, what);
}

int
restore(const struct ctl *ctl)
{
	struct restore restore = { .ctl = ctl, .look = true };
	struct lines lines;
	json_t *reply = NULL;
	bool good;

	if (lines_read(ctl, ctl->words[0], "backup", &lines) < 0)
		return CTL_FAILED;
	restore.owner = text_of(lines.head, "owner");
	restore.chunk = json_object();
	restore.lines = json_object();
	good = restore_all(&restore, lines.items);
	if (good && !ctl_has(ctl, "dry-run")) {
		restore.look = false;
		good = restore_all(&restore, lines.items);
		reply = good ? ctl_request(ctl, "POST", "rebuild", NULL) : NULL;
		good = reply != NULL;
	}
	if (good)
		print_restored(&restore, json_array_size(lines.items));
	json_decref(reply);
	json_decref(restore.chunk);
	json_decref(restore.lines);
	lines_free(&lines);
	return good ? CTL_OK : CTL_FAILED;
}
