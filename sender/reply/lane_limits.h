/*
 * lane_limits.h - limits of a lane (an egress IP and a site) as a shaping file has them. Pure.
 *
 *   limits:
 *     - provider: google       # several: a list; without it those of all others
 *       connections: 5         # of a lane at the same time
 *       site_connections: 20   # of all lanes to the site
 *       messages: 50           # a connection
 *       rate: 10/s             # messages of a lane: a second, minute (/m) or hour (/h)
 *       recipients: 100        # a transaction
 *       mix_domains: false     # recipients of several domains in a transaction
 */
#ifndef SENDER_LANE_LIMITS_H
#define SENDER_LANE_LIMITS_H

#include <stdbool.h>
#include <stdint.h>

/* 0: not said. */
struct lane_limits {
	unsigned connections, site_connections, messages, recipients;
	uint64_t rate_milli; /* messages a second, times 1000 */
	enum { MIX_UNSAID, MIX_NO, MIX_YES } mix_domains;
	bool warming; /* not of a file: the IP is new */
};

/* Takes a key's value. NULL, or what is wrong with it. */
const char *lane_limits_take(struct lane_limits *limits, const char *key, const char *value);
/* Whether there is such a key. */
bool lane_limits_has(const char *key);
/* Takes from `other` what `limits` does not say. */
void lane_limits_fill(struct lane_limits *limits, const struct lane_limits *other);

#endif
