/*
 * clamd_session.c - the sessions with a clamd, and the scans in them.
 *
 * clamd -> [clamd_session] -> clamd_wire -> clamd
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
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "scanner/clamd_private.h"
#include "shared/base/log.h"
#include "shared/base/loop.h"

#define SESSION_DEPTH 8
#define SESSION_SCANS 1000000 /* numbers must not grow without end */
#define BYTES_A_MS 10000      /* about what clamd scans */

static struct fair *
scan_fair(const struct clamd_scan *scan)
{
	return scan->alone ? scan->clamd->suspects : scan->clamd->scans;
}

/* A scan's cost is its time, of which the size gives only a hint. */
void
clamd_scan_wait(struct clamd_scan *scan)
{
	const uint64_t cost = 1 + scan->envelope->size / BYTES_A_MS;

	fair_add(scan_fair(scan), &scan->turn, scan->envelope->account,
		cost < TURN_MS ? (unsigned)cost : TURN_MS, scan->retry);
	clamd_dispatch_soon(scan->clamd);
}

void
clamd_scan_leave(struct clamd_scan *scan)
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
		clamd_scan_wait(scan);
	else
		scan->done(scan, failure, VERDICT_ERROR, "");
}

void
clamd_session_close(struct session *session)
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
		clamd_scan_leave(scan);
		TAILQ_INSERT_TAIL(&scans, scan, link);
	}
	clamd_session_close(session);
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

	TAILQ_FOREACH (scan, &session->scans, link)
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
	clamd_scan_leave(scan);
	if (session->alone || (!session->in_flight && session->number >= SESSION_SCANS))
		clamd_session_close(session);
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

void
clamd_scan_start(struct session *session, struct clamd_scan *scan)
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

struct session *
clamd_session_open(struct host *host)
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

struct session *
clamd_session_pick(struct host *host)
{
	struct session *session, *best = NULL;

	LIST_FOREACH (session, &host->sessions, link)
		if (!session->streaming && !session->alone && session->in_flight < SESSION_DEPTH &&
			(!best || session->in_flight > best->in_flight))
			best = session;
	return best;
}
