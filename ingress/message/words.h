/*
 * words.h - encoded words (RFC 2047) as mail programs read them. Pure.
 */
#ifndef INGRESS_WORDS_H
#define INGRESS_WORDS_H

#include <stddef.h>

/* The size of the buffers for reading so many bytes. */
#define WORDS_ROOM(length) (2 * (length) + 8)

/* Stands where a word begins and ends, unless one stands there already. A mail program may show a
 * blank there, or nothing. */
#define WORDS_EDGE '"'

/*
 * A field's value with its encoded words read, in UTF-8 where their charset is UTF-8, UTF-7, UTF-16
 * or ISO-2022; the bytes of other charsets stay, for all of those agree with ASCII. Words are found
 * also where they may not stand (in quotes, in addresses, too long ones): some mail program reads
 * each. `out` and `scratch` have WORDS_ROOM(length) bytes each. Returns the length in `out`.
 */
size_t words_read(const char *value, size_t length, char *out, char *scratch);

#endif
