/*
 * clamd.c - the pool of clamd hosts: whose scan is next, and which host gets it.
 *
 * scanner:  mail.inbound -> scanner -> [clamd] -> clamd_session -> clamd_wire -> clamd
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

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "scanner/clamd_private.h"
#include "shared/base/container_of.h"
#include "shared/base/log.h"
#include "shared/base/loop.h"

void
clamd_dispatch_soon(struct clamd *clamd)
{
	timer_soon(&clamd->dispatch);
}

static struct clamd_scan *
scan_of(struct fair_entry *turn)
{
	return container_of(turn, struct clamd_scan, turn);
}

static bool
host_has_room(struct host *host)
{
	return host->state == HOST_UP && host->in_flight < host->capacity &&
		(host->sessions_count < host->clamd->options.connections ||
			clamd_session_pick(host));
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
		clamd_session_close(session);
	session = clamd_session_open(host);
	if (!session)
		return;
	session->alone = clamd->suspect_begun = true;
	scan = scan_of(fair_take(clamd->suspects, FAIR_ENDLESS));
	clamd_scan_start(session, scan);
}

static void
tick_start(struct clamd *clamd)
{
	unsigned ms = clamd->options.timeout_ms / 4 < 1000 ? clamd->options.timeout_ms / 4 : 1000;

	if (!clamd->ticking && clamd->in_flight)
		timer_set(&clamd->tick, ms ? ms : 1);
	clamd->ticking = clamd->in_flight > 0;
}

static void
on_dispatch(void *arg)
{
	struct clamd *clamd = arg;
	struct session *session;
	struct host *host;

	if (clamd->drained)
		return;
	if (clamd_room_short(clamd)) {
		clamd_room_look_later(clamd);
		return;
	}
	dispatch_suspects(clamd);
	while (fair_peek(clamd->scans, capacity_of(clamd)) && (host = host_pick(clamd))) {
		session = clamd_session_pick(host);
		if (!session && !(session = clamd_session_open(host)))
			continue; /* the host is not UP any more */
		clamd_scan_start(session, scan_of(fair_take(clamd->scans, capacity_of(clamd))));
	}
	tick_start(clamd);
	clamd_room_look_later(clamd);
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
	clamd_scan_leave(scan);
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
on_tick(void *arg)
{
	struct clamd *clamd = arg;
	uint64_t now = clock_mono_ms();

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
	timer_init(&clamd->dispatch, loop, on_dispatch, clamd);
	timer_init(&clamd->tick, loop, on_tick, clamd);
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
	clamd_scan_wait(scan);
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
			clamd_session_close(session);
		resolve_cancel(&host->resolve);
		clamd_check_free(&host->check);
		timer_cancel(&host->timer);
	}
	timer_cancel(&clamd->dispatch);
	timer_cancel(&clamd->tick);
	timer_cancel(&clamd->room.timer);
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
		LIST_FOREACH (session, &clamd->hosts[i].sessions, link)
			TAILQ_FOREACH (scan, &session->scans, link)
				on_scan(arg,
					&(struct clamd_seen){ scan->envelope, clamd->hosts[i].name,
						scan->started_ms });
}
