/*
 * hash.h - FNV-1a, for small tables and short names.
 */
#ifndef SHARED_HASH_H
#define SHARED_HASH_H

#include <stdint.h>

#define HASH_START 0xcbf29ce484222325u

/* Continues `hash` with `text`, so that several texts make one hash. */
static inline uint64_t
hash_text(uint64_t hash, const char *text)
{
	for (; *text; text++)
		hash = (hash ^ (unsigned char)*text) * 0x100000001b3u;
	return (hash ^ 0xff) * 0x100000001b3u;
}

#endif
