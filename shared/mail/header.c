/*
 * header.c - fields of a message header, and the address lists in them (RFC 5322 2.2, 3.4).
 *
 * The ingress judges From, Sender and Resent-From by the result of header_addresses(). So the
 * reader must not miss an address that a mail program could show: ambiguous text is either refused
 * or counted ("a@x <b@y>" has two addresses). Owns nothing; fails with -EINVAL.
 */
#include "shared/mail/header.h"

#include <errno.h>
#include <string.h>

#include "shared/base/text.h"

/* The offset behind the line at `at`. */
static size_t
line_end(const char *data, size_t size, size_t at)
{
	const char *lf = memchr(data + at, '\n', size - at);

	return lf ? (size_t)(lf + 1 - data) : size;
}

/* Length of the field name at `line`; 0 when no colon follows the name within HEADER_NAME_MAX. */
static size_t
name_length(const char *line, size_t size, size_t *colon)
{
	size_t n = 0;

	if (size > HEADER_NAME_MAX)
		size = HEADER_NAME_MAX;
	while (n < size && line[n] > ' ' && line[n] < 0x7f && line[n] != ':')
		n++;
	*colon = n;
	while (*colon < size && is_blank(line[*colon]))
		++*colon;
	return *colon < size && line[*colon] == ':' ? n : 0;
}

int
header_next(const char *data, size_t size, size_t *at, struct header_field *out)
{
	size_t start = *at, end, colon, length;

	if (start >= size)
		return 0;
	if (data[start] == '\n' ||
		(data[start] == '\r' && start + 1 < size && data[start + 1] == '\n')) {
		*at = start + (data[start] == '\n' ? 1 : 2);
		return 0;
	}
	length = name_length(data + start, size - start, &colon);
	if (length == 0)
		return 0;
	end = line_end(data, size, start);
	while (end < size && is_blank(data[end]))
		end = line_end(data, size, end);
	out->start = out->name = data + start;
	out->length = end - start;
	out->name_length = length;
	out->value = data + start + colon + 1;
	*at = end;
	if (data[end - 1] == '\n')
		end--;
	if (end > start + colon + 1 && data[end - 1] == '\r')
		end--;
	out->value_length = (size_t)(data + end - out->value);
	return 1;
}

bool
header_is(const struct header_field *field, const char *name)
{
	return text_is(field->name, field->name_length, name);
}

void
header_text(const struct header_field *field, char *out, size_t size)
{
	const char *at = field->value, *end = at + field->value_length;
	size_t length = 0;

	if (size == 0)
		return;
	out[0] = '\0';
	while (at < end && (is_blank(*at) || *at == '\r' || *at == '\n'))
		at++;
	while (at < end) {
		const char *stop = at;

		while (stop < end && *stop != '\r' && *stop != '\n')
			stop++;
		length = text_clean(out, size, length, at, (size_t)(stop - at));
		for (at = stop; at < end && (*at == '\r' || *at == '\n'); at++)
			;
	}
	while (length && out[length - 1] == ' ')
		length--;
	out[length] = '\0';
}

/* The reader of address lists. */
struct list {
	const char *at, *end;
	char *scratch;
	struct address *out;
	size_t max;
	long count;
	bool in_group;
	bool utf8; /* an address that was counted is not ASCII */
};

/* The words before "<", "@", ":" or ",": of a display name or of a local part. */
struct words {
	const char *start, *end; /* from the first word to the last */
	char *text;              /* the words without comments and folds, in scratch */
	size_t length;
	bool local; /* words and dots alternate: may be a local part */
	bool dot;   /* the last one was a dot */
	size_t count;
};

/* Skips a comment; they nest. False when it does not end. */
static bool
skip_comment(struct list *list)
{
	unsigned depth = 0;

	for (; list->at < list->end; list->at++) {
		if (*list->at == '\\' && list->at + 1 < list->end)
			list->at++;
		else if (*list->at == '(')
			depth++;
		else if (*list->at == ')' && --depth == 0) {
			list->at++;
			return true;
		}
	}
	return false;
}

/* Skips blanks, folds and comments. */
static bool
skip_white(struct list *list)
{
	while (list->at < list->end) {
		if (is_white(*list->at))
			list->at++;
		else if (*list->at != '(')
			break;
		else if (!skip_comment(list))
			return false;
	}
	return true;
}

static char
peek(const struct list *list)
{
	return list->at < list->end ? *list->at : '\0';
}

static bool
is_word_char(char c)
{
	return (unsigned char)c > ' ' && c != 0x7f && !strchr("()<>:;@\\,.\"", c);
}

/* Takes a quoted string or an atom; false when there is none. Folds in quotes are dropped. */
static bool
take_word(struct list *list, char *text, size_t *length)
{
	if (peek(list) != '"') {
		const char *start = list->at;

		while (list->at < list->end && is_word_char(*list->at))
			text[(*length)++] = *list->at++;
		return list->at > start;
	}
	text[(*length)++] = *list->at++;
	while (list->at < list->end) {
		char c = *list->at++;

		if (c != '\r' && c != '\n')
			text[(*length)++] = c;
		if (c == '"')
			return true;
		if (c == '\\' && list->at < list->end)
			text[(*length)++] = *list->at++;
	}
	return false;
}

static bool
take_words(struct list *list, struct words *words)
{
	memset(words, 0, sizeof *words);
	words->text = list->scratch;
	words->local = true;
	words->dot = true; /* so that the first word counts as following a dot */
	if (!skip_white(list))
		return false;
	words->start = words->end = list->at;
	while (list->at < list->end && !strchr("<>@:;,", *list->at)) {
		if (*list->at == '.') {
			words->text[words->length++] = *list->at++;
			words->dot = true;
		} else {
			words->local = words->local && words->dot;
			words->dot = false;
			if (!take_word(list, words->text, &words->length))
				return false;
		}
		words->count++;
		words->end = list->at;
		if (!skip_white(list))
			return false;
	}
	return true;
}

/* Counts the address from `start` to `end`; `text` is the address without comments and folds. */
static bool
count(struct list *list, const char *start, const char *end, const char *text, size_t length)
{
	struct address address;

	if (length == 0) /* empty brackets name nobody */
		return true;
	if (length == (size_t)(end - start))
		text = start;
	else
		list->scratch += length;
	if (address_parse(text, length, &address) < 0)
		return false;
	if ((size_t)list->count < list->max)
		list->out[list->count] = address;
	list->utf8 |= address.utf8 && address.domain;
	list->count++;
	return true;
}

/* The domain behind "@", appended to text. */
static bool
take_domain(struct list *list, char *text, size_t *length, const char **end)
{
	bool dot = true;

	if (!skip_white(list))
		return false;
	if (peek(list) == '[') {
		do {
			if (list->at == list->end || is_white(*list->at))
				return false;
			text[(*length)++] = *list->at;
		} while (*list->at++ != ']');
		*end = list->at;
		return skip_white(list);
	}
	while (list->at < list->end && (*list->at == '.' || is_word_char(*list->at))) {
		if (*list->at == '.') {
			dot = true;
			text[(*length)++] = *list->at++;
		} else {
			if (!dot)
				return false;
			dot = false;
			take_word(list, text, length);
		}
		*end = list->at;
		if (!skip_white(list))
			return false;
	}
	return true;
}

/* Reads "@domain" behind a local part, which completes the address. */
static bool
take_address(struct list *list, struct words *words)
{
	const char *end;

	if (!words->local || words->count == 0)
		return false;
	words->text[words->length++] = '@';
	end = ++list->at;
	return take_domain(list, words->text, &words->length, &end) &&
		count(list, words->start, end, words->text, words->length);
}

/* Skips a source route "@a,@b:" inside brackets. */
static bool
skip_route(struct list *list)
{
	if (!skip_white(list))
		return false;
	if (peek(list) != '@')
		return true;
	while (list->at < list->end && *list->at != ':') {
		if (*list->at != '@' && *list->at != ',' && *list->at != '.' &&
			!is_word_char(*list->at) && !is_white(*list->at))
			return false;
		list->at++;
	}
	return list->at++ < list->end;
}

static bool
take_bracketed(struct list *list)
{
	struct words words;

	list->at++;
	if (!skip_route(list) || !take_words(list, &words))
		return false;
	if (peek(list) == '@' ? !take_address(list, &words)
			      : !words.local ||
				!count(list, words.start, words.end, words.text, words.length))
		return false;
	if (peek(list) != '>')
		return false;
	list->at++;
	return skip_white(list);
}

/*
 * Reads one element of the list, up to the "," ";" or ":" behind it. An element may be empty (RFC
 * 5322 4.4). An address in the place of a display name counts, too: some clients show it as the
 * sender.
 */
static bool
take_element(struct list *list)
{
	struct words words;

	if (!take_words(list, &words))
		return false;
	if (peek(list) == '@') {
		if (!take_address(list, &words))
			return false;
	} else if (peek(list) != '<' && peek(list) != ':' && words.count) {
		return words.local && count(list, words.start, words.end, words.text, words.length);
	}
	return peek(list) == '<' ? take_bracketed(list) : true;
}

long
header_addresses(const char *value, size_t length, struct address *out, size_t max, char *scratch)
{
	struct list list = { value, value + length, scratch, out, max, 0, false, false };

	for (;;) {
		long before = list.count;

		if (!take_element(&list))
			return -EINVAL;
		if (list.at == list.end)
			return list.count;
		switch (*list.at++) {
		case ',': break;
		case ':':
			if (list.in_group || list.count != before)
				return -EINVAL;
			list.in_group = true;
			break;
		case ';':
			if (!list.in_group)
				return -EINVAL;
			list.in_group = false;
			break;
		default: return -EINVAL;
		}
	}
}

bool
header_has_utf8_address(const char *value, size_t length, char *scratch)
{
	struct list list = { value, value + length, scratch, NULL, 0, 0, false, false };

	while (list.at < list.end) {
		if (!take_element(&list))
			while (list.at < list.end && *list.at != ',')
				list.at++;
		if (list.at < list.end)
			list.at++;
	}
	return list.utf8;
}
