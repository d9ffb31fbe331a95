/*
 * route.h - the hosts that take a domain's mail, in order, and the site they make up.
 *
 * A site is a set of hosts that is scheduled as one: a provider's, when a rule knows its MX suffix
 * (google, microsoft), else the set of MX hosts. That set is named by its most preferred host and,
 * when there are several hosts, a short hash of all. With a smarthost in sender.route, everything
 * is one site.
 */
#ifndef SENDER_ROUTE_H
#define SENDER_ROUTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SITE_NAME_MAX 300
#define ROUTE_HOSTS_MAX 20

struct route_host {
	char name[256]; /* MX host name, or the smarthost as configured */
	unsigned preference;
};

/* A route has counted references, on one loop, and never changes. */
struct route {
	char site[SITE_NAME_MAX];
	bool smarthost;
	unsigned references;
	size_t count;
	struct route_host
		hosts[ROUTE_HOSTS_MAX]; /* by preference, then name; route_order() shuffles */
};
/* One reference; `hosts` sorted by preference, then name. */
struct route *route_new(const struct route_host *hosts, size_t count, bool smarthost);
/* The route to one host. */
struct route *route_to(const char *name, bool smarthost);
struct route *route_ref(struct route *route);
void route_unref(struct route *route);
/* Writes the hosts' indices in the order to try them; equal preferences are shuffled. */
void route_order(const struct route *route, unsigned char order[ROUTE_HOSTS_MAX]);
/* Whether both routes lead to the same hosts, so that a connection for one serves the other. */
bool route_same(const struct route *a, const struct route *b);
/* A number that is equal for routes with the same hosts. */
uint64_t route_affinity(const struct route *route);

#endif
