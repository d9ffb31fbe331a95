/*
 * http_scan.h - follows what a client sends over a connection, byte by byte: where the head and the
 * body of a request end, and why a request is refused. Pure.
 *
 * The scan is stricter than a lenient server: a request that two readers could end at different
 * places (RFC 9112 11.2) is refused.
 */
#ifndef SHARED_HTTP_SCAN_H
#define SHARED_HTTP_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What is known of a request at the end of its head. */
struct http_head {
	const char *method, *target;
	const char *authorization; /* NULL: none */
	bool cookie;               /* it has a Cookie */
};

struct http_scan_options {
	/* How many bytes the request may send behind its head; -1: it is refused with 401. NULL:
	 * anybody may send body_max. */
	long (*admit)(void *arg, const struct http_head *head);
	void *arg;
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
	char *line; /* as much of it as has come */
	size_t line_length, line_room, head;
	uint64_t left, body; /* bytes still to come of the body or chunk; of chunks so far */
	bool has_length, chunked, is_head, has_host, wants_host, has_cookie;
	bool trusted;        /* a request was admitted with body_max */
	char *target;        /* of the request, as the client wrote it */
	const char *method;  /* NULL: none that is known here */
	char *authorization; /* NULL: none */
	size_t room;         /* bytes that the body may have */
	uint64_t requests;   /* whole ones so far */
	/* Why the request is refused: its HTTP status (0: it is not), the field, and what would be
	 * right. It is told at the end of the head, so that 401 comes first. */
	int status;
	const char *field, *error; /* fit for JSON without escapes */
};

void http_scan_init(struct http_scan *scan, const struct http_scan_options *options);
void http_scan_wipe(struct http_scan *scan);
/* Takes the next bytes. False: scanning has ended, `status` says why. */
bool http_scan_feed(struct http_scan *scan, const char *data, size_t size);

/* Whether the value of "Authorization" (or NULL) is "Bearer" with the token. The time taken does
 * not depend on which bytes are wrong. */
bool http_token_is(const char *token, const char *authorization);

#endif
