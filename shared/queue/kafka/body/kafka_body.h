/*
 * kafka_body.h - bodies by place: bodies of records in hand, and bodies used lately. A body up to
 * QUEUE_INLINE_MAX is kept in memory, a larger one in a file of the spool directory. Bodies in use
 * are pinned. The others stay within a bound; the longest unused goes first. From any thread.
 */
#ifndef SHARED_KAFKA_BODY_H
#define SHARED_KAFKA_BODY_H

#include "shared/base/loop.h"
#include "shared/queue/kafka/client/kafka_client.h"
#include "shared/queue/kafka/client/kafka_queue.h"

/*
 * The place of a body: topic, partition and offset of the record that carries it. The record's key
 * is the message's id. A record of another key is never taken for the body, whatever went wrong
 * with the place or the topic.
 */
struct kafka_place {
	enum kafka_topic topic;
	int32_t partition;
	int64_t offset;
	uint8_t id[ID_SIZE];
};
struct kafka_body;
struct kafka_bodies *kafka_bodies_new(struct kafka_queue *queue);
void kafka_bodies_free(struct kafka_bodies **bodies);
struct kafka_place kafka_place_of(const Envelope *envelope);
bool kafka_place_same(struct kafka_place a, struct kafka_place b);
struct kafka_place kafka_place_new(
	enum kafka_topic topic, int32_t partition, int64_t offset, const uint8_t id[ID_SIZE]);
/* Takes in the body of a record that was just received (copied), pinned. */
struct kafka_body *kafka_body_keep(
	struct kafka_bodies *bodies, struct kafka_place place, const void *data, size_t size);
void kafka_body_pin(struct kafka_body *body); /* once more */
void kafka_body_unpin(struct kafka_body *body);
/* Finds the body or reads it from the broker. Then `on_body` is called on `loop` with the body
 * pinned, or with NULL and -ENOENT (the log does not hold it any more) or -ETIMEDOUT. May call
 * back before it returns. */
typedef void (*kafka_body_cb)(void *arg, int err, struct kafka_body *body);
void kafka_body_get(struct kafka_bodies *bodies, struct kafka_place place, struct loop *loop,
	kafka_body_cb on_body, void *arg);
/* A piece of the body, at once. The bytes are the callback's for that call. */
void kafka_body_piece(
	struct kafka_body *body, uint64_t offset, size_t length, queue_body_cb cb, void *arg);
/* The whole body, in memory or mapped, valid while it is pinned: for producing it again. */
const void *kafka_body_data(struct kafka_body *body, size_t *size_out);

#endif
