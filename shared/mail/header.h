/*
 * header.h - fields of a message header (RFC 5322 2.2). Pure: bytes in, spans out.
 */
#ifndef SHARED_HEADER_H
#define SHARED_HEADER_H

#include <stdbool.h>
#include <stddef.h>

#include "shared/mail/address.h"

/* The longest line of RFC 5322 2.1.1: where the colon of a field has to stand. */
#define HEADER_NAME_MAX 998

/* A field inside the caller's buffer. `value` starts after the colon and ends before the final
 * line ending; it may have folds. */
struct header_field {
	const char *name;
	size_t name_length;
	const char *value;
	size_t value_length;
	const char *start; /* the whole field with its line ending */
	size_t length;
};

/*
 * The next field of a whole header in memory, with lines ending in CRLF or LF. Start with `*at` 0
 * and pass it on to the next call. 1: a field. 0: the header has ended; `*at` is the first byte of
 * the body: behind the empty line, or at a line that is no field, which ends the header as well.
 */
int header_next(const char *data, size_t size, size_t *at, struct header_field *out);
bool header_is(const struct header_field *field, const char *name); /* case-insensitive */

/*
 * The mailboxes of an address-list field (From, Sender, Resent-From): comments, quoted strings,
 * display names, groups. Writes at most `max`; returns how many there are (maybe more than `max`),
 * or -EINVAL when the value is no address list. Addresses point into `value`; an address with folds
 * or comments inside points into `scratch` (at least as large as the value).
 */
long
header_addresses(const char *value, size_t length, struct address *out, size_t max, char *scratch);

/*
 * Whether an address of the list, not just a name or a comment, has characters beyond ASCII. Text
 * that cannot be read is skipped up to the next comma. `scratch`: as for header_addresses().
 */
bool header_has_utf8_address(const char *value, size_t length, char *scratch);

/*
 * The value unfolded, without control characters and outer blanks, cut at size - 1; NUL-terminated.
 */
void header_text(const struct header_field *field, char *out, size_t size);

#endif
