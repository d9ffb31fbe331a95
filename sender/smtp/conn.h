/*
 * conn.h - a non-blocking byte stream to a mail server: plain, then perhaps TLS.
 *
 * The hot path needs fewer system calls than libevent's bufferevent makes: a write goes out at once
 * in one sendmsg(2), a read is one read(2), and the poll set changes only when the peer's window is
 * full. The stream is embedded in its owner. It has one callback, which may close the stream.
 */
#ifndef SENDER_CONN_H
#define SENDER_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <event2/event.h>
#include <event2/event_struct.h>
#include <openssl/ssl.h>

#include "shared/base/net.h"

struct evbuffer;
struct net_address;

#define CONN_IN_MAX 8192
#define CONN_LINE_MAX 4096         /* of a longer line only the beginning is shown */
#define CONN_DROP_MAX (64u * 1024) /* a line that goes on for longer closes the stream */

enum conn_event {
	CONN_CONNECTED,
	CONN_SECURED, /* the TLS handshake is done */
	CONN_INPUT,   /* take lines with conn_line() */
	CONN_SPACE,   /* some output went out */
	CONN_CLOSED   /* by the peer or an error (`why`), after all input was taken */
};

typedef void (*conn_cb)(void *arg, enum conn_event event, const char *why);

struct conn {
	struct event_base *base;
	conn_cb cb;
	void *arg;
	int fd; /* -1: closed */
	SSL *ssl;
	bool connected, handshake, broken; /* broken: writing failed; input is still read */
	bool read_waits;                   /* TLS reads when the socket is writable */
	unsigned generation;               /* counts closings, so that a loop notices one */
	int refused;                       /* errno of a connect() that came to nothing, else 0 */
	enum net_refusal refusal;          /* who refused */
	struct event readable, writable;
	bool writable_added;
	struct evbuffer *out;
	bool cut_short; /* closed before all output was written */
	size_t in_start, in_end;
	size_t dropped; /* bytes dropped of the long line in hand; 0: none is in hand */
	char in[CONN_IN_MAX];
};

void conn_init(struct conn *conn, struct event_base *base, conn_cb cb, void *arg);
/* 0, then CONN_CONNECTED or CONN_CLOSED; or -errno. */
int conn_connect(struct conn *conn, const struct net_address *to, const struct net_address *from);
/* Begins TLS and takes the session over. CONN_SECURED or CONN_CLOSED follows. */
void conn_start_tls(struct conn *conn, SSL *ssl);
/* Writes conn->out as far as the peer takes it; the loop writes the remainder. A failure is
 * reported when the input has been read to its end. */
void conn_flush(struct conn *conn);
/* The same on the loop's next turn, then CONN_SPACE: others have their turn in between. */
void conn_flush_later(struct conn *conn);
/* The next line without its line ending, or NULL. A line longer than CONN_LINE_MAX is cut there,
 * and returned as soon as so much has come. Valid until the next call. */
const char *conn_line(struct conn *conn, size_t *length);
/* The bytes of input that wait, before anything was taken as lines; and takes `used` of them. */
const uint8_t *conn_bytes(const struct conn *conn, size_t *length);
void conn_skip(struct conn *conn, size_t used);
/* How many bytes of input wait. */
size_t conn_pending(struct conn *conn);
/* Whether no input waits, and the last line was read to its end. */
bool conn_between_lines(struct conn *conn);
/* The beginning of a line without an end, also when the stream was closed within the line. */
const char *conn_unfinished(const struct conn *conn, size_t *length);
/* Whether output is left that a close would lose, or has lost. */
bool conn_unsent(const struct conn *conn);
/* Closes the stream, for good or to connect again. */
void conn_close(struct conn *conn);
/* conn_close(), and frees the output buffer. */
void conn_free(struct conn *conn);

#endif
