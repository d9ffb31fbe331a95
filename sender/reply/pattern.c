/*
 * pattern.c - PCRE2, with limits.
 *
 * rules -> [pattern] -> PCRE2
 */
#include "sender/reply/pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sender/reply/plain.h"
#include "shared/base/log.h"

/* Of the interpreter: about half a millisecond. */
#define STEPS_MAX 20000
#define HEAP_KB_MAX 512

struct pattern {
	pcre2_code *code;
	char *source;
};

struct pattern_room {
	pcre2_match_data *data;
	pcre2_match_context *context;
};

struct pattern_room *
pattern_room_new(void)
{
	struct pattern_room *room = xcalloc(1, sizeof *room);

	room->data = pcre2_match_data_create(1, NULL);
	room->context = pcre2_match_context_create(NULL);
	if (!room->data || !room->context)
		die("out of memory", "pcre2");
	pcre2_set_match_limit(room->context, STEPS_MAX);
	pcre2_set_heap_limit(room->context, HEAP_KB_MAX);
	return room;
}

void
pattern_room_free(struct pattern_room **room_ref)
{
	struct pattern_room *room = *room_ref;

	if (!room)
		return;
	pcre2_match_data_free(room->data);
	pcre2_match_context_free(room->context);
	free(room);
	*room_ref = NULL;
}

struct pattern *
pattern_new(const char *text, struct words *words_out, char *why, size_t why_size)
{
	const uint32_t options = PCRE2_CASELESS | PCRE2_NO_AUTO_CAPTURE | PCRE2_NEVER_UTF |
		PCRE2_NEVER_UCP | PCRE2_NEVER_BACKSLASH_C;
	struct pattern *pattern;
	pcre2_code *code;
	PCRE2_SIZE at;
	PCRE2_UCHAR said[160];
	int err;

	if (!pattern_look(text, words_out, why, why_size))
		return NULL;
	code = pcre2_compile((PCRE2_SPTR)text, PCRE2_ZERO_TERMINATED, options, &err, &at, NULL);
	if (!code) {
		pcre2_get_error_message(err, said, sizeof said);
		snprintf(why, why_size, "%s, at character %zu", (const char *)said, at + 1);
		return NULL;
	}
	pattern = xcalloc(1, sizeof *pattern);
	pattern->code = code;
	pattern->source = xstrdup(text);
	return pattern;
}

void
pattern_free(struct pattern **pattern_ref)
{
	if (!*pattern_ref)
		return;
	pcre2_code_free((*pattern_ref)->code);
	free((*pattern_ref)->source);
	free(*pattern_ref);
	*pattern_ref = NULL;
}

enum pattern_found
pattern_find(
	const struct pattern *pattern, struct pattern_room *room, const char *text, size_t length)
{
	const int rc = pcre2_match(pattern->code, (PCRE2_SPTR)text, length, 0, PCRE2_NO_UTF_CHECK,
		room->data, room->context);

	if (rc >= 0)
		return PATTERN_YES;
	return rc == PCRE2_ERROR_NOMATCH ? PATTERN_NO : PATTERN_TOO_LONG;
}

/* Fills the text with a piece, over and over. Characters of the pattern stand at the end, as PCRE2
 * gives up early where one that it needs is missing. */
static bool
endures(const struct pattern *pattern, struct pattern_room *room, const char *piece)
{
	const size_t length = strlen(piece), end = strlen(pattern->source);
	char text[PLAIN_MAX];

	for (size_t i = 0; i < sizeof text; i++)
		text[i] = piece[i % length];
	for (size_t i = 0; i < end && i < sizeof text / 8; i++)
		text[sizeof text - 1 - i] = pattern->source[end - 1 - i];
	return pattern_find(pattern, room, text, sizeof text) != PATTERN_TOO_LONG;
}

bool
pattern_endures(const struct pattern *pattern, struct pattern_room *room, const struct words *words)
{
	static const char *const bad[] = { " ", "a", "0", ".", "-", "a ", "a.", "<a@b.c> ",
		"1.2.3.4 " };

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (!endures(pattern, room, bad[i]))
			return false;
	for (size_t set = 0; set < WORD_SETS; set++)
		for (size_t i = 0; i < words->sets[set].count; i++)
			if (!endures(pattern, room, words->sets[set].words[i]))
				return false;
	return true;
}
