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

/* How long to wait after the `setbacks`-th failed attempt: first_us, doubling up to `longest_us`,
 * give or take 10 %. `random` is any number. */
uint64_t retry_wait_us(
	const struct retry_times *times, uint64_t longest_us, unsigned setbacks, uint32_t random);

/* When waiting mail expires. Released mail has its whole lifetime from the end of the time for
 * which mail may be held: the hold was not its recipients' fault. */
enum retry_wait { RETRY_WAITING, RETRY_HELD, RETRY_RELEASED };
uint64_t
retry_expiry_us(const struct retry_times *times, const Envelope *envelope, enum retry_wait wait);

/* When mail expires that only a fault of our own delays: after twice the time. */
uint64_t retry_patience_us(uint64_t expiry_us, const Envelope *envelope);

/* Whether mail that waits at `now_us` deserves a delay notice. Never for mail that may cause none,
 * or that expires before the notice would help. */
bool retry_delay_due(const struct retry_times *times, const Envelope *envelope,
	enum retry_wait wait, uint64_t now_us);

#endif
