/*
 * retry.h - when to try again, and how long at all. Pure.
 */
#ifndef SENDER_RETRY_H
#define SENDER_RETRY_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/mail/envelope.h"

struct retry_times {
	uint64_t first_us, max_us; /* between attempts */
	uint64_t lifetime_us, null_lifetime_us, held_lifetime_us;
	uint64_t delay_dsn_us;
	uint64_t rest_max_us, rest_route_us; /* of a site, of the smarthost: at most max_us */
};

/* The time to wait after the `setbacks`-th attempt that failed: first, doubling up to `longest_us`,
 * give or take 10 %. `random` is any number. */
uint64_t retry_wait_us(
	const struct retry_times *times, uint64_t longest_us, unsigned setbacks, uint32_t random);

/* When mail that is still waiting has failed. Released mail has its whole lifetime from the end of
 * the time that it may be held on: it was no fault of its recipients'. */
enum retry_wait { RETRY_WAITING, RETRY_HELD, RETRY_RELEASED };
uint64_t
retry_expiry_us(const struct retry_times *times, const Envelope *envelope, enum retry_wait wait);

/* How long mail is kept that a fault of our own keeps from going: as long again. */
uint64_t retry_patience_us(uint64_t expiry_us, const Envelope *envelope);

/* Whether mail that waits at `now_us` deserves the notice that it is delayed. Never for mail
 * that may cause none, or that ends before the notice would help. */
bool retry_delay_due(const struct retry_times *times, const Envelope *envelope,
	enum retry_wait wait, uint64_t now_us);

#endif
