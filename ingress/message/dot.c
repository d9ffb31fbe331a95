/*
 * dot.c - the data stream of DATA.
 *
 * ingress:  session -> cmd_data -> [dot] -> body
 *
 * Every byte of mail comes through here. So whole lines are found by memchr, and copied in runs as
 * long as nothing needs a change. A leading dot has a meaning only behind CRLF. A dot behind a bare
 * CR or LF is text and is kept: it neither ends the data nor counts as stuffing. A run of CRs
 * before LF (text written twice in "text mode") is one line ending. Owns nothing, cannot fail:
 * flags tell what is wrong with the data.
 */
#include "ingress/message/dot.h"

#include <string.h>

enum state {
	LINE,   /* behind CRLF, or at the start */
	TEXT,   /* inside a line, or behind a bare CR or LF */
	CR,     /* one or more CRs, not written yet */
	DOT,    /* a dot behind CRLF, not written yet */
	DOT_CR, /* CRLF . CR */
};

#define LINE_LONG 998

struct cursor {
	const char *at, *end;
	const char *lf; /* the next LF at or behind `at`, or `end`: looked for once */
	char *out;
};

void
dot_start(struct dot *dot)
{
	memset(dot, 0, sizeof *dot);
	dot->state = LINE;
}

static void
count(struct dot *dot, size_t octets)
{
	dot->line += octets;
	if (dot->line > LINE_LONG)
		dot->flags |= dot->line > DOT_LINE_MAX ? DOT_LONG_LINE | DOT_TOO_LONG_LINE
						       : DOT_LONG_LINE;
}

static void
put(struct cursor *c, const char *from, const char *to)
{
	memcpy(c->out, from, (size_t)(to - from));
	c->out += to - from;
}

static void
end_line(struct dot *dot, struct cursor *c, enum state next)
{
	*c->out++ = '\r';
	*c->out++ = '\n';
	dot->line = 0;
	dot->state = next;
}

static const char *
next_lf(struct cursor *c)
{
	if (!c->lf || c->lf < c->at) {
		c->lf = memchr(c->at, '\n', (size_t)(c->end - c->at));
		if (!c->lf)
			c->lf = c->end;
	}
	return c->lf;
}

/* Copies text up to the next place that needs a state of its own: a dot behind CRLF, a CR without
 * its LF, a bare LF, the end of the input. */
static void
take_text(struct dot *dot, struct cursor *c)
{
	const char *from = c->at, *lf, *cr;

	dot->state = TEXT;
	while (c->at < c->end) {
		lf = next_lf(c);
		cr = memchr(c->at, '\r', (size_t)(lf - c->at));
		if (!cr) {
			count(dot, (size_t)(lf - c->at));
			put(c, from, lf);
			c->at = lf;
			if (lf < c->end) {
				c->at++;
				dot->flags |= DOT_BARE_LF;
				end_line(dot, c, TEXT);
			}
			return;
		}
		count(dot, (size_t)(cr - c->at));
		if (cr + 1 != lf || lf == c->end) {
			put(c, from, cr);
			c->at = cr + 1;
			dot->state = CR;
			return;
		}
		dot->line = 0;
		c->at = lf + 1;
		if (c->at == c->end || *c->at == '.') {
			dot->state = LINE;
			break;
		}
	}
	put(c, from, c->at);
}

static void
take_after_cr(struct dot *dot, struct cursor *c)
{
	if (*c->at == '\n') {
		c->at++;
		end_line(dot, c, LINE);
		return;
	}
	dot->flags |= DOT_BARE_CR;
	if (*c->at == '\r')
		c->at++;
	else
		end_line(dot, c, TEXT);
}

/* Takes the input of one state. True at the end of the data. */
static bool
step(struct dot *dot, struct cursor *c)
{
	switch ((enum state)dot->state) {
	case LINE:
		if (*c->at != '.') {
			take_text(dot, c);
			break;
		}
		c->at++;
		dot->state = DOT;
		break;
	case TEXT: take_text(dot, c); break;
	case CR: take_after_cr(dot, c); break;
	case DOT:
		dot->state = TEXT;
		if (*c->at == '\r') {
			c->at++;
			dot->state = DOT_CR;
		}
		break;
	case DOT_CR:
		if (*c->at == '\n') {
			c->at++;
			return true;
		}
		dot->state = CR;
		break;
	}
	return false;
}

static bool
has_8bit(const char *in, size_t size)
{
	uint64_t all = 0, word;

	for (; size >= sizeof word; in += sizeof word, size -= sizeof word) {
		memcpy(&word, in, sizeof word);
		all |= word;
	}
	for (; size; in++, size--)
		all |= (unsigned char)*in;
	return all & 0x8080808080808080u;
}

size_t
dot_feed(struct dot *dot, const char *in, size_t size, char *out, size_t *out_size, bool *ended)
{
	struct cursor c = { in, in + size, NULL, out };
	size_t taken;

	*ended = false;
	while (c.at < c.end && !*ended)
		*ended = step(dot, &c);
	taken = (size_t)(c.at - in);
	*out_size = (size_t)(c.out - out);
	if (taken && memchr(in, '\0', taken))
		dot->flags |= DOT_NUL;
	if (!(dot->flags & DOT_8BIT) && has_8bit(in, taken))
		dot->flags |= DOT_8BIT;
	return taken;
}
