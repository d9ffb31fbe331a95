/*
 * host_memory.c - what went wrong with a mail host lately.
 *
 * A table with one place for each hash: a newcomer drives the old one out. Names are compared in
 * full, else a host could make us speak plain to another one by a collision.
 */
#include "sender/host_memory.h"

#include <stdlib.h>
#include <string.h>

#include "sender/hash.h"
#include "shared/log.h"

#define PLACES 2048

struct host_memory {
	struct {
		char *host;
		unsigned troubles;
		uint64_t until_ms;
	} places[PLACES];
};

static size_t
place_of(const char *host)
{
	return (size_t)(hash_text(HASH_START, host) % PLACES);
}

struct host_memory *
host_memory_new(void)
{
	return xcalloc(1, sizeof(struct host_memory));
}

void
host_memory_free(struct host_memory **memory)
{
	for (size_t i = 0; *memory && i < PLACES; i++)
		free((*memory)->places[i].host);
	free(*memory);
	*memory = NULL;
}

void
host_memory_add(
	struct host_memory *memory, const char *host, enum host_trouble trouble, uint64_t now_ms)
{
	size_t i = place_of(host);

	if (!memory->places[i].host || strcmp(memory->places[i].host, host) != 0) {
		free(memory->places[i].host);
		memory->places[i].host = xstrdup(host);
		memory->places[i].troubles = 0;
	} else if (memory->places[i].until_ms <= now_ms) {
		memory->places[i].troubles = 0;
	}
	memory->places[i].troubles |= trouble;
	memory->places[i].until_ms = now_ms + HOST_MEMORY_MS;
}

bool
host_memory_has(const struct host_memory *memory, const char *host, enum host_trouble trouble,
	uint64_t now_ms)
{
	size_t i = place_of(host);

	return memory->places[i].host && memory->places[i].until_ms > now_ms &&
		(memory->places[i].troubles & trouble) && strcmp(memory->places[i].host, host) == 0;
}
