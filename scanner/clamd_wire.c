/*
 * clamd_wire.c - one connection to a clamd.
 *
 * scanner:  clamd, clamd_check -> [clamd_wire] -> clamd
 *
 * Owns the socket and the output that waits. A failed write is not the end yet: clamd tells its
 * reason ("size limit exceeded") before it closes. So only the reading side finds the end.
 */
#include "scanner/clamd_wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/event.h>

#include "shared/base/container_of.h"
#include "shared/base/log.h"
#include "shared/base/loop.h"

#define ANSWER_MAX 16384
#define HIGH_WATER (256u * 1024)
#define LOW_WATER (64u * 1024)

struct clamd_wire {
	struct loop *loop;
	const struct clamd_wire_handler *handler;
	void *arg;
	int fd;
	bool connecting, closed, write_failed, was_full;
	struct event *readable, *writable;
	struct evbuffer *out;
	size_t in_size; /* bytes of an incomplete answer */
	char in[ANSWER_MAX];
	struct task free_task;
};

static void
wire_fail(struct clamd_wire *wire, int err)
{
	if (wire->closed)
		return;
	wire->closed = true;
	event_del(wire->readable);
	event_del(wire->writable);
	wire->handler->closed(wire->arg, err);
}

static void
wire_send(struct clamd_wire *wire)
{
	if (wire->write_failed)
		evbuffer_drain(wire->out, evbuffer_get_length(wire->out));
	while (evbuffer_get_length(wire->out)) {
		if (evbuffer_write(wire->out, wire->fd) >= 0)
			continue;
		if (errno == EAGAIN) {
			event_add(wire->writable, NULL);
			break;
		}
		if (errno == EINTR)
			continue;
		wire->write_failed = true;
		evbuffer_drain(wire->out, evbuffer_get_length(wire->out));
	}
	if (wire->was_full && evbuffer_get_length(wire->out) <= LOW_WATER) {
		wire->was_full = false;
		if (wire->handler->room)
			wire->handler->room(wire->arg);
	}
}

static void
on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct clamd_wire *wire = arg;
	int err = 0;
	socklen_t length = sizeof err;

	(void)what;
	if (wire->connecting) {
		if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &length) < 0)
			err = errno;
		if (err) {
			wire_fail(wire, -err);
			return;
		}
		wire->connecting = false;
	}
	wire_send(wire);
}

/* Hands over the complete answers of the buffer and keeps the rest. False once the wire is
 * closed. */
static bool
wire_answers(struct clamd_wire *wire)
{
	size_t at = 0;
	char *end;

	while ((end = memchr(wire->in + at, '\0', wire->in_size - at))) {
		char *text = wire->in + at;

		at = (size_t)(end - wire->in) + 1;
		wire->handler->answer(wire->arg, text, (size_t)(end - text));
		if (wire->closed)
			return false;
	}
	wire->in_size -= at;
	memmove(wire->in, wire->in + at, wire->in_size);
	return true;
}

static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct clamd_wire *wire = arg;
	ssize_t n;

	(void)what;
	n = recv(fd, wire->in + wire->in_size, sizeof wire->in - wire->in_size, 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		wire_fail(wire, n < 0 ? -errno : 0);
		return;
	}
	wire->in_size += (size_t)n;
	if (wire_answers(wire) && wire->in_size == sizeof wire->in)
		wire_fail(wire, -EMSGSIZE);
}

struct clamd_wire *
clamd_wire_open(struct loop *loop, const struct net_address *address,
	const struct clamd_wire_handler *handler, void *arg, int *err_out)
{
	int fd = net_connect(address, NULL);
	struct clamd_wire *wire;

	if (fd < 0) {
		*err_out = fd;
		return NULL;
	}
	wire = xcalloc(1, sizeof *wire);
	wire->loop = loop;
	wire->handler = handler;
	wire->arg = arg;
	wire->fd = fd;
	wire->connecting = true;
	wire->out = evbuffer_new();
	wire->readable = event_new(loop_base(loop), fd, EV_READ | EV_PERSIST, on_readable, wire);
	wire->writable = event_new(loop_base(loop), fd, EV_WRITE, on_writable, wire);
	if (!wire->out || !wire->readable || !wire->writable)
		die("out of memory", "clamd_wire_open");
	event_add(wire->readable, NULL);
	event_add(wire->writable, NULL);
	clamd_wire_command(wire, "IDSESSION");
	return wire;
}

static void
wire_free(struct task *task)
{
	struct clamd_wire *wire = container_of(task, struct clamd_wire, free_task);

	event_free(wire->readable);
	event_free(wire->writable);
	evbuffer_free(wire->out);
	close(wire->fd);
	free(wire);
}

void
clamd_wire_close(struct clamd_wire **wire_ref)
{
	struct clamd_wire *wire = *wire_ref;

	if (!wire)
		return;
	*wire_ref = NULL;
	wire->closed = true;
	event_del(wire->readable);
	event_del(wire->writable);
	shutdown(wire->fd, SHUT_RDWR);
	wire->free_task.run = wire_free;
	loop_post(wire->loop, &wire->free_task);
}

/* Runs on_writable() after the callbacks that are due now, without asking the kernel. */
static void
wire_kick(struct clamd_wire *wire)
{
	if (!wire->connecting && !wire->closed)
		event_active(wire->writable, 0, 0);
}

static void
wire_add(struct clamd_wire *wire, const void *data, size_t length)
{
	if (evbuffer_add(wire->out, data, length) < 0)
		die("out of memory", "evbuffer_add");
	wire->was_full = wire->was_full || evbuffer_get_length(wire->out) >= HIGH_WATER;
}

void
clamd_wire_command(struct clamd_wire *wire, const char *command)
{
	wire_add(wire, "z", 1);
	wire_add(wire, command, strlen(command) + 1);
	wire_kick(wire);
}

void
clamd_wire_chunk(struct clamd_wire *wire, const void *data, size_t length)
{
	uint32_t header = htonl((uint32_t)length);

	if (!length)
		return;
	wire_add(wire, &header, sizeof header);
	wire_add(wire, data, length);
	wire_kick(wire);
}

void
clamd_wire_stream_end(struct clamd_wire *wire)
{
	wire_add(wire, "\0\0\0\0", 4);
	wire_kick(wire);
}

bool
clamd_wire_connected(const struct clamd_wire *wire)
{
	return !wire->connecting;
}

bool
clamd_wire_full(const struct clamd_wire *wire)
{
	return wire->was_full;
}
