/*
 * kafka_events.c - mail.events: reading them back, for `shoutctl why` and tests.
 *
 * Reads each partition from the first event of the wanted time to where it ended when the reading
 * began, and hands over whichever is the oldest next. Blocks its caller; gives up when the brokers
 * do not answer.
 */
#include "shared/queue/kafka/kafka_events.h"

#include <stdlib.h>

#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/queue/kafka/client/kafka_client.h"
#include "shared/queue/kafka/client/kafka_queue.h"

#define ASK_MS 5000

struct reading {
	rd_kafka_t *rk;
	rd_kafka_topic_t *topic;
	rd_kafka_topic_partition_list_t *from;
	rd_kafka_message_t **heads;            /* by partition; NULL: it is over */
	rd_kafka_topic_partition_list_t *ends; /* when the reading began */
	bool failed;
};

static rd_kafka_t *
handle_new(struct kafka_queue *queue)
{
	rd_kafka_conf_t *conf = kafka_conf(queue->config);
	char why[256];
	rd_kafka_t *rk;

	kafka_set(conf, "enable.partition.eof", "true");
	kafka_set(conf, "auto.offset.reset", "earliest");
	kafka_set(conf, "queued.max.messages.kbytes", "2048");
	kafka_set(conf, "fetch.message.max.bytes", "262144");
	rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, why, sizeof why);
	if (!rk)
		die("cannot make a consumer", why);
	return rk;
}

/* The first offset of the time, of each partition; END where there is none. */
static rd_kafka_resp_err_t
find_start(struct reading *reading, uint64_t since_us)
{
	const struct rd_kafka_metadata *metadata;
	rd_kafka_resp_err_t err = rd_kafka_metadata(
		reading->rk, 0, reading->topic, &metadata, ASK_MS);
	int count;

	if (err)
		return err;
	count = metadata->topic_cnt ? metadata->topics[0].partition_cnt : 0;
	rd_kafka_metadata_destroy(metadata);
	reading->from = rd_kafka_topic_partition_list_new(count);
	reading->heads = xcalloc((size_t)count + 1, sizeof(rd_kafka_message_t *));
	for (int i = 0; i < count; i++)
		rd_kafka_topic_partition_list_add(
			reading->from, rd_kafka_topic_name(reading->topic), i)
			->offset = (int64_t)(since_us / 1000);
	reading->ends = rd_kafka_topic_partition_list_copy(reading->from);
	if (!count)
		return 0;
	err = kafka_find_offsets(reading->rk, reading->ends, RD_KAFKA_OFFSET_END, ASK_MS);
	if (err)
		return err;
	return rd_kafka_offsets_for_times(reading->rk, reading->from, ASK_MS);
}

/* The partition's next event, or NULL at its end. */
static rd_kafka_message_t *
next_of(struct reading *reading, int32_t partition)
{
	uint64_t until_ms = clock_mono_ms() + ASK_MS;
	rd_kafka_message_t *message;

	while (clock_mono_ms() < until_ms) {
		message = rd_kafka_consume(reading->topic, partition, ASK_MS);
		if (!message)
			break;
		if (!message->err)
			return message;
		if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
			rd_kafka_message_destroy(message);
			return NULL;
		}
		LOG_WARN("events cannot be read", "partition", log_int(partition), "error",
			rd_kafka_message_errstr(message));
		rd_kafka_message_destroy(message);
	}
	reading->failed = true;
	return NULL;
}

static int64_t
time_of(const rd_kafka_message_t *message)
{
	rd_kafka_timestamp_type_t type;

	return rd_kafka_message_timestamp(message, &type);
}

static int
oldest(const struct reading *reading)
{
	int found = -1;

	for (int i = 0; i < reading->from->cnt; i++)
		if (reading->heads[i] &&
			(found < 0 || time_of(reading->heads[i]) < time_of(reading->heads[found])))
			found = i;
	return found;
}

static void
merge(struct reading *reading, bool (*on_event)(void *arg, const char *json, size_t length),
	void *arg)
{
	bool more = true;
	int i;

	while (more && !reading->failed && (i = oldest(reading)) >= 0) {
		rd_kafka_message_t *message = reading->heads[i];
		bool last = message->offset + 1 >= reading->ends->elems[i].offset;

		more = on_event(arg, message->payload, message->len);
		rd_kafka_message_destroy(message);
		reading->heads[i] = more && !last ? next_of(reading, i) : NULL;
	}
}

static void
read_all(struct reading *reading, bool (*on_event)(void *arg, const char *json, size_t length),
	void *arg)
{
	rd_kafka_topic_partition_list_t *from = reading->from;

	for (int i = 0; i < from->cnt; i++)
		if (from->elems[i].offset >= 0)
			rd_kafka_consume_start(reading->topic, i, from->elems[i].offset);
	for (int i = 0; i < from->cnt; i++)
		if (from->elems[i].offset >= 0)
			reading->heads[i] = next_of(reading, i);
	merge(reading, on_event, arg);
	for (int i = 0; i < from->cnt; i++) {
		if (reading->heads[i])
			rd_kafka_message_destroy(reading->heads[i]);
		if (from->elems[i].offset >= 0)
			rd_kafka_consume_stop(reading->topic, i);
	}
}

void
kafka_events_read(struct queue *base, uint64_t since_us,
	bool (*on_event)(void *arg, const char *json, size_t length), void *arg)
{
	struct reading reading = { .rk = handle_new((struct kafka_queue *)base) };
	rd_kafka_resp_err_t err;

	reading.topic = rd_kafka_topic_new(reading.rk, kafka_topic_name[KAFKA_EVENTS], NULL);
	err = find_start(&reading, since_us);
	if (!err)
		read_all(&reading, on_event, arg);
	if (err || reading.failed)
		LOG_WARN("events cannot be read", "error",
			err ? rd_kafka_err2str(err) : "the brokers do not answer");
	if (reading.from) {
		rd_kafka_topic_partition_list_destroy(reading.from);
		rd_kafka_topic_partition_list_destroy(reading.ends);
	}
	free(reading.heads);
	rd_kafka_topic_destroy(reading.topic);
	rd_kafka_destroy(reading.rk);
}
