/*
 * originators.h - whom a message names as its originators. Pure.
 */
#ifndef INGRESS_ORIGINATORS_H
#define INGRESS_ORIGINATORS_H

#include <stdbool.h>
#include <stddef.h>

#include "ingress/message/arena.h"
#include "shared/mail/header.h"

#define MAILBOXES_MAX 32 /* in From; in all other fields together; domains in names */

/* `domain` is as address_domain_named() makes it. NULL: a plain name without a domain. "": the
 * domain can be read in more than one way, or has no such form. */
struct originator {
	const char *text; /* "local@domain" as it is written, NUL-terminated */
	const char *domain;
};

struct originator_list {
	struct originator *items;
	size_t count;
};

struct originators {
	unsigned from_fields;
	long from_count;  /* mailboxes in From; negative when From cannot be read */
	bool from_nobody; /* From is an empty group (RFC 6854) */
	bool from_at; /* From shows an "@": a mail program may find an address in it all the same */
	bool unreadable_sender;      /* a Sender or Resent- field shows an "@", but is no list */
	bool turned;                 /* a field shows letters in another order than it holds them */
	bool too_many;               /* not all are listed */
	struct originator_list from; /* none when there are more than MAILBOXES_MAX */
	struct originator_list senders; /* Sender, Resent-From and Resent-Sender */
	/* What else in these fields follows an "@" (mention.h). */
	struct originator_list names;
	size_t signs; /* "@"s looked at so far */
};

/* What `out` points to lives in `arena`. */
void originators_read_from(
	struct originators *out, const struct header_field *field, struct arena *arena);
void originators_read_sender(
	struct originators *out, const struct header_field *field, struct arena *arena);

#endif
