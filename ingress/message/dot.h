/*
 * dot.h - the data stream of DATA (RFC 5321 4.5.2): finds its end, undoes dot-stuffing, and looks
 * at line endings. Pure.
 *
 * The only end of data is CRLF.CRLF. A bare CR or LF never ends anything, whatever dots are near:
 * it is normalised to CRLF (or refused). NUL is refused.
 */
#ifndef INGRESS_DOT_H
#define INGRESS_DOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DOT_LINE_MAX (1024u * 1024)

enum dot_flag {
	DOT_BARE_CR = 1,
	DOT_BARE_LF = 2,
	DOT_NUL = 4,
	DOT_8BIT = 8,
	DOT_LONG_LINE = 16,     /* over 998 octets */
	DOT_TOO_LONG_LINE = 32, /* over DOT_LINE_MAX */
};

struct dot {
	unsigned state;
	unsigned flags; /* enum dot_flag seen so far */
	size_t line;    /* octets of the line so far */
};

void dot_start(struct dot *dot);

/*
 * Takes input, writes the message's bytes to `out`, which holds at least 2 * size + 2 bytes.
 * Returns how many input bytes it took: all of them, unless the end came. *ended tells.
 */
size_t
dot_feed(struct dot *dot, const char *in, size_t size, char *out, size_t *out_size, bool *ended);

#endif
