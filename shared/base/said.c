/*
 * said.c - which reasons a log has named already. Owns nothing.
 */
#include "shared/base/said.h"

#include <string.h>

#include "shared/base/loop.h"

static uint64_t
hash_of(const char *reason)
{
	uint64_t hash = 0xcbf29ce484222325u;

	for (; *reason; reason++)
		if (*reason < '0' || *reason > '9')
			hash = (hash ^ (unsigned char)*reason) * 0x100000001b3u;
	return hash ? hash : 1;
}

/* The entry with this hash; without one, the entry to replace. */
static struct said_reason *
place_of(struct said *said, uint64_t hash)
{
	struct said_reason *oldest = &said->reasons[0];

	for (struct said_reason *r = said->reasons; r < said->reasons + SAID_MAX; r++) {
		if (r->hash == hash)
			return r;
		if (!r->hash || (oldest->hash && r->at_ms < oldest->at_ms))
			oldest = r;
	}
	return oldest;
}

bool
said_now(struct said *said, const char *reason, uint64_t again_ms, unsigned *left_out)
{
	const uint64_t hash = hash_of(reason), now = clock_mono_ms();
	struct said_reason *place = place_of(said, hash);

	*left_out = 0;
	if (place->hash == hash && now - place->at_ms < again_ms) {
		place->left_out++;
		return false;
	}
	if (place->hash == hash)
		*left_out = place->left_out;
	*place = (struct said_reason){ .hash = hash, .at_ms = now };
	return true;
}

bool
said_clear(struct said *said, unsigned *left_out)
{
	bool any = false;

	*left_out = 0;
	for (size_t i = 0; i < SAID_MAX; i++) {
		any = any || said->reasons[i].hash;
		*left_out += said->reasons[i].left_out;
	}
	memset(said, 0, sizeof *said);
	return any;
}

bool
said_same(const char *reason, const char *other)
{
	return hash_of(reason) == hash_of(other);
}
