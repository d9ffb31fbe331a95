/*
 * choice.c - the score of an IP: -weight / ln(u), where u is uniform by hash (Thaler and
 * Ravishankar; weighted by Mosharaf and others): an IP of twice the weight wins twice as often.
 *
 * egress -> [choice]
 */
#include "sender/egress/choice.h"

#include <math.h>

#include "shared/base/hash.h"

/* FNV alone is poor in its high bits for texts that differ at their end (murmur3's finaliser). */
static uint64_t
mix(uint64_t hash)
{
	hash = (hash ^ hash >> 33) * 0xff51afd7ed558ccdu;
	hash = (hash ^ hash >> 33) * 0xc4ceb9fe1a85ec53u;
	return hash ^ hash >> 33;
}

double
choice_score(const char *ip, unsigned weight, const char *account, const char *site)
{
	const uint64_t hash = mix(hash_text(hash_text(hash_text(HASH_START, account), site), ip));
	const double u = ((double)(hash >> 11) + 0.5) / 9007199254740992.0; /* 2^53 */

	return -(double)weight / log(u);
}
