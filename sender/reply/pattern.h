/*
 * pattern.h - regular expressions of response rules, by PCRE2: in any case of letters, over bytes,
 * without captures.
 *
 * Matching is interpreted, not compiled to machine code: the sender may not have memory that is
 * both writable and executable (MemoryDenyWriteExecute), and sieve.c leaves few patterns to try. A
 * limit on backtracking bounds each match.
 */
#ifndef SENDER_PATTERN_H
#define SENDER_PATTERN_H

#include <stdbool.h>
#include <stddef.h>

#include "sender/reply/pattern_look.h"

struct pattern;
/* What matching works in; for one thread at a time. */
struct pattern_room;

enum pattern_found { PATTERN_NO, PATTERN_YES, PATTERN_TOO_LONG };

struct pattern_room *pattern_room_new(void);
void pattern_room_free(struct pattern_room **room);

/* NULL: the pattern is refused, and `why` says why. `words_out`: what a match holds. */
struct pattern *pattern_new(const char *text, struct words *words_out, char *why, size_t why_size);
void pattern_free(struct pattern **pattern);
/* PATTERN_TOO_LONG: the limit ended the match. */
enum pattern_found pattern_find(
	const struct pattern *pattern, struct pattern_room *room, const char *text, size_t length);
/* Tries the pattern on texts that are bad for it; false: the limit ended one. */
bool pattern_endures(
	const struct pattern *pattern, struct pattern_room *room, const struct words *words);

#endif
