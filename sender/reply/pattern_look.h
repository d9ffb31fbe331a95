/*
 * pattern_look.h - looks at a pattern's text before PCRE2 compiles it. Pure.
 *
 * Which words each match must hold lets sieve.c pass over most patterns. What the look does not
 * understand, or what could take for ever, is refused.
 */
#ifndef SENDER_PATTERN_LOOK_H
#define SENDER_PATTERN_LOOK_H

#include <stdbool.h>
#include <stddef.h>

#define WORDS_MAX 64        /* in one set */
#define WORD_SETS 2         /* of one pattern */
#define WORD_MIN 3          /* a shorter one would let everything pass */
#define WORD_MAX 48         /* what is longer is cut */
#define PATTERN_DEPTH_MAX 8 /* groups in groups */

/* Each match holds one of the words, in any case. None: nothing is known. */
struct word_set {
	size_t count;
	char words[WORDS_MAX][WORD_MAX + 1]; /* in lower case */
};

/* Each match of the pattern holds a word of each set that has any; the first set says most. */
struct words {
	struct word_set sets[WORD_SETS];
};

/*
 * False: the pattern is refused, and `why` says why. Taken are text, classes, `.`, anchors, `|`,
 * repeats, and the groups (), (?:), (?=), (?!), (?<=), (?<!). A group with a repeat or a choice in
 * it may not be repeated: such a pattern can take time exponential in the text.
 */
bool pattern_look(const char *pattern, struct words *words_out, char *why, size_t why_size);

#endif
