/*
 * kafka_partition.c - a partition from its assignment to its loss, and its records in hand.
 *
 * rebalance -> [claim -> committed offset -> assign] -> records -> [lost]
 *
 * librdkafka waits for our answer to an assignment while the claims of mail.ready are written and
 * replayed; heartbeats go on meanwhile. A slow claim does not hold up the other partitions: after
 * ASSIGN_PATIENCE_MS the ready ones are read, and all are assigned anew when the rest is ready.
 *
 * A lost partition goes at once. Its records in hand stay valid. Should the partition come back
 * before they end, the same offset is not handed out a second time.
 */
#include "shared/queue/kafka/consume/kafka_consumer_private.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/fair.h"
#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/base/named.h"
#include "shared/metrics/metrics.h"
#include "shared/queue/kafka/body/kafka_body.h"
#include "shared/queue/kafka/rows/kafka_state.h"

struct partition *
partition_of(struct kafka_consumer *consumer, int32_t number)
{
	return number >= 0 && number < consumer->partitions_count ? consumer->partitions[number]
								  : NULL;
}

/* A partition's queue is split off for good: librdkafka keeps it through later assignments. */
static struct partition *
partition_new(struct kafka_consumer *consumer, int32_t number)
{
	static const uint64_t one = 1;
	struct partition *partition = xcalloc(1, sizeof *partition);

	*partition = (struct partition){ .consumer = consumer, .number = number };
	partition->records_last = &partition->records;
	partition->queue = rd_kafka_queue_get_partition(
		consumer->rk, kafka_topic_name[consumer->topic], number);
	assert(partition->queue);
	rd_kafka_queue_forward(partition->queue, NULL);
	rd_kafka_queue_io_event_enable(partition->queue, consumer->eventfd, &one, sizeof one);
	return partition;
}

static struct partition *
partition_find(struct kafka_consumer *consumer, int32_t number)
{
	if (number >= consumer->partitions_count) {
		int32_t count = number + 1;

		consumer->partitions = xrealloc(
			consumer->partitions, (size_t)count * sizeof(struct partition *));
		memset(consumer->partitions + consumer->partitions_count, 0,
			(size_t)(count - consumer->partitions_count) * sizeof(struct partition *));
		consumer->partitions_count = count;
	}
	if (!consumer->partitions[number])
		consumer->partitions[number] = partition_new(consumer, number);
	return consumer->partitions[number];
}

static void
on_claimed(void *arg, int32_t number, int err)
{
	struct kafka_consumer *consumer = arg;
	struct partition *partition = partition_of(consumer, number);

	if (--partition->claims || partition->state != PARTITION_CLAIMING)
		return;
	if (err)
		LOG_WARN("a partition could not be claimed, it is tried again", "topic",
			kafka_topic_name[consumer->topic], "partition", log_int(number), "error",
			strerror(-err));
	partition->state = err ? PARTITION_FAILED : PARTITION_CLAIMED;
	partitions_advance(consumer, false);
}

static void
partition_claim(struct partition *partition)
{
	struct kafka_consumer *consumer = partition->consumer;

	if (consumer->topic != KAFKA_READY || !consumer->queue->state) {
		partition->state = PARTITION_CLAIMED;
		return;
	}
	partition->state = PARTITION_CLAIMING;
	partition->claims++;
	kafka_state_claim(
		consumer->queue->state, partition->number, consumer->loop, on_claimed, consumer);
}

void
partitions_gain(struct kafka_consumer *consumer, const rd_kafka_topic_partition_list_t *partitions)
{
	for (int i = 0; i < partitions->cnt; i++) {
		struct partition *partition = partition_find(
			consumer, partitions->elems[i].partition);

		if (partition->state == PARTITION_FOREIGN)
			partition_claim(partition);
	}
	consumer->assigning = true;
	consumer->assigning_ms = clock_mono_ms();
	partitions_advance(consumer, false);
}

static void
partition_lose(struct partition *partition)
{
	struct kafka_consumer *consumer = partition->consumer;

	if (partition->state == PARTITION_FOREIGN)
		return;
	partition->state = PARTITION_FOREIGN;
	while (partition->pending)
		record_free(partition->pending);
	kafka_offsets_free(&partition->offsets);
	if (consumer->topic == KAFKA_READY && consumer->queue->state)
		kafka_state_release(consumer->queue->state, partition->number);
}

void
partitions_lose(struct kafka_consumer *consumer)
{
	for (int32_t i = 0; i < consumer->partitions_count; i++)
		if (consumer->partitions[i])
			partition_lose(consumer->partitions[i]);
	consumer->assigning = false;
}

void
partition_resume(struct partition *partition, int64_t offset, const char *text, size_t length)
{
	partition->state = PARTITION_READY;
	partition->offsets = kafka_offsets_new(offset < 0 ? 0 : offset);
	partition->promised = kafka_offsets_lowest(partition->offsets);
	partition->promise_asked = partition->promised;
	partition->committed = partition->promised;
	trim_again(partition);
	partition->redelivered_below = 0;
	if (offset >= 0 &&
		!kafka_offsets_unpack(
			partition->offsets, text, length, &partition->redelivered_below)) {
		LOG_WARN("a commit's metadata is not ours: finished mail may come again", "topic",
			kafka_topic_name[partition->consumer->topic], "partition",
			log_int(partition->number));
		partition->redelivered_below = INT64_MAX;
	}
}

static void
assign(struct kafka_consumer *consumer)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(16);
	rd_kafka_resp_err_t err;

	for (int32_t i = 0; i < consumer->partitions_count; i++) {
		struct partition *partition = consumer->partitions[i];

		if (!partition || partition->state < PARTITION_READY)
			continue;
		partition->state = PARTITION_RUNNING;
		rd_kafka_topic_partition_list_add(
			list, kafka_topic_name[consumer->topic], partition->number)
			->offset = kafka_offsets_next(partition->offsets);
	}
	err = rd_kafka_assign(consumer->rk, list);
	if (err)
		LOG_ERROR("an assignment is refused", "topic", kafka_topic_name[consumer->topic],
			"error", rd_kafka_err2str(err));
	rd_kafka_topic_partition_list_destroy(list);
	consumer->assigning = false;
	consumer_more(consumer);
	commit_early(consumer);
}

/* How many partitions are ready but not fetched from, and how many are on their way there. */
static void
count_ready(struct kafka_consumer *consumer, bool tick, unsigned *ready, unsigned *waiting)
{
	for (int32_t i = 0; i < consumer->partitions_count; i++) {
		struct partition *partition = consumer->partitions[i];

		if (!partition)
			continue;
		if (tick && partition->state == PARTITION_FAILED)
			partition_claim(partition);
		*ready += partition->state == PARTITION_READY;
		*waiting += partition->state > PARTITION_FOREIGN &&
			partition->state < PARTITION_READY;
	}
}

void
partitions_advance(struct kafka_consumer *consumer, bool tick)
{
	unsigned ready = 0, waiting = 0;

	count_ready(consumer, tick, &ready, &waiting);
	if (waiting && (tick || !consumer->ask_failed))
		ask_committed(consumer);
	if (!ready && !consumer->assigning)
		return;
	if (!waiting || clock_mono_ms() - consumer->assigning_ms > ASSIGN_PATIENCE_MS)
		assign(consumer);
}

bool
partition_may_give(const struct partition *partition, int64_t offset)
{
	return partition->state == PARTITION_RUNNING && offset < partition->promised;
}

/* A record may be in hand since before the partition was lost and came back. */
static bool
in_hand(const struct partition *partition, int64_t offset)
{
	if (offset < partition->seen)
		for (const struct consumer_record *r = partition->records; r; r = r->next)
			if (r->offset == offset)
				return true;
	return false;
}

/* Without a promise in the commit, every record that is in the log already may have been handed
 * out. */
static bool
is_redelivered(struct partition *partition, int64_t offset)
{
	struct kafka_consumer *consumer = partition->consumer;
	int64_t low, high;

	if (partition->redelivered_below == INT64_MAX &&
		!rd_kafka_get_watermark_offsets(consumer->rk, kafka_topic_name[consumer->topic],
			partition->number, &low, &high))
		partition->redelivered_below = high;
	return offset < partition->redelivered_below;
}

/*
 * A message may be in the log twice, and only the second record is marked (Envelope.again). The
 * owner before us may still work on the first, and the unmarked record may be the later one in the
 * log. A slot remembers the newest id that fell on it; the end of an id is random.
 */
static bool
is_doubtful(struct kafka_consumer *consumer, const Envelope *envelope)
{
	uint64_t id, *slot;

	memcpy(&id, envelope->id.data + ID_SIZE - sizeof id, sizeof id);
	slot = &consumer->doubts[id % DOUBTS];
	if (envelope->again)
		*slot = id;
	return *slot == id;
}

static void
take_bad(struct partition *partition, const rd_kafka_message_t *message)
{
	metric_add(partition->consumer->metric.bad, 1);
	if (bad_keep(partition->consumer->queue, message))
		kafka_offsets_finish(partition->offsets, message->offset);
}

/* An account with slow mail has many records that wait for long. Their bodies would take the
 * memory that all accounts share. So most of them are not kept, and read again when they are
 * needed. */
static void
keep_body(struct consumer_record *record, const rd_kafka_message_t *message)
{
	struct kafka_consumer *consumer = record->partition->consumer;
	const Envelope *envelope = record->head.base.envelope;
	const size_t left = consumer->kept_bytes < consumer->kept_bytes_max
		? consumer->kept_bytes_max - consumer->kept_bytes
		: 0;
	struct account_use *use;

	NAMED_GET(consumer->accounts, account, envelope->account, use);
	use->records++;
	record->use = use;
	if (consumer->topic == KAFKA_INBOUND && !fair_allows(use->bytes, left))
		return;
	record->kept_bytes = message->len < QUEUE_INLINE_MAX ? message->len : QUEUE_INLINE_MAX;
	use->bytes += record->kept_bytes;
	consumer->kept_bytes += record->kept_bytes;
	record->head.body = kafka_body_keep(
		consumer->queue->bodies, kafka_place_of(envelope), message->payload, message->len);
}

static void
let_body_go(struct consumer_record *record)
{
	struct kafka_consumer *consumer = record->partition->consumer;

	if (record->head.body)
		kafka_body_unpin(record->head.body);
	record->use->bytes -= record->kept_bytes;
	consumer->kept_bytes -= record->kept_bytes;
	if (--record->use->records)
		return;
	HASH_DEL(consumer->accounts, record->use);
	free(record->use);
}

struct consumer_record *
partition_take(struct partition *partition, const rd_kafka_message_t *message)
{
	struct kafka_consumer *consumer = partition->consumer;
	struct consumer_record *record;
	Envelope *envelope;

	if (!kafka_offsets_receive(partition->offsets, message->offset) ||
		in_hand(partition, message->offset))
		return NULL;
	envelope = kafka_envelope(consumer->topic, message);
	if (!envelope) {
		take_bad(partition, message);
		return NULL;
	}
	record = xmalloc(sizeof *record);
	*record = (struct consumer_record){
		.head = {
			.base = {.ops = consumer->base.ops, .envelope = envelope},
			.queue = consumer->queue,
			.loop = consumer->loop,
			.partition = partition->number,
		},
		.partition = partition,
		.offset = message->offset,
		.at = partition->records_last,
		.arrived_ms = clock_mono_ms(),
	};
	keep_body(record, message);
	record->head.base.redelivered = is_redelivered(partition, message->offset) ||
		is_doubtful(consumer, envelope);
	metric_add(consumer->metric.redelivered, record->head.base.redelivered);
	*partition->records_last = record;
	partition->records_last = &record->next;
	if (partition->seen <= message->offset)
		partition->seen = message->offset + 1;
	consumer->in_hand++;
	consumer->load += recipients_weight(envelope->n_recipients);
	return record;
}

void
record_free(struct consumer_record *record)
{
	struct partition *partition = record->partition;

	if (partition->pending == record)
		partition->pending = record->next;
	*record->at = record->next;
	if (record->next)
		record->next->at = record->at;
	else
		partition->records_last = record->at;
	partition->consumer->in_hand--;
	partition->consumer->load -= recipients_weight(record->head.base.envelope->n_recipients);
	let_body_go(record);
	envelope_free(record->head.base.envelope);
	free(record);
}

void
partitions_free(struct kafka_consumer *consumer)
{
	for (int32_t i = 0; i < consumer->partitions_count; i++) {
		struct partition *partition = consumer->partitions[i];

		if (!partition)
			continue;
		while (partition->records)
			record_free(partition->records);
		kafka_offsets_free(&partition->offsets);
		rd_kafka_queue_destroy(partition->queue);
		free(partition);
	}
	free(consumer->partitions);
}
