/*
 * spelling.c - a message as clamd has to read it.
 *
 * scanner:  queue_body -> clamd -> [spelling] -> clamd_wire
 *
 * clamd (1.4) reads MIME by guesses of its own. It passes over content that mail programs decode,
 * and says OK, when a field is spelled in one of these ways:
 *
 *   Content-Type : x                   a blank before the colon (RFC 5322 4.5)
 *   Content-Type: x;                   the next field is taken for a parameter
 *   Content-Type: x; name="y           so it is, for the quote that does not end
 *   Content-Type:                      so it is, for the value that is missing
 *   a line of blanks                   ends the header of a part
 *   a line of more than 1000 octets    is passed over there, or is two
 *   --boundary and a tab               is no boundary
 *   multipart/signed, /parallel        has parts that are not looked at
 *
 * So clamd gets these in another spelling. The recipient gets the message unchanged, since a change
 * behind the first header would break the customer's signature. Nobody knows where in a body the
 * header of a part begins. So a line begins a header when it begins with "--", or with "Content-"
 * and a colon behind the name. An empty line ends the header.
 *
 * Owns nothing, cannot fail, holds nothing back but blanks, semicolons and line ends.
 */
#include "scanner/spelling.h"

#include <string.h>

#include "shared/base/text.h"

#define PREFIX "content-" /* only names with this prefix begin a header */
#define MULTIPART "multipart/"
#define MESSAGE "message/"
#define COLUMN_MAX 900 /* clamd's lines have 1000 octets */

enum state {
	LINE,     /* at the start of a line */
	EMPTY,    /* behind a CR there */
	NAME,     /* in what may become the name of a field */
	COLON,    /* blanks behind a name */
	VALUE,    /* of a field */
	FOLD,     /* at the start of the line behind it */
	BLANKS,   /* in blanks at the start of a line of a header */
	DASH,     /* behind a "-" at the start of a line */
	BOUNDARY, /* in a line that starts with "--" */
	TEXT,     /* in any other line */
};

struct cursor {
	const char *at, *end;
	char *out;
};

void
spelling_start(struct spelling *spelling)
{
	memset(spelling, 0, sizeof *spelling);
	spelling->state = LINE;
}

static void
put(struct spelling *s, struct cursor *c, char octet)
{
	*c->out++ = octet;
	s->column = octet == '\n' ? 0 : s->column + 1;
}

static void
put_text(struct spelling *s, struct cursor *c, const char *text)
{
	while (*text)
		put(s, c, *text++);
}

static char
lower(char octet)
{
	return octet >= 'A' && octet <= 'Z' ? (char)(octet | 0x20) : octet;
}

static void
end_header(struct spelling *s, struct cursor *c)
{
	put_text(s, c, "\r\n");
	s->header = s->nested;
	s->nested = false;
	s->state = LINE;
}

/* The first octet of a line. */
static bool
take_first(struct spelling *s, struct cursor *c, char octet)
{
	s->matched = 0;
	if (octet == '\r')
		s->state = EMPTY;
	else if (octet == '\n')
		end_header(s, c);
	else if (is_blank(octet) && s->header)
		s->state = BLANKS;
	else if (octet == '-') {
		put(s, c, octet);
		s->state = DASH;
	} else {
		s->state = NAME;
		return false;
	}
	return true;
}

static bool
take_name(struct spelling *s, struct cursor *c, char octet)
{
	if (!s->header && s->matched < strlen(PREFIX)) {
		if (lower(octet) != PREFIX[s->matched++])
			s->state = TEXT;
	} else if (is_blank(octet) || octet == ':')
		s->state = COLON;
	else if (octet <= ' ' || octet == 0x7f || s->column >= COLUMN_MAX)
		s->state = TEXT;
	if (s->state == NAME)
		put(s, c, octet);
	return s->state == NAME;
}

static bool
take_colon(struct spelling *s, struct cursor *c, char octet)
{
	if (is_blank(octet))
		return true;
	if (octet != ':') {
		put(s, c, ' ');
		s->state = TEXT;
		return false;
	}
	put(s, c, ':');
	s->semicolon = s->fold = s->quoted = s->nested = false;
	s->header = s->gap = true;
	s->typed = 0;
	s->state = VALUE;
	return true;
}

/* Writes the blanks and semicolon that stood before an octet of the value. At the value's end they
 * are left out. */
static void
put_gap(struct spelling *s, struct cursor *c)
{
	if (s->semicolon)
		put(s, c, ';');
	if (s->fold || s->column >= COLUMN_MAX)
		put_text(s, c, "\r\n ");
	else if (s->gap)
		put(s, c, ' ');
	s->semicolon = s->fold = s->gap = false;
}

/* Takes an octet of the value. clamd reads all parts of a "multipart" whose subtype it does not
 * know, so the subtype gets a first letter that makes it unknown. */
static void
put_value(struct spelling *s, struct cursor *c, char octet)
{
	put_gap(s, c);
	if (s->typed == strlen(MULTIPART) && memcmp(s->type, MULTIPART, s->typed) == 0)
		octet = 'x';
	put(s, c, octet);
	s->quoted ^= octet == '"';
	if (s->typed < sizeof s->type)
		s->type[s->typed] = lower(octet);
	s->typed++;
	if (s->typed == strlen(MESSAGE) && memcmp(s->type, MESSAGE, s->typed) == 0)
		s->nested = true;
}

static bool
take_value(struct spelling *s, struct cursor *c, char octet)
{
	if (octet == '\n')
		s->state = FOLD;
	else if (is_blank(octet) && (!s->quoted || s->fold))
		s->gap = true;
	else if (octet == ';' && !s->quoted)
		s->semicolon = true;
	else if (octet != '\r')
		put_value(s, c, octet);
	return true;
}

static void
end_value(struct spelling *s, struct cursor *c)
{
	if (!s->typed)
		put_text(s, c, " x");
	if (s->quoted)
		put(s, c, '"');
	put_text(s, c, "\r\n");
	s->state = LINE;
}

static bool
take_fold(struct spelling *s, struct cursor *c, char octet)
{
	if (!is_blank(octet)) {
		end_value(s, c);
		return false;
	}
	s->fold = s->typed > 0;
	s->state = VALUE;
	return true;
}

static bool
take_blanks(struct spelling *s, struct cursor *c, char octet)
{
	if (octet == '\n')
		s->state = LINE;
	else if (!is_blank(octet) && octet != '\r') {
		put(s, c, ' ');
		s->state = TEXT;
		return false;
	}
	return true;
}

static bool
take_dash(struct spelling *s, struct cursor *c, char octet)
{
	s->state = octet == '-' ? BOUNDARY : TEXT;
	if (octet != '-')
		return false;
	put(s, c, octet);
	s->header = true;
	s->nested = false;
	return true;
}

/* Takes the line in hand, up to its end or the input's. */
static void
take_body(struct spelling *s, struct cursor *c)
{
	const char *lf = memchr(c->at, '\n', (size_t)(c->end - c->at));
	size_t length = (size_t)((lf ? lf + 1 : c->end) - c->at);

	memcpy(c->out, c->at, length);
	c->out += length;
	c->at += length;
	if (lf) {
		s->column = 0;
		s->state = LINE;
	}
}

static bool
take_text(struct spelling *s, struct cursor *c, char octet)
{
	if (octet == '\n')
		s->state = LINE;
	else if (s->column >= COLUMN_MAX && octet != '\r')
		put_text(s, c, "\r\n ");
	put(s, c, octet == '\t' && s->state == BOUNDARY ? ' ' : octet);
	return true;
}

/* Whether this state takes the octet. If not, the next state does. */
static bool
step(struct spelling *s, struct cursor *c)
{
	char octet = *c->at;

	switch ((enum state)s->state) {
	case LINE: return take_first(s, c, octet);
	case EMPTY:
		if (octet != '\n') {
			put(s, c, '\r');
			s->state = TEXT;
			return false;
		}
		end_header(s, c);
		return true;
	case NAME: return take_name(s, c, octet);
	case COLON: return take_colon(s, c, octet);
	case VALUE: return take_value(s, c, octet);
	case FOLD: return take_fold(s, c, octet);
	case BLANKS: return take_blanks(s, c, octet);
	case DASH: return take_dash(s, c, octet);
	case BOUNDARY:
	case TEXT: return take_text(s, c, octet);
	}
	return true;
}

size_t
spelling_feed(struct spelling *spelling, const char *in, size_t size, char *out)
{
	struct cursor c = { in, in + size, out };

	while (c.at < c.end)
		if (spelling->state == TEXT && !spelling->header)
			take_body(spelling, &c);
		else if (step(spelling, &c))
			c.at++;
	return (size_t)(c.out - out);
}

size_t
spelling_end(struct spelling *spelling, char *out)
{
	struct cursor c = { NULL, NULL, out };

	if (spelling->state == VALUE || spelling->state == FOLD)
		end_value(spelling, &c);
	return (size_t)(c.out - out);
}
