/*
 * kafka_state_partition.c - the states of a partition, and what the files of mail.state ask of one.
 * Under the state's lock.
 */
#include "shared/queue/kafka/rows/kafka_state_private.h"

#include <assert.h>
#include <string.h>

#include "shared/base/log.h"
#include "shared/metrics/metrics.h"
#include "shared/queue/kafka/rows/kafka_state.h"

struct state_partition *
state_partition_of(struct kafka_state *state, int32_t number)
{
	return number >= 0 && number < ROW_PARTITIONS_MAX ? state->partitions[number] : NULL;
}

#define TO(state) (1u << (state))

/* clang-format off */
/* In any state, a partition may be given to us (claiming) or taken away (away). */
static const struct step {
	const char *name;
	unsigned next; /* the states that may follow */
} steps[] = {
	[OWNERSHIP_AWAY] = { "away", TO(OWNERSHIP_CLAIMING) },
	[OWNERSHIP_CLAIMING] = { "claiming",
		TO(OWNERSHIP_CLAIMING) | TO(OWNERSHIP_AWAY) | TO(OWNERSHIP_REPLAYING) | TO(OWNERSHIP_FENCED) },
	[OWNERSHIP_REPLAYING] = { "replaying",
		TO(OWNERSHIP_CLAIMING) | TO(OWNERSHIP_AWAY) | TO(OWNERSHIP_OURS) | TO(OWNERSHIP_FENCED) },
	[OWNERSHIP_OURS] = { "owned", TO(OWNERSHIP_CLAIMING) | TO(OWNERSHIP_AWAY) | TO(OWNERSHIP_FENCED) },
	[OWNERSHIP_FENCED] = { "fenced", TO(OWNERSHIP_CLAIMING) | TO(OWNERSHIP_AWAY) },
};
/* clang-format on */

void
state_partition_enter(struct state_partition *partition, enum ownership next)
{
	LOG_DEBUG("partition of mail.state", "partition", log_int(partition->number), "from",
		steps[partition->state].name, "to", steps[next].name);
	assert(steps[partition->state].next & TO(next));
	partition->state = next;
	if (next == OWNERSHIP_FENCED)
		partition->fenced_ms = clock_boot_ms();
}

bool
state_partition_leased(const struct kafka_state *state, const struct state_partition *partition)
{
	return partition && partition->state == OWNERSHIP_OURS &&
		clock_boot_ms() < atomic_load(&state->lease_ms);
}

bool
state_leased(const struct kafka_state *state)
{
	for (int32_t i = 0; i < state->partitions_count; i++)
		if (state->partitions[i] && state->partitions[i]->told &&
			state->partitions[i]->state != OWNERSHIP_OURS)
			return false;
	return clock_boot_ms() < atomic_load(&state->lease_ms);
}

struct follower *
state_shown(const struct kafka_state *state)
{
	return state->all ? state->all : state->mine;
}

size_t
state_key(char key[STATE_KEY_MAX], const uint8_t *id, const char *site, size_t site_length)
{
	assert(site_length <= QUEUE_SITE_MAX);
	id_format(id, key);
	key[ID_TEXT_SIZE - 1] = '/';
	memcpy(key + ID_TEXT_SIZE, site, site_length);
	return ID_TEXT_SIZE + site_length;
}

void
kafka_state_bodiless(struct kafka_state *state, int32_t partition, const uint8_t id[ID_SIZE])
{
	char text[ID_TEXT_SIZE];

	id_format(id, text);
	LOG_ERROR("waiting mail has no body any more", "id", text, "partition", log_int(partition));
	metric_add(state->bodiless, 1);
}
