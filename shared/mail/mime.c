/*
 * mime.c - header fields and text parts of our own mails.
 *
 * dsn, notice, notices -> [mime]
 *
 * Our mail is written before anybody knows whether the next host offers 8BITMIME, so its text never
 * needs 8BITMIME. Owns nothing, cannot fail.
 */
#include "shared/mail/mime.h"

#include <stdbool.h>
#include <string.h>

#include "shared/base/text.h"

#define COLUMNS 75 /* RFC 2045 6.7 (5): 76 with the "=" of a soft line break */

/* Whether the octet is written as itself. A blank may be, but not at the end of a line. */
static bool
is_literal(const char *at, const char *end)
{
	if (is_blank(*at))
		return at + 1 < end && at[1] != '\r';
	return *at > ' ' && *at < 0x7f && *at != '=';
}

static void
put_quoted_printable(FILE *out, const char *text, size_t length)
{
	const char *end = text + length;
	size_t column = 0;

	for (; text < end; text++) {
		bool literal = is_literal(text, end);

		if (*text == '\r' && text + 1 < end && text[1] == '\n') {
			fputs("\r\n", out);
			column = 0;
			text++;
			continue;
		}
		if (column + (literal ? 1 : 3) > COLUMNS) {
			fputs("=\r\n", out);
			column = 0;
		}
		column += literal ? 1 : 3;
		if (literal)
			fputc(*text, out);
		else
			fprintf(out, "=%02X", (unsigned char)*text);
	}
}

void
mime_put_text(FILE *out, const char *type, const char *text, size_t length)
{
	if (text_is_ascii(text, length)) {
		fprintf(out, "Content-Type: %s\r\n\r\n", type);
		fwrite(text, 1, length, out);
		return;
	}
	fprintf(out, "Content-Type: %s%s\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n",
		type, utf8_valid(text, length) ? "; charset=utf-8" : "");
	put_quoted_printable(out, text, length);
}

#define FIELD_COLUMNS 76 /* RFC 2047 2: of a line with an encoded word */
#define WORD_BEGIN "=?utf-8?q?"

/* A word for word copy, with the line broken before words that do not fit. */
static void
put_folded(FILE *out, size_t column, const char *text)
{
	while (*text) {
		const size_t blank = strspn(text, " "), length = blank + strcspn(text + blank, " ");

		if (column + length > FIELD_COLUMNS && blank) {
			fputs("\r\n", out);
			column = 0;
		}
		fwrite(text, 1, length, out);
		column += length;
		text += length;
	}
}

/* RFC 2047 5 (3): what may stand in a phrase may stand in any encoded word. */
static void
put_octet(FILE *out, unsigned char octet)
{
	if (octet == ' ')
		fputc('_', out);
	else if (is_alnum((char)octet))
		fputc(octet, out);
	else
		fprintf(out, "=%02X", octet);
}

/* Characters are never cut in two (RFC 2047 5). */
static void
put_encoded(FILE *out, size_t column, const char *text)
{
	size_t left = strlen(text);
	bool open = false;

	while (left > 0) {
		size_t step = utf8_length(text, left);

		if (!step)
			step = 1;
		if (open && column + 3 * step + sizeof "?=" - 1 > FIELD_COLUMNS) {
			fputs("?=\r\n ", out);
			column = 1;
			open = false;
		}
		if (!open)
			fputs(WORD_BEGIN, out);
		column += open ? 3 * step : sizeof WORD_BEGIN - 1 + 3 * step;
		open = true;
		for (size_t i = 0; i < step; i++)
			put_octet(out, (unsigned char)text[i]);
		text += step;
		left -= step;
	}
	if (open)
		fputs("?=", out);
}

void
mime_put_field(FILE *out, const char *name, const char *text)
{
	const size_t column = (size_t)fprintf(out, "%s: ", name);

	if (text_is_ascii(text, strlen(text)))
		put_folded(out, column, text);
	else
		put_encoded(out, column, text);
	fputs("\r\n", out);
}

static void
put_quoted(FILE *out, const char *text)
{
	fputc('"', out);
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			fputc('\\', out);
		fputc(*text, out);
	}
	fputc('"', out);
}

void
mime_put_mailbox(FILE *out, const char *name, const char *phrase, const char *address)
{
	const size_t column = (size_t)fprintf(out, "%s: ", name);

	if (text_is_ascii(phrase, strlen(phrase)))
		put_quoted(out, phrase);
	else
		put_encoded(out, column, phrase);
	fprintf(out, "\r\n <%s>\r\n", address);
}
