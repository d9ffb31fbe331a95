/*
 * http_scan.h - what a client sends over a connection, followed byte by byte: where a request's
 * head and body end, and why one is not taken. Pure.
 *
 * It asks for more than a lenient server would: where two readers could see different ends of a
 * request (RFC 9112 11.2) there is none.
 */
#ifndef SHARED_HTTP_SCAN_H
#define SHARED_HTTP_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct http_scan_options {
	const char *token; /* "Authorization: Bearer" has to have it; NULL: anybody may ask */
	size_t head_max, body_max; /* bytes */
};

enum http_scan_state {
	HTTP_SCAN_FIRST, /* the request line */
	HTTP_SCAN_FIELDS,
	HTTP_SCAN_BODY,
	HTTP_SCAN_CHUNK, /* the line with its size */
	HTTP_SCAN_CHUNK_END,
	HTTP_SCAN_TRAILER,
};

struct http_scan {
	const struct http_scan_options *options;
	enum http_scan_state state;
	char *line; /* as far as it has come */
	size_t line_length, line_room, head;
	uint64_t left, body; /* bytes of the body, or chunk, to come; bytes of chunks so far */
	bool has_length, chunked, is_head, trusted;
	char *target;      /* of the request, as it came */
	uint64_t requests; /* whole ones */
	/* Why the request is not taken: its HTTP status (0: it is), what it is about, and what
	 * would be right. It is said at the end of the head, so that 401 comes first. */
	int status;
	const char *field, *error; /* in JSON as they stand */
};

void http_scan_init(struct http_scan *scan, const struct http_scan_options *options);
void http_scan_wipe(struct http_scan *scan);
/* Takes what has come. False at the end: `status` says why no more is taken. */
bool http_scan_feed(struct http_scan *scan, const char *data, size_t size);

/* Whether a field "Authorization" (or NULL) is "Bearer" with the token. Takes the same time for
 * each wrong one of its length. */
bool http_token_is(const char *token, const char *authorization);

#endif
