/*
 * kafka_part.c - the states of a partition, and what the files of mail.state ask of one. Under the
 * state's lock.
 */
#include "shared/queue/kafka/rows/kafka_state_private.h"

#include <assert.h>
#include <string.h>

#include "shared/base/log.h"
#include "shared/metrics/metrics.h"
#include "shared/queue/kafka/rows/kafka_state.h"

struct part *
part_of(struct kafka_state *state, int32_t partition)
{
	return partition >= 0 && partition < ROW_PARTITIONS_MAX ? state->parts[partition] : NULL;
}

#define TO(state) (1u << (state))

/* clang-format off */
/* Whatever its state is, a partition may be given to us, and taken away. */
static const struct step {
	const char *name;
	unsigned next; /* the states that may follow */
} steps[] = {
	[PART_AWAY] = { "away", TO(PART_CLAIMING) },
	[PART_CLAIMING] = { "claiming",
		TO(PART_CLAIMING) | TO(PART_AWAY) | TO(PART_REPLAYING) | TO(PART_FENCED) },
	[PART_REPLAYING] = { "replaying",
		TO(PART_CLAIMING) | TO(PART_AWAY) | TO(PART_OWNED) | TO(PART_FENCED) },
	[PART_OWNED] = { "owned", TO(PART_CLAIMING) | TO(PART_AWAY) | TO(PART_FENCED) },
	[PART_FENCED] = { "fenced", TO(PART_CLAIMING) | TO(PART_AWAY) },
};
/* clang-format on */

void
part_enter(struct part *part, enum part_state next)
{
	LOG_DEBUG("partition of mail.state", "partition", log_int(part->partition), "from",
		steps[part->state].name, "to", steps[next].name);
	assert(steps[part->state].next & TO(next));
	part->state = next;
	if (next == PART_FENCED)
		part->fenced_ms = clock_boot_ms();
}

bool
part_leased(const struct kafka_state *state, const struct part *part)
{
	return part && part->state == PART_OWNED && clock_boot_ms() < atomic_load(&state->lease_ms);
}

bool
state_leased(const struct kafka_state *state)
{
	for (int32_t i = 0; i < state->parts_count; i++)
		if (state->parts[i] && state->parts[i]->told &&
			state->parts[i]->state != PART_OWNED)
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
