/*
 * lane.h - an item's lane: an egress IP and a site. To the scheduler each lane is a site of its
 * own, named "site@ip". Without egress IPs a lane is the site.
 */
#ifndef SENDER_LANE_H
#define SENDER_LANE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sender/reply/lane_limits.h"
#include "sender/route/route.h"
#include "shared/base/net.h"

struct item;
struct schedule_trouble;
struct sender;

#define LANE_NAME_MAX (SITE_NAME_MAX + NET_TEXT_MAX + 1)

/* Chooses the egress IP of a routed item: the one it had, as long as that can be used. False: none
 * of its pool can be used; `until_us` says until when it waits. */
bool lane_choose(struct item *item, uint64_t *until_us);
/* A host refused the item for good, and blamed its IP: it keeps the IP, and waits until that is no
 * longer refused. Hosts forbid to send it again from elsewhere. */
#define REASON_IP_BLAMED "ip-blamed"
bool lane_is_kept(const struct item *item);
/* The scheduler's name for the lane of a routed item. */
const char *lane_of(const struct item *item);
/* The limits of the lane of a routed item; false: none count. Built-in ones do only with egress
 * IPs, and not on the way to a smarthost. */
bool lane_limits_of(const struct item *item, struct lane_limits *limits_out);
/* What the item's lane said when it failed last; NULL: nothing, or the item has no site. */
const struct schedule_trouble *lane_trouble(const struct item *item);

/* The parts of a lane's name; lane_ip() NULL: it has no egress IP. */
void lane_site(const char *lane, char site_out[SITE_NAME_MAX]);
const char *lane_ip(const char *lane);

/* All lanes of a site. They rest until the first of them no longer does; 0: one does not. */
uint64_t lanes_rest_until(const struct sender *sender, const char *site, uint64_t now_us);
size_t lanes_room(const struct sender *sender, const char *site, size_t window);
const struct schedule_trouble *lanes_trouble(const struct sender *sender, const char *site);
/* Ends their rests, as an operator asked. */
void lanes_wake(const struct sender *sender, const char *site);
#endif
