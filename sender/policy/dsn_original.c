/*
 * dsn_original.c - the third part of a report: the header of the message that it is about, or all
 * of it.
 *
 * dsn -> [dsn_original]
 *
 * Lines keep their octets, get CRLF and are cut where they are too long for SMTP.
 */
#include "sender/policy/dsn_private.h"

#include <stdint.h>
#include <string.h>

#include "shared/base/text.h"
#include "shared/mail/header.h"

#define LINE_MAX_BYTES 998 /* RFC 5322 2.1.1 */

/* Where a too long line of `length` bytes is cut: not inside a character. */
static size_t
cut(const char *line, size_t length, size_t most)
{
	size_t at = most;

	if (length <= most)
		return length;
	while (at > most - 4 && ((unsigned char)line[at] & 0xc0) == 0x80)
		at--;
	return at;
}

/* Lines of any ending; too long ones go on in lines that begin with `fold`. */
static void
put_lines(struct writer *writer, const char *text, size_t length, const char *fold)
{
	const char *end = length ? text + length : text;

	while (text < end) {
		const char *stop = text;
		size_t room = LINE_MAX_BYTES;

		while (stop < end && *stop != '\r' && *stop != '\n')
			stop++;
		for (size_t part;
			(part = cut(text, (size_t)(stop - text), room)) > 0 && text + part < stop;
			text += part) {
			fwrite(text, 1, part, writer->out);
			fprintf(writer->out, "\r\n%s", fold);
			room = LINE_MAX_BYTES - strlen(fold);
		}
		fwrite(text, 1, (size_t)(stop - text), writer->out);
		fputs("\r\n", writer->out);
		text = stop + (end - stop > 1 && stop[0] == '\r' && stop[1] == '\n' ? 2 : 1);
	}
}

/* Where the last field ends that is whole and within `limit`. */
static size_t
header_length(const struct dsn *dsn, size_t limit, size_t *body)
{
	struct header_field field;
	size_t at = 0, length = 0;

	while (header_next(dsn->original, dsn->original_length, &at, &field)) {
		if (at == dsn->original_length && at < dsn->about->size)
			break;
		if (at <= limit)
			length = at;
	}
	*body = at;
	return length;
}

static bool
is_wanted_whole(const struct dsn *dsn)
{
	return dsn->kind == DSN_FAILURE &&
		text_is(dsn->about->ret, strlen(dsn->about->ret), "FULL") &&
		dsn->about->size <= DSN_FULL_MAX && dsn->original_length == dsn->about->size;
}

static bool
says_8bit(const struct dsn *dsn)
{
	struct header_field field;
	size_t at = 0;
	char label[16];

	while (header_next(dsn->original, dsn->original_length, &at, &field)) {
		if (!header_is(&field, "Content-Transfer-Encoding"))
			continue;
		header_text(&field, label, sizeof label);
		return text_is(label, strlen(label), "8bit") ||
			text_is(label, strlen(label), "binary");
	}
	return false;
}

static bool
is_ascii(const struct dsn *dsn, size_t from, size_t to)
{
	return text_is_ascii(dsn->original + from, to - from);
}

/*
 * A header goes back in quoted-printable, which RFC 6522 4 has for this, when a strict host would
 * not take it as it is: an internationalized header (RFC 6532) makes the whole report
 * internationalized (RFC 6531 3.2), and other 8-bit in a header, or in a body that does not declare
 * it, is not allowed.
 */
void
dsn_put_original(struct writer *writer)
{
	const struct dsn *dsn = writer->dsn;
	const ProtobufCBinaryData *prefix = &dsn->about->prefix;
	size_t body, header = header_length(dsn, SIZE_MAX, &body);
	bool ascii = text_is_ascii((const char *)prefix->data, prefix->len) &&
		is_ascii(dsn, 0, header);
	bool global = !ascii && writer->utf8 && dsn->about->smtputf8 &&
		utf8_valid(dsn->original, header);
	bool whole = is_wanted_whole(dsn) && (ascii || global) &&
		(says_8bit(dsn) || is_ascii(dsn, body, dsn->original_length));

	dsn_part_begin(writer);
	put_lines(writer, (const char *)prefix->data, prefix->len, " ");
	put_lines(writer, dsn->original, whole ? header : header_length(dsn, DSN_HEADER_MAX, &body),
		" ");
	fputs("\r\n", writer->out);
	if (whole) {
		put_lines(writer, dsn->original + body, dsn->original_length - body, "");
		dsn_part_end(writer, global ? "message/global" : "message/rfc822");
	} else if (global) {
		dsn_part_end(writer, "message/global-headers");
	} else {
		dsn_part_end_text(writer, "text/rfc822-headers");
	}
}
