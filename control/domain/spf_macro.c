/*
 * spf_macro.c - macros in the domains of an SPF record.
 */
#include "control/domain/spf_macro.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "shared/base/text.h"

#define DELIMITERS ".-+,/_="
#define NAME_LENGTH_MAX 253
#define EXPANDED_MAX 4096 /* what does not fit is left out at the end */

/* "%{" letter [digits] ["r"] [delimiters] "}" */
struct macro {
	char letter;   /* in lower case */
	bool url;      /* an upper-case letter: escaped as in a URL */
	unsigned keep; /* labels from the right; 0: all */
	bool reverse;
	const char *delimiters;
	size_t delimiter_count;
};

static size_t
macro_digits(const char *text, size_t length, size_t at, struct macro *out)
{
	size_t n = 0;

	for (; at + n < length && is_digit(text[at + n]); n++)
		if (out->keep < 1000)
			out->keep = out->keep * 10 + (unsigned)(text[at + n] - '0');
	return n;
}

/* The length of the macro at the text, which begins with "%{"; 0: it is none. */
static size_t
macro_parse(const char *text, size_t length, struct macro *out)
{
	size_t at = 3, digits;

	*out = (struct macro){ 0 };
	if (length < 4)
		return 0;
	out->letter = to_lower(text[2]);
	out->url = text[2] != out->letter;
	digits = macro_digits(text, length, at, out);
	if (digits && !out->keep)
		return 0;
	at += digits;
	if (at < length && to_lower(text[at]) == 'r') {
		out->reverse = true;
		at++;
	}
	out->delimiters = text + at;
	while (at < length && text[at] && strchr(DELIMITERS, text[at]))
		at++;
	out->delimiter_count = (size_t)(text + at - out->delimiters);
	return at < length && text[at] == '}' ? at + 1 : 0;
}

/* The length of what stands at the text: a character, or a macro; 0: neither. */
static size_t
piece(const char *text, size_t length, struct macro *macro_out)
{
	macro_out->letter = 0;
	if (text[0] != '%')
		return text[0] > ' ' && text[0] <= '~' ? 1 : 0;
	if (length >= 2 && (text[1] == '%' || text[1] == '_' || text[1] == '-'))
		return 2;
	return length >= 2 && text[1] == '{' ? macro_parse(text, length, macro_out) : 0;
}

bool
spf_macro_check(const char *text, size_t length, bool explains, bool *macro_last_out)
{
	const char *const letters = explains ? "slodipvhcrt" : "slodipvh";
	struct macro macro;

	*macro_last_out = false;
	for (size_t at = 0, n; at < length; at += n) {
		n = piece(text + at, length - at, &macro);
		if (!n || (macro.letter && !strchr(letters, macro.letter)))
			return false;
		*macro_last_out = n > 1;
	}
	return true;
}

bool
spf_macro_wants_validated(const char *text, size_t length)
{
	struct macro macro;

	for (size_t at = 0, n; at < length; at += n) {
		n = piece(text + at, length - at, &macro);
		if (!n || macro.letter == 'p')
			return n;
	}
	return false;
}

struct output {
	char text[EXPANDED_MAX];
	size_t length;
};

static void
put(struct output *out, const char *text, size_t length)
{
	if (length > sizeof out->text - 1 - out->length)
		length = sizeof out->text - 1 - out->length;
	memcpy(out->text + out->length, text, length);
	out->length += length;
}

static void
put_escaped(struct output *out, const char *text, size_t length)
{
	char escaped[4];

	for (size_t i = 0; i < length; i++)
		if (is_alnum(text[i]) || (text[i] && strchr("-._~", text[i]))) {
			put(out, text + i, 1);
		} else {
			snprintf(escaped, sizeof escaped, "%%%02X", (unsigned char)text[i]);
			put(out, escaped, 3);
		}
}

static void
address_text(const struct spf_macros *macros, struct output *out)
{
	char text[INET_ADDRSTRLEN];

	out->length = 0;
	for (size_t i = 0; macros->v6 && i < 16; i++) {
		snprintf(text, sizeof text, "%s%x.%x", i ? "." : "", macros->address[i] >> 4,
			macros->address[i] & 15);
		put(out, text, strlen(text));
	}
	if (!macros->v6 && inet_ntop(AF_INET, macros->address, text, sizeof text))
		put(out, text, strlen(text));
	out->text[out->length] = '\0';
}

static void
letter_text(const struct spf_macros *macros, char letter, struct output *out)
{
	const char *text = "";

	out->length = 0;
	switch (letter) {
	case 's':
		put(out, macros->local, strlen(macros->local));
		put(out, "@", 1);
		text = macros->sender_domain;
		break;
	case 'l': text = macros->local; break;
	case 'o': text = macros->sender_domain; break;
	case 'd': text = macros->domain; break;
	case 'i': address_text(macros, out); break;
	case 'p': text = macros->validated; break;
	case 'v': text = macros->v6 ? "ip6" : "in-addr"; break;
	case 'h': text = macros->helo; break;
	default: break;
	}
	put(out, text, strlen(text));
	out->text[out->length] = '\0';
}

static bool
is_delimiter(const struct macro *macro, char c)
{
	return macro->delimiter_count ? memchr(macro->delimiters, c, macro->delimiter_count) != NULL
				      : c == '.';
}

#define PARTS_MAX 256

struct part {
	size_t at, length;
};

static size_t
split(const struct macro *macro, const struct output *value, struct part *parts)
{
	size_t count = 0, start = 0;

	for (size_t i = 0; i <= value->length && count < PARTS_MAX; i++)
		if (i == value->length || is_delimiter(macro, value->text[i])) {
			parts[count++] = (struct part){ start, i - start };
			start = i + 1;
		}
	return count;
}

static void
macro_expand(const struct spf_macros *macros, const struct macro *macro, struct output *out)
{
	struct part parts[PARTS_MAX];
	struct output value;
	size_t count, first;

	letter_text(macros, macro->letter, &value);
	count = split(macro, &value, parts);
	first = macro->keep && macro->keep < count ? count - macro->keep : 0;
	for (size_t i = first; i < count; i++) {
		const struct part *part = &parts[macro->reverse ? count - 1 - i : i];

		if (i > first)
			put(out, ".", 1);
		if (macro->url)
			put_escaped(out, value.text + part->at, part->length);
		else
			put(out, value.text + part->at, part->length);
	}
}

static void
piece_expand(const struct spf_macros *macros, const char *text, size_t length,
	const struct macro *macro, struct output *out)
{
	if (macro->letter)
		macro_expand(macros, macro, out);
	else if (length == 1 || text[1] == '%')
		put(out, text, 1);
	else if (text[1] == '_')
		put(out, " ", 1);
	else
		put(out, "%20", 3);
}

void
spf_macro_expand(
	const struct spf_macros *macros, const char *text, size_t length, char out[SPF_NAME_MAX])
{
	struct output expanded = { .length = 0 };
	struct macro macro;
	const char *name = expanded.text, *dot;

	for (size_t at = 0, n; at < length; at += n) {
		n = piece(text + at, length - at, &macro);
		if (!n)
			break;
		piece_expand(macros, text + at, n, &macro, &expanded);
	}
	if (expanded.length && expanded.text[expanded.length - 1] == '.')
		expanded.length--;
	expanded.text[expanded.length] = '\0';
	while (strlen(name) > NAME_LENGTH_MAX && (dot = strchr(name, '.')))
		name = dot + 1;
	snprintf(out, SPF_NAME_MAX, "%s", name);
}
