/*
 * wire.h - the byte stream of one client: a socket, with TLS once it has begun.
 *
 * Output is collected and leaves in one write at wire_flush(), so that the replies of one turn
 * share a system call. All calls on the wire's own loop. Callbacks are never called from inside a
 * call.
 */
#ifndef INGRESS_WIRE_H
#define INGRESS_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <openssl/ssl.h>

struct loop;
struct wire;

struct wire_calls {
	void (*on_input)(void *arg);   /* there are bytes for wire_read() */
	void (*on_drained)(void *arg); /* the output that wire_flush() left over was sent */
	void (*on_tls)(void *arg, const char *error); /* the handshake ended; NULL: well */
	void (*on_timeout)(void *arg);
};

/* All wires of a loop: lingering ones are ended with the loop. */
struct wire_list {
	struct wire *first;
	unsigned lingering;
};

/* Takes the socket over. Reading is on. */
struct wire *wire_new(struct loop *loop, struct wire_list *list, int fd,
	const struct wire_calls *calls, void *arg);

/* Bytes read; 0 nothing there now; -1 the peer has gone. */
ssize_t wire_read(struct wire *wire, char *data, size_t size);
/* Whether bytes wait in the socket, before TLS: looks without taking. -1 the peer has gone. */
ssize_t wire_peek(struct wire *wire, char *data, size_t size);
/* Adds to the output. */
void wire_write(struct wire *wire, const char *data, size_t size);
/* Sends the output. False: some of it has to wait (on_drained is called then), or the peer has
 * gone. */
bool wire_flush(struct wire *wire);
/* Whether bytes are at hand that no socket event will tell about (TLS decrypts whole records). */
bool wire_pending(const struct wire *wire);
/* Stops and restarts on_input. */
void wire_read_enable(struct wire *wire, bool enable);

/* Starts the server's side of a handshake; takes `ssl` over. Output must have been flushed. */
void wire_start_tls(struct wire *wire, SSL *ssl);
const SSL *wire_tls(const struct wire *wire);

/* Calls on_timeout after this long, unless the timeout is set again before. */
void wire_set_timeout(struct wire *wire, uint64_t ms);

/*
 * Ends the wire: sends the remaining output, then closes the socket. Closing with unread input
 * resets the connection, which may take the last reply with it. So with `linger`, for a peer that
 * may still be sending, the write side closes first, and input is thrown away for a while. No
 * callback after this. Leaves NULL.
 */
void wire_close(struct wire **wire, bool linger);
/* Drops the wires that linger. */
void wire_list_drop(struct wire_list *list);

#endif
