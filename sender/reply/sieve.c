/*
 * sieve.c - words by a hash of their first three characters; at each place of the text the words of
 * that place's hash are compared.
 *
 * rules (a reply's text) -> [sieve] -> few patterns to try
 */
#include "sender/reply/sieve.h"

#include <stdlib.h>
#include <string.h>

#include "sender/reply/plain.h"
#include "shared/base/log.h"
#include "shared/base/text.h"

#define HEADS 4096
#define NONE UINT32_MAX

struct entry {
	uint32_t pattern, next;
	unsigned set;
	size_t length;
	char word[WORD_MAX + 1];
};

struct sieve {
	uint32_t heads[HEADS];
	struct entry *entries;
	size_t entries_count, patterns;
	uint64_t *always[WORD_SETS]; /* patterns without words in that set */
	uint64_t *found;             /* of the second set, in the pass under way */
};

struct sieve *
sieve_new(void)
{
	struct sieve *sieve = xcalloc(1, sizeof *sieve);

	for (size_t i = 0; i < HEADS; i++)
		sieve->heads[i] = NONE;
	return sieve;
}

void
sieve_free(struct sieve **sieve_ref)
{
	struct sieve *sieve = *sieve_ref;

	if (!sieve)
		return;
	free(sieve->entries);
	for (size_t i = 0; i < WORD_SETS; i++)
		free(sieve->always[i]);
	free(sieve->found);
	free(sieve);
	*sieve_ref = NULL;
}

static uint32_t
hash(const char *at)
{
	const uint32_t three = (uint32_t)(unsigned char)at[0] |
		(uint32_t)(unsigned char)at[1] << 8 | (uint32_t)(unsigned char)at[2] << 16;

	return three * 2654435761u >> 20;
}

static void
add_word(struct sieve *sieve, unsigned set, const char *word)
{
	const uint32_t head = hash(word);
	struct entry *entry;

	sieve->entries = xrealloc(
		sieve->entries, (sieve->entries_count + 1) * sizeof *sieve->entries);
	entry = &sieve->entries[sieve->entries_count];
	*entry = (struct entry){ .pattern = (uint32_t)sieve->patterns,
		.next = sieve->heads[head],
		.set = set,
		.length = strlen(word) };
	text_copy(entry->word, sizeof entry->word, word);
	sieve->heads[head] = (uint32_t)sieve->entries_count++;
}

size_t
sieve_size(const struct sieve *sieve)
{
	return (sieve->patterns + 63) / 64;
}

void
sieve_add(struct sieve *sieve, const struct words *words)
{
	const size_t pattern = sieve->patterns;

	for (unsigned set = 0; set < WORD_SETS; set++)
		for (size_t i = 0; i < words->sets[set].count; i++)
			add_word(sieve, set, words->sets[set].words[i]);
	sieve->patterns++;
	sieve->found = xrealloc(sieve->found, sieve_size(sieve) * sizeof *sieve->found);
	for (unsigned set = 0; set < WORD_SETS; set++) {
		uint64_t **always = &sieve->always[set];

		*always = xrealloc(*always, sieve_size(sieve) * sizeof **always);
		if (pattern % 64 == 0)
			(*always)[pattern / 64] = 0;
		if (!words->sets[set].count)
			(*always)[pattern / 64] |= UINT64_C(1) << pattern % 64;
	}
}

static void
pass_lower(const struct sieve *sieve, const char *text, size_t length, uint64_t *const *bits)
{
	for (size_t at = 0; at + WORD_MIN <= length; at++) {
		uint32_t i = sieve->heads[hash(text + at)];

		for (; i != NONE; i = sieve->entries[i].next) {
			const struct entry *entry = &sieve->entries[i];

			if (entry->length <= length - at &&
				memcmp(entry->word, text + at, entry->length) == 0)
				bits[entry->set][entry->pattern / 64] |= UINT64_C(1)
					<< entry->pattern % 64;
		}
	}
}

void
sieve_pass(const struct sieve *sieve, const char *text, size_t length, uint64_t *bits_out)
{
	uint64_t *const bits[WORD_SETS] = { bits_out, sieve->found };
	char lower[PLAIN_MAX];

	length = length < sizeof lower ? length : sizeof lower;
	for (size_t i = 0; i < length; i++)
		lower[i] = to_lower(text[i]);
	for (unsigned set = 0; set < WORD_SETS && sieve->patterns; set++)
		memcpy(bits[set], sieve->always[set], sieve_size(sieve) * sizeof *bits_out);
	pass_lower(sieve, lower, length, bits);
	for (size_t i = 0; i < sieve_size(sieve); i++)
		bits_out[i] &= sieve->found[i];
}
