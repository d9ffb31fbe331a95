/*
 * kafka_consumer.c - a member of a topic's group, and the records it has in hand.
 *
 * broker -> librdkafka -> partition queues -> [kafka_consumer] -> on_record -> queue_finish(), ...
 *
 * The member's own queue (rebalances, commits, errors) is always polled, so that the group notices
 * a loop that hangs. The partitions' queues are polled while the window has room. Nothing is ever
 * paused. librdkafka wakes the loop through an eventfd, for a queue only once until it is polled.
 * So a queue that was polled is emptied, or a task polls it again.
 *
 * A record is copied as it comes, and librdkafka's message, which pins its whole fetch, is freed; a
 * body of more than QUEUE_INLINE_MAX is copied into a file. Memory is bounded by the sum of:
 * KEPT_BYTES_MAX (for mail.ready window x QUEUE_INLINE_MAX), the envelopes, QUEUED_KBYTES fetched
 * ahead, and one largest message for each broker's fetch under way. With a full window librdkafka
 * may hold one largest message a partition.
 *
 * Owns the handle, its queues and the partitions. A member that is fenced (another process has its
 * state_dir's identity) ends the process. The next start takes a new identity.
 */
#include "shared/base/container_of.h"
#include "shared/queue/kafka/consume/kafka_consumer_private.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "shared/base/log.h"
#include "shared/base/state_dir.h"
#include "shared/base/timer.h"
#include "shared/config/config.h"
#include "shared/metrics/metrics.h"
#include "shared/queue/kafka/rows/kafka_state.h"

#define QUEUED_KBYTES 49152 /* fetched ahead, all partitions together */
#define BATCH 32            /* records of one partition, then the next has its turn */
#define TURN 256            /* records of one turn of the loop */
#define SESSION_MS 45000
#define NEAR 500 /* the window of mail.inbound: with more in hand, bodies may be read twice */
#define KEPT_BYTES_MAX ((size_t)128 << 20)
#define STUCK_MS 2000 /* a record is in hand for longer: the whole window is used */

void
consumer_more(struct kafka_consumer *consumer)
{
	if (consumer->more_posted || consumer->stopped)
		return;
	consumer->more_posted = true;
	loop_post(consumer->loop, &consumer->more);
}

static void
give(struct kafka_consumer *consumer, struct consumer_record *record)
{
	consumer->on_record(consumer->arg, &record->head.base);
}

static void
give_pending(struct kafka_consumer *consumer, struct partition *partition)
{
	struct consumer_record *record;

	while ((record = partition->pending) && !consumer->stopped) {
		if (!partition_may_give(partition, record->offset))
			break;
		partition->pending = record->next;
		give(consumer, record);
	}
}

static void
on_message(struct kafka_consumer *consumer, struct partition *partition,
	const rd_kafka_message_t *message)
{
	struct consumer_record *record;

	if (message->err) {
		LOG_WARN("a partition cannot be read", "topic", kafka_topic_name[consumer->topic],
			"partition", log_int(partition->number), "error",
			rd_kafka_message_errstr(message));
		return;
	}
	if (partition->state != PARTITION_RUNNING || consumer->stopped)
		return;
	record = partition_take(partition, message);
	if (!record)
		return;
	if (partition->pending || !partition_may_give(partition, record->offset)) {
		if (!partition->pending)
			partition->pending = record;
	} else {
		give(consumer, record);
	}
}

static unsigned
window_of(const struct kafka_consumer *consumer)
{
	return consumer->stuck ? consumer->window : consumer->near;
}

/* A record in hand has waited for long, and records behind it may not need to wait. */
static bool
is_stuck(const struct kafka_consumer *consumer)
{
	const uint64_t now = clock_mono_ms();

	for (int32_t i = 0; i < consumer->partitions_count; i++) {
		const struct partition *partition = consumer->partitions[i];

		if (partition && partition->records &&
			now - partition->records->arrived_ms > STUCK_MS)
			return true;
	}
	return false;
}

/* How many records may be taken of a partition now. Bounds: the window's room, with every record
 * as heavy as it can be, and the promise. */
static size_t
room_of(struct kafka_consumer *consumer, struct partition *partition)
{
	int64_t promised;
	size_t room;

	if (partition->state != PARTITION_RUNNING || partition->pending ||
		consumer->load >= window_of(consumer))
		return 0;
	promised = partition->promised - kafka_offsets_next(partition->offsets);
	if (promised < PROMISE / 2)
		commit_early(consumer);
	room = (window_of(consumer) - consumer->load) / recipients_weight(ENVELOPE_RECIPIENTS_MAX);
	if (room == 0)
		room = 1;
	if (room > BATCH)
		room = BATCH;
	return promised <= 0 ? 0 : promised < (int64_t)room ? (size_t)promised : room;
}

/* True: there may be more to read. */
static bool
read_partition(struct kafka_consumer *consumer, struct partition *partition, size_t *count_out)
{
	rd_kafka_message_t *messages[BATCH];
	size_t room;
	ssize_t count;

	give_pending(consumer, partition);
	room = room_of(consumer, partition);
	if (!room || !rd_kafka_queue_length(partition->queue))
		return false;
	count = rd_kafka_consume_batch_queue(partition->queue, 0, messages, room);
	for (ssize_t i = 0; i < count; i++) {
		on_message(consumer, partition, messages[i]);
		rd_kafka_message_destroy(messages[i]);
	}
	*count_out += count > 0 ? (size_t)count : 0;
	return rd_kafka_queue_length(partition->queue) > 0;
}

/* Partitions take turns. When records wait for room or for a commit, the freed room or the commit
 * calls this again. */
static void
hand_out(struct kafka_consumer *consumer)
{
	size_t count = 0;
	int32_t idle = 0;

	if (consumer->handing_out)
		return;
	consumer->handing_out = true;
	while (idle < consumer->partitions_count && count < TURN && !consumer->stopped) {
		struct partition *partition;

		if (++consumer->turn >= consumer->partitions_count)
			consumer->turn = 0;
		partition = consumer->partitions[consumer->turn];
		idle = partition && read_partition(consumer, partition, &count) ? 0 : idle + 1;
	}
	consumer->handing_out = false;
	if (count >= TURN)
		consumer_more(consumer);
}

static void
on_more(struct task *task)
{
	struct kafka_consumer *consumer = container_of(task, struct kafka_consumer, more);

	consumer->more_posted = false;
	if (!consumer->stopped)
		hand_out(consumer);
}

/* The other process has the partitions by now. With the identity kept, a restart of this process
 * would fence the other in its turn, and so on for ever. */
static void
give_up_identity(struct kafka_consumer *consumer)
{
	char *path = xasprintf("%s/member", consumer->queue->config->state_dir);

	LOG_ERROR("another process has this one's identity: is one state_dir a copy of the other? "
		  "This one ends, and its next start takes a new identity",
		"file", path, "identity", consumer->identity, "topic",
		kafka_topic_name[consumer->topic]);
	if (unlink(path) && errno != ENOENT)
		LOG_ERROR("cannot remove a file", "file", path, "error", strerror(errno));
	free(path);
}

static void
on_error(struct kafka_consumer *consumer, const rd_kafka_message_t *message)
{
	char why[256];

	if (message->err == RD_KAFKA_RESP_ERR__FATAL) {
		if (rd_kafka_fatal_error(consumer->rk, why, sizeof why) ==
			RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID)
			give_up_identity(consumer);
		die("the group has no place for this process", why);
	}
	LOG_WARN("the group reports an error", "topic", kafka_topic_name[consumer->topic], "error",
		rd_kafka_message_errstr(message));
}

/* The member's own queue; callbacks run in here. */
static void
poll_main(struct kafka_consumer *consumer)
{
	rd_kafka_message_t *message;
	rd_kafka_event_t *event;

	while ((message = rd_kafka_consumer_poll(consumer->rk, 0))) {
		if (message->err)
			on_error(consumer, message);
		rd_kafka_message_destroy(message);
	}
	while ((event = rd_kafka_queue_poll(consumer->answers, 0))) {
		on_admin_event(consumer, event);
		rd_kafka_event_destroy(event);
	}
	ask_poll(consumer);
}

static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct kafka_consumer *consumer = arg;
	uint64_t count;

	(void)what;
	if (read(fd, &count, sizeof count) < 0 && errno != EAGAIN)
		die("cannot read an eventfd", strerror(errno));
	poll_main(consumer);
	if (!consumer->stopped)
		hand_out(consumer);
}

static void
measure(struct kafka_consumer *consumer)
{
	uint64_t oldest_us = UINT64_MAX, now_us = clock_us();
	int64_t lag = 0, low, high;

	for (int32_t i = 0; i < consumer->partitions_count; i++) {
		struct partition *partition = consumer->partitions[i];

		if (!partition || partition->state != PARTITION_RUNNING)
			continue;
		if (!rd_kafka_get_watermark_offsets(
			    consumer->rk, kafka_topic_name[consumer->topic], i, &low, &high) &&
			high > kafka_offsets_lowest(partition->offsets))
			lag += high - kafka_offsets_lowest(partition->offsets);
		if (partition->records &&
			partition->records->head.base.envelope->accepted_us < oldest_us)
			oldest_us = partition->records->head.base.envelope->accepted_us;
	}
	metric_set(consumer->metric.lag, lag);
	metric_set(consumer->metric.in_hand, consumer->in_hand);
	metric_set(consumer->metric.oldest,
		oldest_us < now_us ? (int64_t)((now_us - oldest_us) / 1000000) : 0);
}

static void
on_second(void *arg)
{
	struct kafka_consumer *consumer = arg;

	poll_main(consumer);
	partitions_advance(consumer, true);
	commit_early(consumer);
	measure(consumer);
	consumer->stuck = is_stuck(consumer);
	if (consumer->stuck && !consumer->stopped)
		hand_out(consumer);
}

static void
on_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t err, rd_kafka_topic_partition_list_t *partitions,
	void *arg)
{
	struct kafka_consumer *consumer = arg;

	metric_add(consumer->metric.rebalances, 1);
	if (err == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS && !consumer->closed) {
		LOG_INFO("partitions assigned", "topic", kafka_topic_name[consumer->topic], "count",
			log_int(partitions->cnt));
		partitions_gain(consumer, partitions);
		return;
	}
	LOG_INFO("partitions revoked", "topic", kafka_topic_name[consumer->topic], "count",
		log_int(partitions->cnt));
	consumer->leaving = true;
	if (!rd_kafka_assignment_lost(rk))
		commit(consumer);
	consumer->leaving = false;
	partitions_lose(consumer);
	rd_kafka_assign(rk, NULL);
}

/* A static member that comes back within its session gets its own partitions back. Otherwise its
 * return would begin a rebalance, in which all members wait until the session of the killed one
 * has ended. */
static void
set_identity(struct kafka_consumer *consumer, rd_kafka_conf_t *conf)
{
	const struct config *config = consumer->queue->config;
	char *path = xasprintf("%s/member", config->state_dir);
	char random[2 * ID_SIZE + 1] = "";
	uint8_t id[ID_SIZE];
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0)
		die("cannot keep the member's identity", strerror(errno));
	if (read(fd, random, sizeof random - 1) != sizeof random - 1) {
		id_make(id);
		for (size_t i = 0; i < ID_SIZE; i++)
			snprintf(random + 2 * i, 3, "%02x", id[i]);
		if (pwrite(fd, random, sizeof random - 1, 0) != sizeof random - 1 || fsync(fd) ||
			directory_sync(path))
			die("cannot keep the member's identity", strerror(errno));
	}
	close(fd);
	consumer->identity = xasprintf(
		"%s-%s", config->hostname ? config->hostname : "shout", random);
	kafka_set(conf, "group.instance.id", consumer->identity);
	free(path);
}

static void
set_number(rd_kafka_conf_t *conf, const char *name, unsigned number)
{
	char text[16];

	snprintf(text, sizeof text, "%u", number);
	kafka_set(conf, name, text);
}

static void
open_handle(struct kafka_consumer *consumer)
{
	static const uint64_t one = 1;
	const struct config *config = consumer->queue->config;
	rd_kafka_conf_t *conf = kafka_conf(config);
	unsigned session_ms = consumer->queue->session_ms;
	unsigned kbytes = QUEUED_KBYTES / (config->queue.partitions ? config->queue.partitions : 1);

	kafka_set(conf, "group.id", consumer->group);
	kafka_set(conf, "partition.assignment.strategy", "range");
	kafka_set(conf, "auto.offset.reset", "earliest");
	kafka_set(conf, "enable.auto.commit", "false");
	kafka_set(conf, "enable.auto.offset.store", "false");
	kafka_set(conf, "fetch.message.max.bytes", "1048576");
	kafka_set(conf, "fetch.max.bytes", "4194304");
	kafka_set(conf, "fetch.error.backoff.ms", "100");
	set_number(conf, "queued.max.messages.kbytes",
		kbytes < 1024            ? 1024
			: kbytes > 16384 ? 16384
					 : kbytes);
	set_number(conf, "session.timeout.ms", session_ms ? session_ms : SESSION_MS);
	if (session_ms)
		set_number(conf, "heartbeat.interval.ms", session_ms / 10);
	set_identity(consumer, conf);
	rd_kafka_conf_set_rebalance_cb(conf, on_rebalance);
	rd_kafka_conf_set_opaque(conf, consumer);
	consumer->rk = kafka_consumer_handle(conf);
	rd_kafka_poll_set_consumer(consumer->rk);
	consumer->main = rd_kafka_queue_get_consumer(consumer->rk);
	consumer->answers = rd_kafka_queue_new(consumer->rk);
	rd_kafka_queue_io_event_enable(consumer->main, consumer->eventfd, &one, sizeof one);
	rd_kafka_queue_io_event_enable(consumer->answers, consumer->eventfd, &one, sizeof one);
}

static void
subscribe(struct kafka_consumer *consumer)
{
	rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(1);
	rd_kafka_resp_err_t err;

	rd_kafka_topic_partition_list_add(
		topics, kafka_topic_name[consumer->topic], RD_KAFKA_PARTITION_UA);
	err = rd_kafka_subscribe(consumer->rk, topics);
	if (err)
		die("cannot subscribe", rd_kafka_err2str(err));
	rd_kafka_topic_partition_list_destroy(topics);
}

static void
register_metrics(struct kafka_consumer *consumer)
{
	char labels[64];

	snprintf(labels, sizeof labels, "topic=\"%.40s\"", kafka_topic_name[consumer->topic]);
	consumer->metric.in_hand = metric_gauge(
		"shout_queue_in_hand", "Records being worked on", labels);
	consumer->metric.lag = metric_gauge(
		"shout_queue_lag", "Records of this process's partitions not yet finished", labels);
	consumer->metric.oldest = metric_gauge("shout_queue_oldest_seconds",
		"Since the oldest unfinished record in hand was accepted", labels);
	consumer->metric.commits = metric_counter(
		"shout_queue_commits_total", "Commits of offsets", labels);
	consumer->metric.commit_failures = metric_counter(
		"shout_queue_commit_failures_total", "Commits that failed", labels);
	consumer->metric.rebalances = metric_counter(
		"shout_queue_rebalances_total", "Partitions assigned or revoked", labels);
	consumer->metric.redelivered = metric_counter("shout_queue_redelivered_total",
		"Records that somebody may have worked on before", labels);
	consumer->metric.trimmed = metric_counter(
		"shout_queue_trimmed_total", "Finished records deleted", labels);
	consumer->metric.bad = metric_counter(
		"shout_queue_bad_total", "Records without a readable envelope", labels);
}

/* Leaves the group after a last commit. The others get the partitions at once, unless the member
 * is static. Records in hand end without a commit. */
static void
leave(struct kafka_consumer *consumer)
{
	if (consumer->closed)
		return;
	consumer->closed = consumer->stopped = consumer->leaving = true;
	commit(consumer);
	rd_kafka_consumer_close(consumer->rk);
	partitions_lose(consumer);
}

/* A stopped member gives its partitions up when another of the same process follows it. */
static void
replace_stopped(struct kafka_queue *queue, enum kafka_topic topic)
{
	struct kafka_consumer *consumer;

	pthread_mutex_lock(&queue->consumers_lock);
	for (consumer = queue->consumers; consumer; consumer = consumer->next)
		if (consumer->topic == topic && consumer->stopped && !consumer->closed)
			break;
	pthread_mutex_unlock(&queue->consumers_lock);
	if (consumer) {
		event_del(&consumer->readable);
		timer_cancel(&consumer->second);
		leave(consumer);
	}
}

static void
on_start(struct task *task)
{
	struct kafka_consumer *consumer = container_of(task, struct kafka_consumer, start);

	consumer->started = true;
	replace_stopped(consumer->queue, consumer->topic);
	open_handle(consumer);
	event_assign(&consumer->readable, loop_base(consumer->loop), consumer->eventfd,
		EV_READ | EV_PERSIST, on_readable, consumer);
	timer_init(&consumer->second, consumer->loop, on_second, consumer);
	event_add(&consumer->readable, NULL);
	timer_repeat(&consumer->second, 1000);
	subscribe(consumer);
}

struct consumer *
kafka_consume(struct queue *base, enum topic topic, struct loop *loop, unsigned window,
	void (*on_record)(void *arg, struct record *record), void *arg)
{
	struct kafka_queue *queue = (struct kafka_queue *)base;
	struct kafka_consumer *consumer = xcalloc(1, sizeof *consumer);

	assert(window > 0);
	*consumer = (struct kafka_consumer){
		.base.ops = base->ops,
		.queue = queue,
		.topic = kafka_topic_of(topic),
		.group = kafka_group_name[topic],
		.loop = loop,
		.window = window,
		.kept_bytes_max = KEPT_BYTES_MAX,
		.near = topic == TOPIC_INBOUND && window > NEAR ? NEAR : window,
		.on_record = on_record,
		.arg = arg,
		.start.run = on_start,
		.more.run = on_more,
		.eventfd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC),
	};
	if (consumer->eventfd < 0)
		die("cannot make an eventfd", strerror(errno));
	register_metrics(consumer);
	pthread_mutex_lock(&queue->consumers_lock);
	consumer->next = queue->consumers;
	queue->consumers = consumer;
	pthread_mutex_unlock(&queue->consumers_lock);
	loop_post(loop, &consumer->start);
	return &consumer->base;
}

/* A stopped member stays in the group until the queue closes, so that its records in hand are
 * still finished under its commits. */
void
kafka_consumer_stop(struct consumer *base)
{
	struct kafka_consumer *consumer = (struct kafka_consumer *)base;

	consumer->stopped = true;
	if (consumer->queue->state)
		kafka_state_forget_claims(consumer->queue->state, consumer->loop);
	for (int32_t i = 0; i < consumer->partitions_count; i++)
		while (consumer->partitions[i] && consumer->partitions[i]->pending)
			record_free(consumer->partitions[i]->pending);
}

static void
consumer_free(struct kafka_consumer *consumer)
{
	if (consumer->started) {
		leave(consumer);
		ask_end(consumer);
		partitions_free(consumer);
		rd_kafka_queue_destroy(consumer->answers);
		rd_kafka_queue_destroy(consumer->main);
		rd_kafka_destroy(consumer->rk);
	}
	close(consumer->eventfd);
	free(consumer->identity);
	free(consumer);
}

void
kafka_consumers_close(struct kafka_queue *queue)
{
	struct kafka_consumer *next;

	for (struct kafka_consumer *consumer = queue->consumers; consumer; consumer = next) {
		next = consumer->next;
		consumer_free(consumer);
	}
	queue->consumers = NULL;
}

/* Records are taken up again in one go, once enough of the window is free. */
static void
let_go(struct consumer_record *record)
{
	struct kafka_consumer *consumer = record->partition->consumer;
	const unsigned window = window_of(consumer), enough = window - queue_refill(window);
	const bool full = consumer->load > enough;

	record_free(record);
	if (full && consumer->load <= enough)
		consumer_more(consumer);
}

void
kafka_abandon(struct record *base)
{
	let_go((struct consumer_record *)base);
}

/* On a partition that was lost this changes nothing: the new owner does the message again, or the
 * ledger knows that it was sent. */
void
kafka_finish(struct record *base)
{
	struct consumer_record *record = (struct consumer_record *)base;

	if (record->partition->offsets)
		kafka_offsets_finish(record->partition->offsets, record->offset);
	let_go(record);
}
