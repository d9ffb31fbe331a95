/*
 * clamd_private.h - what clamd.c (whose turn it is), clamd_session.c (scans under way) and
 * clamd_host.c (whether a host takes part) share.
 */
#ifndef SCANNER_CLAMD_PRIVATE_H
#define SCANNER_CLAMD_PRIVATE_H

#include <sys/queue.h>

#include "scanner/clamd.h"
#include "scanner/clamd_check.h"
#include "scanner/clamd_wire.h"
#include "shared/base/net.h"
#include "shared/base/resolve.h"
#include "shared/base/said.h"
#include "shared/base/timer.h"

#define TURN_MS 500 /* ms of scanning that an account gets a round */

TAILQ_HEAD(scan_list, clamd_scan);

struct session {
	struct host *host;
	struct clamd_wire *wire;
	struct scan_list scans; /* oldest first */
	unsigned in_flight, number;
	struct clamd_scan *streaming; /* the scan whose body is still being sent */
	bool alone;                   /* for one scan only, then closed */
	LIST_ENTRY(session) link;
};

struct clamd_room {
	struct timer timer;
	char why[512]; /* why room is short; "": it is not */
	uint64_t started_us;
	struct said said;
	unsigned shortages;
};

enum host_state { HOST_CHECKING, HOST_UP, HOST_DOWN };

struct host {
	struct clamd *clamd;
	const char *name;
	struct net_address address; /* of a host with a name: as looked up last */
	bool named;
	bool told_up;            /* the log says so, and nothing else since */
	struct resolve *resolve; /* under way */
	unsigned tries;
	enum host_state state;
	unsigned capacity, in_flight, sessions_count;
	LIST_HEAD(, session) sessions;
	struct clamd_check *check;
	struct scan_list late; /* out of time: a check finds out whether the host hangs */
	struct timer timer;
	unsigned backoff_ms;
	uint64_t proved_ms; /* when a full check passed */
	struct said said;
	char why[512];
	struct metric *up, *refused, *signature_age;
};

struct clamd {
	struct loop *loop;
	struct clamd_options options;
	struct host *hosts;
	size_t hosts_count;
	struct fair *scans, *suspects; /* suspects: scans that must be alone */
	struct host *reserved;         /* gets no scan but a suspect */
	bool suspect_begun;            /* the reserved host has got the suspect */
	uint64_t reserved_ms;          /* since when */
	uint64_t others_ms;            /* until then it is the turn of the other scans */
	unsigned in_flight;
	struct timer dispatch, tick;
	unsigned reading; /* scans that wait for a piece of their body */
	bool ticking, drained;
	struct clamd_room room;
	char piece[SPELLING_ROOM(QUEUE_PIECE_MAX)]; /* on its way to a wire */
};

/* clamd.c: starts the scans that can start, once the running callbacks are done. */
void clamd_dispatch_soon(struct clamd *clamd);

/* clamd_session.c: it waits for its turn. */
void clamd_scan_wait(struct clamd_scan *scan);
/* clamd_session.c: into a session, and out of it. */
void clamd_scan_start(struct session *session, struct clamd_scan *scan);
void clamd_scan_leave(struct clamd_scan *scan);

/* clamd_session.c: NULL when the host is not there, which is doubted then. */
struct session *clamd_session_open(struct host *host);
/* clamd_session.c: the fullest session that takes another scan, so that few sessions do the work,
 * or NULL. */
struct session *clamd_session_pick(struct host *host);
/* clamd_session.c: it has no scans. */
void clamd_session_close(struct session *session);

/* clamd_session.c: ends a session. `culprit` fails with `failure`, and the session's other scans
 * start anew. `culprit` may also stand for all scans of the session, or for none. */
extern const struct clamd_scan clamd_everybody, clamd_nobody;
#define EVERYBODY (&clamd_everybody)
#define NOBODY (&clamd_nobody)
void clamd_session_fail(
	struct session *session, const struct clamd_scan *culprit, enum clamd_result failure);

/* clamd.c: fails the host's late scans; `healthy`: the host passed its check. */
void clamd_late_fail(struct host *host, bool healthy);

/* clamd_room.c: whether clamd lacks room to unpack messages (options.temporary). Then no scan may
 * begin, and those in flight are doubted. */
bool clamd_room_short(struct clamd *clamd);
/* clamd_room.c: sets the time of the next look: soon while scans are in flight, else now and
 * then. */
void clamd_room_look_later(struct clamd *clamd);
/* clamd_room.c: sends the line before a message by which clamd cannot take it for one that it
 * remembers. */
void clamd_room_mark(const struct clamd *clamd, struct clamd_wire *wire);
void clamd_room_init(struct clamd *clamd);

/* clamd_host.c: begins the host's first check. `name` is kept. -EINVAL when `name` is no server's
 * (logged). */
int clamd_host_init(struct clamd *clamd, struct host *host, const char *name);
/* clamd_host.c: takes over a new options.timeout_ms. */
void clamd_host_change(struct host *host);
/* clamd_host.c: the host gets no scan before it has proved itself anew. */
void clamd_host_doubt(struct host *host);
/* This process could not even try (no descriptors ...): not the host's fault, and soon tried again.
 * Its sessions go on. */
void clamd_host_unreached(struct host *host, int err);

#endif
