/*
 * resolve.h - the addresses of a server that the configuration names, off the loop.
 *
 * For our own servers (Redis, clamd), by the system's rules: /etc/hosts, the search domains and the
 * name servers of /etc/resolv.conf. Where mail goes is never asked here: that is
 * shared/dns/dns.h.
 */
#ifndef SHARED_RESOLVE_H
#define SHARED_RESOLVE_H

#include <stddef.h>

#include "shared/base/net.h"

#define RESOLVE_MAX 8 /* further addresses of a name are not used */

struct loop;
struct resolve;

/* `count` addresses in the order to try them; 0: `why` there is none. The resolve has ended. */
typedef void (*resolve_cb)(
	void *arg, const struct net_address *addresses, size_t count, const char *why);

/* Looks up "host:port". What net_parse() takes needs no lookup. The callback comes once, on `loop`,
 * never before resolve_start() returns, and not after resolve_cancel(). */
struct resolve *resolve_start(struct loop *loop, const char *text, resolve_cb cb, void *arg);
/* On the loop. The callback will not come. Takes NULL. */
void resolve_cancel(struct resolve **resolve);

#endif
