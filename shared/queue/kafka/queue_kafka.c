/*
 * queue_kafka.c - the queue of a cluster: opens and closes it, and writes records.
 *
 *   caller's loop            broker        queue thread                  caller's loop
 *   queue_put(), ... -> produce -> ack -> [produce/] -> completions, one task a loop
 *   on_record <- [consume/] <- fetch <- broker
 *
 * client/   the settings of every handle of librdkafka, its log, its errors
 * produce/  a producer for each kind of record, and the queue thread that takes their reports
 * body/     bodies by place
 * rows/     mail.state: who owns a partition of waiting mail, its rows, its cache on disk
 * consume/  a group's member: partitions, records in hand, commits, trimming
 *
 * Each process has a state_dir of its own, for large bodies on their way and for copies of what the
 * brokers hold. A put fails when the brokers do not acknowledge it in time. The record may be
 * durable nevertheless: when its client tries again, the message is in the queue twice.
 */
#include "shared/queue/kafka/client/kafka_record.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/base/log.h"
#include "shared/base/state_dir.h"
#include "shared/config/config.h"
#include "shared/metrics/metrics.h"
#include "shared/queue/kafka/body/kafka_body.h"
#include "shared/queue/kafka/client/kafka_client.h"
#include "shared/queue/kafka/consume/kafka_bad.h"
#include "shared/queue/kafka/consume/kafka_consumer.h"
#include "shared/queue/kafka/consume/kafka_look.h"
#include "shared/queue/kafka/kafka_config.h"
#include "shared/queue/kafka/kafka_events.h"
#include "shared/queue/kafka/kafka_piece.h"
#include "shared/queue/kafka/kafka_stats.h"
#include "shared/queue/kafka/produce/kafka_producer.h"
#include "shared/queue/kafka/rows/kafka_rows.h"
#include "shared/queue/kafka/rows/kafka_state.h"
#include "shared/queue/kafka/rows/kafka_view.h"

#define STICKY_MS 50

/* A record that somebody waits for. */
struct put {
	struct kafka_message message;
	struct kafka_queue *queue;
	struct loop *loop;
	queue_cb cb;
	void *arg;
	void *mapped; /* the value, when it is a spill file's */
	unsigned char data[];
};

static void
put_free(struct put *put)
{
	if (put->mapped)
		munmap(put->mapped, put->message.value_size);
	free(put);
}

static void
on_put_ack(struct kafka_message *message, int err, int64_t offset)
{
	struct put *put = (struct put *)message;

	(void)offset;
	kafka_answer(put->queue->producer, put->loop, put->cb, put->arg, err);
}

static void
on_put_let_go(struct kafka_message *message)
{
	put_free((struct put *)message);
}

static struct put *
put_new(struct kafka_queue *queue, enum kafka_topic topic, size_t data_size, queue_cb cb, void *arg)
{
	struct put *put = xmalloc(sizeof *put + data_size);

	*put = (struct put){
		.message = { .topic = topic, .on_ack = on_put_ack, .on_let_go = on_put_let_go },
		.queue = queue,
		.loop = loop_current(),
		.cb = cb,
		.arg = arg
	};
	return put;
}

/* A thread stays with a partition for a moment, so that its puts share few requests. */
static uint32_t
choose_partition(const struct kafka_queue *queue)
{
	static _Thread_local uint64_t until_ms;
	static _Thread_local uint32_t random;
	uint64_t now_ms = clock_mono_ms();

	if (now_ms >= until_ms) {
		until_ms = now_ms + STICKY_MS;
		arc4random_buf(&random, sizeof random);
	}
	return random % queue->config->queue.partitions;
}

/* Unlinks the spill file: the mapping keeps its content, and ends with the record or the
 * process. */
static int
map_spill(struct kafka_queue *queue, struct put *put, const struct body *body)
{
	int fd = openat(queue->spool_fd, body->spill, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct stat st;
	int err = 0;

	if (fd < 0)
		return -errno;
	unlinkat(queue->spool_fd, body->spill, 0);
	if (fstat(fd, &st))
		err = -errno;
	else if ((uint64_t)st.st_size != body->size)
		err = -EIO;
	else if (body->size)
		put->mapped = mmap(NULL, body->size, PROT_READ, MAP_SHARED, fd, 0);
	if (put->mapped == MAP_FAILED) {
		err = -errno;
		put->mapped = NULL;
	}
	close(fd);
	put->message.value = put->mapped ? put->mapped : "";
	return err;
}

static void
kafka_put(struct queue *base, enum topic topic, const Envelope *envelope, const struct body *body,
	queue_cb cb, void *arg)
{
	struct kafka_queue *queue = (struct kafka_queue *)base;
	Envelope packed = *envelope;
	struct put *put;
	int err = 0;

	assert(envelope->id.len == ID_SIZE && (body->spill || body->size <= QUEUE_INLINE_MAX));
	if (topic == TOPIC_INBOUND)
		packed.partition = choose_partition(queue);
	else /* a DSN made again after a crash has the same id */
		packed.again = true;
	packed.body_topic = kafka_topic_of(topic);
	put = put_new(queue, kafka_topic_of(topic), ID_SIZE + envelope__get_packed_size(&packed),
		cb, arg);
	memcpy(put->data, envelope->id.data, ID_SIZE);
	put->message.key = put->data;
	put->message.key_size = ID_SIZE;
	put->message.header = put->data + ID_SIZE;
	put->message.header_size = envelope__pack(&packed, put->data + ID_SIZE);
	put->message.partition = (int32_t)packed.partition;
	put->message.value = body->size ? body->data : "";
	put->message.value_size = body->size;
	if (body->spill)
		err = map_spill(queue, put, body);
	if (!err) {
		kafka_produce(queue->producer, &put->message);
		return;
	}
	LOG_WARN("a spilled body cannot be taken", "file", body->spill, "error", strerror(-err));
	put_free(put);
	cb(arg, err);
}

static void
kafka_config_put(struct queue *base, const char *key, const char *json, queue_cb cb, void *arg)
{
	struct kafka_queue *queue = (struct kafka_queue *)base;
	size_t key_size = strlen(key), json_size = strlen(json);
	struct put *put = put_new(queue, KAFKA_CONFIG, key_size + json_size, cb, arg);

	memcpy(put->data, key, key_size);
	memcpy(put->data + key_size, json, json_size);
	put->message.key = put->data;
	put->message.key_size = key_size;
	put->message.value = json_size ? put->data + key_size : NULL;
	put->message.value_size = json_size;
	kafka_produce(queue->producer, &put->message);
}

/* A caller that waits for an event puts it again. A failed event that nobody waits for is in the
 * log at least. */
static void
on_event_ack(struct kafka_message *message, int err, int64_t offset)
{
	const struct put *put = (const struct put *)message;

	if (err && !put->cb) {
		metric_add(put->queue->events_lost, 1);
		LOG_ERROR("an event cannot be written", "error", strerror(-err), "event",
			(const char *)put->data);
	}
	on_put_ack(message, err, offset);
}

/* mail.events keeps events for a time, whatever their size. Floods are bounded by the tally of
 * ingress. */
static void
kafka_event_put(struct queue *base, enum event_class class, const char *json, size_t length,
	queue_cb cb, void *arg)
{
	struct kafka_queue *queue = (struct kafka_queue *)base;
	struct put *put = put_new(queue, KAFKA_EVENTS, length + 1, cb, arg);

	(void)class;
	memcpy(put->data, json, length);
	put->data[length] = '\0';
	put->message.on_ack = on_event_ack;
	put->message.partition = RD_KAFKA_PARTITION_UA;
	put->message.value = put->data;
	put->message.value_size = length;
	kafka_produce(queue->producer, &put->message);
}

/* A record that goes on to the next topic. The record it came from is finished once the new one is
 * durable. */
struct forward {
	struct kafka_message message;
	struct record *record;
	queue_cb cb;
	void *arg;
	unsigned char data[];
};

static void
on_forwarded(void *arg, int err)
{
	struct forward *forward = arg;

	if (!err)
		kafka_finish(forward->record);
	else /* the new record may be durable nevertheless */
		forward->record->redelivered = true;
	forward->cb(forward->arg, err);
	free(forward);
}

static void
on_forward_ack(struct kafka_message *message, int err, int64_t offset)
{
	struct forward *forward = (struct forward *)message;
	struct record *record = forward->record;

	(void)offset;
	kafka_answer(kafka_record_of(record)->queue->producer, kafka_record_of(record)->loop,
		on_forwarded, forward, err);
}

static void
forward_produce(struct forward *forward)
{
	struct record *record = forward->record;

	forward->message.value = kafka_body_data(
		kafka_record_of(record)->body, &forward->message.value_size);
	if (!forward->message.value)
		forward->message.value = "";
	kafka_produce(kafka_record_of(record)->queue->producer, &forward->message);
}

static void
on_forward_body(void *arg, int err, struct kafka_body *body)
{
	struct forward *forward = arg;

	if (!err) {
		kafka_record_of(forward->record)->body = body; /* the record takes the pin over */
		forward_produce(forward);
		return;
	}
	forward->cb(forward->arg, err);
	free(forward);
}

static void
kafka_forward(
	struct record *record, enum topic topic, const Envelope *envelope, queue_cb cb, void *arg)
{
	Envelope packed = *envelope;
	struct forward *forward;

	packed.partition = (uint32_t)kafka_record_of(record)->partition;
	packed.body_topic = kafka_topic_of(topic);
	packed.again = record->redelivered;
	forward = xmalloc(sizeof *forward + ID_SIZE + envelope__get_packed_size(&packed));
	*forward = (struct forward){ .record = record, .cb = cb, .arg = arg };
	memcpy(forward->data, envelope->id.data, ID_SIZE);
	forward->message = (struct kafka_message){ .topic = kafka_topic_of(topic),
		.partition = kafka_record_of(record)->partition,
		.key = forward->data,
		.key_size = ID_SIZE,
		.header = forward->data + ID_SIZE,
		.header_size = envelope__pack(&packed, forward->data + ID_SIZE),
		.on_ack = on_forward_ack };
	if (kafka_record_of(record)->body)
		forward_produce(forward);
	else
		kafka_body_get(kafka_record_of(record)->queue->bodies,
			kafka_place_of(record_envelope(record)), kafka_record_of(record)->loop,
			on_forward_body, forward);
}

static const char *
kafka_spool_dir(const struct queue *base)
{
	return ((const struct kafka_queue *)base)->spool_dir;
}

/* Files in the spool directory belong to processes that have ended, so all are removed. */
static int
empty_spool(struct kafka_queue *queue)
{
	DIR *dir = opendir(queue->spool_dir);
	struct dirent *entry;

	if (!dir)
		return -1;
	while ((entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			unlinkat(queue->spool_fd, entry->d_name, 0);
	closedir(dir);
	return 0;
}

static int
open_spool(struct kafka_queue *queue)
{
	int err = directory_make(queue->spool_dir);

	errno = -err;
	if (!err)
		queue->spool_fd = open(queue->spool_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (queue->spool_fd >= 0 && !empty_spool(queue))
		return 0;
	LOG_ERROR(
		"cannot use a directory", "directory", queue->spool_dir, "error", strerror(errno));
	return -1;
}

static void
release(struct kafka_queue *queue)
{
	if (queue->spool_fd >= 0)
		close(queue->spool_fd);
	pthread_mutex_destroy(&queue->consumers_lock);
	pthread_mutex_destroy(&queue->subscribers_lock);
	pthread_cond_destroy(&queue->subscribers_changed);
	state_dir_close(&queue->state_dir);
	free(queue->spool_dir);
	free(queue);
}

static int
kafka_space(const struct queue *base)
{
	return kafka_stats_space(((const struct kafka_queue *)base)->stats);
}

static void
kafka_stats(struct queue *base, struct queue_stats *out)
{
	struct kafka_queue *queue = (struct kafka_queue *)base;

	kafka_stats_read(queue->stats, out);
	kafka_state_count(queue->state, out);
	out->bodies = out->rows;
	out->bad += kafka_bad_count(queue);
	out->events_lost = (uint64_t)metric_value(queue->events_lost);
	for (int i = 0; i < TOPIC_COUNT; i++)
		out->bodies += out->records[i];
}

static void
kafka_close(struct queue *base)
{
	struct kafka_queue *queue = (struct kafka_queue *)base;

	kafka_consumers_close(queue);
	kafka_config_close(queue);
	kafka_stats_free(&queue->stats);
	kafka_state_free(&queue->state);
	kafka_producer_free(&queue->producer);
	kafka_bodies_free(&queue->bodies);
	release(queue);
}

static void
kafka_body_place(struct queue *base, const Envelope *envelope, char *out)
{
	const uint32_t topic = envelope->body_topic;

	(void)base;
	if (topic && topic < KAFKA_TOPICS)
		snprintf(out, QUEUE_PLACE_MAX, "%s/%" PRIu32 "@%" PRId64, kafka_topic_name[topic],
			envelope->partition, envelope->body_offset);
	else
		snprintf(out, QUEUE_PLACE_MAX, "unknown");
}

static const struct queue_ops kafka_ops = {
	.close = kafka_close,
	.spool_dir = kafka_spool_dir,
	.space = kafka_space,
	.put = kafka_put,
	.consume = kafka_consume,
	.consumer_stop = kafka_consumer_stop,
	.abandon = kafka_abandon,
	.forward = kafka_forward,
	.finish = kafka_finish,
	.defer = kafka_defer,
	.look = kafka_look,
	.body = kafka_piece_read,
	.body_place = kafka_body_place,
	.row_put = kafka_row_put,
	.row_remove = kafka_row_remove,
	.rows_open = kafka_rows_open,
	.rows_close = kafka_rows_close,
	.rows_mine = kafka_rows_mine,
	.rows_due = kafka_rows_due,
	.rows_scan = kafka_rows_scan,
	.rows_of = kafka_rows_of,
	.rows_count = kafka_rows_count,
	.rows_complete = kafka_rows_complete,
	.rows_refresh = kafka_rows_refresh,
	.config_put = kafka_config_put,
	.config_subscribe = kafka_config_subscribe,
	.config_unsubscribe = kafka_config_unsubscribe,
	.bad_scan = kafka_bad_scan,
	.bad_remove = kafka_bad_remove,
	.bad_machine = kafka_bad_machine,
	.event_put = kafka_event_put,
	.events_open = kafka_events_open,
	.clock_us = kafka_clock_us,
	.stats = kafka_stats,
};

struct queue *
queue_kafka_open(const struct config *config)
{
	struct kafka_queue *queue = xcalloc(1, sizeof *queue);

	queue->base.ops = &kafka_ops;
	queue->config = config;
	queue->late_ms = LATE_MS;
	queue->spool_fd = -1;
	pthread_mutex_init(&queue->consumers_lock, NULL);
	pthread_mutex_init(&queue->subscribers_lock, NULL);
	pthread_cond_init(&queue->subscribers_changed, NULL);
	queue->events_lost = metric_counter("shout_queue_events_lost_total",
		"Events that went to the log, for the queue did not take them", NULL);
	queue->spool_dir = xasprintf("%s/spool", config->state_dir);
	if (!state_dir_open(&queue->state_dir, config->state_dir) && !open_spool(queue))
		queue->producer = kafka_producer_new(queue);
	if (!queue->producer) {
		release(queue);
		return NULL;
	}
	queue->bodies = kafka_bodies_new(queue);
	queue->state = kafka_state_new(queue);
	queue->stats = kafka_stats_new(queue);
	return &queue->base;
}
