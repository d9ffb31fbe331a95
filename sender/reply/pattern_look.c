/*
 * pattern_look.c - a descent through a pattern's text: alternatives, sequences, atoms.
 *
 * rules (a pattern's text) -> [pattern_look] -> pattern (PCRE2), sieve (words)
 *
 * The look need not know what matches. It has to be right about two things: a word that it names
 * is in every match, and no repeat stands around another one. Where in doubt it names no word.
 */
#include "sender/reply/pattern_look.h"

#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "shared/base/text.h"

struct look {
	const char *at;
	unsigned depth;
	char *why; /* "" as long as nothing is refused */
	size_t why_size;
};

/* What is known of a part of the pattern. */
struct part {
	struct words words;
	bool varies; /* it has a repeat or a choice */
};

/* A run of plain characters. */
struct run {
	char text[WORD_MAX + 1];
	size_t length;
};

struct repeat {
	unsigned min, max;
};

static void take_choice(struct look *look, struct part *out);

static bool
refuse(struct look *look, const char *why)
{
	if (!*look->why)
		snprintf(look->why, look->why_size, "%s", why);
	return false;
}

/* The words that say most are those whose shortest is longest. */
static size_t
worth(const struct word_set *words)
{
	size_t least = SIZE_MAX;

	for (size_t i = 0; i < words->count; i++)
		if (strlen(words->words[i]) < least)
			least = strlen(words->words[i]);
	return words->count ? least : 0;
}

static void
offer(struct words *best, const struct word_set *words)
{
	if (worth(words) > worth(&best->sets[0])) {
		best->sets[1] = best->sets[0];
		best->sets[0] = *words;
	} else if (worth(words) > worth(&best->sets[1])) {
		best->sets[1] = *words;
	}
}

static void
run_end(struct run *run, struct words *best)
{
	struct word_set words = { .count = 1 };

	if (run->length >= WORD_MIN) {
		memcpy(words.words[0], run->text, run->length);
		words.words[0][run->length] = '\0';
		offer(best, &words);
	}
	run->length = 0;
}

static void
run_add(struct run *run, char c)
{
	if (run->length < WORD_MAX)
		run->text[run->length++] = to_lower(c);
}

static unsigned
number(struct look *look)
{
	unsigned n = 0;

	while (is_digit(*look->at)) {
		n = n < 100000 ? n * 10 + (unsigned)(*look->at - '0') : n;
		look->at++;
	}
	return n;
}

/* "{2,5}" after its brace. False: it is no repeat, and PCRE2 takes the brace as text. */
static bool
take_counts(struct look *look, struct repeat *out)
{
	const char *start = look->at;

	look->at++;
	out->min = number(look);
	out->max = out->min;
	if (*look->at == ',') {
		look->at++;
		out->max = is_digit(*look->at) ? number(look) : UINT_MAX;
	}
	if (is_digit(start[1]) && *look->at == '}') {
		look->at++;
		return true;
	}
	look->at = start;
	return false;
}

static struct repeat
take_repeat(struct look *look)
{
	struct repeat repeat = { 1, 1 };

	switch (*look->at) {
	case '*': repeat = (struct repeat){ 0, UINT_MAX }; break;
	case '+': repeat = (struct repeat){ 1, UINT_MAX }; break;
	case '?': repeat = (struct repeat){ 0, 1 }; break;
	case '{':
		if (!take_counts(look, &repeat))
			return repeat;
		look->at--;
		break;
	default: return repeat;
	}
	look->at++;
	if (*look->at == '?' || *look->at == '+')
		look->at++;
	return repeat;
}

/* "(?:", "(?=" ... False: another kind of group. `around`: it looks around, and matches nothing. */
static bool
take_opening(struct look *look, bool *around)
{
	static const char *const arounds[] = { "?=", "?!", "?<=", "?<!" };

	look->at++;
	*around = false;
	if (*look->at == '*')
		return refuse(look, "verbs (*...) are not taken");
	if (*look->at != '?')
		return true;
	if (look->at[1] == ':') {
		look->at += 2;
		return true;
	}
	for (size_t i = 0; i < sizeof arounds / sizeof *arounds; i++) {
		if (strncmp(look->at, arounds[i], strlen(arounds[i])) != 0)
			continue;
		look->at += strlen(arounds[i]);
		*around = true;
		return true;
	}
	return refuse(look, "of groups only (), (?:), (?=), (?!), (?<=) and (?<!) are taken");
}

static bool
take_group(struct look *look, struct part *out, struct words *best)
{
	struct part inner;
	struct repeat repeat;
	bool around;

	if (look->depth == PATTERN_DEPTH_MAX)
		return refuse(look, "too many groups in each other");
	if (!take_opening(look, &around))
		return false;
	look->depth++;
	take_choice(look, &inner);
	look->depth--;
	if (*look->why)
		return false;
	if (*look->at != ')')
		return refuse(look, "a group has no end");
	look->at++;
	repeat = take_repeat(look);
	if (repeat.max > 1 && inner.varies)
		return refuse(look,
			"a repeated group with a repeat or a choice inside can explode: write it "
			"without the outer repeat");
	out->varies = out->varies || inner.varies || repeat.min != repeat.max;
	for (size_t i = 0; i < WORD_SETS && !around && repeat.min > 0; i++)
		offer(best, &inner.words.sets[i]);
	return true;
}

/* "[...]", of which nothing is known. */
static bool
take_class(struct look *look)
{
	look->at++;
	if (*look->at == '^')
		look->at++;
	if (*look->at == ']')
		look->at++;
	while (*look->at && *look->at != ']') {
		const char *named = *look->at == '[' && look->at[1] == ':' ? strstr(look->at, ":]")
									   : NULL;

		if (named)
			look->at = named + 2;
		else
			look->at += *look->at == '\\' && look->at[1] ? 2 : 1;
	}
	if (!*look->at)
		return refuse(look, "a class has no end");
	look->at++;
	return true;
}

/* One character or class of characters; `plain` is the character, or 0. */
static bool
take_atom(struct look *look, char *plain)
{
	*plain = 0;
	if (*look->at == '[')
		return take_class(look);
	if (*look->at == '\\') {
		look->at++;
		if (!*look->at)
			return refuse(look, "it ends with a backslash");
		if (is_alnum(*look->at) && !strchr("dDwWsSbBhH", *look->at))
			return refuse(
				look, "of letters after a backslash only dDwWsSbBhH are taken");
		if (!is_alnum(*look->at))
			*plain = *look->at;
	} else if (!strchr(".^$", *look->at)) {
		*plain = *look->at;
	}
	look->at++;
	return true;
}

static bool
take_single(struct look *look, struct part *out, struct words *best, struct run *run)
{
	struct repeat repeat;
	char plain;

	if (!take_atom(look, &plain))
		return false;
	repeat = take_repeat(look);
	out->varies = out->varies || repeat.min != repeat.max;
	if (plain && repeat.min > 0)
		run_add(run, plain);
	if (!plain || repeat.min != 1 || repeat.max != 1)
		run_end(run, best);
	return true;
}

static void
take_sequence(struct look *look, struct part *out)
{
	struct words best = { .sets = { { .count = 0 } } };
	struct run run = { .length = 0 };
	bool more = true;

	while (more && *look->at && *look->at != '|' && *look->at != ')') {
		if (*look->at == '(') {
			run_end(&run, &best);
			more = take_group(look, out, &best);
		} else {
			more = take_single(look, out, &best, &run);
		}
	}
	run_end(&run, &best);
	out->words = best;
}

/* Adds an alternative's best words; without words of its own, nothing is known of the whole. */
static void
join(struct part *out, const struct part *other, bool *known)
{
	struct word_set *all = &out->words.sets[0];
	const struct word_set *more = &other->words.sets[0];

	*known = *known && more->count && all->count + more->count <= WORDS_MAX;
	for (size_t i = 0; *known && i < more->count; i++)
		memcpy(all->words[all->count++], more->words[i], WORD_MAX + 1);
	out->words.sets[1].count = 0;
	out->varies = true;
}

static void
take_choice(struct look *look, struct part *out)
{
	struct part other;
	bool known;

	*out = (struct part){ .varies = false };
	take_sequence(look, out);
	known = out->words.sets[0].count > 0;
	while (!*look->why && *look->at == '|') {
		look->at++;
		other = (struct part){ .varies = false };
		take_sequence(look, &other);
		join(out, &other, &known);
	}
	if (!known)
		out->words = (struct words){ .sets = { { .count = 0 } } };
}

bool
pattern_look(const char *pattern, struct words *words_out, char *why, size_t why_size)
{
	struct look look = { .at = pattern, .why = why, .why_size = why_size };
	struct part part;

	*why = '\0';
	take_choice(&look, &part);
	if (!*why && *look.at)
		refuse(&look, "a group ends that did not begin");
	*words_out = part.words;
	return !*why;
}
