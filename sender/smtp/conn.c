/*
 * conn.c - a non-blocking byte stream to a mail server: plain, then perhaps TLS.
 *
 * A failed write is not reported at once. A server that refuses a message in its middle sends its
 * reply and closes, and that reply has to be read first.
 */
#include "sender/smtp/conn.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <openssl/err.h>

#include "shared/base/log.h"
#include "shared/base/net.h"
#include "shared/base/tls.h"

#define IOV_COUNT 16
#define TLS_RECORD 16384

static void
conn_closed(struct conn *conn, const char *why)
{
	conn_close(conn);
	conn->cb(conn->arg, CONN_CLOSED, why);
}

static void
want_writable(struct conn *conn, bool want)
{
	if (want == conn->writable_added)
		return;
	conn->writable_added = want;
	if (want)
		event_add(&conn->writable, NULL);
	else
		event_del(&conn->writable);
}

/* Plain: the bytes written, or -errno. MSG_NOSIGNAL: the peer may have gone. */
static long
write_plain(struct conn *conn)
{
	struct evbuffer_iovec iov[IOV_COUNT];
	struct msghdr message = { .msg_iov = (struct iovec *)iov };
	int count = evbuffer_peek(conn->out, -1, NULL, iov, IOV_COUNT);
	ssize_t n;

	message.msg_iovlen = count < IOV_COUNT ? (size_t)count : IOV_COUNT;
	n = sendmsg(conn->fd, &message, MSG_NOSIGNAL);
	return n < 0 ? -errno : n;
}

static long
tls_result(struct conn *conn, int n)
{
	switch (SSL_get_error(conn->ssl, n)) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE: return -EAGAIN;
	case SSL_ERROR_ZERO_RETURN: return 0;
	case SSL_ERROR_SYSCALL: return errno ? -errno : 0;
	default: return -EPROTO;
	}
}

static long
write_tls(struct conn *conn)
{
	size_t length = evbuffer_get_length(conn->out);
	int n;

	if (length > TLS_RECORD)
		length = TLS_RECORD;
	ERR_clear_error();
	errno = 0;
	n = SSL_write(conn->ssl, evbuffer_pullup(conn->out, (ev_ssize_t)length), (int)length);
	if (n > 0)
		return n;
	return tls_result(conn, n) == -EAGAIN ? -EAGAIN : -EPIPE;
}

void
conn_flush(struct conn *conn)
{
	if (!conn->connected || conn->handshake)
		return;
	while (!conn->broken && evbuffer_get_length(conn->out)) {
		long n = conn->ssl ? write_tls(conn) : write_plain(conn);

		if (n == -EINTR)
			continue;
		if (n == -EAGAIN) {
			want_writable(conn, true);
			return;
		}
		if (n < 0)
			conn->broken = true;
		else
			evbuffer_drain(conn->out, (size_t)n);
	}
	if (conn->broken)
		evbuffer_drain(conn->out, evbuffer_get_length(conn->out));
	want_writable(conn, conn->read_waits);
}

void
conn_flush_later(struct conn *conn)
{
	if (conn->connected && !conn->handshake)
		want_writable(conn, true);
}

static long
read_some(struct conn *conn)
{
	size_t space = sizeof conn->in - conn->in_end;
	int n;

	if (!conn->ssl) {
		ssize_t got = read(conn->fd, conn->in + conn->in_end, space);

		return got < 0 ? -errno : got;
	}
	ERR_clear_error();
	errno = 0;
	n = SSL_read(conn->ssl, conn->in + conn->in_end, (int)space);
	if (n > 0)
		return n;
	conn->read_waits = SSL_get_error(conn->ssl, n) == SSL_ERROR_WANT_WRITE;
	return tls_result(conn, n);
}

/* Drops the end of a long line whose beginning was shown. */
static void
drop_excess(struct conn *conn)
{
	const char *start = conn->in + conn->in_start, *end;
	size_t length = conn->in_end - conn->in_start;

	if (!conn->dropped)
		return;
	end = memchr(start, '\n', length);
	conn->in_start = end ? (size_t)(end + 1 - conn->in) : conn->in_end;
	conn->dropped = end ? 0 : conn->dropped + length;
}

static void
make_space(struct conn *conn)
{
	memmove(conn->in, conn->in + conn->in_start, conn->in_end - conn->in_start);
	conn->in_end -= conn->in_start;
	conn->in_start = 0;
}

/* TLS buffers bytes that the poll set does not see, so TLS is read until it wants more. */
static void
conn_read(struct conn *conn)
{
	unsigned generation = conn->generation;
	long n;

	do {
		drop_excess(conn);
		make_space(conn);
		if (conn->in_end == sizeof conn->in || conn->dropped > CONN_DROP_MAX) {
			conn_closed(conn, "the peer sends a line without end");
			return;
		}
		n = read_some(conn);
		if (n == -EAGAIN || n == -EINTR)
			return;
		if (n <= 0) {
			conn_closed(conn, n ? strerror((int)-n) : "connection closed by the peer");
			return;
		}
		conn->in_end += (size_t)n;
		conn->cb(conn->arg, CONN_INPUT, NULL);
	} while (conn->ssl && !conn->handshake && conn->generation == generation);
}

static void
conn_handshake(struct conn *conn)
{
	int n;

	ERR_clear_error();
	errno = 0;
	n = SSL_do_handshake(conn->ssl);
	if (n == 1) {
		conn->handshake = false;
		want_writable(conn, false);
		conn->cb(conn->arg, CONN_SECURED, NULL);
		return;
	}
	if (tls_result(conn, n) == -EAGAIN) {
		want_writable(conn, SSL_want_write(conn->ssl));
		return;
	}
	conn_closed(conn, ERR_peek_error() ? tls_error() : "connection closed in the handshake");
}

static void
conn_established(struct conn *conn)
{
	int err = 0;
	socklen_t length = sizeof err;

	if (getsockopt(conn->fd, SOL_SOCKET, SO_ERROR, &err, &length) || err) {
		conn->refused = err;
		conn->refusal = net_refusal(conn->fd);
		conn_closed(conn, strerror(err));
		return;
	}
	conn->connected = true;
	net_report_refusals(conn->fd, false);
	want_writable(conn, false);
	event_add(&conn->readable, NULL);
	conn->cb(conn->arg, CONN_CONNECTED, NULL);
}

static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct conn *conn = arg;
	unsigned generation = conn->generation;

	(void)fd;
	(void)what;
	if (conn->handshake) {
		conn_handshake(conn);
		return;
	}
	conn_read(conn);
	if (conn->ssl && conn->generation == generation)
		conn_flush(conn);
}

static void
on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct conn *conn = arg;
	unsigned generation = conn->generation;

	(void)fd;
	(void)what;
	if (!conn->connected) {
		conn_established(conn);
		return;
	}
	if (conn->handshake) {
		conn_handshake(conn);
		return;
	}
	if (conn->read_waits) {
		conn->read_waits = false;
		conn_read(conn);
		if (conn->generation != generation)
			return;
	}
	conn_flush(conn);
	conn->cb(conn->arg, CONN_SPACE, NULL);
}

void
conn_init(struct conn *conn, struct event_base *base, conn_cb cb, void *arg)
{
	conn->base = base;
	conn->cb = cb;
	conn->arg = arg;
	conn->fd = -1;
	conn->out = evbuffer_new();
	if (!conn->out)
		die("out of memory", "evbuffer_new");
}

int
conn_connect(struct conn *conn, const struct net_address *to, const struct net_address *from)
{
	int fd = net_connect(to, from);

	if (fd < 0)
		return fd;
	conn->fd = fd;
	conn->refused = 0;
	conn->refusal = NET_FROM_AFAR;
	net_report_refusals(fd, true);
	conn->in_start = conn->in_end = conn->dropped = 0;
	event_assign(&conn->readable, conn->base, fd, EV_READ | EV_PERSIST, on_readable, conn);
	event_assign(&conn->writable, conn->base, fd, EV_WRITE | EV_PERSIST, on_writable, conn);
	want_writable(conn, true);
	return 0;
}

void
conn_start_tls(struct conn *conn, SSL *ssl)
{
	conn->ssl = ssl;
	conn->handshake = true;
	SSL_set_fd(ssl, conn->fd);
	SSL_set_connect_state(ssl);
	SSL_set_read_ahead(ssl, 1);
	SSL_set_mode(ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	/* The first flight goes out from the loop, so that no event comes before conn_secure()
	 * returns. */
	want_writable(conn, true);
}

const char *
conn_line(struct conn *conn, size_t *length)
{
	size_t pending = conn->fd < 0 ? 0 : conn_pending(conn);
	char *start = conn->in + conn->in_start;
	char *end = memchr(start, '\n', pending < CONN_LINE_MAX ? pending : CONN_LINE_MAX);

	if (!end && pending < CONN_LINE_MAX)
		return NULL;
	if (!end) {
		conn->in_start += CONN_LINE_MAX;
		conn->dropped = 1;
		*length = CONN_LINE_MAX;
		return start;
	}
	conn->in_start = (size_t)(end + 1 - conn->in);
	if (end > start && end[-1] == '\r')
		end--;
	*length = (size_t)(end - start);
	return start;
}

const uint8_t *
conn_bytes(const struct conn *conn, size_t *length)
{
	*length = conn->in_end - conn->in_start;
	return (const uint8_t *)conn->in + conn->in_start;
}

void
conn_skip(struct conn *conn, size_t used)
{
	conn->in_start += used;
}

size_t
conn_pending(struct conn *conn)
{
	drop_excess(conn);
	return conn->in_end - conn->in_start;
}

bool
conn_between_lines(struct conn *conn)
{
	return !conn_pending(conn) && !conn->dropped;
}

const char *
conn_unfinished(const struct conn *conn, size_t *length)
{
	*length = conn->dropped ? 0 : conn->in_end - conn->in_start;
	return conn->in + conn->in_start;
}

bool
conn_unsent(const struct conn *conn)
{
	if (conn->fd < 0)
		return conn->cut_short;
	return conn->broken || evbuffer_get_length(conn->out);
}

void
conn_close(struct conn *conn)
{
	if (conn->fd < 0)
		return;
	event_del(&conn->readable);
	event_del(&conn->writable);
	if (conn->ssl) {
		ERR_clear_error();
		if (!conn->handshake && !conn->broken)
			SSL_shutdown(conn->ssl);
		SSL_free(conn->ssl);
		ERR_clear_error();
	}
	close(conn->fd);
	conn->cut_short = conn_unsent(conn);
	evbuffer_drain(conn->out, evbuffer_get_length(conn->out));
	conn->fd = -1;
	conn->ssl = NULL;
	conn->connected = conn->handshake = conn->broken = false;
	conn->read_waits = conn->writable_added = false;
	conn->generation++;
}

void
conn_free(struct conn *conn)
{
	conn_close(conn);
	if (conn->out)
		evbuffer_free(conn->out);
	conn->out = NULL;
}
