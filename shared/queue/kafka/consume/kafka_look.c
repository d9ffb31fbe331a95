/*
 * kafka_look.c - reads what is unfinished in a topic, whoever has it in hand: for operators.
 *
 * brokers (commits, ends, records) -> [kafka_look] -> control
 *
 * Reads with a handle of its own, which is no member of the group and lives as long as the reading.
 * It begins at what the group committed, leaves out what the commit's metadata says is finished,
 * and ends where the partitions ended when it began. Bodies come along, so the bytes are bounded,
 * and so is the time.
 */
#include "shared/queue/kafka/consume/kafka_look.h"

#include <stdlib.h>
#include <string.h>

#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/queue/kafka/client/kafka_client.h"
#include "shared/queue/kafka/client/kafka_queue.h"
#include "shared/queue/kafka/consume/kafka_offsets.h"

#define POLL_MS 100

typedef rd_kafka_topic_partition_list_t list;

struct look {
	rd_kafka_t *rk;
	enum topic topic;
	uint64_t until_ms;
	list *from, *ends;
	struct kafka_offsets **offsets; /* by place in the lists; NULL: read to the end */
	int open;                       /* of them */
	uint64_t seen, bytes;
	queue_seen_cb on_seen;
	void *arg;
	bool stopped; /* on_seen() wanted no more */
};

static rd_kafka_t *
handle_new(struct kafka_queue *queue, enum topic topic)
{
	rd_kafka_conf_t *conf = kafka_conf(queue->config);
	rd_kafka_t *rk;

	kafka_set(conf, "group.id", kafka_group_name[topic]);
	kafka_set(conf, "enable.auto.commit", "false");
	kafka_set(conf, "enable.partition.eof", "true");
	kafka_set(conf, "auto.offset.reset", "earliest");
	kafka_set(conf, "queued.max.messages.kbytes", "4096");
	kafka_set(conf, "fetch.message.max.bytes", "1048576");
	rk = kafka_consumer_handle(conf);
	rd_kafka_poll_set_consumer(rk);
	return rk;
}

static int
left_ms(const struct look *look)
{
	const uint64_t now = clock_mono_ms();

	return now < look->until_ms ? (int)(look->until_ms - now) : 0;
}

/* Where each partition is to be read from, and up to where. */
static bool
look_prepare(struct look *look)
{
	list *starts = NULL;
	bool ok = false;

	look->from = kafka_find_partitions(look->rk, kafka_topic_of(look->topic), left_ms(look));
	if (!look->from || !look->from->cnt)
		return false;
	starts = rd_kafka_topic_partition_list_copy(look->from);
	look->ends = rd_kafka_topic_partition_list_copy(look->from);
	/* the commit first: every record unfinished by it lies before the end */
	ok = !rd_kafka_committed(look->rk, look->from, left_ms(look)) &&
		!kafka_find_offsets(look->rk, starts, RD_KAFKA_OFFSET_BEGINNING, left_ms(look)) &&
		!kafka_find_offsets(look->rk, look->ends, RD_KAFKA_OFFSET_END, left_ms(look));
	for (int i = 0; ok && i < look->from->cnt; i++)
		if (look->from->elems[i].offset < starts->elems[i].offset)
			look->from->elems[i].offset = starts->elems[i].offset;
	rd_kafka_topic_partition_list_destroy(starts);
	return ok;
}

static void
look_begin(struct look *look)
{
	list *some = rd_kafka_topic_partition_list_new(look->from->cnt);

	look->offsets = xcalloc((size_t)look->from->cnt, sizeof(struct kafka_offsets *));
	for (int i = 0; i < look->from->cnt; i++) {
		const rd_kafka_topic_partition_t *at = &look->from->elems[i];
		int64_t promise;

		if (at->offset >= look->ends->elems[i].offset)
			continue;
		look->offsets[i] = kafka_offsets_new(at->offset);
		kafka_offsets_unpack(look->offsets[i], at->metadata, at->metadata_size, &promise);
		rd_kafka_topic_partition_list_add(some, at->topic, at->partition)->offset =
			at->offset;
		look->open++;
	}
	if (look->open && rd_kafka_assign(look->rk, some))
		look->until_ms = 0;
	rd_kafka_topic_partition_list_destroy(some);
}

static void
look_at(struct look *look, const rd_kafka_message_t *message)
{
	Envelope *envelope = kafka_envelope(kafka_topic_of(look->topic), message);
	rd_kafka_timestamp_type_t type;
	const int64_t ms = rd_kafka_message_timestamp(message, &type);

	look->seen++;
	if (envelope)
		look->stopped = !look->on_seen(look->arg,
			&(struct queue_seen){ .envelope = envelope,
				.topic = look->topic,
				.since_us = ms > 0 ? (uint64_t)ms * 1000 : 0 });
	envelope_free(envelope);
}

static void
look_take(struct look *look, const rd_kafka_message_t *message)
{
	const int i = message->partition;
	int64_t next = message->offset;

	if (i < 0 || i >= look->from->cnt || !look->offsets[i])
		return;
	if (!message->err) {
		look->bytes += message->len;
		next++;
		if (message->offset < look->ends->elems[i].offset &&
			kafka_offsets_receive(look->offsets[i], message->offset))
			look_at(look, message);
	} else if (message->err != RD_KAFKA_RESP_ERR__PARTITION_EOF) {
		LOG_WARN("looking at a topic", "error", rd_kafka_message_errstr(message));
		return;
	}
	if (next < look->ends->elems[i].offset)
		return;
	kafka_offsets_free(&look->offsets[i]);
	look->open--;
}

static void
look_read(struct look *look)
{
	while (look->open && !look->stopped && left_ms(look) && look->seen < QUEUE_SEEN_MAX &&
		look->bytes < QUEUE_SEEN_BYTES) {
		rd_kafka_message_t *message = rd_kafka_consumer_poll(look->rk, POLL_MS);

		if (!message)
			continue;
		look_take(look, message);
		rd_kafka_message_destroy(message);
	}
}

bool
kafka_look(struct queue *base, enum topic topic, queue_seen_cb on_seen, void *arg)
{
	struct kafka_queue *queue = (struct kafka_queue *)base;
	struct look look = { .rk = handle_new(queue, topic),
		.topic = topic,
		.until_ms = clock_mono_ms() + QUEUE_SEEN_MS,
		.on_seen = on_seen,
		.arg = arg };
	bool ok = look_prepare(&look);

	if (ok) {
		look_begin(&look);
		look_read(&look);
		ok = !look.open && !look.stopped;
		for (int i = 0; i < look.from->cnt; i++)
			kafka_offsets_free(&look.offsets[i]);
	}
	free(look.offsets);
	if (look.from)
		rd_kafka_topic_partition_list_destroy(look.from);
	if (look.ends)
		rd_kafka_topic_partition_list_destroy(look.ends);
	rd_kafka_destroy(look.rk);
	return ok;
}
