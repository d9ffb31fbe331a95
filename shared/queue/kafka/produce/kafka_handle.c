/*
 * kafka_handle.c - a producer of librdkafka, set for one kind of record.
 *
 * kafka_producer -> [kafka_handle] -> broker -> reports -> kafka_producer
 *
 * Linger and compression belong to a handle, so each kind of record has its own: small records,
 * large ones (their transmission would hold up the small) and events. After what librdkafka calls a
 * fatal error a handle fails for good; kafka_producer replaces it.
 */
#include "shared/queue/kafka/produce/kafka_handle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/log.h"

#define SMALL_MAX 1000000u

enum kafka_lane
kafka_lane_of(const struct kafka_message *message)
{
	if (message->topic == KAFKA_EVENTS)
		return LANE_EVENTS;
	return message->value_size > SMALL_MAX ? LANE_LARGE : LANE_SMALL;
}

static const void *
keep(char **at, const void *data, size_t size)
{
	char *kept = *at;

	if (size)
		memcpy(kept, data, size);
	*at += size;
	return kept;
}

void
kafka_message_keep(struct kafka_message *message, bool value)
{
	char *copy = xmalloc(message->key_size + message->header_size +
		     (value ? message->value_size : 0) + 1),
	     *at = copy;

	message->key = keep(&at, message->key, message->key_size);
	message->header = keep(&at, message->header, message->header_size);
	if (value && message->value_size)
		message->value = keep(&at, message->value, message->value_size);
	free(message->copy);
	message->copy = copy;
}

static rd_kafka_conf_t *
lane_conf(const struct kafka_queue *queue, enum kafka_lane lane)
{
	rd_kafka_conf_t *conf = kafka_conf(queue->config);
	char late[16];

	snprintf(late, sizeof late, "%u", DELIVERY_MS(queue->late_ms));
	rd_kafka_conf_set_events(conf, RD_KAFKA_EVENT_DR | RD_KAFKA_EVENT_ERROR);
	kafka_set(conf, "enable.idempotence", "true");
	kafka_set(conf, "acks", "all");
	kafka_set(conf, "linger.ms", lane == LANE_EVENTS ? "50" : "1");
	kafka_set(conf, "message.max.bytes", KAFKA_MESSAGE_MAX);
	kafka_set(conf, "delivery.timeout.ms", late);
	kafka_set(conf, "queue.buffering.max.messages", "100000");
	kafka_set(conf, "queue.buffering.max.kbytes", lane == LANE_LARGE ? "1048576" : "262144");
	if (lane == LANE_LARGE) /* 50 MB take their time */
		kafka_set(conf, "socket.timeout.ms", "20000");
	if (lane == LANE_EVENTS) {
		kafka_set(conf, "compression.codec", "zstd");
		kafka_set(conf, "sticky.partitioning.linger.ms", "1000");
	}
	return conf;
}

struct kafka_handle *
kafka_handle_new(const struct kafka_queue *queue, enum kafka_lane lane,
	void (*on_reports)(rd_kafka_t *rk, void *arg), void *arg)
{
	struct kafka_handle *handle = xcalloc(1, sizeof *handle);
	rd_kafka_conf_t *conf = lane_conf(queue, lane);
	char why[256];

	handle->rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
	if (!handle->rk) {
		LOG_ERROR("cannot make a producer", "error", why);
		rd_kafka_conf_destroy(conf);
		free(handle);
		return NULL;
	}
	handle->born_ms = clock_mono_ms();
	handle->reports = rd_kafka_queue_get_main(handle->rk);
	rd_kafka_queue_cb_event_enable(handle->reports, on_reports, arg);
	for (int i = KAFKA_NONE + 1; i < KAFKA_TOPICS; i++)
		handle->topics[i] = rd_kafka_topic_new(handle->rk, kafka_topic_name[i], NULL);
	return handle;
}

void
kafka_handle_free(struct kafka_handle *handle)
{
	if (!handle)
		return;
	for (int i = KAFKA_NONE + 1; i < KAFKA_TOPICS; i++)
		rd_kafka_topic_destroy(handle->topics[i]);
	rd_kafka_queue_cb_event_enable(handle->reports, NULL, NULL);
	rd_kafka_queue_destroy(handle->reports);
	rd_kafka_destroy(handle->rk);
	free(handle);
}

int
kafka_handle_send(struct kafka_handle *handle, struct kafka_message *message)
{
	static const char nothing[1];
	const void *value = message->value_size ? message->value : message->value ? nothing : NULL;
	rd_kafka_vu_t parts[6] = { 0 };
	size_t count = 5;
	rd_kafka_error_t *error;
	int err;

	parts[0].vtype = RD_KAFKA_VTYPE_RKT;
	parts[0].u.rkt = handle->topics[message->topic];
	parts[1].vtype = RD_KAFKA_VTYPE_PARTITION;
	parts[1].u.i32 = message->partition;
	parts[2].vtype = RD_KAFKA_VTYPE_KEY;
	parts[2].u.mem.ptr = (void *)(uintptr_t)message->key;
	parts[2].u.mem.size = message->key_size;
	parts[3].vtype = RD_KAFKA_VTYPE_VALUE;
	parts[3].u.mem.ptr = (void *)(uintptr_t)value;
	parts[3].u.mem.size = message->value_size;
	parts[4].vtype = RD_KAFKA_VTYPE_OPAQUE;
	parts[4].u.ptr = message;
	if (message->header_size) {
		parts[count].vtype = RD_KAFKA_VTYPE_HEADER;
		parts[count].u.header.name = KAFKA_ENVELOPE;
		parts[count].u.header.val = message->header;
		parts[count++].u.header.size = (ssize_t)message->header_size;
	}
	error = rd_kafka_produceva(handle->rk, parts, count);
	err = kafka_errno(rd_kafka_error_code(error));
	rd_kafka_error_destroy(error);
	return err;
}
