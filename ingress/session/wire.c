/*
 * wire.c - the byte stream of one client: a socket, with TLS once it has begun.
 *
 * ingress:  ingress (accept) -> [wire] <-> session
 *
 * Plain sockets under libevent's events instead of bufferevents: a reply costs one send() and no
 * change of the epoll set, and input goes straight into the caller's buffer. So a command costs
 * three system calls. A message takes seven commands.
 *
 * Owns the socket and the TLS session. An error of the peer shows as "the peer has gone"; this file
 * logs nothing.
 */
#include "ingress/session/wire.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>
#include <event2/event_struct.h>
#include <openssl/err.h>

#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/base/timer.h"
#include "shared/base/tls.h"

#define LINGER_MS 5000
#define LINGER_BYTES (64u * 1024 * 1024)
#define LINGER_MAX 256 /* lingering wires of a loop, which the door no longer counts */

struct wire {
	struct wire *next, **prev; /* of the list */
	struct wire_list *list;
	int fd;
	SSL *ssl;
	const struct wire_calls *calls;
	void *arg;
	struct event read, write;
	struct timer timer;
	uint64_t deadline_ms; /* by clock_mono_ms(); 0: none */
	char *out;
	size_t out_start, out_size, out_space;
	bool reading, handshake, gone;
	bool lingering, shut;
	size_t thrown_away;
};

static void on_readable(evutil_socket_t fd, short what, void *arg);
static void on_writable(evutil_socket_t fd, short what, void *arg);
static void on_timer(void *arg);

struct wire *
wire_new(struct loop *loop, struct wire_list *list, int fd, const struct wire_calls *calls,
	void *arg)
{
	struct wire *wire = xcalloc(1, sizeof *wire);
	struct event_base *base = loop_base(loop);

	wire->list = list;
	wire->fd = fd;
	wire->calls = calls;
	wire->arg = arg;
	wire->next = list->first;
	wire->prev = &list->first;
	if (wire->next)
		wire->next->prev = &wire->next;
	list->first = wire;
	event_assign(&wire->read, base, fd, EV_READ | EV_PERSIST, on_readable, wire);
	event_assign(&wire->write, base, fd, EV_WRITE, on_writable, wire);
	timer_init(&wire->timer, loop, on_timer, wire);
	wire_read_enable(wire, true);
	return wire;
}

static void
wire_free(struct wire *wire)
{
	if (wire->lingering)
		wire->list->lingering--;
	*wire->prev = wire->next;
	if (wire->next)
		wire->next->prev = wire->prev;
	event_del(&wire->read);
	event_del(&wire->write);
	timer_cancel(&wire->timer);
	if (wire->ssl)
		SSL_free(wire->ssl);
	close(wire->fd);
	free(wire->out);
	free(wire);
}

bool
wire_pending(const struct wire *wire)
{
	return wire->ssl && SSL_has_pending(wire->ssl);
}

void
wire_read_enable(struct wire *wire, bool enable)
{
	if (wire->reading == enable)
		return;
	wire->reading = enable;
	if (!enable) {
		event_del(&wire->read);
		return;
	}
	event_add(&wire->read, NULL);
	/* Bytes that TLS has decrypted already do not make the socket readable. */
	if (wire_pending(wire))
		event_active(&wire->read, EV_READ, 0);
}

static ssize_t
ssl_result(struct wire *wire, int n)
{
	if (n > 0)
		return n;
	switch (SSL_get_error(wire->ssl, n)) {
	case SSL_ERROR_WANT_READ: return 0;
	case SSL_ERROR_WANT_WRITE: event_add(&wire->write, NULL); return 0;
	default: wire->gone = true; return -1;
	}
}

static ssize_t
socket_result(struct wire *wire, ssize_t n)
{
	if (n > 0)
		return n;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	wire->gone = true;
	return -1;
}

ssize_t
wire_read(struct wire *wire, char *data, size_t size)
{
	if (wire->gone)
		return -1;
	if (wire->ssl) {
		ERR_clear_error();
		return ssl_result(wire, SSL_read(wire->ssl, data, (int)size));
	}
	return socket_result(wire, recv(wire->fd, data, size, 0));
}

ssize_t
wire_peek(struct wire *wire, char *data, size_t size)
{
	if (wire->ssl) {
		ERR_clear_error();
		return ssl_result(wire, SSL_peek(wire->ssl, data, (int)size));
	}
	return socket_result(wire, recv(wire->fd, data, size, MSG_PEEK));
}

void
wire_write(struct wire *wire, const char *data, size_t size)
{
	if (wire->out_space - wire->out_size < size) {
		wire->out_space = (wire->out_size + size) * 2 + 512;
		wire->out = xrealloc(wire->out, wire->out_space);
	}
	memcpy(wire->out + wire->out_size, data, size);
	wire->out_size += size;
}

static ssize_t
send_some(struct wire *wire)
{
	const char *data = wire->out + wire->out_start;
	size_t size = wire->out_size - wire->out_start;

	if (wire->ssl) {
		ERR_clear_error();
		return ssl_result(wire, SSL_write(wire->ssl, data, (int)size));
	}
	return socket_result(wire, send(wire->fd, data, size, MSG_NOSIGNAL));
}

bool
wire_flush(struct wire *wire)
{
	while (wire->out_start < wire->out_size) {
		ssize_t n = wire->gone ? -1 : send_some(wire);

		if (n < 0)
			return false;
		if (n == 0) {
			event_add(&wire->write, NULL);
			return false;
		}
		wire->out_start += (size_t)n;
	}
	wire->out_start = wire->out_size = 0;
	return true;
}

static void
shake_hands(struct wire *wire)
{
	int n;

	ERR_clear_error();
	n = SSL_accept(wire->ssl);
	if (n == 1) {
		wire->handshake = false;
		wire->calls->on_tls(wire->arg, NULL);
	} else if (ssl_result(wire, n) < 0) {
		wire->handshake = false;
		wire->calls->on_tls(wire->arg, tls_error());
	}
}

void
wire_start_tls(struct wire *wire, SSL *ssl)
{
	SSL_set_fd(ssl, wire->fd);
	SSL_set_read_ahead(ssl, 1);
	SSL_set_mode(ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	wire->ssl = ssl;
	wire->handshake = true;
	wire_read_enable(wire, true);
}

const SSL *
wire_tls(const struct wire *wire)
{
	return wire->ssl;
}

static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct wire *wire = arg;

	(void)fd;
	(void)what;
	if (wire->handshake)
		shake_hands(wire);
	else
		wire->calls->on_input(wire->arg);
}

static void
on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct wire *wire = arg;

	(void)fd;
	(void)what;
	if (wire->handshake)
		shake_hands(wire);
	else if (wire_flush(wire) || wire->gone)
		wire->calls->on_drained(wire->arg);
}

/* The timer is not moved at every command. When it goes off too early, it is set for the remaining
 * time. */
static void
timer_start(struct wire *wire, uint64_t now_ms)
{
	uint64_t left = wire->deadline_ms > now_ms ? wire->deadline_ms - now_ms : 1;

	timer_set(&wire->timer, left);
}

void
wire_set_timeout(struct wire *wire, uint64_t ms)
{
	uint64_t now = clock_mono_ms(), deadline = now + ms;
	bool sooner = wire->deadline_ms == 0 || deadline < wire->deadline_ms;

	wire->deadline_ms = deadline;
	if (sooner)
		timer_start(wire, now);
}

static void
on_timer(void *arg)
{
	struct wire *wire = arg;
	uint64_t now = clock_mono_ms();

	if (now < wire->deadline_ms) {
		timer_start(wire, now);
		return;
	}
	wire->deadline_ms = 0;
	wire->calls->on_timeout(wire->arg);
}

/* Once all output is sent, the write side closes. The peer's end, or the timer, closes the rest. */
static void
linger_shut(struct wire *wire)
{
	if (wire->shut || wire->out_start < wire->out_size)
		return;
	wire->shut = true;
	if (wire->ssl && !wire->gone)
		SSL_shutdown(wire->ssl);
	shutdown(wire->fd, SHUT_WR);
}

static void
linger_input(void *arg)
{
	static _Thread_local char rubbish[16384];
	struct wire *wire = arg;
	ssize_t n = recv(wire->fd, rubbish, sizeof rubbish, 0);

	if (n > 0)
		wire->thrown_away += (size_t)n;
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR) ||
		wire->thrown_away > LINGER_BYTES)
		wire_free(wire);
}

static void
linger_drained(void *arg)
{
	struct wire *wire = arg;

	if (wire->gone)
		wire_free(wire);
	else
		linger_shut(wire);
}

static void
linger_end(void *arg)
{
	wire_free(arg);
}

static const struct wire_calls linger_calls = {
	.on_input = linger_input,
	.on_drained = linger_drained,
	.on_timeout = linger_end,
};

void
wire_close(struct wire **wire_ref, bool linger)
{
	struct wire *wire = *wire_ref;
	bool sent = !wire->handshake && wire_flush(wire);

	*wire_ref = NULL;
	if (wire->gone || wire->handshake || (sent && !linger) ||
		wire->list->lingering >= LINGER_MAX) {
		if (wire->ssl && !wire->gone && !wire->handshake)
			SSL_shutdown(wire->ssl);
		wire_free(wire);
		return;
	}
	wire->calls = &linger_calls;
	wire->arg = wire;
	wire->lingering = true;
	wire->list->lingering++;
	wire_read_enable(wire, true);
	wire_set_timeout(wire, LINGER_MS);
	linger_shut(wire);
}

void
wire_list_drop(struct wire_list *list)
{
	struct wire *next;

	for (struct wire *wire = list->first; wire; wire = next) {
		next = wire->next;
		if (wire->lingering)
			wire_free(wire);
	}
}
