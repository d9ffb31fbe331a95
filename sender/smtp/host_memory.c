/*
 * host_memory.c - what was seen of a mail host lately.
 *
 * The table has one place for each hash: a new host takes the place of an old one. Names are
 * compared in full, since by a mere collision a host could make us speak clear text to another
 * host.
 */
#include "sender/smtp/host_memory.h"

#include <stdlib.h>
#include <string.h>

#include "shared/base/hash.h"
#include "shared/base/log.h"

#define PLACES 4096
#define SECOND UINT64_C(1000)
#define HOUR (3600 * SECOND)

static const uint64_t lasts_ms[] = {
	[HOST_NO_PIPELINING] = HOUR,
	[HOST_PLAIN] = 30 * SECOND,
	[HOST_NEEDS_TLS] = HOUR,
	[HOST_HAD_TLS] = 7 * 24 * HOUR,
	[HOST_TOLD_TLS] = 600 * SECOND,
};

struct place {
	char *host;
	uint64_t until_ms[HOST_FACTS];
};

struct host_memory {
	struct place places[PLACES];
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

bool
host_memory_has(
	const struct host_memory *memory, const char *host, enum host_fact fact, uint64_t now_ms)
{
	const struct place *place = &memory->places[place_of(host)];

	return place->host && place->until_ms[fact] > now_ms && strcmp(place->host, host) == 0;
}

void
host_memory_add(struct host_memory *memory, const char *host, enum host_fact fact, uint64_t now_ms)
{
	struct place *place = &memory->places[place_of(host)];

	if (!place->host || strcmp(place->host, host) != 0) {
		free(place->host);
		memset(place, 0, sizeof *place);
		place->host = xstrdup(host);
	}
	place->until_ms[fact] = now_ms + lasts_ms[fact];
}

void
host_memory_forget(struct host_memory *memory, const char *host, enum host_fact fact)
{
	struct place *place = &memory->places[place_of(host)];

	if (place->host && strcmp(place->host, host) == 0)
		place->until_ms[fact] = 0;
}
