/*
 * notice_text.c - checks a text, and fills it in.
 *
 * notices -> [notice_text]
 */
#include "control/notices/notice_text.h"

#include <stdlib.h>
#include <string.h>

#include "shared/base/log.h"
#include "shared/base/text.h"

#define VALUE_MAX 320
#define COLUMNS 76
#define SUBJECT_MAX 200
#define NAME_SIGNS "ABCDEFGHIJKLMNOPQRSTUVWXYZ_"

/* Checking */

struct check {
	const char *names;
	unsigned line;
	bool open; /* a bracket */
	char *why;
};

static bool
wrong(const struct check *check, const char *before, const char *text, size_t length,
	const char *after)
{
	snprintf(check->why, NOTICE_FAULT_MAX, "%s%.*s%s", before, (int)(length < 60 ? length : 60),
		text, after);
	return false;
}

/* The part from a brace, a bracket or a line's end; false: it is wrong. Moves `at` behind it. */
static bool
check_sign(struct check *check, const char **at, const char *end)
{
	const char *sign = *at;
	size_t length;

	*at = sign + 1;
	if (*sign == '{') {
		length = strspn(*at, NAME_SIGNS);
		if (*at + length >= end || (*at)[length] != '}')
			return wrong(check, "\"", sign, length + 1, "\" is no {NAME}");
		if (!text_has_word(check->names, *at, length))
			return wrong(check, "this mail knows no {", *at, length, "}");
		*at += length + 1;
	} else if (*sign == '}' || (*sign == '[' && check->open) ||
		(*sign == ']' && !check->open)) {
		return wrong(check, "a ", sign, 1, " without its other");
	} else if (*sign == '\n') {
		check->line++;
	} else if (is_control(*sign)) {
		return wrong(check, "it holds a control character", "", 0, "");
	} else {
		check->open = *sign == '[';
	}
	return true;
}

static bool
check_parts(struct check *check, const char *text, size_t length)
{
	const char *at = text, *end = text + length;

	while (at < end)
		if (!(strchr("{}[]", *at) || is_control(*at)))
			at++;
		else if (!check_sign(check, &at, end))
			return false;
	return !check->open || wrong(check, "a [ without its other", "", 0, "");
}

unsigned
notice_text_check(const char *text, size_t length, const char *names, char why[NOTICE_FAULT_MAX])
{
	struct check check = { .names = names, .line = 1, .why = why };
	const char *subject_end = memchr(text, '\n', length);
	const size_t subject = subject_end ? (size_t)(subject_end - text) : length;

	if (!utf8_valid(text, length) || text_has_hidden_controls(text, length))
		wrong(&check, "it is no UTF-8, or holds hidden controls", "", 0, "");
	else if (subject == 0 || subject > SUBJECT_MAX)
		wrong(&check, "a subject of 1 to 200 bytes is needed", "", 0, "");
	else if (length < subject + 3 || text[subject + 1] != '\n') {
		check.line = 2;
		wrong(&check, "an empty line and the text have to follow the subject", "", 0, "");
	} else if (check_parts(&check, text, length))
		return 0;
	return check.line;
}

/* Filling in */

static const char *
value_of(const struct notice_value *values, enum notice_language language, const char *name,
	size_t length, bool *lines_out)
{
	const char *text;

	for (; values->name; values++) {
		if (strlen(values->name) != length || memcmp(values->name, name, length) != 0)
			continue;
		*lines_out = values->lines;
		text = values->text[language] ? values->text[language] : values->text[0];
		return text ? text : "";
	}
	return "";
}

/* The value of a name in braces. Moves `at` behind the closing brace. */
static const char *
take_value(const char **at, const struct notice_value *values, enum notice_language language,
	bool *lines_out)
{
	const char *name = *at + 1;
	const size_t length = strspn(name, NAME_SIGNS);

	*at = name + length + 1;
	*lines_out = false;
	return value_of(values, language, name, length, lines_out);
}

static bool
is_complete(const char *part, const struct notice_value *values, enum notice_language language)
{
	bool lines;

	while (*part != ']')
		if (*part != '{')
			part++;
		else if (!*take_value(&part, values, language, &lines))
			return false;
	return true;
}

/* A value from outside must not look like lines of ours. */
static void
put_value(FILE *out, const char *value, bool lines)
{
	char clean[VALUE_MAX + 1] = "";

	if (!lines)
		text_clean(clean, sizeof clean, 0, value, strlen(value));
	fputs(lines ? value : clean, out);
}

/* `subject`: whole lines have no place there. */
static void
fill(FILE *out, const char *text, size_t length, enum notice_language language,
	const struct notice_value *values, bool subject)
{
	const char *end = text + length, *value;
	bool lines;

	while (text < end) {
		if (*text == '{') {
			value = take_value(&text, values, language, &lines);
			put_value(out, value, lines && !subject);
			continue;
		}
		if (*text == '[' && !is_complete(text, values, language))
			text = strchr(text, ']');
		else if (*text != '[' && *text != ']')
			fputc(*text, out);
		text++;
	}
}

void
notice_text_subject(FILE *out, const char *text, enum notice_language language,
	const struct notice_value *values)
{
	fill(out, text, strcspn(text, "\n"), language, values, true);
}

static size_t
columns_of(const char *text, size_t length)
{
	size_t columns = 0;

	for (size_t i = 0; i < length; i++)
		columns += ((unsigned char)text[i] & 0xc0) != 0x80;
	return columns;
}

/* A line, broken at blanks. A word that is too long stays whole, for it is to be copied. */
static void
put_wrapped(FILE *out, const char *line, size_t length)
{
	const char *end = line + length;
	size_t column = 0;

	while (line < end && *line != ' ') {
		const char *next = memchr(line, ' ', (size_t)(end - line));
		const size_t word = (size_t)((next ? next : end) - line);
		const size_t columns = columns_of(line, word);
		const bool fits = column + 1 + columns <= COLUMNS;

		if (column)
			fputs(fits ? " " : "\r\n", out);
		column = (column && fits ? column + 1 : 0) + columns;
		fwrite(line, 1, word, out);
		for (line += word; next && line < end && *line == ' ';)
			line++;
	}
	fwrite(line, 1, (size_t)(end - line), out);
	fputs("\r\n", out);
}

void
notice_text_body(FILE *out, const char *text, enum notice_language language,
	const struct notice_value *values)
{
	char *filled = NULL;
	const char *line, *end;
	size_t size;
	FILE *to = xopen_memstream(&filled, &size);

	text += strcspn(text, "\n") + 2;
	fill(to, text, strlen(text), language, values, false);
	xclose_memstream(to);
	for (line = filled; *line; line = *end ? end + 1 : end) {
		end = line + strcspn(line, "\n");
		if (end > line || line[strspn(line, "\n")]) /* no empty lines at the end */
			put_wrapped(out, line, (size_t)(end - line));
	}
	explicit_bzero(filled, size);
	free(filled);
}
