/*
 * kafka_commit.c - what the group remembers of its partitions.
 *
 * kafka_consumer -> [commit, every second, changed or not] -> broker -> lease, promise, trimming
 *
 * A commit that succeeded is the lease of mail.ready (kafka_state_leased()): a member that cannot
 * commit may have lost its partitions without knowing.
 *
 * Records below the committed offset are deleted from time to time, after the commit only. When
 * any of this fails the next second's commit does it.
 */
#include "shared/queue/kafka/consume/kafka_consumer_private.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/metrics/metrics.h"
#include "shared/queue/kafka/rows/kafka_state.h"

#define TRIM_RECORDS 1000 /* or every TRIM_LATE_MS; at most every TRIM_MS */
#define TRIM_MS 10000
#define TRIM_LATE_MS 60000
#define ADMIN_MS 10000

static bool
is_ours(const struct partition *partition)
{
	return partition && partition->state >= PARTITION_READY;
}

static int64_t
max(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

/* A record that was handed out before and comes again stays promised until the lowest offset is
 * beyond it. A member that gives its partitions up knows exactly how far it came. */
static int64_t
promise(const struct partition *partition)
{
	int64_t next = max(
		kafka_offsets_next(partition->offsets), kafka_offsets_lowest(partition->offsets));

	if (!partition->consumer->leaving)
		next = max(next + PROMISE, partition->promised);
	if (partition->redelivered_below != INT64_MAX)
		next = max(next, partition->redelivered_below);
	return next;
}

/* The metadata is left out until it is known which records may have been handed out before. */
static void
add_partition(rd_kafka_topic_partition_list_t *list, struct partition *partition)
{
	rd_kafka_topic_partition_t *entry = rd_kafka_topic_partition_list_add(
		list, kafka_topic_name[partition->consumer->topic], partition->number);
	char text[KAFKA_METADATA_MAX];

	entry->offset = kafka_offsets_lowest(partition->offsets);
	partition->promise_asked = promise(partition);
	if (partition->redelivered_below == INT64_MAX)
		return;
	entry->metadata_size = kafka_offsets_pack(
		partition->offsets, partition->promise_asked, text);
	entry->metadata = xmalloc(entry->metadata_size);
	memcpy(entry->metadata, text, entry->metadata_size);
}

static void
delete_below(struct kafka_consumer *consumer, rd_kafka_topic_partition_list_t *below)
{
	rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(
		consumer->rk, RD_KAFKA_ADMIN_OP_DELETERECORDS);
	rd_kafka_DeleteRecords_t *request = rd_kafka_DeleteRecords_new(below);

	rd_kafka_AdminOptions_set_request_timeout(options, ADMIN_MS, NULL, 0);
	rd_kafka_DeleteRecords(consumer->rk, &request, 1, options, consumer->answers);
	rd_kafka_DeleteRecords_destroy(request);
	rd_kafka_AdminOptions_destroy(options);
}

static bool
is_worth_trimming(const struct partition *partition, uint64_t now_ms)
{
	uint64_t since_ms = now_ms - partition->trimmed_ms;
	int64_t records = partition->committed - partition->trimmed;

	return (records >= TRIM_RECORDS && since_ms >= TRIM_MS) ||
		(records > 0 && since_ms >= TRIM_LATE_MS);
}

static void
trim(struct kafka_consumer *consumer)
{
	rd_kafka_topic_partition_list_t *below = rd_kafka_topic_partition_list_new(8);
	uint64_t now_ms = clock_mono_ms();

	for (int32_t i = 0; i < consumer->partitions_count; i++) {
		struct partition *partition = consumer->partitions[i];

		if (!is_ours(partition) || !is_worth_trimming(partition, now_ms))
			continue;
		metric_add(consumer->metric.trimmed, partition->committed - partition->trimmed);
		partition->trimmed = partition->committed;
		partition->trimmed_ms = now_ms;
		rd_kafka_topic_partition_list_add(
			below, kafka_topic_name[consumer->topic], partition->number)
			->offset = partition->committed;
	}
	if (below->cnt)
		delete_below(consumer, below);
	rd_kafka_topic_partition_list_destroy(below);
}

/* A partition may have been lost since, and come back: its promises are new ones then. */
static bool
note_committed(struct kafka_consumer *consumer, const rd_kafka_topic_partition_list_t *partitions)
{
	bool all = true;

	for (int i = 0; i < partitions->cnt; i++) {
		const rd_kafka_topic_partition_t *entry = &partitions->elems[i];
		struct partition *partition = partition_of(consumer, entry->partition);

		if (entry->err)
			all = false;
		else if (is_ours(partition) && entry->offset >= partition->committed) {
			partition->committed = entry->offset;
			partition->promised = max(partition->promised, partition->promise_asked);
		}
	}
	return all;
}

/* Two commits are under way when partitions are revoked. promise_asked belongs to the last of
 * them, so only its answer counts. */
static void
on_commit(rd_kafka_t *rk, rd_kafka_resp_err_t err, rd_kafka_topic_partition_list_t *partitions,
	void *number)
{
	struct kafka_consumer *consumer = rd_kafka_opaque(rk);

	if ((uintptr_t)number != consumer->commits_sent)
		return;
	consumer->committing = false;
	if (err || !note_committed(consumer, partitions)) {
		metric_add(consumer->metric.commit_failures, 1);
		LOG_WARN("a commit failed", "topic", kafka_topic_name[consumer->topic], "error",
			rd_kafka_err2str(err));
		return;
	}
	metric_add(consumer->metric.commits, 1);
	if (consumer->topic == KAFKA_READY && consumer->queue->state)
		kafka_state_leased(consumer->queue->state, consumer->commit_sent_ms);
	if (!consumer->closed)
		trim(consumer);
	if (consumer->commit_wanted)
		commit(consumer);
	consumer_more(consumer);
}

void
commit(struct kafka_consumer *consumer)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(16);

	consumer->commit_wanted = false;
	for (int32_t i = 0; i < consumer->partitions_count; i++)
		if (is_ours(consumer->partitions[i]))
			add_partition(list, consumer->partitions[i]);
	if (list->cnt) {
		consumer->commit_sent_ms = clock_boot_ms();
		consumer->commits_sent++;
		consumer->committing = !rd_kafka_commit_queue(consumer->rk, list, consumer->main,
			on_commit, (void *)consumer->commits_sent);
	}
	rd_kafka_topic_partition_list_destroy(list);
}

void
commit_early(struct kafka_consumer *consumer)
{
	if (consumer->committing)
		consumer->commit_wanted = true;
	else
		commit(consumer);
}

/*
 * What was committed is read on a thread for each question, since rd_kafka_committed() waits. The
 * admin API has a call that does not wait, ListConsumerGroupOffsets, but it ends the process by an
 * assertion when the coordinator fails meanwhile (librdkafka 2.0.2 and later).
 */
struct ask {
	struct kafka_consumer *consumer;
	pthread_t thread;
	rd_kafka_topic_partition_list_t *list;
	rd_kafka_resp_err_t err;
	atomic_bool done;
};

static void *
ask_run(void *arg)
{
	static const uint64_t one = 1;
	struct ask *ask = arg;

	log_set_role("queue");
	ask->err = rd_kafka_committed(ask->consumer->rk, ask->list, ADMIN_MS);
	atomic_store(&ask->done, true);
	/* A failed write means that the loop is to be woken already. */
	(void)!write(ask->consumer->eventfd, &one, sizeof one);
	return NULL;
}

static void
ask_start(struct kafka_consumer *consumer, rd_kafka_topic_partition_list_t *list)
{
	struct ask *ask = xcalloc(1, sizeof *ask);

	ask->consumer = consumer;
	ask->list = list;
	consumer->ask = ask;
	thread_start(&ask->thread, ask_run, ask);
}

/* One question at a time, for all partitions that have come so far. Its answer counts for the
 * partitions that are still here. */
void
ask_committed(struct kafka_consumer *consumer)
{
	rd_kafka_topic_partition_list_t *list;

	if (consumer->ask || consumer->closed)
		return;
	list = rd_kafka_topic_partition_list_new(16);
	for (int32_t i = 0; i < consumer->partitions_count; i++) {
		struct partition *partition = consumer->partitions[i];

		if (!partition || partition->state != PARTITION_CLAIMED)
			continue;
		partition->state = PARTITION_ASKED;
		rd_kafka_topic_partition_list_add(
			list, kafka_topic_name[consumer->topic], partition->number);
	}
	consumer->ask_failed = false;
	if (list->cnt)
		ask_start(consumer, list);
	else
		rd_kafka_topic_partition_list_destroy(list);
}

/* A partition without an answer, or with an error, is asked for again with the next tick. */
static void
take_answer(struct kafka_consumer *consumer, const struct ask *ask)
{
	if (ask->err)
		LOG_WARN("the committed offsets could not be read, they are asked for again",
			"topic", kafka_topic_name[consumer->topic], "error",
			rd_kafka_err2str(ask->err));
	for (int32_t i = 0; i < consumer->partitions_count; i++) {
		struct partition *partition = consumer->partitions[i];
		const rd_kafka_topic_partition_t *entry;

		if (!partition || partition->state != PARTITION_ASKED)
			continue;
		entry = rd_kafka_topic_partition_list_find(
			ask->list, kafka_topic_name[consumer->topic], i);
		if (ask->err || !entry || entry->err) {
			partition->state = PARTITION_CLAIMED;
			consumer->ask_failed = true;
		} else
			partition_resume(
				partition, entry->offset, entry->metadata, entry->metadata_size);
	}
}

void
ask_end(struct kafka_consumer *consumer)
{
	struct ask *ask = consumer->ask;

	consumer->ask = NULL;
	if (!ask)
		return;
	pthread_join(ask->thread, NULL);
	if (!consumer->closed) {
		take_answer(consumer, ask);
		partitions_advance(consumer, false);
	}
	rd_kafka_topic_partition_list_destroy(ask->list);
	free(ask);
}

void
ask_poll(struct kafka_consumer *consumer)
{
	if (consumer->ask && atomic_load(&consumer->ask->done))
		ask_end(consumer);
}

/* Counts as one record to be trimmed: how many there are is not known. */
void
trim_again(struct partition *partition)
{
	partition->trimmed = partition->committed ? partition->committed - 1 : 0;
}

void
on_admin_event(struct kafka_consumer *consumer, rd_kafka_event_t *event)
{
	const rd_kafka_resp_err_t err = kafka_deleted(event);

	if (!err)
		return;
	LOG_WARN("finished records could not be deleted", "topic",
		kafka_topic_name[consumer->topic], "error", rd_kafka_err2str(err));
	for (int32_t i = 0; i < consumer->partitions_count; i++)
		if (is_ours(consumer->partitions[i]))
			trim_again(consumer->partitions[i]);
}
