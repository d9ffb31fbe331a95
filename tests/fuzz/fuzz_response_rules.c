/*
 * fuzz_response_rules.c - a file of response rules, a pattern, and replies, all by strangers.
 *
 * Input: a letter, then what it says: f a file, p a pattern and (behind a newline) a text, r a
 * reply for the built-in rules. The sieve never passes over a pattern that matches; a 4xx never
 * bounces, and what blames us never does.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sender/reply/pattern.h"
#include "sender/reply/plain.h"
#include "sender/reply/replies.h"
#include "sender/reply/rules.h"
#include "sender/reply/sieve.h"
#include "shared/base/log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check(bool holds)
{
	if (!holds)
		abort();
}

static void
try_file(struct pattern_room *room, const char *text, size_t length)
{
	char *said;
	size_t size;
	FILE *errors = xopen_memstream(&said, &size);
	struct rules_file *file = rules_file_parse("f", text, length, errors);
	struct rule_set *set = file ? rule_set_new(&file, NULL, room, errors) : NULL;

	xclose_memstream(errors);
	check((set != NULL) == (size == 0));
	rule_set_free(&set);
	free(said);
}

static void
try_pattern(struct pattern_room *room, char *pattern_text)
{
	static struct words words;
	char *text = strchr(pattern_text, '\n');
	struct sieve *sieve;
	struct pattern *pattern;
	uint64_t bits = 0;
	char why[200];

	if (!text)
		return;
	*text++ = '\0';
	pattern = pattern_new(pattern_text, &words, why, sizeof why);
	if (!pattern)
		return;
	sieve = sieve_new();
	sieve_add(sieve, &words);
	if (strlen(text) < PLAIN_MAX) {
		sieve_pass(sieve, text, strlen(text), &bits);
		check((bits & 1) || pattern_find(pattern, room, text, strlen(text)) != PATTERN_YES);
	}
	sieve_free(&sieve);
	pattern_free(&pattern);
}

static void
try_reply(const struct replies *replies, const char *text)
{
	static const char *const hosts[] = { "", "mx.example[192.0.2.1]", "aspmx.l.google.com",
		"x.olc.protection.outlook.com" };
	struct reply_meaning meaning;
	char plain[PLAIN_MAX], again[PLAIN_MAX];
	const size_t length = plain_reply(plain, text, 0);

	check(length < PLAIN_MAX && strlen(plain) == length);
	check(plain_reply(again, plain, 0) <= length);
	for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
		const struct reply_said said = { hosts[i], text, 0, STAGE_ANY };

		replies_mean(replies, &said, &meaning);
		check(!(meaning.reactions.set & REACTION_BOUNCE) || plain_code(plain) / 100 == 5);
		check(!(meaning.reactions.set & REACTION_BOUNCE) || !blame_is_ours(meaning.blame));
		check(meaning.reactions.set != 0);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct replies *replies;
	static struct pattern_room *room;
	char *why, *text;

	if (!replies) {
		replies = replies_new(NULL, &why);
		room = pattern_room_new();
		check(replies != NULL);
	}
	if (size < 2)
		return 0;
	text = xstrndup((const char *)data + 1, size - 1);
	if (data[0] == 'f')
		try_file(room, (const char *)data + 1, size - 1);
	else if (data[0] == 'p')
		try_pattern(room, text);
	else
		try_reply(replies, text);
	free(text);
	return 0;
}
