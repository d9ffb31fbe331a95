/*
 * http_door.h - HTTP servers whose clients cannot hold what others need: connections are few, a
 * request and its answer have a time as a whole, and nobody's body is read before the token.
 */
#ifndef SHARED_HTTP_DOOR_H
#define SHARED_HTTP_DOOR_H

#include <stdbool.h>
#include <stddef.h>

struct evbuffer;
struct evhttp;
struct evhttp_request;
struct http_door;
struct loop;

struct http_door_options {
	/* When there are as many the oldest goes that has not shown the token and is not worked
	 * for. */
	unsigned connections_max, per_address_max;
	/* From the connection, or the answer before, to the end of the next request; and of an
	 * answer. */
	unsigned deadline_s;
	const char *token; /* borrowed; NULL: anybody may ask */
	/* Of a request, in bytes: what is larger is refused as it comes. */
	size_t head_max, body_max;
	/* The methods that a path takes, "GET, HEAD": for who uses one that HTTP does not know.
	 * NULL: GET and HEAD. `path` need not be one. */
	void (*allow)(const char *path, char *out, size_t size);
};

/* Never NULL. The server itself is evhttp's, and goes with the door. */
struct http_door *http_door_new(struct loop *loop, const struct http_door_options *options);
struct evhttp *http_door_server(struct http_door *door);
/* Takes NULL. */
void http_door_free(struct http_door **door);

/* To be called first with each request: while it is worked for there is no deadline. */
void http_door_take(struct http_door *door, struct evhttp_request *request);
/* evhttp_send_reply(), with the deadline of an answer. */
void http_door_reply(
	struct http_door *door, struct evhttp_request *request, int status, struct evbuffer *body);

#endif
