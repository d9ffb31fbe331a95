/*
 * reply.c - SMTP replies as a client reads them.
 *
 * sender:  client -> [reply] -> outcome
 *
 * The text is shown in logs, events and DSNs, so it is cleaned here, once. Owns nothing.
 */
#include "sender/policy/reply.h"

#include <string.h>

#include "shared/base/text.h"

void
reply_start(struct reply *reply)
{
	reply->code = 0;
	reply->enhanced[0] = '\0';
	reply->text[0] = '\0';
	reply->text_length = 0;
	reply->lines = 0;
	reply->more = reply->odd = false;
}

static size_t
digits(const char *text, size_t length, size_t max)
{
	size_t n = 0;

	while (n < length && n < max && is_digit(text[n]))
		n++;
	return n;
}

/* "5.1.1 " or "5.1.1" at the end, of the reply's own class (RFC 2034 4). Some put "#" before it. */
static void
take_enhanced(struct reply *reply, const char *text, size_t length)
{
	size_t n = 2, part;

	if (length && *text == '#') {
		text++;
		length--;
	}
	if (length < 5 || text[0] - '0' != reply->code / 100 || text[0] == '3' || text[1] != '.')
		return;
	part = digits(text + n, length - n, 3);
	n += part;
	if (!part || n >= length || text[n] != '.')
		return;
	n++;
	part = digits(text + n, length - n, 3);
	n += part;
	if (!part || (n < length && !is_blank(text[n])))
		return;
	memcpy(reply->enhanced, text, n);
	reply->enhanced[n] = '\0';
}

/* A code may be followed by anything but a digit. */
static bool
has_code(const char *line, size_t length)
{
	return length >= 3 && line[0] >= '2' && line[0] <= '5' && digits(line, length, 4) == 3;
}

static int
code_of(const char *line)
{
	return (line[0] - '0') * 100 + (line[1] - '0') * 10 + (line[2] - '0');
}

static void
keep(struct reply *reply, const char *text, size_t length)
{
	if (length && reply->text_length)
		reply->text_length = text_clean(
			reply->text, sizeof reply->text, reply->text_length, " ", 1);
	reply->text_length = text_clean(
		reply->text, sizeof reply->text, reply->text_length, text, length);
}

/* The first line with the code that counts, and with an enhanced code, names the reason. A 3xx
 * takes nothing back: after a 2xx it decides nothing. */
static void
take_code(struct reply *reply, const char *line, const char *text, size_t length)
{
	int code = code_of(line);

	if (reply->code != code)
		keep(reply, line, 3);
	reply->odd = reply->odd || (reply->code && reply->code / 100 != code / 100);
	if (code / 100 == 3 && reply->code / 100 == 2)
		return;
	if (reply->code != code) {
		reply->code = code;
		reply->enhanced[0] = '\0';
	}
	if (!reply->enhanced[0])
		take_enhanced(reply, text, length);
}

/* A line without a code counts only as the first line of a reply. */
static int
bare_line(struct reply *reply, const char *line, size_t length)
{
	keep(reply, line, length);
	if (reply->more || !length)
		return 0;
	if (line[0] < '2' || line[0] > '5')
		return -1;
	reply->code = (line[0] - '0') * 100;
	reply->odd = true;
	return 1;
}

int
reply_line(struct reply *reply, const char *line, size_t length,
	void (*on_line)(void *arg, const char *text, size_t length), void *arg)
{
	size_t skip;

	if (reply->lines == REPLY_LINES_MAX)
		return -1;
	reply->lines++;
	while (!reply->more && length && memchr(" \t\r", *line, 4)) {
		line++;
		length--;
		reply->odd = true;
	}
	reply->odd = reply->odd || !length;
	if (!has_code(line, length))
		return bare_line(reply, line, length);
	skip = length > 3 && !is_alnum(line[3]) ? 4 : 3;
	take_code(reply, line, line + skip, length - skip);
	keep(reply, line + skip, length - skip);
	reply->more = length > 3 && line[3] == '-';
	if (on_line)
		on_line(arg, line + skip, length - skip);
	return !reply->more;
}

const char *
reply_enhanced(const struct reply *reply)
{
	static const char *const generic[] = { "", "", "2.0.0", "", "4.0.0", "5.0.0" };
	int class = reply->code / 100;

	if (reply->enhanced[0])
		return reply->enhanced;
	return class >= 2 && class <= 5 ? generic[class] : "";
}
