/*
 * local.h - faults of this machine that keep mail from going out: no descriptor, memory or port, a
 * missing address or route, its own firewall, no resolver. Such a fault is not the destination's:
 * no site rests, no attempt is counted, nothing bounces.
 *
 * A fault is told by the probe "egress", the metric shout_sender_local_faults_total, and one log
 * line for each reason. Every second it is tried whether the fault is over. All calls are on one
 * loop. All but local_of() take NULL, which knows of no fault.
 */
#ifndef SENDER_LOCAL_H
#define SENDER_LOCAL_H

#include <stdbool.h>
#include <stddef.h>

#include "shared/base/net.h"

enum local_fault {
	LOCAL_NONE, /* the destination's */
	LOCAL_DESCRIPTORS,
	LOCAL_MEMORY,
	LOCAL_PORTS,    /* to connect from */
	LOCAL_SOURCE,   /* sender.source_address is not this machine's */
	LOCAL_ROUTE,    /* to the destination, or to all of its family */
	LOCAL_FIREWALL, /* of this machine */
	LOCAL_RESOLVER,
	LOCAL_FAULTS
};

/* The fault that an error of socket(), bind() or connect() means when it comes at once; `bound`: we
 * bound to an address that this machine does not have. Pure. */
enum local_fault local_of(int err, bool bound);

struct local;
struct config;
struct loop;

struct local *local_new(struct loop *loop, const struct config *config);
void local_free(struct local **local);
/* Calls `again` when a fault is over. */
void local_on_recovery(struct local *local, void (*again)(void *arg), void *arg);

#define LOCAL_WHY_MAX 256
/*
 * Tells that a connection to `to` failed, from `from` unless NULL: at once, or later, by what this
 * machine itself said (`later`). Returns which fault of this machine that is, and why. LOCAL_NONE
 * with `why` set: this machine never had that family of addresses, so the failure must not hide
 * another one.
 */
enum local_fault local_failed(struct local *local, int err, enum net_refusal later,
	const struct net_address *to, const struct net_address *from, char why[LOCAL_WHY_MAX]);
/* A connection is under way, or (`stands`) was made. */
void local_connected(struct local *local, const struct net_address *to, bool stands);
/* Whether the fault is of the machine as a whole, so that trying another destination is of no
 * use. */
bool local_is_whole(enum local_fault fault);

/* Whether the family cannot be used for now; `why` says why. */
bool local_lacks(const struct local *local, int family, char why[LOCAL_WHY_MAX]);
/* Whether nothing should be tried now. */
bool local_stands(const struct local *local);
/* The resolver failed; `why` NULL: the resolver answers again. */
void local_resolver(struct local *local, const char *why);

#endif
