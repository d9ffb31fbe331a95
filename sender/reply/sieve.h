/*
 * sieve.h - which of many patterns a text could match at all, by the words that each match holds:
 * one pass over the text for all of them. Pure.
 */
#ifndef SENDER_SIEVE_H
#define SENDER_SIEVE_H

#include <stddef.h>
#include <stdint.h>

#include "sender/reply/pattern_look.h"

struct sieve;

struct sieve *sieve_new(void);
void sieve_free(struct sieve **sieve);
/* Patterns are numbered from 0 on, in the order of adding. What has no words always passes. */
void sieve_add(struct sieve *sieve, const struct words *words);
/* How many words of 64 bits the answer has. */
size_t sieve_size(const struct sieve *sieve);
/* Sets bit n of `bits_out` (of sieve_size() words) when pattern n could match. Of a text longer
 * than PLAIN_MAX (plain.h) the beginning counts. */
void sieve_pass(const struct sieve *sieve, const char *text, size_t length, uint64_t *bits_out);

#endif
