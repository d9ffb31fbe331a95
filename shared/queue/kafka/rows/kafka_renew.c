/*
 * kafka_renew.c - bodies of mail that waits for long are appended anew.
 *
 *   row_cache (lowest body) -> read -> body ack -> its rows, written anew -> [kafka_trim]
 *
 * mail.deferred is trimmed below the lowest body that a row needs, so one old message would keep
 * all bodies behind it. The lowest body of each partition is looked at, and appended anew when it
 * is a day old; then the next. A row that its owner writes at the same time is left alone. It keeps
 * the old place, which is therefore still the lowest, and is renewed later. A body that is gone is
 * logged once, and keeps no other.
 */
#include "shared/queue/kafka/rows/kafka_state_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/log.h"
#include "shared/metrics/metrics.h"
#include "shared/queue/kafka/body/kafka_body.h"
#include "shared/queue/kafka/rows/kafka_state.h"

#define LATER_MS 60000 /* after a failure */
#define LOOK_MS 1000   /* after a body that is too young: looking is not free */

/* The renewal of one body, from the reading until its new record is acknowledged. */
struct renewal {
	struct kafka_state *state;
	struct state_partition *partition;
	uint8_t id[ID_SIZE];
	int64_t offset;
	struct kafka_body *body; /* pinned */
	int err;
	bool read; /* the reading ended, well or not; the state thread goes on. Under lock */
};

static void
on_body(void *arg, int err, struct kafka_body *body)
{
	struct renewal *renewal = arg;
	struct kafka_state *state = renewal->state;

	pthread_mutex_lock(&state->lock);
	renewal->err = err;
	renewal->body = body;
	renewal->read = true;
	pthread_mutex_unlock(&state->lock);
	atomic_fetch_sub(&state->reading, 1);
}

static void
end(struct renewal *renewal, bool failed)
{
	struct state_partition *partition = renewal->partition;

	if (renewal->body)
		kafka_body_unpin(renewal->body);
	if (failed)
		partition->renew_after_ms = clock_mono_ms() + LATER_MS;
	partition->renewal = NULL;
	free(renewal);
}

struct rows_found {
	Row **rows;
	size_t count;
};

static void
on_row(void *arg, Row *row)
{
	struct rows_found *found = arg;

	found->rows = xrealloc(found->rows, (found->count + 1) * sizeof(Row *));
	found->rows[found->count++] = row;
}

/* The rows of the message as they are now. */
static struct rows_found
rows_now(struct kafka_state *state, int32_t partition, const uint8_t *id)
{
	struct row_set *set = xmalloc(sizeof *set);
	struct rows_found found = { NULL, 0 };

	set->cache = follower_cache(state->mine);
	set->count = 1;
	set->partitions[0] = partition;
	row_set_of(set, id, on_row, &found);
	free(set);
	return found;
}

void
renew_rows(struct kafka_state *state, struct write *write)
{
	struct renewal *renewal = write->renewal;
	struct rows_found found = rows_now(state, write->partition, renewal->id);

	write->rows = found.rows;
	write->row_count = found.count;
}

/* Under lock. The record of the body has been acknowledged or has failed. */
void
renew_end(struct write *write, int err)
{
	struct renewal *renewal = write->renewal;

	if (!err)
		metric_add(renewal->state->bodies, 1);
	end(renewal, err != 0);
	write->renewal = NULL;
}

static void
append(struct kafka_state *state, struct renewal *renewal)
{
	struct rows_found found = rows_now(state, renewal->partition->number, renewal->id);

	if (found.count)
		renew_produce(
			state, renewal->partition, found.rows[0]->envelope, renewal->body, renewal);
	else
		end(renewal, false);
	for (size_t i = 0; i < found.count; i++)
		row_free(found.rows[i]);
	free(found.rows);
}

/* Under lock. */
static void
go_on(struct kafka_state *state, struct renewal *renewal)
{
	renewal->read = false;
	if (!renewal->err && state_partition_leased(state, renewal->partition)) {
		append(state, renewal);
		return;
	}
	if (renewal->err == -ENOENT) { /* the body is gone: do not look for it again */
		kafka_state_bodiless(state, renewal->partition->number, renewal->id);
		renewal->partition->missing_to = renewal->offset + 1;
	}
	end(renewal, renewal->err != -ENOENT);
}

/* Under lock. Begins the renewal of a body that is to be read, or returns NULL. While the cache
 * cannot be written, it would show the same body as the lowest again and again. */
static struct renewal *
begin(struct kafka_state *state, struct state_partition *partition, struct kafka_place *place_out)
{
	const uint64_t now_us = clock_us();
	struct renewal *renewal;
	uint8_t id[ID_SIZE];
	uint64_t seen_us;
	int64_t offset = partition->missing_to;

	if (partition->renewal || clock_mono_ms() < partition->renew_after_ms ||
		!state_partition_leased(state, partition) || state->closing ||
		follower_stuck(state->mine))
		return NULL;
	if (!row_cache_first_body(
		    follower_cache(state->mine), partition->number, &offset, &seen_us, id) ||
		seen_us > now_us || now_us - seen_us < state->renew_us) {
		partition->renew_after_ms = clock_mono_ms() + LOOK_MS;
		return NULL;
	}
	renewal = xcalloc(1, sizeof *renewal);
	*renewal = (struct renewal){ .state = state, .partition = partition };
	renewal->offset = offset;
	memcpy(renewal->id, id, ID_SIZE);
	partition->renewal = renewal;
	*place_out = kafka_place_new(KAFKA_DEFERRED, partition->number, offset, id);
	atomic_fetch_add(&state->reading, 1);
	return renewal;
}

void
renew_turn(struct kafka_state *state)
{
	for (int32_t i = 0; i < state->partitions_count; i++) {
		struct renewal *renewal = NULL;
		struct kafka_place place = { .topic = KAFKA_NONE };

		pthread_mutex_lock(&state->lock);
		if (state->partitions[i] && state->partitions[i]->renewal &&
			state->partitions[i]->renewal->read)
			go_on(state, state->partitions[i]->renewal);
		else if (state->partitions[i])
			renewal = begin(state, state->partitions[i], &place);
		pthread_mutex_unlock(&state->lock);
		if (renewal)
			kafka_body_get(state->queue->bodies, place, NULL, on_body, renewal);
	}
}
