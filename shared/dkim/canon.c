/*
 * canon.c - what a signature covers: the relaxed form of fields and bodies.
 *
 * sign -> [canon] -> SHA-256
 *
 * Mail on the wire has CRLF line endings only (ingress sees to it). A CR or LF of its own is kept
 * in a body as it is, as other characters are, and dropped from a field.
 */
#include "shared/dkim/canon.h"

#include <string.h>

#include "shared/base/text.h"
#include "shared/mail/header.h"

size_t
canon_field(const struct header_field *field, char *out)
{
	size_t n = 0, name = field->name_length, start;
	bool blank = false;

	while (name && is_blank(field->name[name - 1]))
		name--;
	for (size_t i = 0; i < name; i++)
		out[n++] = to_lower(field->name[i]);
	out[n++] = ':';
	start = n;
	for (size_t i = 0; i < field->value_length; i++) {
		const char c = field->value[i];

		if (is_blank(c))
			blank = n > start;
		else if (c != '\r' && c != '\n') {
			if (blank)
				out[n++] = ' ';
			out[n++] = c;
			blank = false;
		}
	}
	out[n] = '\r';
	out[n + 1] = '\n';
	return n + 2;
}

static void
flush(struct canon_body *body)
{
	if (body->used)
		body->take(body->arg, body->out, body->used);
	body->used = 0;
}

static void
put(struct canon_body *body, const char *data, size_t size)
{
	if (body->used + size > sizeof body->out)
		flush(body);
	if (size > sizeof body->out) {
		body->take(body->arg, data, size);
		return;
	}
	memcpy(body->out + body->used, data, size);
	body->used += size;
}

/* Lets go what was held back, since a character follows. */
static void
let_go(struct canon_body *body)
{
	for (; body->lines; body->lines--)
		put(body, "\r\n", 2);
	if (body->blank)
		put(body, " ", 1);
	body->blank = false;
	body->some = true;
}

static void
lone_cr(struct canon_body *body)
{
	body->cr = false;
	let_go(body);
	put(body, "\r", 1);
}

/* How many characters follow that stand for themselves. */
static size_t
run_length(const char *data, size_t size)
{
	size_t n = 0;

	while (n < size && data[n] != ' ' && data[n] != '\t' && data[n] != '\r')
		n++;
	return n;
}

void
canon_body_feed(struct canon_body *body, const char *data, size_t size)
{
	for (size_t i = 0, n; i < size; i += n) {
		n = 1;
		if (body->cr && data[i] == '\n') {
			body->cr = body->blank = false;
			body->lines++;
			continue;
		}
		if (body->cr)
			lone_cr(body);
		if (data[i] == '\r') {
			body->cr = true;
		} else if (is_blank(data[i])) {
			body->blank = true;
		} else {
			n = run_length(data + i, size - i);
			let_go(body);
			put(body, data + i, n);
		}
	}
}

void
canon_body_end(struct canon_body *body)
{
	if (body->cr)
		lone_cr(body);
	if (body->some)
		put(body, "\r\n", 2);
	flush(body);
}
