/*
 * content.h - what the header of a message says, and the fields that do not travel on. Pure.
 */
#ifndef INGRESS_CONTENT_H
#define INGRESS_CONTENT_H

#include <stdbool.h>
#include <stddef.h>

#include "ingress/message/arena.h"
#include "ingress/message/originators.h"

#define RECEIVED_MAX 100 /* RFC 5321 6.3 */
#define CONTENT_SUBJECT_MAX 200

struct content {
	struct originators originators;
	const char *message_id, *subject; /* NULL without */
	unsigned received;
	unsigned missing;   /* enum missing */
	bool utf8_address;  /* in any field that holds addresses */
	size_t header_size; /* up to the end of its last field, before it was edited */
};

/* How many bytes content_read() may add to the data. */
size_t content_growth(const char *data, size_t size);

/*
 * Reads the header at `data` (lines end in CRLF) and edits it in place as content.c says; `data`
 * has room for content_growth() more. Returns the new size. What `out` points to lives in `arena`.
 */
size_t content_read(char *data, size_t size, struct arena *arena, struct content *out);

#endif
