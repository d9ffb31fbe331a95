/*
 * kafka_trim.c - mail.deferred: bodies that no row needs any more are deleted from its start.
 *
 * row_cache (lowest body that a row needs) -> [kafka_trim] -> DeleteRecords
 *
 * Only the owner deletes, and only by what the cache has read from the log. A body whose rows are
 * not in the cache yet is kept. Once acknowledged, its place is known. Before that, it lies behind
 * every body that had been acknowledged when it was sent. A row that cannot be read keeps all
 * bodies of its partition, and so does a zombie's record that is not answered yet.
 */
#include "shared/queue/kafka/rows/kafka_state_private.h"

#include <stdlib.h>

#include "shared/base/log.h"
#include "shared/metrics/metrics.h"
#include "shared/queue/kafka/body/kafka_body.h"
#include "shared/queue/kafka/rows/kafka_state.h"

#define ADMIN_MS 10000
#define ASK_MS 1000

/* The place of the row's body; < 0: it has none. The caller's copy of the row may be older than a
 * renewal of the body. */
int64_t
body_place(struct kafka_state *state, const struct state_partition *partition, const Row *row)
{
	struct row_cache *cache = follower_cache(state->mine);
	int64_t offset = row_cache_body(
		cache, partition->number, row->envelope->id.data, row->site);

	if (offset < 0) /* a row that is split from another */
		offset = row_cache_body(cache, partition->number, row->envelope->id.data, NULL);
	return offset;
}

bool
kafka_state_place(struct kafka_state *state, int32_t partition, const uint8_t id[ID_SIZE],
	struct kafka_place *place_out)
{
	struct follower *follower;
	int64_t offset = -1;

	pthread_mutex_lock(&state->lock);
	follower = state_partition_of(state, partition) ? state->mine : NULL;
	pthread_mutex_unlock(&state->lock);
	if (follower)
		offset = row_cache_body(follower_cache(follower), partition, id, NULL);
	*place_out = kafka_place_new(KAFKA_DEFERRED, partition, offset, id);
	return offset >= 0;
}

/* Under lock. Every body below may be deleted; < 0: not known. */
static int64_t
floor_of(struct kafka_state *state, const struct state_partition *partition)
{
	struct row_cache *cache = follower_cache(state->mine);
	const struct write *write;
	uint8_t id[ID_SIZE];
	uint64_t seen_us;
	int64_t floor = partition->missing_to;

	if (row_cache_bad_count(cache, partition->number) || !TAILQ_EMPTY(&partition->zombies))
		return -1; /* an unreadable row or a zombie's may need any body */
	if (!row_cache_first_body(cache, partition->number, &floor, &seen_us, id))
		floor = partition->body_end;
	if (partition->doubtful_body < floor)
		floor = partition->doubtful_body;
	TAILQ_FOREACH (write, &state->writes, link) {
		int64_t needed = write->body_offset >= 0 ? write->body_offset : write->body_from;

		if ((write->record || write->body_offset >= 0 || write->renewal) &&
			write->partition == partition->number && needed < floor)
			floor = needed;
	}
	return floor;
}

static void
delete_below(struct kafka_state *state, rd_kafka_topic_partition_list_t *below)
{
	rd_kafka_t *handle = follower_handle(state->mine);
	rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(
		handle, RD_KAFKA_ADMIN_OP_DELETERECORDS);
	rd_kafka_DeleteRecords_t *request = rd_kafka_DeleteRecords_new(below);

	rd_kafka_AdminOptions_set_request_timeout(options, ADMIN_MS, NULL, 0);
	rd_kafka_DeleteRecords(handle, &request, 1, options, follower_admin_answers(state->mine));
	rd_kafka_DeleteRecords_destroy(request);
	rd_kafka_AdminOptions_destroy(options);
}

/* A trim that fails is tried again. */
static void
take_answer(struct kafka_state *state, rd_kafka_event_t *event)
{
	const rd_kafka_resp_err_t err = kafka_deleted(event);

	if (!err)
		return;
	LOG_WARN("bodies nobody needs could not be deleted", "error", rd_kafka_err2str(err));
	pthread_mutex_lock(&state->lock);
	for (int32_t i = 0; i < state->partitions_count; i++)
		if (state->partitions[i])
			state->partitions[i]->trimmed = 0;
	pthread_mutex_unlock(&state->lock);
}

static void
take_answers(struct kafka_state *state)
{
	rd_kafka_event_t *event;

	while ((event = rd_kafka_queue_poll(follower_admin_answers(state->mine), 0))) {
		take_answer(state, event);
		rd_kafka_event_destroy(event);
	}
}

/*
 * A new owner that appended no body asks where the bodies end, since earlier owners may have left
 * some that no row needs. A body that it appends after the answer lies behind that end. A body that
 * it appended before the answer keeps the floor where it was. False: the brokers did not answer.
 */
static bool
learn_end(struct kafka_state *state, int32_t number)
{
	struct state_partition *partition;
	int64_t low, high;
	bool known;

	pthread_mutex_lock(&state->lock);
	partition = state->partitions[number];
	known = !state_partition_leased(state, partition) || partition->body_end >= 0;
	pthread_mutex_unlock(&state->lock);
	if (known)
		return true;
	if (rd_kafka_query_watermark_offsets(follower_handle(state->mine),
		    kafka_topic_name[KAFKA_DEFERRED], number, &low, &high, ASK_MS))
		return false;
	pthread_mutex_lock(&state->lock);
	if (partition->body_end < high)
		partition->body_end = high;
	partition->trimmed = low;
	pthread_mutex_unlock(&state->lock);
	return true;
}

void
trim_turn(struct kafka_state *state)
{
	rd_kafka_topic_partition_list_t *below;
	uint64_t bad = 0;

	if (clock_mono_ms() < state->trimmed_ms + state->trim_ms)
		return;
	take_answers(state);
	for (int32_t i = 0; i < state->partitions_count && learn_end(state, i); i++)
		;
	below = rd_kafka_topic_partition_list_new(8);
	pthread_mutex_lock(&state->lock);
	state->trimmed_ms = clock_mono_ms();
	for (int32_t i = 0; i < state->partitions_count; i++) {
		struct state_partition *partition = state->partitions[i];
		int64_t floor;

		if (!partition || !state_partition_leased(state, partition))
			continue;
		bad += row_cache_bad_count(follower_cache(state->mine), i);
		floor = floor_of(state, partition);
		if (floor <= partition->trimmed)
			continue;
		partition->trimmed = floor;
		rd_kafka_topic_partition_list_add(below, kafka_topic_name[KAFKA_DEFERRED], i)
			->offset = floor;
	}
	pthread_mutex_unlock(&state->lock);
	metric_set(state->bad, (int64_t)bad);
	if (below->cnt)
		delete_below(state, below);
	rd_kafka_topic_partition_list_destroy(below);
}
