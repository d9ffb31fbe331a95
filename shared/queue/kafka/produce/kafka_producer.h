/*
 * kafka_producer.h - records on their way to the brokers.
 */
#ifndef SHARED_KAFKA_PRODUCER_H
#define SHARED_KAFKA_PRODUCER_H

#include <sys/queue.h>

#include "shared/base/loop.h"
#include "shared/queue/kafka/client/kafka_client.h"
#include "shared/queue/kafka/client/kafka_queue.h"

/*
 * A record on its way. The caller embeds the message, and keeps it and `value` until on_ack, which
 * is called once, always on the queue thread. `key` and `header` (the packed Envelope; none when
 * header_size is 0) are copied. `value` NULL: a tombstone. `partition` is explicit;
 * RD_KAFKA_PARTITION_UA leaves the choice to librdkafka.
 *
 * A handle has at most 100,000 records and 256 MB under way: -ENOSPC beyond. Large records (1 MB)
 * wait for their turn instead.
 *
 * With on_let_go, on_ack comes after LATE_MS at the latest, with -ETIMEDOUT. on_let_go is called
 * once, behind on_ack; the message, and the value of a large one, have to stay until then. Without
 * on_let_go, on_ack may take twice LATE_MS for a message that waited for others.
 */
struct kafka_message {
	enum kafka_topic topic;
	int32_t partition;
	const void *key, *header, *value;
	size_t key_size, header_size, value_size;
	void (*on_ack)(struct kafka_message *message, int err, int64_t offset);
	void (*on_let_go)(struct kafka_message *message);
	/* fields of the producer */
	uint64_t asked_us;
	bool answered;
	LIST_ENTRY(kafka_message) timed;
	struct kafka_handle *handle;
	struct kafka_gate *gate;
	struct kafka_message *next;
	void *copy;
	int err;
};
/* NULL after logging why. */
struct kafka_producer *kafka_producer_new(struct kafka_queue *queue);
/* Waits for the records under way, at most LATE_MS. */
void kafka_producer_free(struct kafka_producer **producer);
void kafka_produce(struct kafka_producer *producer, struct kafka_message *message);
/* From the queue thread: posts `cb` to `loop` at the end of this turn, together with all other
 * answers for that loop. Without a loop the queue thread calls it. */
void
kafka_answer(struct kafka_producer *producer, struct loop *loop, queue_cb cb, void *arg, int err);

#endif
