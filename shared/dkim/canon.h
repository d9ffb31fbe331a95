/*
 * canon.h - the relaxed canonical forms of a header field and of a body (RFC 6376 3.4.2, 3.4.4).
 * Pure.
 */
#ifndef SHARED_DKIM_CANON_H
#define SHARED_DKIM_CANON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct header_field;

/* Writes the relaxed form of a field with its CRLF to `out`, which has room for field->length + 3
 * bytes. Returns the form's length. */
size_t canon_field(const struct header_field *field, char *out);

/*
 * The relaxed form of a body that comes in pieces. Blanks and empty lines are held back as counts,
 * until it is known whether they end a line or the body. Zero-initialise all but `take` and `arg`.
 */
struct canon_body {
	void (*take)(void *arg, const char *data, size_t size); /* gets the form, in pieces */
	void *arg;
	uint64_t lines; /* line endings held back */
	bool blank;     /* white space held back */
	bool cr;        /* a CR held back: what follows tells whether it ends a line */
	bool some;      /* the form has at least one character */
	size_t used;
	char out[4096];
};
void canon_body_feed(struct canon_body *body, const char *data, size_t size);
/* The body has ended: its last line gets an ending when it has none. */
void canon_body_end(struct canon_body *body);

#endif
