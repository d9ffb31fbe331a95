/*
 * text.c - makes bytes from outside fit for a log line, a reply or a DSN. Owns nothing, cannot
 * fail.
 */
#include "shared/base/text.h"

#include <string.h>
#include <strings.h>

size_t
utf8_length(const char *text, size_t left)
{
	const unsigned char *s = (const unsigned char *)text;
	size_t need = s[0] < 0x80 ? 1 : s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;

	if (need == 1)
		return 1;
	if (s[0] < 0xc2 || s[0] > 0xf4 || need > left)
		return 0;
	for (size_t i = 1; i < need; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
		(s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	return need;
}

bool
utf8_valid(const char *text, size_t length)
{
	for (size_t i = 0, step; i < length; i += step) {
		step = utf8_length(text + i, length - i);
		if (!step)
			return false;
	}
	return true;
}

size_t
utf8_count(const char *text)
{
	size_t count = 0;

	for (; *text; text++)
		count += ((unsigned char)*text & 0xc0) != 0x80;
	return count;
}

bool
text_is_ascii(const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if ((unsigned char)text[i] > 127)
			return false;
	return true;
}

bool
text_is_hidden_control(const char *text, size_t step)
{
	const unsigned char *s = (const unsigned char *)text;
	unsigned point = 0;

	if (step == 2)
		point = (s[0] & 0x1fu) << 6 | (s[1] & 0x3fu);
	else if (step == 3)
		point = (s[0] & 0x0fu) << 12 | (s[1] & 0x3fu) << 6 | (s[2] & 0x3fu);
	return (point >= 0x80 && point <= 0x9f) || point == 0x61c || point == 0x200e ||
		point == 0x200f || (point >= 0x202a && point <= 0x202e) ||
		(point >= 0x2066 && point <= 0x2069);
}

bool
text_has_hidden_controls(const char *text, size_t length)
{
	for (size_t i = 0, step; i < length; i += step ? step : 1) {
		step = utf8_length(text + i, length - i);
		if (text_is_hidden_control(text + i, step))
			return true;
	}
	return false;
}

size_t
text_clean(char *out, size_t size, size_t at, const char *text, size_t length)
{
	for (size_t i = 0, step; i < length; i += step) {
		const char *from = text + i;
		size_t add;

		step = utf8_length(from, length - i);
		if (!step)
			from = "?";
		else if (is_control(*from) || text_is_hidden_control(from, step))
			from = " ";
		add = from == text + i ? step : 1;
		if (!step)
			step = 1;
		if (at + add + 1 > size)
			break;
		memcpy(out + at, from, add);
		at += add;
	}
	if (size)
		out[at] = '\0';
	return at;
}

bool
text_is(const char *text, size_t length, const char *word)
{
	return strlen(word) == length && strncasecmp(text, word, length) == 0;
}

void
text_copy(char *out, size_t size, const char *text)
{
	size_t length = text ? strnlen(text, size - 1) : 0;

	if (length)
		memcpy(out, text, length);
	out[length] = '\0';
}

int
text_order(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

bool
text_has_word(const char *words, const char *word, size_t length)
{
	for (size_t size; *words; words += size, words += *words == ' ') {
		size = strcspn(words, " ");
		if (size == length && memcmp(words, word, length) == 0)
			return true;
	}
	return false;
}
