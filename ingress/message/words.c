/*
 * words.c - encoded words (RFC 2047) as mail programs read them.
 *
 * ingress:  content -> mention -> [words]
 *
 * More lenient than the RFC, since any reader's reading of a field matters. Charsets that do not
 * agree with ASCII are read where mail is written in them, for their ASCII characters and for
 * ISO-2022's wide ASCII: an address can be spelled with those alone.
 */
#include "ingress/message/words.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "shared/base/text.h"

#define CHARSET_MAX 40

struct word {
	char charset[CHARSET_MAX + 1]; /* its letters and digits, in lower case: many ask no more */
	char encoding;                 /* 'b' or 'q' */
	const char *text, *text_end, *end;
};

struct reader {
	const char *at, *end;
	const char *no_close; /* behind it there is no "?=", so none is sought again */
	char *out;
	size_t length;
};

/* The word at `at`; false when there is none. One without its "?=" ends at the next blank. */
static bool
word_parse(struct reader *reader, const char *at, struct word *word)
{
	const char *mark, *start = at;
	size_t left = (size_t)(reader->end - at), length = 0;

	if (left < 6 || at[0] != '=' || at[1] != '?')
		return false;
	at += 2;
	left -= 2;
	mark = memchr(at, '?', left);
	if (!mark || reader->end - mark < 3 || mark[2] != '?')
		return false;
	for (; at < mark; at++)
		if (is_alnum(*at) && length < CHARSET_MAX)
			word->charset[length++] = to_lower(*at);
	word->charset[length] = '\0';
	word->encoding = to_lower(mark[1]);
	word->text = mark + 3;
	if (word->encoding != 'b' && word->encoding != 'q')
		return false;
	left = (size_t)(reader->end - word->text);
	word->text_end = start < reader->no_close ? memmem(word->text, left, "?=", 2) : NULL;
	word->end = word->text_end ? word->text_end + 2 : NULL;
	if (!word->end) {
		reader->no_close = start < reader->no_close ? start : reader->no_close;
		word->text_end = word->text;
		while (word->text_end < reader->end && !is_white(*word->text_end) &&
			!strchr("<>\"", *word->text_end))
			word->text_end++;
		word->end = word->text_end;
	}
	return true;
}

static int
hex_of(char c)
{
	c = to_lower(c);
	return is_digit(c) ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static size_t
read_q(const struct word *word, char *out)
{
	size_t n = 0;

	for (const char *at = word->text; at < word->text_end; at++) {
		int high, low;

		if (*at == '=' && word->text_end - at > 2 && (high = hex_of(at[1])) >= 0 &&
			(low = hex_of(at[2])) >= 0) {
			out[n++] = (char)(high << 4 | low);
			at += 2;
		} else if (*at != '\r' && *at != '\n') {
			out[n++] = *at;
			if (*at == '_')
				out[n - 1] = ' ';
		}
	}
	return n;
}

static int
base64_of(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (is_digit(c))
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Characters outside of base64 are passed over. Behind the padding some mail programs read on,
 * some do not. */
static size_t
read_b(const char *text, const char *end, char *out)
{
	uint32_t bits = 0;
	unsigned have = 0, signs = 0, pads = 0;
	bool padded = false;
	size_t n = 0;

	for (; text < end; text++) {
		int value = base64_of(*text);

		if (*text == '=' && signs >= 2 && signs + ++pads >= 4) {
			padded = true;
			have = signs = pads = 0;
		}
		if (value < 0)
			continue;
		if (padded)
			out[n++] = WORDS_EDGE;
		padded = false;
		signs = (signs + 1) % 4;
		pads = 0;
		bits = bits << 6 | (uint32_t)value;
		have += 6;
		if (have >= 8)
			out[n++] = (char)(bits >> (have -= 8));
	}
	return n;
}

static void
put(struct reader *reader, const char *bytes, size_t length)
{
	memcpy(reader->out + reader->length, bytes, length);
	reader->length += length;
}

/* Characters beyond U+FFFF stay two halves: they spell no domain that anybody could own. */
static void
put_utf16(struct reader *reader, const char *bytes, size_t length, bool little)
{
	for (size_t i = 0; i + 1 < length; i += 2) {
		unsigned first = (unsigned char)bytes[i], second = (unsigned char)bytes[i + 1];
		unsigned c = little ? second << 8 | first : first << 8 | second;
		char *out = reader->out + reader->length;

		if (c < 0x80) {
			out[0] = (char)c;
			reader->length += 1;
		} else if (c < 0x800) {
			out[0] = (char)(0xc0 | c >> 6);
			out[1] = (char)(0x80 | (c & 0x3f));
			reader->length += 2;
		} else {
			out[0] = (char)(0xe0 | c >> 12);
			out[1] = (char)(0x80 | (c >> 6 & 0x3f));
			out[2] = (char)(0x80 | (c & 0x3f));
			reader->length += 3;
		}
	}
}

/* UTF-16: a mark tells the order of the bytes, else the charset's name, else the places of the
 * zeros. */
static void
read_utf16(struct reader *reader, const struct word *word, char *bytes, size_t length)
{
	size_t name = strlen(word->charset);
	bool little = length >= 2 && bytes[0] && !bytes[1];

	if (name > 2)
		little |= strcmp(word->charset + name - 2, "le") == 0;
	if (length >= 2 && memcmp(bytes, "\xff\xfe", 2) == 0)
		little = true;
	put_utf16(reader, bytes, length, little);
}

/* UTF-7 (RFC 2152). */
static void
read_utf7(struct reader *reader, char *bytes, size_t length)
{
	const char *at = bytes, *end = bytes + length;

	while (at < end) {
		const char *start = at + 1, *stop = start;
		size_t size;

		if (*at != '+') {
			put(reader, at++, 1);
			continue;
		}
		while (stop < end && base64_of(*stop) >= 0)
			stop++;
		at = stop < end && *stop == '-' ? stop + 1 : stop;
		if (stop == start)
			put(reader, "+", at > stop);
		/* The decoded bytes are fewer than the characters of base64, and replace them. */
		size = read_b(start, stop, bytes);
		put_utf16(reader, bytes, size, false);
	}
}

/* The ASCII form of a character of JIS X 0208, KS X 1001 or GB 2312; "?" for others. */
static char
narrow(unsigned row, unsigned cell)
{
	static const char marks[] = "  .,."; /* of JIS: U+3000 U+3001 U+3002 U+FF0C U+FF0E */

	if (row == 0x23)
		return (char)cell;
	if (row == 0x21 && cell == 0x77)
		return '@';
	return row == 0x21 && cell >= 0x21 && cell < 0x21 + sizeof marks - 1 ? marks[cell - 0x21]
									     : '?';
}

/* ISO 2022 with seven bits: escape sequences choose what the bytes mean. */
static void
read_iso2022(struct reader *reader, const char *bytes, size_t length)
{
	bool wide = false;

	for (size_t i = 0; i < length; i++) {
		char c = bytes[i];

		if (c == 0x1b) {
			wide = i + 1 < length && bytes[i + 1] == '$';
			while (i + 1 < length && bytes[i + 1] >= ' ' && bytes[i + 1] < '0')
				i++;
			i++; /* the final byte */
		} else if (c == 0x0e || c == 0x0f) {
			wide = c == 0x0e;
		} else if (wide && c > ' ' && i + 1 < length) {
			c = narrow((unsigned char)c & 0x7f, (unsigned char)bytes[++i] & 0x7f);
			put(reader, &c, 1);
		} else {
			put(reader, &c, 1);
		}
	}
}

/* EUC and GB: bytes with the eighth bit in pairs, of which row 3 is wide ASCII. */
static void
read_euc(struct reader *reader, const char *bytes, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		char c = bytes[i];

		if ((unsigned char)c > 0xa0 && i + 1 < length && (unsigned char)bytes[i + 1] > 0xa0)
			c = narrow((unsigned char)c & 0x7f, (unsigned char)bytes[++i] & 0x7f);
		put(reader, &c, 1);
	}
}

static bool
begins(const struct word *word, const char *name)
{
	return strncmp(word->charset, name, strlen(name)) == 0;
}

static void
read_word(struct reader *reader, const struct word *word, char *bytes)
{
	size_t length = word->encoding == 'q' ? read_q(word, bytes)
					      : read_b(word->text, word->text_end, bytes);

	if (begins(word, "utf7") || begins(word, "unicode11utf7") || begins(word, "xunicode20utf7"))
		read_utf7(reader, bytes, length);
	else if (begins(word, "utf16") || begins(word, "ucs2") || begins(word, "iso10646ucs2"))
		read_utf16(reader, word, bytes, length);
	else if (begins(word, "iso2022"))
		read_iso2022(reader, bytes, length);
	else if (begins(word, "gb") || begins(word, "euc") || begins(word, "ksc") ||
		begins(word, "cngb") || begins(word, "xeuc"))
		read_euc(reader, bytes, length);
	else
		put(reader, bytes, length);
}

/* The word at reader->at and those that follow it: blanks between two words are not shown. */
static void
read_words(struct reader *reader, struct word *word, char *bytes)
{
	static const char edge = WORDS_EDGE;
	const char *next;

	put(reader, &edge, 1);
	do {
		read_word(reader, word, bytes);
		reader->at = next = word->end;
		while (next < reader->end && is_white(*next))
			next++;
	} while (word_parse(reader, next, word));
	put(reader, &edge, 1);
}

size_t
words_read(const char *value, size_t length, char *out, char *scratch)
{
	struct reader reader = {
		.at = value, .end = value + length, .no_close = value + length, .out = out
	};
	struct word word;

	while (reader.at < reader.end) {
		if (word_parse(&reader, reader.at, &word))
			read_words(&reader, &word, scratch);
		else
			out[reader.length++] = *reader.at++;
	}
	return reader.length;
}
