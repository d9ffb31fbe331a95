/*
 * dsn_private.h - what the files of a report share: dsn.c (the report, and what it says) and
 * dsn_original.c (the message that is returned).
 */
#ifndef SENDER_DSN_PRIVATE_H
#define SENDER_DSN_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "sender/policy/dsn.h"
#include "shared/mail/address.h"

/* The report being written: a part into memory, then with its label into the body. */
struct writer {
	FILE *out, *body;
	char *part;
	size_t part_length; /* valid after fflush(out) */
	const struct dsn *dsn;
	char boundary[ID_TEXT_SIZE + 16];
	char to[ADDRESS_ASCII_MAX];
	bool utf8; /* `to` has no ASCII form: the report goes with SMTPUTF8 or not at all */
};

void dsn_part_begin(struct writer *writer);
/* Labels the part by its content. Messages and statuses may not be encoded (RFC 2046 5.2.1), or
 * need not be (RFC 6533). */
void dsn_part_end(struct writer *writer, const char *type);
/* The same for a type that may be encoded, so that every host takes the part. */
void dsn_part_end_text(struct writer *writer, const char *type);

/* dsn_original.c: the third part */
void dsn_put_original(struct writer *writer);

#endif
