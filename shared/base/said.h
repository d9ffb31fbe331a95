/*
 * said.h - which reasons a log has named already: each once, so that a trouble that lasts fills no
 * log, and a new reason is never hidden by an old one.
 */
#ifndef SHARED_SAID_H
#define SHARED_SAID_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define SAID_MAX 8

/* Zero-initialise. One thread. */
struct said {
	uint64_t reasons[SAID_MAX]; /* hashes; the oldest goes first */
	unsigned count;
};

/* Whether that was said since said_clear(); from now on it was. */
static inline bool
said_before(struct said *said, const char *reason)
{
	uint64_t hash = 0xcbf29ce484222325u;

	for (; *reason; reason++)
		hash = (hash ^ (unsigned char)*reason) * 0x100000001b3u;
	for (unsigned i = 0; i < said->count && i < SAID_MAX; i++)
		if (said->reasons[i] == hash)
			return true;
	said->reasons[said->count % SAID_MAX] = hash;
	said->count++;
	return false;
}

/* Whether anything was said; it is over. */
static inline bool
said_clear(struct said *said)
{
	const bool any = said->count;

	memset(said, 0, sizeof *said);
	return any;
}

#endif
