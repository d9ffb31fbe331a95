/*
 * kafka_view.c - views of waiting mail in a cluster: what is ours, or all there is.
 *
 * sender, control -> [kafka_view] -> row_cache <- kafka_follow
 *
 * A view of all rows needs no claim: a follower of its own reads every partition, a moment behind
 * the writers. It asks from time to time whether partitions were added.
 */
#include "shared/queue/kafka/rows/kafka_state_private.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shared/base/log.h"
#include "shared/queue/kafka/rows/kafka_view.h"

#define ASK_MS 60000
#define ASK_AGAIN_MS 1000 /* when the brokers did not answer */
#define ASK_TIMEOUT_MS 5000
#define LOOK_AGAIN_US 10000

static int32_t
count_partitions(struct follower *follower)
{
	rd_kafka_topic_partition_list_t *partitions = kafka_find_partitions(
		follower_handle(follower), KAFKA_STATE, ASK_TIMEOUT_MS);
	const int32_t count = partitions ? partitions->cnt : 0;

	if (partitions)
		rd_kafka_topic_partition_list_destroy(partitions);
	return count < ROW_PARTITIONS_MAX ? count : ROW_PARTITIONS_MAX;
}

void
view_all_turn(void *arg)
{
	struct kafka_state *state = arg;
	struct follower *follower;
	int32_t count;

	if (clock_mono_ms() < state->all_ask_ms)
		return;
	pthread_mutex_lock(&state->lock);
	follower = state->all; /* may be unset on the follower's first turns */
	pthread_mutex_unlock(&state->lock);
	count = follower ? count_partitions(follower) : 0;
	for (; state->all_count < count; state->all_count++)
		follower_want(follower, state->all_count, true);
	state->all_ask_ms = clock_mono_ms() + (count ? ASK_MS : follower ? ASK_AGAIN_MS : 0);
}

struct rows *
kafka_rows_open(struct queue *base, enum rows_scope scope, struct loop *loop,
	const struct rows_subscriber *subscriber, void *arg)
{
	struct kafka_state *state = ((struct kafka_queue *)base)->state;
	struct kafka_view *view = xcalloc(1, sizeof *view);

	view->base.ops = base->ops;
	view->state = state;
	view->scope = scope;
	view->loop = loop;
	view->subscriber = subscriber;
	view->arg = arg;
	atomic_store(&view->uses, 1);
	pthread_mutex_lock(&state->lock);
	if (scope == ROWS_MINE) {
		assert(!state->view);
		state->view = view;
	} else {
		state_follower(state, ROWS_ALL);
	}
	pthread_mutex_unlock(&state->lock);
	return &view->base;
}

void
kafka_rows_close(struct rows *base)
{
	struct kafka_view *view = (struct kafka_view *)base;
	struct kafka_state *state = view->state;

	pthread_mutex_lock(&state->lock);
	if (state->view == view)
		state->view = NULL;
	pthread_mutex_unlock(&state->lock);
	view->closed = true;
	if (atomic_fetch_sub(&view->uses, 1) == 1)
		free(view);
}

bool
kafka_rows_mine(struct rows *base, int partition)
{
	struct kafka_view *view = (struct kafka_view *)base;
	struct kafka_state *state = view->state;
	bool mine;

	pthread_mutex_lock(&state->lock);
	if (partition == ROWS_ANY)
		mine = state_leased(state);
	else
		mine = state_partition_leased(state, state_partition_of(state, partition));
	pthread_mutex_unlock(&state->lock);
	return mine;
}

static struct follower *
view_follower(const struct kafka_view *view)
{
	return view->scope == ROWS_MINE ? view->state->mine : state_follower(view->state, ROWS_ALL);
}

bool
kafka_rows_complete(struct rows *base)
{
	struct kafka_view *view = (struct kafka_view *)base;
	struct follower *follower;

	pthread_mutex_lock(&view->state->lock);
	follower = view_follower(view);
	pthread_mutex_unlock(&view->state->lock);
	return follower && follower_complete(follower);
}

bool
kafka_rows_refresh(struct rows *base)
{
	struct kafka_view *view = (struct kafka_view *)base;
	const uint64_t until_ms = clock_mono_ms() + QUEUE_SEEN_MS;
	rd_kafka_topic_partition_list_t *ends;
	struct follower *follower;
	rd_kafka_t *handle;
	bool ok;

	pthread_mutex_lock(&view->state->lock);
	follower = view_follower(view);
	pthread_mutex_unlock(&view->state->lock);
	if (!follower)
		return false;
	handle = follower_handle(follower);
	ends = kafka_find_partitions(handle, KAFKA_STATE, QUEUE_SEEN_MS);
	if (!ends)
		return false;
	ok = !kafka_find_offsets(handle, ends, RD_KAFKA_OFFSET_END, QUEUE_SEEN_MS);
	while (ok && !follower_reached(follower, ends)) {
		usleep(LOOK_AGAIN_US);
		ok = clock_mono_ms() < until_ms;
	}
	rd_kafka_topic_partition_list_destroy(ends);
	return ok;
}

/* The partitions that the view shows; only one, unless `only` is ROWS_ANY. */
static void
set_fill(struct kafka_view *view, int only, struct row_set *set)
{
	struct kafka_state *state = view->state;
	struct follower *follower;

	set->count = 0;
	pthread_mutex_lock(&state->lock);
	follower = view_follower(view);
	set->cache = follower ? follower_cache(follower) : NULL;
	for (int32_t i = 0; i < ROW_PARTITIONS_MAX && set->cache; i++) {
		const struct state_partition *partition = state_partition_of(state, i);

		if (only != ROWS_ANY && only != i)
			continue;
		if (view->scope == ROWS_ALL ||
			(partition && (partition->told || partition->state == OWNERSHIP_OURS)))
			set->partitions[set->count++] = i;
	}
	pthread_mutex_unlock(&state->lock);
}

size_t
kafka_rows_due(struct rows *base, const struct rows_place *from, size_t limit, queue_row_cb on_row,
	void *arg)
{
	struct row_set set;

	set_fill((struct kafka_view *)base, ROWS_ANY, &set);
	return set.count ? row_set_due(&set, from, limit, on_row, arg) : 0;
}

size_t
kafka_rows_scan(struct rows *base, int partition, const uint8_t *after_id, const char *after_site,
	size_t limit, queue_row_cb on_row, void *arg)
{
	struct row_set set;

	set_fill((struct kafka_view *)base, partition, &set);
	return set.count ? row_set_scan(&set, after_id, after_site, limit, on_row, arg) : 0;
}

size_t
kafka_rows_of(struct rows *base, const uint8_t *id, queue_row_cb on_row, void *arg)
{
	struct row_set set;

	set_fill((struct kafka_view *)base, ROWS_ANY, &set);
	return set.count ? row_set_of(&set, id, on_row, arg) : 0;
}

uint64_t
kafka_rows_count(struct rows *base, const char *site)
{
	struct row_set set;
	uint64_t count = 0;

	set_fill((struct kafka_view *)base, ROWS_ANY, &set);
	for (size_t i = 0; i < set.count; i++)
		count += row_cache_count(set.cache, set.partitions[i], site);
	return count;
}

void
kafka_state_count(struct kafka_state *state, struct queue_stats *out)
{
	struct follower *follower;

	pthread_mutex_lock(&state->lock);
	for (int32_t i = 0; i < state->partitions_count; i++)
		if (state->partitions[i] && state->partitions[i]->told)
			out->rows += row_cache_count(follower_cache(state->mine), i, NULL);
	follower = state_shown(state);
	for (int32_t i = 0; i < ROW_PARTITIONS_MAX && follower; i++)
		out->bad += row_cache_bad_count(follower_cache(follower), i);
	pthread_mutex_unlock(&state->lock);
}

/* Rows that cannot be read. */

#define BAD_ROWS "rows/"
#define BAD_ROWS_SIZE strlen(BAD_ROWS)

/* A bad row and its key, in the form of queue.h and in the cache's, which lacks the table's
 * name. */
struct bad_walk {
	queue_bad_cb on_bad;
	void *arg;
	int32_t partition;
	size_t size;
	char key[STATE_KEY_MAX + 1];
};

static void
on_bad_row(void *arg, const struct row_bad *bad)
{
	struct bad_walk *walk = arg;

	walk->partition = bad->partition;
	walk->size = BAD_ROWS_SIZE + bad->key_length;
	memcpy(walk->key, BAD_ROWS, BAD_ROWS_SIZE);
	memcpy(walk->key + BAD_ROWS_SIZE, bad->key, bad->key_length);
	if (walk->on_bad)
		walk->on_bad(walk->arg, walk->key, walk->size, bad->value, bad->length);
}

/* Finds the next bad row from the walk's key on. */
static bool
bad_next(struct kafka_state *state, struct bad_walk *walk)
{
	struct follower *follower;

	pthread_mutex_lock(&state->lock);
	follower = state_shown(state);
	pthread_mutex_unlock(&state->lock);
	return follower &&
		row_cache_bad_next(follower_cache(follower), walk->key + BAD_ROWS_SIZE,
			walk->size - BAD_ROWS_SIZE, on_bad_row, walk);
}

/* False: all keys of rows are before it. */
static bool
bad_begin(struct bad_walk *walk, const void *from, size_t length)
{
	const size_t shared = length < BAD_ROWS_SIZE ? length : BAD_ROWS_SIZE;
	const int order = from ? memcmp(from, BAD_ROWS, shared) : -1;

	walk->size = BAD_ROWS_SIZE;
	if (!from || order || length < BAD_ROWS_SIZE)
		return order <= 0;
	if (length > BAD_ROWS_SIZE + ID_SIZE + QUEUE_SITE_MAX + 1)
		length = BAD_ROWS_SIZE + ID_SIZE + QUEUE_SITE_MAX + 1;
	memcpy(walk->key, from, length);
	walk->size = length;
	return true;
}

size_t
kafka_bad_rows_scan(struct queue *base, const void *from, size_t from_length, size_t limit,
	queue_bad_cb on_bad, void *arg)
{
	struct kafka_state *state = ((struct kafka_queue *)base)->state;
	struct bad_walk walk = { .on_bad = on_bad, .arg = arg };
	size_t count = 0;

	if (!bad_begin(&walk, from, from_length))
		return 0;
	for (; count < limit && bad_next(state, &walk); count++)
		walk.key[walk.size++] = '\0'; /* the least key behind it */
	return count;
}

struct bad_removal {
	struct kafka_message message;
	struct kafka_producer *producer;
	struct loop *loop;
	queue_cb cb;
	void *arg;
	char key[STATE_KEY_MAX];
};

static void
on_bad_removed(struct kafka_message *message, int err, int64_t offset)
{
	struct bad_removal *removal = (struct bad_removal *)message;

	(void)offset;
	if (removal->cb)
		kafka_answer(removal->producer, removal->loop, removal->cb, removal->arg, err);
	free(removal);
}

/* Any node may remove a row: a tombstone without an epoch is an operator's. */
void
kafka_bad_rows_remove(
	struct queue *base, const void *key, size_t key_length, queue_cb cb, void *arg)
{
	struct kafka_queue *queue = (struct kafka_queue *)base;
	const size_t name = BAD_ROWS_SIZE + ID_SIZE;
	struct bad_walk walk = { .on_bad = NULL };
	struct bad_removal *removal;

	if (key_length < name || !bad_begin(&walk, key, key_length) ||
		!bad_next(queue->state, &walk) || walk.size != key_length ||
		memcmp(walk.key, key, key_length) != 0) {
		if (cb)
			cb(arg, -ENOENT);
		return;
	}
	removal = xcalloc(1, sizeof *removal);
	removal->producer = queue->producer;
	removal->loop = loop_current();
	removal->cb = cb;
	removal->arg = arg;
	removal->message = (struct kafka_message){ .topic = KAFKA_STATE,
		.partition = walk.partition,
		.key = removal->key,
		.key_size = state_key(removal->key, (const uint8_t *)walk.key + BAD_ROWS_SIZE,
			walk.key + name, walk.size - name),
		.on_ack = on_bad_removed };
	kafka_produce(queue->producer, &removal->message);
}
