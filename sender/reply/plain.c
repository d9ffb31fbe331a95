/*
 * plain.c - hosts cut their replies into lines where they like, and say the codes on each line.
 *
 * outcome (the text that reply.c joined), shout check -> [plain] -> rules
 */
#include "sender/reply/plain.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "shared/base/text.h"

struct plain {
	char *out;
	size_t length;
	char code[4];
	const char *enhanced; /* in `out`; NULL: none yet */
	size_t enhanced_length;
};

/* Length of "5.7.1" at the beginning; 0: something else stands there. */
static size_t
enhanced_length(const char *word, size_t length)
{
	size_t at = 0, parts = 0;

	if (!length || word[0] < '2' || word[0] > '5')
		return 0;
	while (parts < 3 && at < length) {
		const size_t start = at;

		while (at < length && is_digit(word[at]))
			at++;
		if (at == start || at - start > 3)
			return 0;
		parts++;
		if (parts < 3 && (at == length || word[at++] != '.'))
			return 0;
	}
	return parts == 3 && (at == length || !is_alnum(word[at])) ? at : 0;
}

static void
put(struct plain *plain, const char *word, size_t length)
{
	if (!length || plain->length + length + 2 > PLAIN_MAX)
		return;
	if (plain->length)
		plain->out[plain->length++] = ' ';
	memcpy(plain->out + plain->length, word, length);
	plain->length += length;
	plain->out[plain->length] = '\0';
}

static bool
is_code(const char *word, size_t length)
{
	return length >= 3 && word[0] >= '2' && word[0] <= '5' && is_digit(word[1]) &&
		is_digit(word[2]) && (length == 3 || !is_alnum(word[3]));
}

/* Takes the code off "550", "550-5.1.1", "550-text". */
static void
take_code(struct plain *plain, const char **word, size_t *length)
{
	if (!is_code(*word, *length) || (plain->length && memcmp(*word, plain->code, 3) != 0) ||
		(plain->length && *length > 3 && (*word)[3] != '-'))
		return;
	if (!plain->length) {
		memcpy(plain->code, *word, 3);
		put(plain, *word, 3);
	}
	*word += *length > 3 ? 4 : 3;
	*length -= *length > 3 ? 4 : 3;
}

static bool
is_part_of_address(char c)
{
	return !strchr("<>()[]{},;:\"'`", c);
}

/* Appends a word, with "@" in the place of each mail address. */
static void
put_word(struct plain *plain, const char *word, size_t length)
{
	char shown[PLAIN_MAX];
	size_t at = 0, begin = 0;
	bool address = false;

	if (length >= sizeof shown)
		return;
	for (size_t i = 0; i < length; i++) {
		address = address && is_part_of_address(word[i]);
		if (!is_part_of_address(word[i]))
			begin = at + 1;
		if (word[i] == '@') {
			address = true;
			at = begin;
			shown[at++] = '@';
		} else if (!address) {
			shown[at++] = word[i];
		}
	}
	put(plain, shown, at);
}

/* Whether the word is the enhanced code said again. */
static bool
is_said(const struct plain *plain, const char *word, size_t length)
{
	return plain->enhanced && length == plain->enhanced_length &&
		memcmp(word, plain->enhanced, length) == 0;
}

static void
take_word(struct plain *plain, const char *word, size_t length)
{
	take_code(plain, &word, &length);
	if (length && *word == '#' && enhanced_length(word + 1, length - 1)) {
		word++;
		length--;
	}
	if (!length || is_said(plain, word, length))
		return;
	put_word(plain, word, length);
	if (!plain->enhanced && enhanced_length(word, length) == length) {
		plain->enhanced = plain->out + plain->length - length;
		plain->enhanced_length = length;
	}
}

size_t
plain_reply(char out[PLAIN_MAX], const char *text, int code)
{
	struct plain plain = { .out = out };
	char said[12];

	out[0] = '\0';
	text += strspn(text, " \t\r\n");
	if (code >= 200 && code <= 599 && !is_code(text, strcspn(text, " \t\r\n"))) {
		snprintf(said, sizeof said, "%d", code);
		take_word(&plain, said, 3);
	}
	while (*text) {
		const size_t length = strcspn(text, " \t\r\n");

		take_word(&plain, text, length);
		text += length;
		text += strspn(text, " \t\r\n");
	}
	return plain.length;
}

int
plain_code(const char *plain)
{
	if (!is_code(plain, strlen(plain)))
		return 0;
	return (plain[0] - '0') * 100 + (plain[1] - '0') * 10 + (plain[2] - '0');
}
