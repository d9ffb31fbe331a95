/*
 * stuff.h - dot-stuffing of a message for DATA (RFC 5321 4.5.2). Pure.
 */
#ifndef SENDER_STUFF_H
#define SENDER_STUFF_H

#include <stdbool.h>
#include <stddef.h>

struct stuff {
	char last[2]; /* the two bytes before, as sent */
};

void stuff_start(struct stuff *stuff);
/* How many of the bytes go out unchanged; `dot_out`: a dot goes before these bytes. */
size_t stuff_run(struct stuff *stuff, const char *data, size_t length, bool *dot_out);
/* The end of the message: ".\r\n", after a line ending when the message has none at its end. */
const char *stuff_end(const struct stuff *stuff);

#endif
