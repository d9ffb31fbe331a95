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
/* How many of the bytes can go as they are; `dot_out`: a dot has to go before them. */
size_t stuff_run(struct stuff *stuff, const char *data, size_t length, bool *dot_out);
/* What ends the message: ".\r\n", after a line ending when it does not end in one. */
const char *stuff_end(const struct stuff *stuff);

#endif
