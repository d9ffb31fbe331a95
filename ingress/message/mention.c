/*
 * mention.c - the domains that a header field shows behind an "@", wherever in it.
 *
 * ingress:  content -> [mention] -> authorize
 *
 * Many mail programs show a display name and hide the address. So a name that holds an address
 * speaks for the owner of that address, however the name is written.
 */
#include "ingress/message/mention.h"

#include <string.h>

#include "shared/base/text.h"
#include "shared/mail/address.h"

struct range {
	unsigned first, last;
};

/* Characters that do not show (Unicode's Default_Ignorable_Code_Point, and controls). */
static const struct range hidden[] = {
	{ 0x00, 0x08 },
	{ 0x0b, 0x0c },
	{ 0x0e, 0x1f },
	{ 0x7f, 0x9f },
	{ 0xad, 0xad },
	{ 0x34f, 0x34f },
	{ 0x61c, 0x61c },
	{ 0x115f, 0x1160 },
	{ 0x17b4, 0x17b5 },
	{ 0x180b, 0x180f },
	{ 0x200b, 0x200f },
	{ 0x202a, 0x202c },
	{ 0x2060, 0x206f },
	{ 0x3164, 0x3164 },
	{ 0xfe00, 0xfe0f },
	{ 0xfeff, 0xfeff },
	{ 0xffa0, 0xffa0 },
	{ 0xfff0, 0xfffb },
	{ 0x1bca0, 0x1bca3 },
	{ 0x1d173, 0x1d17a },
	{ 0xe0000, 0xe0fff },
};

/* Punctuation and pictures: no domain has them. U+00B7 is a letter's part in Catalan. */
static const struct range marks[] = {
	{ 0xa0, 0xa9 },
	{ 0xab, 0xb1 },
	{ 0xb4, 0xb4 },
	{ 0xb6, 0xb6 },
	{ 0xb8, 0xb8 },
	{ 0xbb, 0xbb },
	{ 0xbf, 0xbf },
	{ 0xd7, 0xd7 },
	{ 0xf7, 0xf7 },
	{ 0x1680, 0x1680 },
	{ 0x2000, 0x206f },
	{ 0x20a0, 0x20cf },
	{ 0x2122, 0x2122 },
	{ 0x2190, 0x245f },
	{ 0x2500, 0x2bff },
	{ 0x2e00, 0x2e7f },
	{ 0x3000, 0x3004 },
	{ 0x3008, 0x3020 },
	{ 0x3030, 0x3030 },
	{ 0xfe10, 0xfe1f },
	{ 0xfe30, 0xfe6f },
	{ 0x1f000, 0x1faff },
};

static bool
is_in(const struct range *ranges, size_t count, unsigned c)
{
	for (size_t i = 0; i < count && c >= ranges[i].first; i++)
		if (c <= ranges[i].last)
			return true;
	return false;
}

#define IS_IN(ranges, c) is_in(ranges, sizeof(ranges) / sizeof *(ranges), c)

/* The character at `text`; a byte that is no UTF-8 is one of Latin-1. *step: its bytes. */
static unsigned
character(const char *text, size_t left, size_t *step)
{
	static const unsigned char bits[] = { 0, 0x7f, 0x1f, 0x0f, 0x07 };
	unsigned c = (unsigned char)*text;

	*step = utf8_length(text, left);
	if (*step <= 1) {
		*step = 1;
		return c;
	}
	c &= bits[*step];
	for (size_t i = 1; i < *step; i++)
		c = c << 6 | ((unsigned char)text[i] & 0x3f);
	return c;
}

/* The ASCII character that another one stands for; 0 for none. */
static char
ascii_of(unsigned c)
{
	switch (c) {
	case '\t':
	case 0xa0:
	case 0x3000: return ' ';
	case '\\':
	case '\r':
	case '\n': return WORDS_EDGE;
	case 0xfe6b: return '@';
	case 0x2024: /* one dot leader */
	case 0x3002:
	case 0xfe52:
	case 0xff61: return '.';
	default: break;
	}
	if (c < 0x80)
		return (char)c;
	return c > 0xff00 && c < 0xff5f ? (char)(c - 0xfee0) : '\0';
}

size_t
mention_text(const char *value, size_t length, bool words, char *out, char *scratch)
{
	size_t n = 0, step;

	if (words) {
		length = words_read(value, length, scratch, out);
		value = scratch;
	}
	for (size_t i = 0; i < length; i += step) {
		unsigned c = character(value + i, length - i, &step);
		char ascii = ascii_of(c);

		if (IS_IN(hidden, c))
			continue;
		if (ascii) {
			out[n++] = ascii;
		} else if (step > 1) {
			memcpy(out + n, value + i, step);
			n += step;
		} else {
			out[n++] = (char)(0xc0 | c >> 6);
			out[n++] = (char)(0x80 | (c & 0x3f));
		}
	}
	return n;
}

/* The length of what may be a domain's name at the front of the text. */
static size_t
name_length(const char *text, size_t left)
{
	size_t n = 0, step;

	for (; n < left; n += step) {
		unsigned c = character(text + n, left - n, &step);

		if (c < 0x80 ? !is_alnum((char)c) && !strchr(".-_", (char)c) : IS_IN(marks, c))
			break;
	}
	return n;
}

static bool
is_edge(char c)
{
	return c == '.' || c == '-' || c == '_';
}

static bool
take_name(const char *text, size_t length, char domain[256])
{
	while (length && is_edge(*text)) {
		text++;
		length--;
	}
	while (length && is_edge(text[length - 1]))
		length--;
	return length && address_domain_named(text, length, domain);
}

/* The length of a name's ASCII start, when it has two labels at least: scripts without blanks go
 * on right behind a name. */
static size_t
ascii_length(const char *name, size_t size)
{
	size_t n = 0;

	while (n < size && (unsigned char)name[n] < 0x80)
		n++;
	return memchr(name, '.', n) ? n : 0;
}

bool
mention_next(const char *text, size_t length, bool ascii, size_t *at, char domain[256])
{
	const char *name, *sign = text + *at, *end = text + length;
	size_t size;

	while (sign < end && *sign != '@' && *sign != '%')
		sign++;
	if (sign == end)
		return false;
	*at = (size_t)(sign + 1 - text);
	for (name = sign + 1; name < end && (*name == ' ' || *name == WORDS_EDGE);)
		name++;
	size = name_length(name, (size_t)(end - name));
	if (ascii)
		size = ascii_length(name, size);
	if (!take_name(name, size, domain))
		domain[0] = '\0';
	return true;
}

bool
mention_is_turned(const char *text, size_t length)
{
	return memmem(text, length, "\xe2\x80\xad", 3) || memmem(text, length, "\xe2\x80\xae", 3);
}

size_t
mention_join(char *text, size_t length)
{
	size_t n = 0;

	for (size_t i = 0; i < length; i++) {
		if (text[i] == WORDS_EDGE || (text[i] == ' ' && n && text[n - 1] == '.'))
			continue;
		while (text[i] == '.' && n && (text[n - 1] == ' ' || text[n - 1] == '.'))
			n--;
		text[n++] = text[i];
	}
	return n;
}
