/*
 * mention.h - the domains that a header field shows behind an "@", wherever in it: in a display
 * name, a comment, a quoted local part, a source route. Pure.
 */
#ifndef INGRESS_MENTION_H
#define INGRESS_MENTION_H

#include <stdbool.h>
#include <stddef.h>

#include "ingress/message/words.h"

#define MENTION_ROOM(length) (2 * WORDS_ROOM(length))

/*
 * The field's value as text: characters that do not show are left out, full-width
 * forms narrow, ends of lines and backslashes are WORDS_EDGE; with `words`, encoded words read.
 * `out` and `scratch` have MENTION_ROOM(length) bytes each. Returns the length in `out`.
 */
size_t mention_text(const char *value, size_t length, bool words, char *out, char *scratch);

/*
 * Finds the next "@" of such a text from `*at` on, or "%", which some mail servers read as "@".
 * False when there is none. `domain` gets the name behind the sign as address_domain_named() makes
 * it, "" when there is no name. `ascii`: the name ends where it is no longer ASCII.
 */
bool mention_next(const char *text, size_t length, bool ascii, size_t *at, char domain[256]);

/* Whether the text turns the order of its letters (U+202D, U+202E): then nobody can tell what it
 * shows. */
bool mention_is_turned(const char *text, size_t length);

/* Joins the text as a reader does: without quotes, and without blanks around dots. Returns its new
 * length. */
size_t mention_join(char *text, size_t length);

#endif
