/*
 * clamd.c - the pool of clamd hosts.
 *
 * scanner:  mail.inbound -> scanner -> [clamd] -> clamd_wire -> clamd
 *
 * clamd runs one thread for each queued command, MaxThreads in all, whatever the session the
 * command came by. Several numbered scans in one session run beside each other, and share one write
 * and one read. So there are few sessions, filled up to SESSION_DEPTH each. While a session takes
 * in a large body it gets no other scan, which would wait behind the body.
 *
 * Bodies are streamed (INSTREAM), also to a clamd on this machine, although passing it a file
 * (FILDES) would save some 12 % of CPU at 50 KB. clamd writes a stream to its TemporaryDirectory
 * before it scans, and says so when that is full. Of a file that was passed it would leave out the
 * attachments that it cannot unpack there, and answer OK.
 *
 * Accounts take turns by the time that their scans take (fair.h). An account has only a part of the
 * threads, since a scan that has begun is not stopped for another account's.
 *
 * A host takes part once clamd_check trusts it. When one of its sessions breaks or is silent, the
 * host is checked anew before it gets the next scan. A scan whose host hangs waits for another
 * host. A scan whose own session broke, or whose own time ran out, is for the caller to judge; in
 * the second case after the check has shown whether the host hangs or only this scan. While the
 * hosts have no room to unpack (clamd_room.c) none is used.
 */
#include "scanner/clamd.h"

#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "scanner/clamd_private.h"
#include "shared/base/log.h"
#include "shared/base/loop.h"

#define SESSION_DEPTH 8
#define SESSION_SCANS 1000000 /* numbers must not grow without end */
#define TURN_MS 500           /* ms of scanning that an account gets a round */
#define BYTES_A_MS 10000      /* about what clamd scans */

void
clamd_dispatch_soon(struct clamd *clamd)
{
	event_active(clamd->dispatch, 0, 0);
}

static struct clamd_scan *
scan_of(struct fair_entry *turn)
{
	return (struct clamd_scan *)((char *)turn - offsetof(struct clamd_scan, turn));
}

static struct fair *
scan_fair(const struct clamd_scan *scan)
{
	return scan->alone ? scan->clamd->suspects : scan->clamd->scans;
}

/* A scan's cost is its time, of which the size gives only a hint. */
static void
scan_wait(struct clamd_scan *scan)
{
	const uint64_t cost = 1 + scan->envelope->size / BYTES_A_MS;

	fair_add(scan_fair(scan), &scan->turn, scan->envelope->account,
		cost < TURN_MS ? (unsigned)cost : TURN_MS, scan->retry);
	clamd_dispatch_soon(scan->clamd);
}

/* Takes the scan out of its session. */
static void
scan_leave(struct clamd_scan *scan)
{
	const uint64_t took_ms = clock_mono_ms() - scan->started_ms;
	struct session *session = scan->session;

	fair_done(scan_fair(scan), &scan->turn, took_ms < UINT_MAX ? (unsigned)took_ms : UINT_MAX);
	TAILQ_REMOVE(&session->scans, scan, link);
	session->in_flight--;
	session->host->in_flight--;
	session->host->clamd->in_flight--;
	if (session->streaming == scan)
		session->streaming = NULL;
	scan->session = NULL;
}

/* Fails the scan. When a piece of its body is under way, the failure waits for the piece. */
static void
scan_fail(struct clamd_scan *scan, bool again, enum clamd_result failure)
{
	scan->again = again;
	scan->failure = failure;
	if (scan->reading)
		return;
	if (again)
		scan_wait(scan);
	else
		scan->done(scan, failure, VERDICT_ERROR, "");
}

static void
session_close(struct session *session)
{
	LIST_REMOVE(session, link);
	session->host->sessions_count--;
	clamd_wire_close(&session->wire);
	free(session);
}

const struct clamd_scan clamd_everybody, clamd_nobody;

void
clamd_session_fail(
	struct session *session, const struct clamd_scan *culprit, enum clamd_result failure)
{
	struct clamd *clamd = session->host->clamd;
	struct scan_list scans;
	struct clamd_scan *scan;

	TAILQ_INIT(&scans);
	while ((scan = TAILQ_FIRST(&session->scans))) {
		scan_leave(scan);
		TAILQ_INSERT_TAIL(&scans, scan, link);
	}
	session_close(session);
	while ((scan = TAILQ_FIRST(&scans))) {
		TAILQ_REMOVE(&scans, scan, link);
		scan_fail(scan, scan != culprit && culprit != EVERYBODY, failure);
	}
	clamd_dispatch_soon(clamd);
}

static struct clamd_scan *
session_find(struct session *session, unsigned number)
{
	struct clamd_scan *scan;

	TAILQ_FOREACH(scan, &session->scans, link)
	if (scan->number == number)
		return scan;
	return NULL;
}

/* Whether mail with that verdict may reach its recipients. Such a verdict counts only for a body
 * that was scanned as a whole. */
static bool
goes_on(enum verdict verdict)
{
	return verdict == VERDICT_CLEAN || verdict == VERDICT_UNWANTED ||
		verdict == VERDICT_SUSPICIOUS;
}

static void
on_answer(void *arg, const char *text, size_t length)
{
	struct session *session = arg;
	struct host *host = session->host;
	char signature[256];
	enum verdict verdict;
	unsigned number;
	struct clamd_scan *scan;

	if (verdict_parse(text, length, &number, &verdict, signature, sizeof signature) < 0 ||
		!(scan = session_find(session, number))) {
		LOG_WARN("clamd answers with something else", "host", host->name);
		clamd_session_fail(session, EVERYBODY, CLAMD_GARBAGE);
		clamd_host_doubt(host);
		return;
	}
	/* clamd answered before the whole body was sent: it refused the body and closes. Its
	 * answer says nothing about the message. */
	if (session->streaming == scan) {
		clamd_session_fail(session, scan, CLAMD_BROKEN);
		return;
	}
	scan_leave(scan);
	if (session->alone || (!session->in_flight && session->number >= SESSION_SCANS))
		session_close(session);
	clamd_dispatch_soon(host->clamd);
	if (goes_on(verdict) && (clamd_room_short(host->clamd) || scan->doubted))
		scan->done(scan, CLAMD_ANSWER, VERDICT_ERROR,
			"no virus found, but its TemporaryDirectory was short of room");
	else
		scan->done(scan, CLAMD_ANSWER, verdict, signature);
}

static void
on_closed(void *arg, int err)
{
	struct session *session = arg;
	struct host *host = session->host;
	bool idle = !session->in_flight; /* clamd closes idle sessions after a while */

	if (!idle)
		LOG_WARN("the connection to clamd broke during a scan", "host", host->name, "error",
			err ? strerror(-err) : "closed", "scans", log_int(session->in_flight));
	/* A scan of which clamd got nothing cannot have harmed it. */
	clamd_session_fail(
		session, clamd_wire_connected(session->wire) ? EVERYBODY : NOBODY, CLAMD_BROKEN);
	if (!idle && host->state == HOST_UP)
		clamd_host_doubt(host);
}

static void scan_read(struct clamd_scan *scan);

static void
on_room(void *arg)
{
	struct session *session = arg;

	if (session->streaming && !session->streaming->reading)
		scan_read(session->streaming);
}

static const struct clamd_wire_handler session_handler = { on_answer, on_room, on_closed };

static void
on_piece(void *arg, int err, const void *data, size_t length)
{
	struct clamd_scan *scan = arg;
	struct session *session = scan->session;

	scan->reading = false;
	scan->clamd->reading--;
	if (!session) {
		scan_fail(scan, scan->again, scan->failure);
		return;
	}
	/* Half a body may be clean where the whole is not. */
	if (err || (!length && scan->sent < scan->envelope->size)) {
		clamd_session_fail(session, scan, CLAMD_NO_BODY);
		return;
	}
	clamd_wire_chunk(session->wire, scan->clamd->piece,
		spelling_feed(&scan->spelling, data, length, scan->clamd->piece));
	scan->sent += length;
	if (scan->sent < scan->envelope->size) {
		if (!clamd_wire_full(session->wire))
			scan_read(scan);
		return;
	}
	clamd_wire_chunk(session->wire, scan->clamd->piece,
		spelling_end(&scan->spelling, scan->clamd->piece));
	clamd_wire_stream_end(session->wire);
	session->streaming = NULL;
	clamd_dispatch_soon(session->host->clamd);
}

static void
scan_read(struct clamd_scan *scan)
{
	const struct clamd_options *options = &scan->clamd->options;

	scan->reading = true;
	scan->clamd->reading++;
	options->body(
		options->body_arg, scan->envelope, scan->sent, QUEUE_PIECE_MAX, on_piece, scan);
}

static void
scan_start(struct session *session, struct clamd_scan *scan)
{
	scan->session = session;
	scan->sent = 0;
	scan->doubted = false;
	spelling_start(&scan->spelling);
	scan->started_ms = clock_mono_ms();
	scan->number = ++session->number;
	TAILQ_INSERT_TAIL(&session->scans, scan, link);
	session->in_flight++;
	session->host->in_flight++;
	session->host->clamd->in_flight++;
	session->streaming = scan;
	if (scan->begun)
		scan->begun(scan);
	clamd_wire_command(session->wire, "INSTREAM");
	clamd_room_mark(scan->clamd, session->wire);
	scan_read(scan);
}

static struct session *
session_open(struct host *host)
{
	struct session *session = xcalloc(1, sizeof *session);
	int err = 0;

	session->host = host;
	TAILQ_INIT(&session->scans);
	session->wire = clamd_wire_open(
		host->clamd->loop, &host->address, &session_handler, session, &err);
	if (!session->wire) {
		free(session);
		clamd_host_unreached(host, err);
		return NULL;
	}
	LIST_INSERT_HEAD(&host->sessions, session, link);
	host->sessions_count++;
	return session;
}

/* The fullest session that takes another scan, so that few sessions do the work. NULL: none takes
 * one. */
static struct session *
session_pick(struct host *host)
{
	struct session *session, *best = NULL;

	LIST_FOREACH(session, &host->sessions, link)
	if (!session->streaming && !session->alone && session->in_flight < SESSION_DEPTH &&
		(!best || session->in_flight > best->in_flight))
		best = session;
	return best;
}

static bool
host_has_room(struct host *host)
{
	return host->state == HOST_UP && host->in_flight < host->capacity &&
		(host->sessions_count < host->clamd->options.connections || session_pick(host));
}

/* The host with the smallest share of its threads at work. NULL: none has a free one. */
static struct host *
host_pick(struct clamd *clamd)
{
	struct host *best = NULL;

	for (struct host *host = clamd->hosts; host < clamd->hosts + clamd->hosts_count; host++)
		if (host != clamd->reserved && host_has_room(host) &&
			(!best ||
				host->in_flight * best->capacity <
					best->in_flight * host->capacity))
			best = host;
	return best;
}

/* Counts all scans but suspects. */
static unsigned
capacity_of(const struct clamd *clamd)
{
	unsigned capacity = 0;

	for (size_t i = 0; i < clamd->hosts_count; i++)
		if (clamd->hosts[i].state == HOST_UP && &clamd->hosts[i] != clamd->reserved)
			capacity += clamd->hosts[i].capacity;
	return capacity;
}

/* Frees the suspect's host. The other scans then have their turn for as long as the suspect had
 * the host. */
static void
reserve_end(struct clamd *clamd)
{
	const uint64_t now = clock_mono_ms();

	clamd->reserved = NULL;
	clamd->others_ms = now + (now - clamd->reserved_ms);
	clamd_dispatch_soon(clamd);
}

static bool
may_reserve(const struct clamd *clamd)
{
	return fair_waiting(clamd->suspects) &&
		(!fair_waiting(clamd->scans) || clock_mono_ms() >= clamd->others_ms);
}

/* A clamd that crashes takes every scan in flight with it. So a suspect has one clamd to itself,
 * once that has ended its scans. The suspect also gets a new session: an old one may be about to
 * be closed for having been idle. */
static void
dispatch_suspects(struct clamd *clamd)
{
	struct host *host = clamd->reserved;
	struct clamd_scan *scan;
	struct session *session;

	if (host && (host->state != HOST_UP || (clamd->suspect_begun && !host->in_flight)))
		reserve_end(clamd);
	if (!clamd->reserved && may_reserve(clamd) && (host = host_pick(clamd))) {
		clamd->reserved = host;
		clamd->reserved_ms = clock_mono_ms();
		clamd->suspect_begun = false;
	}
	if (!clamd->reserved || clamd->suspect_begun || host->in_flight)
		return;
	while ((session = LIST_FIRST(&host->sessions)))
		session_close(session);
	session = session_open(host);
	if (!session)
		return;
	session->alone = clamd->suspect_begun = true;
	scan = scan_of(fair_take(clamd->suspects, FAIR_ENDLESS));
	scan_start(session, scan);
}

static void
tick_start(struct clamd *clamd)
{
	unsigned ms = clamd->options.timeout_ms / 4 < 1000 ? clamd->options.timeout_ms / 4 : 1000;
	struct timeval every = { ms / 1000, ms % 1000 * 1000 + 1 };

	if (!clamd->ticking && clamd->in_flight)
		event_add(clamd->tick, &every);
	clamd->ticking = clamd->in_flight > 0;
}

static void
on_dispatch(evutil_socket_t fd, short what, void *arg)
{
	struct clamd *clamd = arg;
	struct session *session;
	struct host *host;

	(void)fd;
	(void)what;
	if (clamd->drained)
		return;
	if (clamd_room_short(clamd)) {
		clamd_room_watch(clamd);
		return;
	}
	dispatch_suspects(clamd);
	while (fair_peek(clamd->scans, capacity_of(clamd)) && (host = host_pick(clamd))) {
		session = session_pick(host);
		if (!session && !(session = session_open(host)))
			continue; /* the host is not UP any more */
		scan_start(session, scan_of(fair_take(clamd->scans, capacity_of(clamd))));
	}
	tick_start(clamd);
	clamd_room_watch(clamd);
}

static void
scan_late(struct clamd_scan *scan)
{
	struct session *session = scan->session;
	struct host *host = session->host;

	if (scan->reading) { /* the queue is late with a piece of the body, not clamd */
		clamd_session_fail(session, NOBODY, CLAMD_TIMEOUT);
		return;
	}
	LOG_WARN("clamd took too long over a message", "host", host->name);
	scan_leave(scan);
	TAILQ_INSERT_TAIL(&host->late, scan, link);
	clamd_session_fail(session, NOBODY, CLAMD_TIMEOUT);
	clamd_host_doubt(host);
}

void
clamd_late_fail(struct host *host, bool healthy)
{
	struct scan_list late;
	struct clamd_scan *scan;

	TAILQ_INIT(&late);
	TAILQ_CONCAT(&late, &host->late, link);
	while ((scan = TAILQ_FIRST(&late))) {
		TAILQ_REMOVE(&late, scan, link);
		scan->done(scan, healthy ? CLAMD_TIMEOUT : CLAMD_HUNG, VERDICT_ERROR, "");
	}
}

static void
on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct clamd *clamd = arg;
	uint64_t now = clock_mono_ms();

	(void)fd;
	(void)what;
	for (struct host *host = clamd->hosts; host < clamd->hosts + clamd->hosts_count; host++) {
		struct session *session, *next;

		for (session = LIST_FIRST(&host->sessions); session; session = next) {
			struct clamd_scan *scan = TAILQ_FIRST(&session->scans);

			next = LIST_NEXT(session, link);
			if (scan && now - scan->started_ms >= clamd->options.timeout_ms)
				scan_late(scan);
		}
	}
	clamd->ticking = false;
	tick_start(clamd);
}

void
clamd_change(struct clamd *clamd, unsigned timeout_ms, uint64_t signature_age_ms)
{
	clamd->options.timeout_ms = timeout_ms;
	clamd->options.signature_age_ms = signature_age_ms;
	for (size_t i = 0; i < clamd->hosts_count; i++)
		clamd_host_change(&clamd->hosts[i]);
}

struct clamd *
clamd_new(struct loop *loop, const struct clamd_options *options)
{
	struct clamd *clamd = xcalloc(1, sizeof *clamd);

	clamd->loop = loop;
	clamd->options = *options;
	clamd->scans = fair_new(TURN_MS);
	clamd->suspects = fair_new(TURN_MS);
	clamd_room_init(clamd);
	clamd->dispatch = event_new(loop_base(loop), -1, 0, on_dispatch, clamd);
	clamd->tick = evtimer_new(loop_base(loop), on_tick, clamd);
	clamd->hosts = xcalloc(options->hosts_count, sizeof *clamd->hosts);
	for (size_t i = 0; i < options->hosts_count; i++) {
		if (clamd_host_init(clamd, &clamd->hosts[i], options->hosts[i]) < 0) {
			clamd_free(&clamd);
			return NULL;
		}
		clamd->hosts_count++;
	}
	return clamd;
}

void
clamd_scan(struct clamd *clamd, struct clamd_scan *scan)
{
	scan->clamd = clamd;
	scan->session = NULL;
	scan->reading = false;
	scan_wait(scan);
}

void
clamd_drain(struct clamd *clamd)
{
	clamd->drained = true;
}

unsigned
clamd_in_flight(const struct clamd *clamd)
{
	return clamd->in_flight;
}

unsigned
clamd_reading(const struct clamd *clamd)
{
	return clamd->reading;
}

void
clamd_free(struct clamd **clamd_ref)
{
	struct clamd *clamd = *clamd_ref;
	struct session *session;

	if (!clamd)
		return;
	for (struct host *host = clamd->hosts; host < clamd->hosts + clamd->hosts_count; host++) {
		while ((session = LIST_FIRST(&host->sessions)))
			session_close(session);
		resolve_cancel(&host->resolve);
		clamd_check_free(&host->check);
		event_free(host->timer);
	}
	event_free(clamd->dispatch);
	event_free(clamd->tick);
	event_free(clamd->room.timer);
	fair_free(&clamd->scans);
	fair_free(&clamd->suspects);
	free(clamd->hosts);
	free(clamd);
	*clamd_ref = NULL;
}

size_t
clamd_up(const struct clamd *clamd, char *why, size_t why_size)
{
	size_t up = 0;

	snprintf(why, why_size, "%s", clamd->room.why);
	if (why[0])
		return 0;
	for (size_t i = 0; i < clamd->hosts_count; i++) {
		up += clamd->hosts[i].state == HOST_UP;
		if (!why[0])
			snprintf(why, why_size, "%s", clamd->hosts[i].why);
	}
	return up;
}

void
clamd_each(const struct clamd *clamd, void (*on_scan)(void *arg, const struct clamd_seen *seen),
	void *arg)
{
	const struct session *session;
	const struct clamd_scan *scan;

	for (size_t i = 0; i < clamd->hosts_count; i++)
		LIST_FOREACH(session, &clamd->hosts[i].sessions, link)
	TAILQ_FOREACH(scan, &session->scans, link)
	on_scan(arg,
		&(struct clamd_seen){ scan->envelope, clamd->hosts[i].name, scan->started_ms });
}
