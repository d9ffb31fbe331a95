/*
 * content.h - what the header of a message says, and the fields that do not travel on. Pure.
 */
#ifndef INGRESS_CONTENT_H
#define INGRESS_CONTENT_H

#include <stdbool.h>
#include <stddef.h>

#include "ingress/arena.h"

#define RECEIVED_MAX 50  /* RFC 5321 6.3 asks for a large number; ours breaks loops soon enough */
#define MAILBOXES_MAX 32 /* in one field */
#define CONTENT_SUBJECT_MAX 200

struct mailbox_list {
	const char **text; /* "local@domain", NUL-terminated */
	size_t count;
};

struct content {
	unsigned from_fields;
	bool from_bad; /* the From field is no address list, or a very long one */
	bool from_at;  /* it holds an "@": a mail program may find an address in it all the same */
	struct mailbox_list from;
	struct mailbox_list senders;      /* Sender, Resent-From and Resent-Sender */
	const char *message_id, *subject; /* NULL without */
	unsigned received;
	unsigned missing; /* enum missing */
};

/*
 * Reads the header at `data` (lines end in CRLF), takes Return-Path, Bcc and Resent-Bcc fields out
 * in place, and returns the new size. What `out` points to lives in `arena`. *ended tells whether
 * the end of the header was among the data. From fields behind a line that is no field count as
 * well, though the header ends there: some mail programs read on up to the empty line.
 */
size_t content_read(char *data, size_t size, struct arena *arena, struct content *out, bool *ended);

#endif
