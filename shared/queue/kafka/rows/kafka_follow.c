/*
 * kafka_follow.c - reads partitions of mail.state, and has them folded into the cache of rows.
 *
 * mail.state -> [kafka_follow] -> kafka_fold -> row_cache
 *
 * Has a thread of its own; partitions are assigned by hand. Fetched records go into one transaction
 * together with the new checkpoint. A checkpoint is of no use when it is older than half of the
 * time for which the log keeps tombstones, beyond the log's end, or of another cluster: the
 * partition is read from its start then. A cache that cannot be written (disk full) is tried again
 * until it can be. Meanwhile this node reports that it has failed, since its records get nowhere
 * and other nodes have disks.
 */
#include "shared/queue/kafka/rows/kafka_state_private.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/config/config.h"
#include "shared/metrics/metrics.h"

#define BATCH 5000
#define TURN_MS 100
#define ASK_MS 5000
#define RETRY_MS 1000
#define REFRESH_US (60ull * 1000000) /* how often a checkpoint gets a new time */
#define TRIM_MS 1000
/* Half of mail.state's delete.retention.ms. */
#define POINT_AGE_US (7ull * 86400 * 1000000 / 2)

/* A partition that is read. */
struct feed {
	bool wanted;  /* under lock */
	bool running; /* this and all below: the thread's */
	bool touched, wipe;
	int64_t next, epoch, end;
	int64_t kept_next; /* as of the last commit; written under lock */
	int64_t kept_epoch;
	uint64_t retry_ms, stored_us;
};

struct follower {
	struct kafka_queue *queue;
	struct follow_hooks hooks;
	struct row_cache *cache;
	rd_kafka_t *handle;
	rd_kafka_topic_t *topic;
	rd_kafka_queue_t *inbox, *answers;
	pthread_t thread;
	atomic_bool closing;
	atomic_ullong remaining;
	atomic_bool behind; /* partitions are still read up to where they ended at first */
	atomic_int stuck;   /* why the cache cannot be written; 0: it can */
	struct probe *probe;
	struct metric *unwritable;
	char cluster[64];
	uint64_t trim_ms;
	pthread_mutex_t lock;
	struct feed feeds[ROW_PARTITIONS_MAX];
	int32_t feeds_count;                /* under lock */
	uint64_t newest_us, newest_mono_us; /* under lock: LogAppendTime, and when it came */
};

/* Starting and stopping to read. */

static bool
point_is_good(const struct follower *f, const struct row_point *point, int64_t low, int64_t high)
{
	const uint64_t now = clock_us();

	return !strcmp(point->cluster, f->cluster) && point->next >= low && point->next <= high &&
		point->time_us <= now && now - point->time_us < POINT_AGE_US;
}

static bool
know_cluster(struct follower *f)
{
	char *id;

	if (*f->cluster)
		return true;
	id = rd_kafka_clusterid(f->handle, ASK_MS);
	if (!id)
		return false;
	snprintf(f->cluster, sizeof f->cluster, "%s", id);
	rd_kafka_mem_free(f->handle, id);
	return true;
}

static bool
feed_wipe(struct follower *f, struct feed *feed, int32_t partition)
{
	int err = row_cache_begin(f->cache);

	if (!err)
		err = row_cache_wipe(f->cache, partition);
	if (!err)
		err = row_cache_commit(f->cache);
	feed->wipe = err != 0;
	return !err;
}

/* Finds where to begin reading: sets feed->next, epoch and end. */
static bool
feed_prepare(struct follower *f, struct feed *feed, int32_t partition)
{
	struct row_point point;
	int64_t low, high;

	if (!know_cluster(f) ||
		kafka_find_ends(f->handle, KAFKA_STATE, partition, ASK_MS, &low, &high) ||
		row_cache_prepare(f->cache, partition))
		return false;
	feed->end = high;
	if (!feed->wipe && row_cache_point(f->cache, partition, &point) &&
		point_is_good(f, &point, low, high)) {
		feed->next = point.next;
		feed->epoch = point.epoch;
		return true;
	}
	feed->next = low;
	feed->epoch = -1;
	return feed_wipe(f, feed, partition);
}

/* False: a feed was tried in vain, which may have taken ASK_MS. */
static bool
feed_start(struct follower *f, struct feed *feed, int32_t partition)
{
	const uint64_t now = clock_mono_ms();

	if (now < feed->retry_ms)
		return true;
	if (!feed_prepare(f, feed, partition) ||
		rd_kafka_consume_start_queue(f->topic, partition, feed->next, f->inbox)) {
		if (!feed->retry_ms)
			LOG_WARN("cannot read mail.state, will try again", "partition",
				log_int(partition));
		feed->retry_ms = clock_mono_ms() + RETRY_MS;
		return false;
	}
	LOG_DEBUG("reading mail.state", "partition", log_int(partition), "from",
		log_int(feed->next), "to", log_int(feed->end));
	feed->retry_ms = 0;
	pthread_mutex_lock(&f->lock);
	feed->kept_next = feed->next;
	pthread_mutex_unlock(&f->lock);
	feed->kept_epoch = feed->epoch;
	feed->running = feed->touched = true;
	return true;
}

static void
feed_stop(struct follower *f, struct feed *feed, int32_t partition)
{
	rd_kafka_consume_stop(f->topic, partition);
	feed->running = false;
}

static int32_t
feed_count(struct follower *f)
{
	int32_t count;

	pthread_mutex_lock(&f->lock);
	count = f->feeds_count;
	pthread_mutex_unlock(&f->lock);
	return count;
}

static void
show_health(struct follower *f, int err)
{
	const bool behind = atomic_load(&f->behind);
	char why[128];

	if (err)
		snprintf(why, sizeof why, "cannot be written, rows wait: %s", strerror(-err));
	else
		snprintf(why, sizeof why, "reading mail.state: %" PRIu64 " records to go",
			follower_remaining(f));
	metric_set(f->unwritable, err != 0);
	probe_set(f->probe,
		err              ? HEALTH_FAILED
			: behind ? HEALTH_DEGRADED
				 : HEALTH_READY,
		err || behind ? why : NULL);
}

static void
feeds_adjust(struct follower *f)
{
	const int32_t count = feed_count(f);
	uint64_t remaining = 0;
	bool behind = count == 0;
	bool answered = true; /* false: ask no more, since a question may take ASK_MS */

	for (int32_t i = 0; i < count && !atomic_load(&f->closing); i++) {
		struct feed *feed = &f->feeds[i];
		bool wanted;

		pthread_mutex_lock(&f->lock);
		wanted = feed->wanted;
		pthread_mutex_unlock(&f->lock);
		if (wanted && !feed->running && answered)
			answered = feed_start(f, feed, i);
		else if (!wanted && feed->running)
			feed_stop(f, feed, i);
		if (feed->running && feed->end > feed->next)
			remaining += (uint64_t)(feed->end - feed->next);
		behind = behind || (wanted && !feed->running);
	}
	atomic_store(&f->remaining, remaining);
	behind = behind || remaining;
	if (atomic_exchange(&f->behind, behind) || behind)
		show_health(f, 0);
}

/* Folding. */

static void
fold_error(struct follower *f, struct feed *feed, const rd_kafka_message_t *message)
{
	if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
		/* compaction may have taken the records before the end */
		if (message->offset > feed->next)
			feed->next = message->offset;
		feed->touched = true;
		return;
	}
	LOG_WARN("reading mail.state", "partition", log_int(message->partition), "error",
		rd_kafka_message_errstr(message));
	if (message->err == RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE ||
		message->err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET) {
		feed->wipe = true;
		if (f->hooks.wiped)
			f->hooks.wiped(f->hooks.arg, message->partition);
		feed_stop(f, feed, message->partition);
	}
}

static void
note_time(struct follower *f, const rd_kafka_message_t *message)
{
	rd_kafka_timestamp_type_t type;
	int64_t ms = rd_kafka_message_timestamp(message, &type);

	if (type != RD_KAFKA_TIMESTAMP_LOG_APPEND_TIME || ms <= 0)
		return;
	pthread_mutex_lock(&f->lock);
	if ((uint64_t)ms * 1000 > f->newest_us) {
		f->newest_us = (uint64_t)ms * 1000;
		f->newest_mono_us = clock_mono_us();
	}
	pthread_mutex_unlock(&f->lock);
}

static int
fold(struct follower *f, const rd_kafka_message_t *message)
{
	struct feed *feed;
	int err;

	if (message->partition < 0 || message->partition >= ROW_PARTITIONS_MAX)
		return 0;
	feed = &f->feeds[message->partition];
	if (!feed->running)
		return 0;
	if (message->err) {
		fold_error(f, feed, message);
		return 0;
	}
	if (message->offset < feed->next)
		return 0;
	note_time(f, message);
	err = fold_record(f->cache, &f->hooks, &feed->epoch, message);
	feed->next = message->offset + 1;
	feed->touched = true;
	return err;
}

static int
store_points(struct follower *f)
{
	const int32_t count = feed_count(f);
	int err = 0;

	for (int32_t i = 0; i < count && !err; i++) {
		struct feed *feed = &f->feeds[i];
		struct row_point point = { feed->next, feed->epoch, clock_us(), "" };

		if (!feed->running || !feed->touched)
			continue;
		memcpy(point.cluster, f->cluster, sizeof point.cluster);
		if (f->hooks.point)
			f->hooks.point(f->hooks.arg, i, &point);
		err = row_cache_set_point(f->cache, i, &point);
		feed->stored_us = point.time_us;
	}
	return err;
}

static int
fold_once(struct follower *f, rd_kafka_message_t **messages, size_t count)
{
	int err = row_cache_begin(f->cache);

	for (size_t i = 0; i < count && !err; i++)
		err = fold(f, messages[i]);
	if (!err)
		err = store_points(f);
	if (!err)
		err = row_cache_commit(f->cache);
	return err;
}

static void
feeds_undo(struct follower *f)
{
	const int32_t count = feed_count(f);

	for (int32_t i = 0; i < count; i++) {
		f->feeds[i].next = f->feeds[i].kept_next;
		f->feeds[i].epoch = f->feeds[i].kept_epoch;
	}
}

static void
feeds_done(struct follower *f)
{
	const int32_t count = feed_count(f);

	for (int32_t i = 0; i < count; i++) {
		struct feed *feed = &f->feeds[i];

		if (!feed->touched)
			continue;
		feed->touched = false;
		pthread_mutex_lock(&f->lock);
		feed->kept_next = feed->next;
		pthread_mutex_unlock(&f->lock);
		feed->kept_epoch = feed->epoch;
		if (f->hooks.folded && feed->running)
			f->hooks.folded(f->hooks.arg, i, feed->next);
	}
}

static void
follower_stuck_set(struct follower *f, int err)
{
	if (err && err != atomic_load(&f->stuck))
		LOG_ERROR("the cache of rows cannot be written, will try again", "file",
			f->hooks.file, "error", strerror(-err));
	atomic_store(&f->stuck, err);
	show_health(f, err);
}

static void
fold_batch(struct follower *f, rd_kafka_message_t **messages, size_t count)
{
	int err;

	while ((err = fold_once(f, messages, count)) && !atomic_load(&f->closing)) {
		follower_stuck_set(f, err);
		feeds_undo(f);
		if (f->hooks.turn)
			f->hooks.turn(f->hooks.arg);
		usleep(RETRY_MS * 1000);
	}
	if (!err)
		feeds_done(f);
	if (!err && atomic_load(&f->stuck))
		follower_stuck_set(f, 0);
	for (size_t i = 0; i < count; i++)
		rd_kafka_message_destroy(messages[i]);
}

/* A checkpoint has the time at which all before it had been read. It is renewed also where no
 * record comes. */
static bool
feeds_refresh(struct follower *f)
{
	const int32_t count = feed_count(f);
	const uint64_t now = clock_us();
	bool any = false;

	for (int32_t i = 0; i < count; i++) {
		struct feed *feed = &f->feeds[i];

		if (feed->running && !feed->touched && now - feed->stored_us > REFRESH_US)
			feed->touched = true;
		any = any || (feed->running && feed->touched);
	}
	return any;
}

static size_t
fetch(struct follower *f, rd_kafka_message_t **messages)
{
	ssize_t more;

	messages[0] = rd_kafka_consume_queue(f->inbox, TURN_MS);
	if (!messages[0])
		return 0;
	more = rd_kafka_consume_batch_queue(f->inbox, 0, messages + 1, BATCH - 1);
	return 1 + (more > 0 ? (size_t)more : 0);
}

static void
trim_memory(struct follower *f)
{
	const uint64_t now = clock_mono_ms();

	if (now < f->trim_ms)
		return;
	f->trim_ms = now + TRIM_MS;
	row_cache_trim(f->cache);
}

static void *
follow_run(void *arg)
{
	struct follower *f = arg;
	rd_kafka_message_t **messages = xmalloc(BATCH * sizeof *messages);
	size_t count;

	pthread_setname_np(pthread_self(), "queue-state");
	while (!atomic_load(&f->closing)) {
		feeds_adjust(f);
		count = fetch(f, messages);
		if (count || feeds_refresh(f))
			fold_batch(f, messages, count);
		if (f->hooks.turn)
			f->hooks.turn(f->hooks.arg);
		trim_memory(f);
	}
	for (int32_t i = 0; i < feed_count(f); i++)
		if (f->feeds[i].running)
			feed_stop(f, &f->feeds[i], i);
	free(messages);
	return NULL;
}

/* From outside. */

static rd_kafka_t *
handle_new(struct kafka_queue *queue)
{
	rd_kafka_conf_t *conf = kafka_conf(queue->config);
	rd_kafka_t *handle;
	char why[256];

	kafka_set(conf, "enable.partition.eof", "true");
	kafka_set(conf, "queued.max.messages.kbytes", "16384");
	kafka_set(conf, "auto.offset.reset", "error");
	handle = rd_kafka_new(RD_KAFKA_CONSUMER, conf, why, sizeof why);
	if (!handle) {
		LOG_ERROR("cannot make a consumer", "error", why);
		rd_kafka_conf_destroy(conf);
	}
	return handle;
}

struct follower *
follower_new(struct kafka_queue *queue, const struct follow_hooks *hooks)
{
	struct follower *f = xcalloc(1, sizeof *f);
	char *path = xasprintf("%s/%s", queue->config->state_dir, hooks->file);
	char labels[METRIC_LABELS_MAX] = "";

	f->queue = queue;
	f->hooks = *hooks;
	f->probe = probe_new(hooks->file);
	metric_label(labels, "file", hooks->file);
	f->unwritable = metric_gauge("shout_rows_table_unwritable",
		"Whether the local table of waiting mail cannot be written", labels);
	pthread_mutex_init(&f->lock, NULL);
	f->cache = row_cache_open(path);
	free(path);
	f->handle = f->cache ? handle_new(queue) : NULL;
	if (!f->handle) {
		probe_set(f->probe, HEALTH_FAILED, "cannot be opened, will try again");
		metric_set(f->unwritable, 1);
		row_cache_close(&f->cache);
		pthread_mutex_destroy(&f->lock);
		free(f);
		return NULL;
	}
	atomic_store(&f->behind, true);
	show_health(f, 0);
	f->topic = rd_kafka_topic_new(f->handle, kafka_topic_name[KAFKA_STATE], NULL);
	f->inbox = rd_kafka_queue_new(f->handle);
	f->answers = rd_kafka_queue_new(f->handle);
	thread_start(&f->thread, follow_run, f);
	return f;
}

void
follower_free(struct follower **follower)
{
	struct follower *f = *follower;

	if (!f)
		return;
	atomic_store(&f->closing, true);
	follower_wake(f);
	pthread_join(f->thread, NULL);
	rd_kafka_queue_destroy(f->inbox);
	rd_kafka_queue_destroy(f->answers);
	rd_kafka_topic_destroy(f->topic);
	rd_kafka_destroy(f->handle);
	row_cache_close(&f->cache);
	pthread_mutex_destroy(&f->lock);
	free(f);
	*follower = NULL;
}

void
follower_want(struct follower *f, int32_t partition, bool wanted)
{
	assert(partition >= 0 && partition < ROW_PARTITIONS_MAX);
	pthread_mutex_lock(&f->lock);
	f->feeds[partition].wanted = wanted;
	if (partition >= f->feeds_count)
		f->feeds_count = partition + 1;
	pthread_mutex_unlock(&f->lock);
	follower_wake(f);
}

void
follower_wake(struct follower *f)
{
	rd_kafka_queue_yield(f->inbox);
}

struct row_cache *
follower_cache(struct follower *f)
{
	return f->cache;
}

bool
follower_stuck(struct follower *f)
{
	return atomic_load(&f->stuck);
}

bool
follower_complete(struct follower *f)
{
	return !atomic_load(&f->behind) && !atomic_load(&f->stuck);
}

bool
follower_reached(struct follower *f, const rd_kafka_topic_partition_list_t *ends)
{
	bool reached;

	pthread_mutex_lock(&f->lock);
	reached = ends->cnt <= f->feeds_count;
	for (int i = 0; reached && i < ends->cnt; i++)
		reached = f->feeds[i].kept_next >= ends->elems[i].offset;
	pthread_mutex_unlock(&f->lock);
	return reached;
}

uint64_t
follower_remaining(struct follower *f)
{
	return atomic_load(&f->remaining);
}

uint64_t
follower_clock_us(struct follower *f)
{
	uint64_t us;

	pthread_mutex_lock(&f->lock);
	us = f->newest_us ? f->newest_us + clock_mono_us() - f->newest_mono_us : 0;
	pthread_mutex_unlock(&f->lock);
	return us;
}

rd_kafka_t *
follower_handle(struct follower *f)
{
	return f->handle;
}

rd_kafka_queue_t *
follower_admin_answers(struct follower *f)
{
	return f->answers;
}
