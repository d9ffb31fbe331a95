/*
 * door.h - how many connections there are, in all and from each address. The one thing that the
 * loops share, since the kernel spreads the connections of one address over them.
 */
#ifndef INGRESS_DOOR_H
#define INGRESS_DOOR_H

#include <stdbool.h>

#include "shared/net.h"

struct door;

struct door *door_new(unsigned total_max, unsigned per_address_max);
void door_free(struct door **door);

/* From any thread. false: too many, and nothing to leave. */
bool door_enter(struct door *door);
void door_leave(struct door *door);
unsigned door_count(struct door *door);
/* An IPv6 /64 counts as one address. */
bool door_enter_address(struct door *door, const struct net_address *address);
void door_leave_address(struct door *door, const struct net_address *address);

#endif
