/*
 * retry.c - when to try again, and how long at all.
 *
 * Mail of the null sender, such as a DSN, lives for a day: nobody would be told of its end.
 */
#include "sender/policy/retry.h"

uint64_t
retry_wait_us(
	const struct retry_times *times, uint64_t longest_us, unsigned setbacks, uint32_t random)
{
	uint64_t wait = times->first_us;

	for (unsigned i = 1; i < setbacks && wait < longest_us; i++)
		wait *= 2;
	if (wait > longest_us)
		wait = longest_us;
	return wait - wait / 10 + wait / 5 * (random % 1024) / 1023;
}

uint64_t
retry_expiry_us(const struct retry_times *times, const Envelope *envelope, enum retry_wait wait)
{
	uint64_t lifetime = times->lifetime_us;

	if (envelope->kind == ENVELOPE__KIND__DSN || !*envelope->mail_from)
		lifetime = times->null_lifetime_us;
	if (wait == RETRY_HELD)
		lifetime = times->held_lifetime_us;
	else if (wait == RETRY_RELEASED)
		lifetime += times->held_lifetime_us;
	return envelope->accepted_us + lifetime;
}

uint64_t
retry_patience_us(uint64_t expiry_us, const Envelope *envelope)
{
	return expiry_us + (expiry_us - envelope->accepted_us);
}

bool
retry_delay_due(const struct retry_times *times, const Envelope *envelope, enum retry_wait wait,
	uint64_t now_us)
{
	return *envelope->mail_from && envelope->kind != ENVELOPE__KIND__DSN &&
		now_us >= envelope->accepted_us + times->delay_dsn_us &&
		now_us < retry_expiry_us(times, envelope, wait);
}
