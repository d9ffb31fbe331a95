/*
 * leader.h - which of several control processes does the work in the background: rounds over the
 * accounts, mails that nobody asked for, daily checks.
 *
 * A lease in Redis names the leader. It is renewed every 2 s and ends 6 s after the last renewal,
 * so another process leads within 10 s of the leader's end, and at once when the leader stops in
 * order. A process counts its lease from the moment before it asked, by a clock that also advances
 * while the machine sleeps: who stood still does not take itself for the leader afterwards. On the
 * embedded queue there is one control process, which leads, with or without Redis.
 *
 * Two processes may believe that they lead for some seconds: when Redis has just forgotten the
 * lease, when relay.config has just got an owner (whose id is in the key of the lease), and while
 * work goes on that began under a lease which has ended. So whatever a leader does must be the same
 * when it is done twice. Leading saves work; it is no lock.
 */
#ifndef CONTROL_LEADER_H
#define CONTROL_LEADER_H

#include <stdbool.h>

struct directory;
struct leader;
struct loop;
struct redis;

#define LEADER_LEASE_MS 6000 /* renewed three times as often */

struct leader_options {
	const char *name;  /* of this process, for operators: its host's */
	bool alone;        /* there is no other control process */
	unsigned lease_ms; /* 0: LEADER_LEASE_MS; the same in all processes */
};

/* Leads nobody before leader_start(). Sets the line "leader" of /readyz, and the metric
 * shout_control_leader. The options are copied. */
struct leader *leader_new(struct loop *loop, struct redis *redis, const struct directory *directory,
	const struct leader_options *options);
/* Once the directory is whole: the lease is that of the owner whom relay.config names. On the
 * loop. */
void leader_start(struct leader *leader);
/* Gives the lease back. On the loop, while it still runs. */
void leader_close(struct leader *leader);
/* Call it after redis_free(). Takes NULL. */
void leader_free(struct leader **leader);

/* Whether this process leads now. From any thread; cheap: ask before each piece of work. NULL
 * leads, for tests of what needs a leader. */
bool leader_leads(const struct leader *leader);

#endif
