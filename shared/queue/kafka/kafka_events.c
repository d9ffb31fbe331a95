/*
 * kafka_events.c - mail.events: reading them back (event_reader.h).
 *
 * Reads each partition from the first event of the wanted time, or from a place. Once each
 * partition has shown its next event or its end, the oldest of the next events is handed over. A
 * place is the offsets of the partitions, "12,0,7"; partitions that were added since are read from
 * their beginning.
 */
#include "shared/queue/kafka/kafka_events.h"

#include <stdlib.h>
#include <string.h>

#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/base/text.h"
#include "shared/queue/event_reader.h"
#include "shared/queue/kafka/client/kafka_client.h"
#include "shared/queue/kafka/client/kafka_queue.h"

#define ASK_MS 5000
#define PARTITIONS_MAX 10000

struct partition {
	int64_t next;             /* the offset behind the last event handed over */
	rd_kafka_message_t *head; /* NULL: not here yet, or none for now */
	bool started, at_end;
};

struct kafka_reader {
	struct event_reader base;
	rd_kafka_t *rk;
	rd_kafka_topic_t *topic;
	struct partition *partitions;
	int count;
	int64_t since_ms;
	uint64_t heard_ms; /* when a broker answered last */
	bool failed;
};

/* ---- where to begin ---- */

static rd_kafka_t *
handle_new(struct kafka_queue *queue)
{
	rd_kafka_conf_t *conf = kafka_conf(queue->config);

	kafka_set(conf, "enable.partition.eof", "true");
	kafka_set(conf, "auto.offset.reset", "earliest");
	kafka_set(conf, "fetch.wait.max.ms", "100"); /* the longest wait for an end */
	kafka_set(conf, "queued.max.messages.kbytes", "2048");
	kafka_set(conf, "fetch.message.max.bytes", "262144");
	return kafka_consumer_handle(conf);
}

static rd_kafka_resp_err_t
find_partitions(struct kafka_reader *reader)
{
	const struct rd_kafka_metadata *metadata;
	rd_kafka_resp_err_t err = rd_kafka_metadata(
		reader->rk, 0, reader->topic, &metadata, ASK_MS);

	if (err)
		return err;
	reader->count = metadata->topic_cnt ? metadata->topics[0].partition_cnt : 0;
	rd_kafka_metadata_destroy(metadata);
	reader->partitions = xrealloc(
		reader->partitions, ((size_t)reader->count + 1) * sizeof *reader->partitions);
	return 0;
}

/* The first offset of each partition at that time, or the partition's end. */
static rd_kafka_resp_err_t
find_offsets(struct kafka_reader *reader)
{
	rd_kafka_topic_partition_list_t *from = rd_kafka_topic_partition_list_new(reader->count);
	rd_kafka_topic_partition_list_t *ends;
	rd_kafka_resp_err_t err;

	for (int i = 0; i < reader->count; i++)
		rd_kafka_topic_partition_list_add(from, rd_kafka_topic_name(reader->topic), i)
			->offset = reader->since_ms;
	ends = rd_kafka_topic_partition_list_copy(from);
	err = reader->count == 0
		? 0
		: kafka_find_offsets(reader->rk, ends, RD_KAFKA_OFFSET_END, ASK_MS);
	if (!err && reader->count > 0)
		err = rd_kafka_offsets_for_times(reader->rk, from, ASK_MS);
	for (int i = 0; !err && i < reader->count; i++)
		reader->partitions[i].next = from->elems[i].offset >= 0 ? from->elems[i].offset
									: ends->elems[i].offset;
	rd_kafka_topic_partition_list_destroy(from);
	rd_kafka_topic_partition_list_destroy(ends);
	return err;
}

/* Reads "12,0,7". Returns how many offsets, or -1: it is no place. */
static int
count_place(const char *text)
{
	int count = *text != '\0';

	for (const char *c = text; *c; c++) {
		if (!is_digit(*c) &&
			(*c != ',' || c == text || !is_digit(c[-1]) || !is_digit(c[1])))
			return -1;
		count += *c == ',';
	}
	return count <= PARTITIONS_MAX ? count : -1;
}

static void
take_place(struct kafka_reader *reader, const char *text)
{
	char *end = (char *)text;

	for (int i = 0; i < reader->count && *end; i++) {
		const unsigned long long offset = strtoull(end, &end, 10);

		reader->partitions[i].next = offset < INT64_MAX ? (int64_t)offset : 0;
		end += *end == ',';
	}
}

static void
start(struct kafka_reader *reader)
{
	for (int i = 0; i < reader->count; i++)
		reader->partitions[i].started = !rd_kafka_consume_start(
			reader->topic, i, reader->partitions[i].next);
	reader->heard_ms = clock_mono_ms();
}

/* ---- reading ---- */

static void
take_message(struct kafka_reader *reader, struct partition *partition, rd_kafka_message_t *message)
{
	if (!message->err) {
		reader->heard_ms = clock_mono_ms();
		partition->head = message;
		partition->at_end = false;
		return;
	}
	if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
		reader->heard_ms = clock_mono_ms();
		partition->at_end = true;
		partition->next = message->offset;
	} else {
		LOG_WARN("events cannot be read", "partition", log_int(message->partition), "error",
			rd_kafka_message_errstr(message));
	}
	rd_kafka_message_destroy(message);
}

static bool
is_there(const struct partition *partition)
{
	return partition->head || partition->at_end;
}

/* Whether each partition has shown its next event or its end. */
static bool
look(struct kafka_reader *reader, uint64_t until_ms)
{
	bool all = true;

	for (int i = 0; i < reader->count; i++) {
		struct partition *partition = &reader->partitions[i];
		const uint64_t now_ms = clock_mono_ms();
		const int wait = partition->at_end || now_ms >= until_ms ? 0
									 : (int)(until_ms - now_ms);
		rd_kafka_message_t *message = partition->head
			? NULL
			: rd_kafka_consume(reader->topic, i, wait);

		if (message)
			take_message(reader, partition, message);
		all = all && is_there(partition);
	}
	return all;
}

static int64_t
time_of(const rd_kafka_message_t *message)
{
	rd_kafka_timestamp_type_t type;

	return rd_kafka_message_timestamp(message, &type);
}

static struct partition *
oldest(struct kafka_reader *reader)
{
	struct partition *found = NULL;

	for (int i = 0; i < reader->count; i++) {
		struct partition *partition = &reader->partitions[i];

		if (partition->head && (!found || time_of(partition->head) < time_of(found->head)))
			found = partition;
	}
	return found;
}

static bool
hand_over(struct partition *partition, bool (*on_event)(void *, const char *, size_t), void *arg)
{
	rd_kafka_message_t *message = partition->head;
	const bool more = on_event(arg, message->payload, message->len);

	partition->next = message->offset + 1;
	partition->head = NULL;
	rd_kafka_message_destroy(message);
	return more;
}

static enum events_state
give_up(struct kafka_reader *reader)
{
	if (!reader->failed)
		LOG_WARN("events cannot be read", "error", "the brokers do not answer");
	reader->failed = true;
	return EVENTS_FAILED;
}

static enum events_state
kafka_reader_next(struct event_reader *base, unsigned ms,
	bool (*on_event)(void *arg, const char *json, size_t length), void *arg)
{
	struct kafka_reader *reader = (struct kafka_reader *)base;
	const uint64_t until_ms = clock_mono_ms() + ms;
	struct partition *partition;

	while (!reader->failed) {
		if (!look(reader, until_ms)) {
			if (clock_mono_ms() - reader->heard_ms > ASK_MS)
				return give_up(reader);
			if (clock_mono_ms() >= until_ms)
				return EVENTS_MORE;
			continue;
		}
		partition = oldest(reader);
		if (!partition)
			return EVENTS_END;
		if (!hand_over(partition, on_event, arg))
			return EVENTS_STOPPED;
		if (clock_mono_ms() >= until_ms)
			return EVENTS_MORE;
	}
	return EVENTS_FAILED;
}

static char *
kafka_reader_place(const struct event_reader *base)
{
	const struct kafka_reader *reader = (const struct kafka_reader *)base;
	char *place = xstrdup(""), *longer;

	for (int i = 0; i < reader->count; i++) {
		longer = xasprintf(
			"%s%s%lld", place, i ? "," : "", (long long)reader->partitions[i].next);
		free(place);
		place = longer;
	}
	return place;
}

static void
kafka_reader_close(struct event_reader *base)
{
	struct kafka_reader *reader = (struct kafka_reader *)base;

	for (int i = 0; i < reader->count; i++) {
		if (reader->partitions[i].head)
			rd_kafka_message_destroy(reader->partitions[i].head);
		if (reader->partitions[i].started)
			rd_kafka_consume_stop(reader->topic, i);
	}
	free(reader->partitions);
	rd_kafka_topic_destroy(reader->topic);
	rd_kafka_destroy(reader->rk);
	free(reader);
}

static rd_kafka_resp_err_t
find_start(struct kafka_reader *reader, const char *place)
{
	rd_kafka_resp_err_t err = find_partitions(reader);

	if (err)
		return err;
	memset(reader->partitions, 0, ((size_t)reader->count + 1) * sizeof *reader->partitions);
	if (!place)
		return find_offsets(reader);
	take_place(reader, place);
	return 0;
}

struct event_reader *
kafka_events_open(struct queue *base, uint64_t since_us, const char *place)
{
	static const struct event_reader calls = { kafka_reader_next, kafka_reader_place,
		kafka_reader_close };
	struct kafka_reader *reader;
	rd_kafka_resp_err_t err;

	if (place && count_place(place) < 0)
		return NULL;
	reader = xcalloc(1, sizeof *reader);
	reader->base = calls;
	reader->since_ms = (int64_t)(since_us / 1000);
	reader->rk = handle_new((struct kafka_queue *)base);
	reader->topic = rd_kafka_topic_new(reader->rk, kafka_topic_name[KAFKA_EVENTS], NULL);
	err = find_start(reader, place);
	if (err)
		LOG_WARN("events cannot be read", "error", rd_kafka_err2str(err));
	reader->failed = err != 0;
	if (!err)
		start(reader);
	return &reader->base;
}
