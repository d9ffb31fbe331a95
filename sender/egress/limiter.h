/*
 * limiter.h - what lanes may do, over all senders of the cluster: connections by leases, messages
 * by times, both from Redis (lane.lua); and how lanes react to replies.
 *
 * A lane that is asked about is looked after as long as it has mail or connections: once a second
 * its lease is renewed, and what other senders learned of it is heard. Without Redis a lane has its
 * last known limits, divided by the senders that were there.
 */
#ifndef SENDER_LIMITER_H
#define SENDER_LIMITER_H

#include <stdbool.h>
#include <stdint.h>

#include "sender/reply/lane_limits.h"

struct limiter;
struct loop;
struct redis;
struct schedule;

/* Calls `wake` when the scheduler has to be run, and `rests` when a lane rests until then.
 * `schedule` and `redis` are borrowed. */
struct limiter_events {
	void (*wake)(void *arg);
	void (*rests)(void *arg, const char *lane, uint64_t until_us);
	void (*full)(void *arg); /* an IP that warms up has mail that it may not send for long */
	void *arg;
};
struct limiter *limiter_new(struct loop *loop, struct redis *redis, struct schedule *schedule,
	const struct limiter_events *events);
/* Call it before redis_free(): leases are given back. Takes NULL. */
void limiter_free(struct limiter **limiter);

/* The lane has mail: the scheduler meters it from now on by these limits. `ip` "": no egress IP. */
void limiter_use(struct limiter *limiter, const char *lane, const char *site, const char *ip,
	const struct lane_limits *limits);
/* SCHEDULE_ASK. */
void limiter_ask(struct limiter *limiter, const char *lane);
/* A message of the lane began. */
void limiter_sent(struct limiter *limiter, const char *lane);
/* It was deferred. */
void limiter_deferred(struct limiter *limiter, const char *lane);
/* Whether a lane whose IP warms up has all the mail that it may send now. */
bool limiter_is_full(const struct limiter *limiter, const char *lane, uint64_t now_us);
/* Whether a lane rests in the cluster, as far as it is known here. */
bool limiter_rests(const struct limiter *limiter, const char *lane, uint64_t now_us);

/* Until when; 0: it does not, as far as it is known here. */
uint64_t limiter_rest_until(const struct limiter *limiter, const char *lane);
/* An operator says that the blocks of the IP are lifted: its lanes neither rest nor go slowly. */
void limiter_lift(struct limiter *limiter, const char *ip);

/* In the whole cluster: half the rate; one connection; no mail for `us`. `why` is the reply. Lanes
 * that are not known are passed over. */
enum lane_reaction { LANE_SLOW, LANE_SINGLE, LANE_REST };
void limiter_react(struct limiter *limiter, const char *lane, enum lane_reaction reaction,
	uint64_t us, const char *why);
/* The reply blamed the lane's IP; `ips`: how many egress IPs there are. */
void limiter_blame(struct limiter *limiter, const char *lane, unsigned ips, const char *why);

#endif
