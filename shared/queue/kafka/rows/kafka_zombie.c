/*
 * kafka_zombie.c - what a process wrote that was not the owner any more.
 *
 * kafka_fold -> noted -> [kafka_zombie] -> mail.state
 *
 * A zombie's record changes nothing in the cache. But it stands in the log, where compaction would
 * keep it and drop ours. So the owner writes its own row again, or a tombstone. The checkpoint
 * stays before the zombie's record until the answer is in the log, so after a crash the next owner
 * meets the record again.
 *
 * It may happen that no owner reads a zombie's record within min.compaction.lag.ms. Then compaction
 * may have dropped a row of ours for it, and the zombie's row is the last trace of that mail. Where
 * we know no row, the zombie's becomes ours. That may deliver a message twice, which the ledger
 * sees; dropping the row would lose mail.
 */
#include "shared/queue/kafka/rows/kafka_state_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/log.h"

void
zombie_free(struct state_partition *partition, struct zombie *zombie)
{
	TAILQ_REMOVE(&partition->zombies, zombie, link);
	row_free(zombie->row);
	free(zombie);
}

void
zombie_answered(struct state_partition *partition, struct zombie *zombie, int err)
{
	zombie->under_way = false;
	if (!err)
		zombie_free(partition, zombie);
}

/* A record of ours that was read back behind another's claim is a zombie's. It is not in the
 * cache, and must not count as written. */
int
zombie_fate(const struct state_partition *partition, const struct flight *flight)
{
	const struct zombie *zombie;

	TAILQ_FOREACH (zombie, &partition->zombies, link)
		if (zombie->offset == flight->offset)
			return -ETIMEDOUT;
	return 0;
}

static bool
is_of(const struct zombie *zombie, const rd_kafka_message_t *message)
{
	return zombie->key_size == message->key_len &&
		!memcmp(zombie->key, message->key, zombie->key_size);
}

/* A row that the owner removed behind the zombie's record needs no answer. */
void
zombies_settle(struct state_partition *partition, const rd_kafka_message_t *message)
{
	struct zombie *zombie, *next;

	for (zombie = TAILQ_FIRST(&partition->zombies); zombie; zombie = next) {
		next = TAILQ_NEXT(zombie, link);
		if (!zombie->under_way && zombie->offset < message->offset &&
			is_of(zombie, message))
			zombie_free(partition, zombie);
	}
}

static struct zombie *
zombie_new(const rd_kafka_message_t *message, int64_t newest)
{
	struct zombie *zombie = xmalloc(sizeof *zombie + message->key_len + 1);

	*zombie = (struct zombie){ .offset = message->offset,
		.newest = newest,
		.written_us = (uint64_t)rd_kafka_message_timestamp(message, NULL) * 1000,
		.row = message->payload ? row_unpack(message->payload, message->len) : NULL,
		.key_size = message->key_len };
	memcpy(zombie->key, message->key, message->key_len);
	zombie->key[message->key_len] = '\0';
	return zombie;
}

/* Of several zombies with one key, the first tells whether our row may be gone, and the last what
 * took its place. */
void
zombie_note(struct state_partition *partition, const rd_kafka_message_t *message, int64_t newest)
{
	struct zombie *zombie, *other;

	if (message->key_len > STATE_KEY_MAX)
		return;
	TAILQ_FOREACH (zombie, &partition->zombies, link)
		if (zombie->offset == message->offset)
			return;
	LOG_WARN("a record of a process that is not the owner any more", "partition",
		log_int(partition->number), "offset", log_int(message->offset));
	zombie = zombie_new(message, newest);
	TAILQ_FOREACH (other, &partition->zombies, link) {
		if (!is_of(other, message))
			continue;
		row_free(other->row);
		other->row = zombie->row ? row_copy(zombie->row) : NULL;
	}
	TAILQ_INSERT_TAIL(&partition->zombies, zombie, link);
}

struct bad_row {
	struct kafka_state *state;
	struct state_partition *partition;
	const struct zombie *zombie;
	const unsigned char *key;
	size_t key_size;
	struct flight *flight;
};

static void
on_bad_row(void *arg, const struct row_bad *bad)
{
	struct bad_row *wanted = arg;
	const struct zombie *zombie = wanted->zombie;

	if (bad->partition != wanted->partition->number || bad->key_length != wanted->key_size ||
		memcmp(bad->key, wanted->key, bad->key_length) != 0)
		return;
	wanted->flight = flight_new(wanted->state, FLIGHT_ROW, wanted->partition->number,
		zombie->key_size, bad->length);
	memcpy(wanted->flight->bytes, zombie->key, zombie->key_size);
	memcpy(wanted->flight->bytes + zombie->key_size, bad->value, bad->length);
}

/* Our unreadable row, byte for byte; NULL: there is none. */
static struct flight *
flight_of_bad(struct kafka_state *state, struct state_partition *partition,
	const struct zombie *zombie, const uint8_t *id)
{
	const size_t site_length = zombie->key_size - ID_TEXT_SIZE;
	unsigned char key[ID_SIZE + QUEUE_SITE_MAX];
	struct bad_row wanted = { state, partition, zombie, key, ID_SIZE + site_length, NULL };

	memcpy(key, id, ID_SIZE);
	memcpy(key + ID_SIZE, zombie->key + ID_TEXT_SIZE, site_length);
	if (row_cache_bad_count(follower_cache(state->mine), partition->number))
		row_cache_bad_next(
			follower_cache(state->mine), key, wanted.key_size, on_bad_row, &wanted);
	return wanted.flight;
}

/* The zombie's row, to become ours. NULL: compaction cannot have dropped a row of ours for it. */
static Row *
row_to_adopt(struct kafka_state *state, const struct state_partition *partition,
	const struct zombie *zombie)
{
	uint64_t now_us = follower_clock_us(state->mine);

	if (!now_us)
		now_us = clock_us();
	if (!zombie->row || now_us < zombie->written_us + state->lag_us)
		return NULL;
	LOG_WARN("a row of a process that was not the owner any more is all there is: it is ours",
		"partition", log_int(partition->number), "offset", log_int(zombie->offset));
	return row_copy(zombie->row);
}

static void
zombie_answer(struct kafka_state *state, struct state_partition *partition, struct zombie *zombie)
{
	uint8_t id[ID_SIZE];
	char text[ID_TEXT_SIZE];
	struct flight *flight = NULL;
	Row *row = NULL;

	memcpy(text, zombie->key, ID_TEXT_SIZE - 1);
	text[ID_TEXT_SIZE - 1] = '\0';
	if (!id_parse(text, id)) {
		row = row_cache_get(follower_cache(state->mine), partition->number, id,
			zombie->key + ID_TEXT_SIZE);
		flight = flight_of_bad(state, partition, zombie, id);
	}
	if (!row && !flight)
		row = row_to_adopt(state, partition, zombie);
	if (row)
		flight = flight_of_row(state, partition, row, -1);
	else if (!flight)
		flight = flight_of_tombstone(state, partition, zombie->key, zombie->key_size);
	row_free(row);
	flight->zombie = zombie;
	zombie->under_way = true;
	flight_produce(state, flight);
}

void
zombies_answer(struct kafka_state *state)
{
	struct zombie *zombie;

	for (int i = 0; i < state->partitions_count && !state->closing; i++) {
		struct state_partition *partition = state->partitions[i];

		if (!partition || TAILQ_EMPTY(&partition->zombies) ||
			!state_partition_leased(state, partition))
			continue;
		TAILQ_FOREACH (zombie, &partition->zombies, link)
			if (!zombie->under_way && partition->next > zombie->offset &&
				!key_is_flying(partition, zombie->key, zombie->key_size))
				zombie_answer(state, partition, zombie);
	}
}
