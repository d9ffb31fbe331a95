/*
 * session.c - one client's connection: its states, its input, its replies.
 *
 *   accept -> (PROXY header) -> (TLS) -> banner -> commands <-> message -> close
 *
 * ingress (accept) -> [session] -> cmd_*.c -> accept.c -> queue
 *
 * Input is worked on in the worker's scratch buffer. While a command waits for its answer, the
 * input behind it is kept in `left`, and reading stops. A session owns its wire and its
 * transaction. It is never freed inside its own callbacks: closing marks it, and the worker's
 * reaper frees it.
 */
#include "ingress/session/session_private.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ingress/door/proxy.h"
#include "shared/base/log.h"
#include "shared/base/timer.h"
#include "shared/metrics/metrics.h"

#define COMMAND_READ (8u * 1024) /* of input at a time between messages */
#define PROXY_MS 5000            /* for a PROXY header: a proxy sends it at once */
#define SLOT_BITS 20

/* ---- ids ---- */

void *
session_arg(const struct session *session)
{
	return (void *)(uintptr_t)session->id;
}

static struct session *
find_id(struct worker *worker, uint64_t id)
{
	size_t slot = id & ((1u << SLOT_BITS) - 1);
	struct session *session = slot < worker->sessions_space ? worker->sessions[slot] : NULL;

	return session && session->id == id ? session : NULL;
}

struct session *
session_find(void *arg)
{
	struct worker *worker = worker_here();

	/* What is still pending when a worker is freed ends on the main thread. */
	return worker ? find_id(worker, (uint64_t)(uintptr_t)arg) : NULL;
}

static void
register_session(struct worker *worker, struct session *session)
{
	unsigned slot = 0;

	while (slot < worker->sessions_space && worker->sessions[slot])
		slot++;
	if (slot == worker->sessions_space) {
		unsigned space = slot ? slot * 2 : 64;

		worker->sessions = xrealloc(worker->sessions, space * sizeof *worker->sessions);
		memset(worker->sessions + slot, 0, (space - slot) * sizeof *worker->sessions);
		worker->sessions_space = space;
	}
	worker->sessions[slot] = session;
	session->id = ++worker->sessions_made << SLOT_BITS | slot;
}

/* ---- replies ---- */

__attribute__((format(printf, 2, 0))) static void
say(struct session *session, const char *format, va_list args)
{
	char text[REPLY_MAX];
	int length = vsnprintf(text, sizeof text - 2, format, args);

	if (length > (int)sizeof text - 3)
		length = sizeof text - 3;
	dialogue_server(&session->record.dialogue, text, (size_t)length);
	memcpy(text + length, "\r\n", 2);
	wire_write(session->wire, text, (size_t)length + 2);
}

static void resume(struct session *session);

static bool
in_transaction(const struct session *session)
{
	return session->mail && session->mail->open;
}

/* A session in a transaction keeps its place, whoever else may need it. */
static void
tell_door(struct session *session)
{
	bool working = in_transaction(session);

	if (working == session->working)
		return;
	session->working = working;
	guest_place(session->guest, working ? PLACE_BUSY : PLACE_IDLE);
}

void
reply(struct session *session, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(session, format, args);
	va_end(args);
	session->busy = false;
	session->answered = true;
	tell_door(session);
	if (session->worker->draining && !in_transaction(session))
		session_end(session, "421 4.3.2 Shutting down, try again soon");
	else
		resume(session);
}

void
session_end(struct session *session, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(session, format, args);
	va_end(args);
	session_close(session);
}

bool
session_alone(struct session *session, const char *verb)
{
	char byte;
	bool more = session->in_turn
		? session->in_size > 0
		: session->left_size > 0 || wire_peek(session->wire, &byte, 1) > 0;

	if (!more)
		return true;
	refuse_end(session, REFUSE_ORDER,
		"554 5.5.0 Nothing may be sent behind %s before its reply", verb);
	return false;
}

/* ---- the end ---- */

void
session_forget(struct session *session)
{
	session->worker->ingress->verbs->auth_free(session);
	if (session->mail)
		transaction_reset(session->mail);
	account_unref(session->account);
	session->account = NULL;
	free(session->credential);
	session->credential = NULL;
	session_set_grant(session, NULL);
	session->known = KNOWN_UNASKED;
	session->greeted = session->esmtp = false; /* only events still use the HELO name */
}

void
session_discard_input(struct session *session)
{
	session->in_size = 0;
	session->skip_line = false;
}

void
session_close(struct session *session)
{
	struct worker *worker = session->worker;
	bool linger = !session->quit || session->in_size > 0 || session->left_size > 0;

	if (session->state == ST_CLOSED)
		return;
	record_end(session);
	wire_close(&session->wire, linger && session->state != ST_PROXY);
	session->state = ST_CLOSED;
	transaction_leave(&session->mail); /* first: the queue may still read the message */
	session_forget(session);
	guest_leave(&session->guest);
	metric_add(stats.sessions, -1);
	worker->sessions[session->id & ((1u << SLOT_BITS) - 1)] = NULL;
	session->next_dead = worker->dead;
	worker->dead = session;
	timer_soon(&worker->reaper);
	atomic_fetch_sub(&worker->ingress->busy, 1);
}

void
session_reap(struct worker *worker)
{
	struct session *session;

	while ((session = worker->dead)) {
		worker->dead = session->next_dead;
		free(session->left);
		free(session);
	}
}

/* ---- input ---- */

static void
took(struct session *session, size_t size)
{
	session->in += size;
	session->in_size -= size;
}

/* False: no whole line is there. An LF ends a command, with any number of CRs before it: old
 * clients send both. */
static bool
take_line(struct session *session)
{
	const char *line = session->in, *end = memchr(line, '\n', session->in_size);
	size_t length;

	if (!end) {
		if (session->in_size > COMMAND_LINE_MAX) {
			session->skip_line = true;
			took(session, session->in_size);
		}
		return false;
	}
	length = (size_t)(end - line);
	took(session, length + 1);
	while (length > 0 && line[length - 1] == '\r')
		length--;
	session->worker->ingress->verbs->line(session, line, length);
	return true;
}

static void
work(struct session *session)
{
	while (session->in_size > 0 && !session->busy) {
		if (session->state == ST_DATA)
			took(session,
				session->worker->ingress->verbs->data(
					session, session->in, session->in_size));
		else if (session->state != ST_COMMAND && session->state != ST_LINE)
			break;
		else if (!take_line(session))
			break;
	}
}

/* The input left over may be half an AUTH line: a secret. */
static void
keep_left(struct session *session)
{
	if (session->left)
		explicit_bzero(session->left, session->left_size);
	free(session->left);
	session->left = NULL;
	session->left_size = session->in_size;
	if (session->in_size > 0) {
		session->left = xmalloc(session->in_size);
		memcpy(session->left, session->in, session->in_size);
	}
	session->in = NULL;
	session->in_size = 0;
}

/* Outside of a transaction the client is refused nothing, so no refusal is counted or told. */
static void
too_slow(struct session *session)
{
	static const char text[] = "421 4.4.2 Idle, or too slow, for too long";

	if (in_transaction(session))
		refuse_end(session, REFUSE_TIMEOUT, text);
	else
		session_end(session, text);
}

/* Half a command gains no time, and a message has to keep a pace: a client that drips bytes holds
 * its connection no longer than a silent one. A handshake has a time of its own. */
static void
renew_timeout(struct session *session)
{
	uint64_t timeout = session->worker->ingress->config->ingress.timeout, left = timeout;
	bool renews = session->answered && session->state != ST_SHAKE;

	session->answered = false;
	if (session->state == ST_DATA) {
		left = transaction_time_left(session->mail, timeout);
		renews = true;
	}
	if (left == 0)
		too_slow(session);
	else if (renews)
		session_set_timeout(session, left);
}

/* Works on the first `size` bytes of scratch. While a client does not take its replies, it is not
 * read. */
static void
take_turn(struct session *session, size_t size)
{
	session->in = session->worker->scratch;
	session->in_size = size;
	session->in_turn = true;
	work(session);
	session->in_turn = false;
	if (session->state == ST_CLOSED)
		return;
	keep_left(session);
	if (!wire_flush(session->wire))
		wire_read_enable(session->wire, false);
	else if (!session->busy)
		wire_read_enable(session->wire, true);
	renew_timeout(session);
}

static size_t
left_to_scratch(struct session *session)
{
	if (session->left_size > 0)
		memcpy(session->worker->scratch, session->left, session->left_size);
	return session->left_size;
}

/* An answer came from a callback: goes on with the input that waited. */
static void
resume(struct session *session)
{
	if (!session->in_turn && session->state != ST_CLOSED)
		take_turn(session, left_to_scratch(session));
}

static void proxy_input(struct session *session);

static void
on_input(void *arg)
{
	struct session *session = arg;

	do {
		size_t left, room;
		ssize_t n;

		if (session->busy) {
			wire_read_enable(session->wire, false);
			return;
		}
		if (session->state == ST_PROXY) {
			proxy_input(session);
			return;
		}
		left = left_to_scratch(session);
		room = session->state == ST_DATA ? SCRATCH_SIZE - left : COMMAND_READ;
		n = wire_read(session->wire, session->worker->scratch + left, room);
		if (n < 0)
			session_close(session);
		else if (n > 0)
			take_turn(session, left + (size_t)n);
		else
			return;
	} while (session->state != ST_CLOSED && wire_pending(session->wire));
}

static void
on_drained(void *arg)
{
	struct session *session = arg;

	if (!session->busy)
		wire_read_enable(session->wire, true);
}

static void
tls_failed(struct session *session, const char *error)
{
	metric_add(stats.tls_failed, 1);
	dialogue_note(&session->record.dialogue, error);
	record_refusal(session, "TLS", error);
	session_tell(session, TALLY_TLS_FAILED, NULL, error);
	session_close(session);
}

static void
on_timeout(void *arg)
{
	struct session *session = arg;

	if (session->busy) /* we are slow, not the client */
		wire_set_timeout(session->wire, session->worker->ingress->config->ingress.timeout);
	else if (session->state == ST_SHAKE)
		tls_failed(session, "no handshake in time");
	else if (session->state == ST_PROXY)
		session_close(session);
	else if (guest_time_left(session->guest) == 0)
		refuse_end(session, REFUSE_TIMEOUT,
			"421 4.4.2 Too long without mail, and not logged in");
	else
		too_slow(session);
}

void
on_session_tls(void *arg, const char *error)
{
	struct session *session = arg;

	if (error) {
		tls_failed(session, error);
		return;
	}
	metric_add(stats.tls_ok, 1);
	tls_describe(wire_tls(session->wire), session->tls, sizeof session->tls);
	dialogue_note(&session->record.dialogue, session->tls);
	session_step(session);
	session_set_timeout(session, session->worker->ingress->config->ingress.timeout);
	if (session->listener->config->tls == LISTEN_IMPLICIT)
		session_banner(session);
	else
		session->state = ST_COMMAND;
	if (session->state != ST_CLOSED && wire_pending(session->wire))
		on_input(session);
}

/* ---- the beginning ---- */

/* A client that talks before the banner does not speak SMTP, or speaks for someone else. */
void
session_banner(struct session *session)
{
	char byte;
	ssize_t early = wire_peek(session->wire, &byte, 1);

	session->state = ST_COMMAND;
	if (early < 0) {
		session_close(session);
	} else if (early > 0) {
		refuse_end(session, REFUSE_ORDER, "554 5.5.0 Wait for the greeting");
	} else {
		session->started = true;
		reply(session, "220 %s ESMTP Shout", session->worker->ingress->config->hostname);
	}
}

static void
proxy_failed(struct session *session)
{
	metric_add(stats.refused[REFUSE_PROXY], 1);
	session_tell(session, TALLY_REJECTED, refusal_name(REFUSE_PROXY), NULL);
	LOG_WARN("connection without a valid PROXY header", "listener",
		session->listener->config->address);
	session_close(session);
}

/* Takes only the header's own bytes from the socket: the bytes behind may be TLS. */
static void
proxy_input(struct session *session)
{
	struct proxy_header header;
	size_t left = left_to_scratch(session), size;
	char *scratch = session->worker->scratch;
	ssize_t n = wire_peek(session->wire, scratch + left, PROXY_HEADER_MAX - left);
	int result;

	if (n == 0)
		return;
	result = n < 0 ? -1 : proxy_parse(scratch, left + (size_t)n, &header, &size);
	if (result == 0 && left + (size_t)n < PROXY_HEADER_MAX)
		size = left + (size_t)n;
	else if (result != 1) {
		proxy_failed(session);
		return;
	}
	if (wire_read(session->wire, scratch + left, size - left) != (ssize_t)(size - left)) {
		proxy_failed(session);
		return;
	}
	session->in = scratch;
	session->in_size = result == 1 ? 0 : size;
	keep_left(session);
	if (result == 0)
		return;
	if (header.client.length > 0)
		session_admit_named(session, &header.client);
	else
		session_admit(
			session); /* the proxy speaks for itself (LOCAL), so it is the client */
}

static bool
is_proxy(const struct listener *listener, const struct net_address *peer)
{
	for (size_t i = 0; i < listener->proxies_count; i++)
		if (network_contains(&listener->proxies[i], peer))
			return true;
	return false;
}

static const struct wire_calls calls = {
	.on_input = on_input,
	.on_drained = on_drained,
	.on_tls = on_session_tls,
	.on_timeout = on_timeout,
};

void
session_open(struct worker *worker, const struct listener *listener, int fd,
	const struct net_address *peer, struct guest *guest)
{
	struct session *session = xcalloc(1, sizeof *session);

	session->worker = worker;
	session->listener = listener;
	session->guest = guest;
	session->record.began_us = clock_us();
	guest_seat(guest, session);
	session_set_client(session, peer);
	register_session(worker, session);
	session->wire = wire_new(worker->loop, &worker->wires, fd, &calls, session);
	atomic_fetch_add(&worker->ingress->busy, 1);
	metric_add(stats.connections, 1);
	metric_add(stats.sessions, 1);
	session_set_timeout(session, PROXY_MS);
	session->state = ST_PROXY;
	if (!listener->config->proxy)
		session_admit(session);
	else if (!is_proxy(listener, peer))
		proxy_failed(session);
}

void
session_drain_all(struct worker *worker)
{
	for (unsigned i = 0; i < worker->sessions_space; i++) {
		struct session *session = worker->sessions[i];

		if (!session || session->busy || in_transaction(session))
			continue;
		if (session->state == ST_COMMAND || session->state == ST_LINE)
			session_end(session, "421 4.3.2 Shutting down, try again soon");
		else
			session_close(session);
	}
}

void
session_drop_all(struct worker *worker)
{
	for (unsigned i = 0; i < worker->sessions_space; i++)
		if (worker->sessions[i])
			session_close(worker->sessions[i]);
}
