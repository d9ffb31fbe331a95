/*
 * reply.c - SMTP replies as a client reads them.
 *
 * sender:  client -> [reply] -> outcome
 *
 * The text kept is what logs, events and DSNs show, so it is cleaned here, once. Owns nothing.
 */
#include "sender/reply.h"

#include <string.h>

#include "shared/text.h"

void
reply_start(struct reply *reply)
{
	reply->code = 0;
	reply->enhanced[0] = '\0';
	reply->text[0] = '\0';
	reply->text_length = 0;
	reply->lines = 0;
	reply->more = false;
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

static int
code_of(const char *line, size_t length)
{
	if (length < 3 || digits(line, 3, 3) != 3 || line[0] < '2' || line[0] > '5')
		return -1;
	if (length > 3 && line[3] != ' ' && line[3] != '-')
		return -1;
	return (line[0] - '0') * 100 + (line[1] - '0') * 10 + (line[2] - '0');
}

static void
keep(struct reply *reply, const char *text, size_t length)
{
	reply->text_length = text_clean(
		reply->text, sizeof reply->text, reply->text_length, text, length);
}

int
reply_line(struct reply *reply, const char *line, size_t length,
	void (*on_line)(void *arg, const char *text, size_t length), void *arg)
{
	int code = length <= REPLY_LINE_MAX ? code_of(line, length) : -1;
	size_t skip = length > 3 ? 4 : 3;

	if (code < 0 || (reply->more && code != reply->code) || reply->lines == REPLY_LINES_MAX)
		return -1;
	if (reply->lines++ == 0) {
		reply->code = code;
		keep(reply, line, 3);
		take_enhanced(reply, line + skip, length - skip);
	}
	if (length > skip) {
		keep(reply, " ", 1);
		keep(reply, line + skip, length - skip);
	}
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
