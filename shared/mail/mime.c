/*
 * mime.c - text parts of our own mails, labelled by their content.
 *
 * dsn, notice -> [mime]
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
