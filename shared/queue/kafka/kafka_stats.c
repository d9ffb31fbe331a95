/*
 * kafka_stats.c - what waits in the whole cluster, asked for every few seconds by a thread of its
 * own, so that whoever wants to know never waits for a broker.
 *
 * brokers (ends, what the groups committed) -> [kafka_stats] -> queue_stats(), /metrics, /readyz
 *
 * The records between a group's commit and the end of its topic wait. The age of the oldest is
 * found by asking which offsets are older than a time, in halving steps: no body is read. When the
 * brokers do not answer, every node is hit alike, so /readyz says degraded and not failed.
 */
#include "shared/queue/kafka/kafka_stats.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/config/config.h"
#include "shared/metrics/metrics.h"
#include "shared/queue/kafka/client/kafka_client.h"
#include "shared/queue/kafka/client/kafka_queue.h"
#include "shared/queue/kafka/consume/kafka_bad.h"

#define SPACE_MS 1000
#define ASK_EVERY 5 /* in turns of the thread */
#define ASK_MS 5000
#define AGES 72 /* from a second to three months, in steps of a quarter */

struct kafka_stats {
	struct kafka_queue *queue;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t closing_changed;
	/* under lock */
	bool closing;
	uint64_t records[TOPIC_COUNT], oldest_us[TOPIC_COUNT];
	atomic_bool full;
	/* the thread's */
	rd_kafka_t *handles[TOPIC_COUNT]; /* of the group, but no members */
	struct probe *probe;
	char why_silent[448];
	struct metric *backlog[TOPIC_COUNT], *age[TOPIC_COUNT], *bad;
	uint64_t ages_ms[AGES];
	bool was_full;
};

typedef rd_kafka_topic_partition_list_t list;

/* Leaves in the list the partitions where records wait, each with the offset of its oldest. */
static int
count_waiting(rd_kafka_t *rk, list *partitions, uint64_t *waiting_out)
{
	list *starts = rd_kafka_topic_partition_list_copy(partitions);
	list *ends = rd_kafka_topic_partition_list_copy(partitions);
	int err = kafka_find_offsets(rk, starts, RD_KAFKA_OFFSET_BEGINNING, ASK_MS) ||
		kafka_find_offsets(rk, ends, RD_KAFKA_OFFSET_END, ASK_MS);

	*waiting_out = 0;
	for (int i = partitions->cnt; !err && i-- > 0;) {
		rd_kafka_topic_partition_t *at = &partitions->elems[i];

		if (at->offset < starts->elems[i].offset)
			at->offset = starts->elems[i].offset;
		if (at->offset < ends->elems[i].offset)
			*waiting_out += (uint64_t)(ends->elems[i].offset - at->offset);
		else
			rd_kafka_topic_partition_list_del_by_idx(partitions, i);
	}
	rd_kafka_topic_partition_list_destroy(starts);
	rd_kafka_topic_partition_list_destroy(ends);
	return err ? -1 : 0;
}

/* Whether any waiting record is at least as old as this. */
static bool
is_older(rd_kafka_t *rk, const list *waiting, uint64_t age_ms)
{
	int64_t then_ms = (int64_t)(clock_us() / 1000 - age_ms);
	list *at = rd_kafka_topic_partition_list_copy(waiting);
	bool older = false;

	for (int i = 0; i < at->cnt; i++)
		at->elems[i].offset = then_ms;
	if (!rd_kafka_offsets_for_times(rk, at, ASK_MS))
		for (int i = 0; i < at->cnt && !older; i++) /* < 0: all are older */
			older = at->elems[i].offset < 0 ||
				at->elems[i].offset > waiting->elems[i].offset;
	rd_kafka_topic_partition_list_destroy(at);
	return older;
}

/* In milliseconds, or 0 for less than a second. */
static uint64_t
age_of(struct kafka_stats *stats, rd_kafka_t *rk, const list *waiting)
{
	unsigned low = 0, high = AGES; /* between them lies the age of the oldest */

	while (low < high) {
		unsigned middle = (low + high) / 2;

		if (is_older(rk, waiting, stats->ages_ms[middle]))
			low = middle + 1;
		else
			high = middle;
	}
	return low ? stats->ages_ms[low - 1] : 0;
}

static int
ask_topic(struct kafka_stats *stats, enum topic topic)
{
	rd_kafka_t *rk = stats->handles[topic];
	list *partitions = kafka_find_partitions(rk, kafka_topic_of(topic), ASK_MS);
	uint64_t waiting = 0, age_ms = 0;
	int status = -1;

	/* Without a commit the offset is negative, so below every other. */
	if (partitions && partitions->cnt && !rd_kafka_committed(rk, partitions, ASK_MS))
		status = count_waiting(rk, partitions, &waiting);
	if (!status && waiting)
		age_ms = age_of(stats, rk, partitions);
	if (partitions)
		rd_kafka_topic_partition_list_destroy(partitions);
	if (status)
		return -1;
	metric_set(stats->backlog[topic], (int64_t)waiting);
	metric_set(stats->age[topic], (int64_t)(age_ms / 1000));
	pthread_mutex_lock(&stats->lock);
	stats->records[topic] = waiting;
	stats->oldest_us[topic] = waiting ? clock_us() - age_ms * 1000 : 0;
	pthread_mutex_unlock(&stats->lock);
	return 0;
}

static void
ask(struct kafka_stats *stats)
{
	int status = 0;

	for (enum topic topic = 0; topic < TOPIC_COUNT && !status; topic++)
		status = ask_topic(stats, topic);
	metric_set(stats->bad, (int64_t)kafka_bad_count(stats->queue));
	probe_set(stats->probe, status ? HEALTH_DEGRADED : HEALTH_READY,
		status ? stats->why_silent : NULL);
}

static void
check_space(struct kafka_stats *stats)
{
	char why[STATE_DIR_WHY_MAX] = "";
	bool full = !state_dir_has_room(
		&stats->queue->state_dir, stats->queue->config->queue.min_free, why);

	atomic_store(&stats->full, full);
	if (full && !stats->was_full)
		LOG_WARN("new mail is refused", "error", why);
	else if (!full && stats->was_full)
		LOG_INFO("the disk has room again");
	stats->was_full = full;
	if (full)
		probe_set(stats->probe, HEALTH_FAILED, why);
}

/* Whether to go on. */
static bool
wait_a_moment(struct kafka_stats *stats)
{
	struct timespec until;
	bool closing;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += SPACE_MS / 1000;
	pthread_mutex_lock(&stats->lock);
	if (!stats->closing)
		pthread_cond_timedwait(&stats->closing_changed, &stats->lock, &until);
	closing = stats->closing;
	pthread_mutex_unlock(&stats->lock);
	return !closing;
}

static void *
run(void *arg)
{
	struct kafka_stats *stats = arg;
	unsigned n = 0;

	pthread_setname_np(pthread_self(), "queue-stats");
	log_set_role("queue");
	do {
		if (n++ % ASK_EVERY == 0)
			ask(stats);
		check_space(stats);
	} while (wait_a_moment(stats));
	return NULL;
}

static void
add_metrics(struct kafka_stats *stats)
{
	char labels[48];

	for (enum topic topic = 0; topic < TOPIC_COUNT; topic++) {
		snprintf(labels, sizeof labels, "topic=\"%s\"",
			kafka_topic_name[kafka_topic_of(topic)]);
		stats->backlog[topic] = metric_gauge(
			"shout_queue_backlog", "Records of a topic that are not finished", labels);
		stats->age[topic] = metric_gauge("shout_queue_backlog_age_seconds",
			"How long the oldest of them has waited", labels);
	}
	stats->bad = metric_gauge(
		"shout_queue_bad", "What could not be read, set aside (shoutctl queue bad)", NULL);
	stats->probe = probe_new("queue");
	snprintf(stats->why_silent, sizeof stats->why_silent,
		"the brokers (%s) do not answer, or the topics are missing: new mail is refused (451); "
		"shout topics tells which",
		stats->queue->config->queue.brokers);
}

static rd_kafka_t *
handle_new(struct kafka_queue *queue, const char *group)
{
	rd_kafka_conf_t *conf = kafka_conf(queue->config);

	kafka_set(conf, "group.id", group);
	kafka_set(conf, "enable.auto.commit", "false");
	return kafka_consumer_handle(conf);
}

struct kafka_stats *
kafka_stats_new(struct kafka_queue *queue)
{
	struct kafka_stats *stats = xcalloc(1, sizeof *stats);
	pthread_condattr_t monotonic;

	stats->queue = queue;
	pthread_mutex_init(&stats->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&stats->closing_changed, &monotonic);
	pthread_condattr_destroy(&monotonic);
	for (enum topic topic = 0; topic < TOPIC_COUNT; topic++)
		stats->handles[topic] = handle_new(queue, kafka_group_name[topic]);
	stats->ages_ms[0] = 1000;
	for (int i = 1; i < AGES; i++)
		stats->ages_ms[i] = stats->ages_ms[i - 1] * 5 / 4;
	add_metrics(stats);
	thread_start(&stats->thread, run, stats);
	return stats;
}

void
kafka_stats_free(struct kafka_stats **stats_ref)
{
	struct kafka_stats *stats = *stats_ref;

	if (!stats)
		return;
	pthread_mutex_lock(&stats->lock);
	stats->closing = true;
	pthread_mutex_unlock(&stats->lock);
	pthread_cond_signal(&stats->closing_changed);
	pthread_join(stats->thread, NULL);
	for (enum topic topic = 0; topic < TOPIC_COUNT; topic++)
		rd_kafka_destroy(stats->handles[topic]);
	pthread_mutex_destroy(&stats->lock);
	pthread_cond_destroy(&stats->closing_changed);
	free(stats);
	*stats_ref = NULL;
}

void
kafka_stats_read(struct kafka_stats *stats, struct queue_stats *out)
{
	*out = (struct queue_stats){ 0 };
	pthread_mutex_lock(&stats->lock);
	memcpy(out->records, stats->records, sizeof out->records);
	memcpy(out->oldest_us, stats->oldest_us, sizeof out->oldest_us);
	pthread_mutex_unlock(&stats->lock);
}

int
kafka_stats_space(const struct kafka_stats *stats)
{
	return atomic_load_explicit(&stats->full, memory_order_relaxed) ? -ENOSPC : 0;
}
