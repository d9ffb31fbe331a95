/*
 * local.h - faults of this machine that keep mail from going out: no descriptor, memory or port, an
 * address or a route that is missing, a firewall of its own, no resolver. None is the
 * destination's: no site rests for them, no attempt is counted, nothing bounces.
 *
 * A fault is told by the probe "egress", the metric shout_sender_local_faults_total and one line of
 * the log for each reason. It is over once what it is about works again, which is tried every
 * second. One loop; all but local_of() take NULL, and know of no fault then.
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

/* What an error of socket(), bind() or connect() means when it comes at once; `bound`: to an
 * address of ours that this machine has not. Pure. */
enum local_fault local_of(int err, bool bound);

struct local;
struct config;
struct loop;

struct local *local_new(struct loop *loop, const struct config *config);
void local_free(struct local **local);
/* `again` is called when a fault is over. */
void local_on_recovery(struct local *local, void (*again)(void *arg), void *arg);

#define LOCAL_WHY_MAX 256
/*
 * A connection to `to`, from `from` unless NULL, failed: at once, or later, by what this machine
 * itself said of it (`later`). Which fault that is, told already, and why. LOCAL_NONE with `why`
 * set: this machine never had that family of addresses, so that nobody's fault hides behind it.
 */
enum local_fault local_failed(struct local *local, int err, enum net_refusal later,
	const struct net_address *to, const struct net_address *from, char why[LOCAL_WHY_MAX]);
/* One is under way, or stands. */
void local_connected(struct local *local, const struct net_address *to, bool stands);
/* A fault of the machine as a whole: trying another destination is of no use. */
bool local_is_whole(enum local_fault fault);

/* Whether the family cannot be used for now: `why`. */
bool local_lacks(const struct local *local, int family, char why[LOCAL_WHY_MAX]);
/* Whether nothing should be tried now. */
bool local_stands(const struct local *local);
/* `why` NULL: the resolver answers. */
void local_resolver(struct local *local, const char *why);

#endif
