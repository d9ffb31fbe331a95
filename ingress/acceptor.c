/*
 * acceptor.c - a worker at one of the listeners: takes connections, asks the door, opens sessions.
 *
 * customer -> [acceptor] -> door -> session
 *
 * Without a descriptor for it a connection stays in the kernel; accepting goes on a second later.
 */
#include "ingress/acceptor.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>

#include "ingress/door/stats.h"
#include "ingress/door/tally.h"
#include "ingress/session/session.h"
#include "shared/base/log.h"
#include "shared/base/timer.h"
#include "shared/metrics/metrics.h"

#define ACCEPT_BATCH 16
#define ACCEPT_AGAIN_MS 1000

static void
turn_away(
	struct acceptor *acceptor, int fd, const struct net_address *peer, struct turned_away away)
{
	const struct listener *listener = acceptor->listener;
	char line[256], client[NET_TEXT_MAX];
	int length = snprintf(line, sizeof line, "%s\r\n", away.text);

	net_format_ip(peer, client);
	metric_add(stats.refused[away.why], 1);
	worker_tell(acceptor->worker,
		&(struct tally_case){ .kind = TALLY_REJECTED,
			.client = client,
			.command = "connect",
			.reason = refusal_name(away.why),
			.reply = away.text });
	if (listener->config->tls != LISTEN_IMPLICIT)
		(void)!send(fd, line, (size_t)length, MSG_NOSIGNAL | MSG_DONTWAIT);
	shutdown(fd, SHUT_WR);
	close(fd);
}

/* Where a proxy speaks for its clients the door gets no address: the PROXY header names the client
 * later. */
static void
let_in(struct acceptor *acceptor, int fd, const struct net_address *peer)
{
	struct worker *worker = acceptor->worker;
	const struct listener *listener = acceptor->listener;
	struct guest *guest;
	enum door_answer answer = door_enter(
		worker->ingress->door, listener->config->proxy ? NULL : peer, worker->loop, &guest);

	if (answer == DOOR_OPEN)
		session_open(worker, listener, fd, peer, guest);
	else
		turn_away(acceptor, fd, peer, session_turned_away(answer));
}

static void
take_connection(struct acceptor *acceptor, int fd, const struct net_address *peer)
{
	static const struct turned_away shutting_down = { "421 4.3.2 Shutting down, try again soon",
		REFUSE_SHUTDOWN };

	if (acceptor->worker->draining)
		turn_away(acceptor, fd, peer, shutting_down);
	else
		let_in(acceptor, fd, peer);
}

static void
on_accept_again(void *arg)
{
	struct acceptor *acceptor = arg;

	event_add(acceptor->event, NULL);
}

/* No descriptors left: the connection stays in the kernel, which would wake us for ever. */
static void
pause_accepting(struct acceptor *acceptor, int err)
{
	LOG_ERROR("cannot accept connections", "listener", acceptor->listener->config->address,
		"error", strerror(err));
	event_del(acceptor->event);
	timer_set(&acceptor->again, ACCEPT_AGAIN_MS);
}

static void
on_accept(evutil_socket_t listening, short what, void *arg)
{
	struct acceptor *acceptor = arg;

	(void)what;
	for (int i = 0; i < ACCEPT_BATCH; i++) {
		struct net_address peer = { .length = sizeof peer.sa };
		int fd = accept4(listening, (struct sockaddr *)&peer.sa, &peer.length,
			SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0)
			take_connection(acceptor, fd, &peer);
		else if (errno == EAGAIN)
			return;
		else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
			errno == ENOMEM) {
			pause_accepting(acceptor, errno);
			return;
		}
	}
}

int
acceptor_open(
	struct acceptor *acceptor, struct worker *worker, const struct listener *listener, int fd)
{
	const int one = 1;
	const int err = net_listen_on(fd);

	if (err < 0) {
		LOG_ERROR("cannot listen", "address", listener->config->address, "error",
			strerror(-err));
		return -1;
	}
	/* Accepted sockets inherit it: a reply is one write and must not wait for an ACK. */
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	acceptor->worker = worker;
	acceptor->listener = listener;
	acceptor->fd = fd;
	acceptor->event = event_new(
		loop_base(worker->loop), fd, EV_READ | EV_PERSIST, on_accept, acceptor);
	timer_init(&acceptor->again, worker->loop, on_accept_again, acceptor);
	event_add(acceptor->event, NULL);
	return 0;
}

void
acceptor_close(struct acceptor *acceptor)
{
	if (!acceptor->event)
		return;
	timer_cancel(&acceptor->again);
	event_free(acceptor->event);
	acceptor->event = NULL;
	close(acceptor->fd);
}

void
acceptor_drain(struct acceptor *acceptor)
{
	if (acceptor->event)
		on_accept(acceptor->fd, EV_READ, acceptor);
	acceptor_close(acceptor);
}
