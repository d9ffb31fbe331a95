/*
 * http_door.h - HTTP servers whose clients cannot take what others need. Connections are few, a
 * request and its answer have a deadline as a whole, and no body is read before the token was
 * shown.
 */
#ifndef SHARED_HTTP_DOOR_H
#define SHARED_HTTP_DOOR_H

#include <stdbool.h>
#include <stddef.h>

#include "shared/base/net.h"
#include "shared/http/http_scan.h"

/* What is said with 401. */
#define HTTP_NEEDED "the token of state_dir/control.token is needed: Authorization: Bearer ..."

struct evbuffer;
struct evhttp;
struct evhttp_request;
struct http_door;
struct loop;
struct tls_server;

struct http_door_options {
	/* At the bound, the oldest connection gives way that has not shown the token and has no
	 * request in hand. */
	unsigned connections_max, per_address_max; /* a proxy of ours may have them all */
	/* For a whole request, from the connection or the answer before; and for a whole answer. */
	unsigned deadline_s;
	/* As struct http_scan_options has them. Who is admitted with body_max is no stranger: such
	 * a connection never gives way. */
	long (*admit)(void *arg, const struct http_head *head);
	void *arg;
	/* Bytes of a request. A larger request is refused while it comes. */
	size_t head_max, body_max;
	/* Writes the methods that a path takes, "GET, HEAD", for a client that used a method
	 * unknown to HTTP. NULL: GET and HEAD. `path` need not exist. */
	void (*allow)(const char *path, char *out, size_t size);
	struct tls_server *tls;        /* borrowed; NULL: plain HTTP */
	const struct network *proxies; /* borrowed: whose X-Forwarded-* count */
	unsigned proxies_count;
};

/* Never NULL. The server is evhttp's, and is freed with the door. */
struct http_door *http_door_new(struct loop *loop, const struct http_door_options *options);
struct evhttp *http_door_server(struct http_door *door);
/* Takes NULL. */
void http_door_free(struct http_door **door);

/* Call it first with each request. A request in hand has no deadline until its answer. */
void http_door_take(struct http_door *door, struct evhttp_request *request);
/* Who the request is from, behind the proxies; and whether the client speaks TLS with us or with
 * the proxy. Call these while the request is being taken: later its connection may have gone. */
void
http_door_client(struct http_door *door, struct evhttp_request *request, char out[NET_TEXT_MAX]);
bool http_door_is_secure(struct http_door *door, struct evhttp_request *request);
/* Whether the request's Host is this machine's: localhost, a loopback address, or the address that
 * the client is connected to. */
bool http_door_is_local(struct http_door *door, struct evhttp_request *request);
/* evhttp_send_reply(), with the deadline of an answer, and fields that tell browsers to be
 * careful. */
void http_door_reply(
	struct http_door *door, struct evhttp_request *request, int status, struct evbuffer *body);

#endif
