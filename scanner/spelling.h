/*
 * spelling.h - a message as clamd has to read it: the header fields of its parts in the one
 * spelling that clamd understands as mail programs do. Pure; the message itself stays as it is.
 */
#ifndef SCANNER_SPELLING_H
#define SCANNER_SPELLING_H

#include <stdbool.h>
#include <stddef.h>

#define SPELLING_ROOM(size) (2 * (size) + 16)

struct spelling {
	unsigned state;
	size_t column;             /* octets written of the line */
	bool header;               /* between a field or boundary and the next empty line */
	bool nested;               /* a header follows the empty line: this part is a message */
	bool semicolon, gap, fold; /* read in a value, and not written yet */
	bool quoted;               /* behind an odd quote of the value */
	unsigned matched;          /* octets of "content-" */
	unsigned typed;            /* octets of the value, the first of them in `type` */
	char type[10];             /* in small letters */
};

/* Before the first byte of a message. */
void spelling_start(struct spelling *spelling);
/* Writes the next `size` bytes, respelled, to `out`, which holds SPELLING_ROOM(size). Returns how
 * many bytes were written. */
size_t spelling_feed(struct spelling *spelling, const char *in, size_t size, char *out);
/* The message is complete: writes the bytes held back to `out`, which holds SPELLING_ROOM(0). */
size_t spelling_end(struct spelling *spelling, char *out);

#endif
