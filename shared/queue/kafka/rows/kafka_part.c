/*
 * kafka_part.c - what the files of mail.state ask of a partition. Under the state's lock.
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
