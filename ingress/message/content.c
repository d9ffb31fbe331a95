/*
 * content.c - what the header of a message says, and the fields that do not travel on.
 *
 * ingress:  body -> [content] -> originators, authorize
 *
 * Return-Path belongs to final delivery (RFC 5321 4.4). A Bcc that is left in would tell every
 * recipient about the hidden ones. X-Shout-Alert is for the scanner alone to write. The other edits
 * are those of Postfix's smtpd and cleanup: every later reader shall take the same lines for the
 * header as we do:
 *
 *   a mailbox file's "From " line before the header   "X-Mailbox-Line: " goes before it
 *   a line that is no field, or a fold of nothing     the empty line goes before it: it is body
 *   blanks before a field's colon (RFC 5322 4.5)      go: clamd does not know such a field
 *
 * Everything else stays byte for byte.
 */
#include "ingress/message/content.h"

#include <string.h>

#include "shared/base/text.h"
#include "shared/mail/envelope.h"
#include "shared/mail/header.h"

#define MAILBOX_LINE "X-Mailbox-Line: "
#define MAILBOX_LINES_MAX 100 /* a further such line ends the header */

static const char *
read_text(struct arena *arena, const struct header_field *field, size_t max)
{
	size_t size = (field->value_length < max ? field->value_length : max) + 1;
	char *text = arena_get(arena, size);

	header_text(field, text, size);
	return text;
}

static void
read_field(const struct header_field *field, struct arena *arena, struct content *out)
{
	switch (field->name[0] | 0x20) {
	case 'f':
		if (header_is(field, "From"))
			originators_read_from(&out->originators, field, arena);
		break;
	case 's':
		if (header_is(field, "Sender"))
			originators_read_sender(&out->originators, field, arena);
		else if (header_is(field, "Subject") && !out->subject)
			out->subject = read_text(arena, field, CONTENT_SUBJECT_MAX);
		break;
	case 'r':
		if (header_is(field, "Received"))
			out->received++;
		else if (header_is(field, "Resent-From") || header_is(field, "Resent-Sender"))
			originators_read_sender(&out->originators, field, arena);
		break;
	case 'm':
		if (header_is(field, "Message-ID") && !out->message_id)
			out->message_id = read_text(arena, field, 998);
		break;
	case 'd':
		if (header_is(field, "Date"))
			out->missing &= ~(unsigned)MISSING_DATE;
		break;
	default: break;
	}
}

static bool
stays(const struct header_field *field)
{
	return !header_is(field, "Return-Path") && !header_is(field, "Bcc") &&
		!header_is(field, "Resent-Bcc") && !header_is(field, ALERT_FIELD);
}

/* Whether the field holds addresses: RFC 5322 3.6.2, 3.6.3 and 3.6.6, RFC 8098 2.1, and fields
 * that mail programs added. */
static bool
holds_addresses(const struct header_field *field)
{
	static const char *const names[] = { "From", "Sender", "Reply-To", "To", "Cc",
		"Resent-From", "Resent-Sender", "Resent-Reply-To", "Resent-To", "Resent-Cc",
		"Disposition-Notification-To", "Return-Receipt-To", "Errors-To", "Mail-Reply-To",
		"Mail-Followup-To" };

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (header_is(field, names[i]))
			return true;
	return false;
}

static void
look_for_utf8(const struct header_field *field, struct arena *arena, struct content *out)
{
	if (out->utf8_address || text_is_ascii(field->value, field->value_length) ||
		!holds_addresses(field))
		return;
	out->utf8_address = header_has_utf8_address(
		field->value, field->value_length, arena_get(arena, field->value_length + 1));
}

/* The length of a mailbox file's line at the front of the data (">" quotes it); 0: another line. */
static size_t
mailbox_line(const char *data, size_t size)
{
	struct header_field field;
	size_t at = 0, quotes = 0;
	const char *lf;

	while (quotes < size && data[quotes] == '>')
		quotes++;
	if (size - quotes < 5 || memcmp(data + quotes, "From ", 5) != 0 ||
		header_next(data, size, &at, &field) == 1)
		return 0;
	lf = memchr(data, '\n', size);
	return lf ? (size_t)(lf + 1 - data) : 0;
}

static size_t
count_mailbox_lines(const char *data, size_t size)
{
	size_t count = 0, at = 0, length;

	while (count < MAILBOX_LINES_MAX && (length = mailbox_line(data + at, size - at)) > 0) {
		at += length;
		count++;
	}
	return count;
}

size_t
content_growth(const char *data, size_t size)
{
	return count_mailbox_lines(data, size) * strlen(MAILBOX_LINE) + strlen("\r\n");
}

/* Makes fields of the mailbox file's lines; *size grows. Returns where they end. */
static size_t
name_mailbox_lines(char *data, size_t *size)
{
	size_t count = count_mailbox_lines(data, *size), kept = 0;
	size_t at = count * strlen(MAILBOX_LINE);

	if (count)
		memmove(data + at, data, *size);
	*size += at;
	while (count--) {
		size_t length = mailbox_line(data + at, *size - at);

		memcpy(data + kept, MAILBOX_LINE, strlen(MAILBOX_LINE));
		kept += strlen(MAILBOX_LINE);
		memmove(data + kept, data + at, length);
		kept += length;
		at += length;
	}
	return kept;
}

/* Moves a field to the front, without blanks before its colon. Returns its new length. */
static size_t
keep_field(char *to, const struct header_field *field)
{
	const char *colon = field->value - 1;
	size_t remainder = (size_t)(field->start + field->length - colon);

	memmove(to, field->name, field->name_length);
	memmove(to + field->name_length, colon, remainder);
	return field->name_length + remainder;
}

/* Moves the bytes behind the last field to the field's new end, behind an empty line. */
static size_t
keep_body(char *data, size_t kept, size_t from, size_t size, bool empty_line)
{
	size_t gap = empty_line || from == size ? 0 : strlen("\r\n");

	if (kept + gap != from)
		memmove(data + kept + gap, data + from, size - from);
	memcpy(data + kept, "\r\n", gap);
	return kept + gap + (size - from);
}

size_t
content_read(char *data, size_t size, struct arena *arena, struct content *out)
{
	struct header_field field;
	size_t kept = name_mailbox_lines(data, &size), at = kept, fields_end = kept;

	memset(out, 0, sizeof *out);
	out->missing = MISSING_DATE | MISSING_MESSAGE_ID | MISSING_FROM;
	while (header_next(data, size, &at, &field) == 1) {
		fields_end = at;
		read_field(&field, arena, out);
		if (!stays(&field))
			continue;
		look_for_utf8(&field, arena, out);
		kept += keep_field(data + kept, &field);
	}
	if (out->originators.from_fields)
		out->missing &= ~(unsigned)MISSING_FROM;
	if (out->message_id)
		out->missing &= ~(unsigned)MISSING_MESSAGE_ID;
	out->header_size = fields_end;
	return keep_body(data, kept, fields_end, size, at > fields_end);
}
