/*
 * content.c - what the header of a message says, and the fields that do not travel on.
 *
 * ingress:  body -> [content] -> authorize
 *
 * Return-Path belongs to final delivery (RFC 5321 4.4), and a Bcc that is left in would tell every
 * recipient about the hidden ones. Everything else stays byte for byte.
 */
#include "ingress/content.h"

#include <string.h>

#include "shared/envelope.h"
#include "shared/header.h"

static void
add_mailboxes(
	struct arena *arena, const struct address *found, size_t count, struct mailbox_list *list)
{
	const char **text = arena_get(arena, (list->count + count) * sizeof *text);

	if (list->count)
		memcpy(text, list->text, list->count * sizeof *text);
	for (size_t i = 0; i < count; i++)
		text[list->count++] = arena_text(arena, found[i].text, found[i].length);
	list->text = text;
}

/* false when the field holds no list, or one too long to be judged. */
static bool
read_mailboxes(struct arena *arena, const struct header_field *field, struct mailbox_list *list)
{
	struct address found[MAILBOXES_MAX];
	char *scratch = arena_get(arena, field->value_length + 1);
	long count = header_addresses(
		field->value, field->value_length, found, MAILBOXES_MAX, scratch);

	if (count < 0 || count > MAILBOXES_MAX || list->count + (size_t)count > MAILBOXES_MAX)
		return false;
	if (count > 0)
		add_mailboxes(arena, found, (size_t)count, list);
	return true;
}

static const char *
read_text(struct arena *arena, const struct header_field *field, size_t max)
{
	size_t size = (field->value_length < max ? field->value_length : max) + 1;
	char *text = arena_get(arena, size);

	header_text(field, text, size);
	return text;
}

static void
read_from(const struct header_field *field, struct arena *arena, struct content *out)
{
	if (out->from_fields++ > 0)
		return;
	out->from_bad = !read_mailboxes(arena, field, &out->from);
	out->from_at = memchr(field->value, '@', field->value_length);
}

static void
read_field(const struct header_field *field, struct arena *arena, struct content *out)
{
	switch (field->name[0] | 0x20) {
	case 'f':
		if (header_is(field, "From"))
			read_from(field, arena, out);
		break;
	case 's':
		if (header_is(field, "Sender"))
			read_mailboxes(arena, field, &out->senders);
		else if (header_is(field, "Subject") && !out->subject)
			out->subject = read_text(arena, field, CONTENT_SUBJECT_MAX);
		break;
	case 'r':
		if (header_is(field, "Received"))
			out->received++;
		else if (header_is(field, "Resent-From") || header_is(field, "Resent-Sender"))
			read_mailboxes(arena, field, &out->senders);
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

/*
 * Behind a line that is no field, from `at` on. To us, to RFC 5322 and to Postfix (which puts an
 * empty line there) all of that is body. Some mail programs skip the line and read on: a From that
 * they would show has to be the originator's too, and the only one. Nothing else counts: what only
 * some readers see must not vouch for anything. Returns whether the empty line was found.
 */
static bool
read_hidden(const char *data, size_t size, size_t at, struct arena *arena, struct content *out)
{
	struct header_field field;

	while (at < size) {
		const size_t before = at;

		if (header_next(data, size, &at, &field) == 1) {
			if (header_is(&field, "From"))
				read_from(&field, arena, out);
		} else if (at > before) {
			return true;
		} else {
			const char *lf = memchr(data + at, '\n', size - at);

			at = lf ? (size_t)(lf + 1 - data) : size;
		}
	}
	return false;
}

static bool
stays(const struct header_field *field)
{
	return !header_is(field, "Return-Path") && !header_is(field, "Bcc") &&
		!header_is(field, "Resent-Bcc");
}

size_t
content_read(char *data, size_t size, struct arena *arena, struct content *out, bool *ended)
{
	struct header_field field;
	size_t at = 0, kept = 0, fields_end = 0;

	memset(out, 0, sizeof *out);
	out->missing = MISSING_DATE | MISSING_MESSAGE_ID | MISSING_FROM;
	while (header_next(data, size, &at, &field) == 1) {
		size_t start = (size_t)(field.start - data);

		fields_end = start + field.length;
		read_field(&field, arena, out);
		if (!stays(&field))
			continue;
		if (kept != start)
			memmove(data + kept, data + start, field.length);
		kept += field.length;
	}
	if (out->from_fields)
		out->missing &= ~(unsigned)MISSING_FROM;
	/* Something follows the last field: the empty line, or a line that is no field. */
	*ended = at > fields_end || read_hidden(data, size, fields_end, arena, out);
	if (out->message_id)
		out->missing &= ~(unsigned)MISSING_MESSAGE_ID;
	if (kept != fields_end)
		memmove(data + kept, data + fields_end, size - fields_end);
	return size - (fields_end - kept);
}
