/*
 * kafka_piece.c - queue_body(): a piece of a body, wherever that is by now.
 *
 *
 * scanner, sender -> [kafka_piece] -> kafka_body -> broker
 */
#include "shared/queue/kafka/kafka_piece.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/log.h"
#include "shared/queue/kafka/body/kafka_body.h"
#include "shared/queue/kafka/client/kafka_client.h"
#include "shared/queue/kafka/client/kafka_queue.h"
#include "shared/queue/kafka/rows/kafka_state.h"

struct piece {
	struct kafka_queue *queue;
	struct kafka_place place;
	uint64_t offset;
	size_t length;
	queue_body_cb cb;
	void *arg;
};

/* The message was deferred, or its body appended anew, after the caller got its envelope: the row
 * knows the new place. */
static bool
piece_moved(struct piece *piece)
{
	const struct kafka_place before = piece->place;

	return piece->queue->state &&
		kafka_state_place(
			piece->queue->state, before.partition, before.id, &piece->place) &&
		!kafka_place_same(before, piece->place);
}

static void
on_piece_body(void *arg, int err, struct kafka_body *body)
{
	struct piece *piece = arg;

	if (err == -ENOENT && piece_moved(piece)) {
		kafka_body_get(
			piece->queue->bodies, piece->place, loop_current(), on_piece_body, piece);
		return;
	}
	if (err == -ENOENT && piece->place.topic == KAFKA_DEFERRED)
		kafka_state_bodiless(piece->queue->state, piece->place.partition, piece->place.id);
	if (err) {
		piece->cb(piece->arg, err, NULL, 0);
	} else {
		kafka_body_piece(body, piece->offset, piece->length, piece->cb, piece->arg);
		kafka_body_unpin(body);
	}
	free(piece);
}

void
kafka_piece_read(struct queue *base, const Envelope *envelope, uint64_t offset, size_t length,
	queue_body_cb cb, void *arg)
{
	struct kafka_queue *queue = (struct kafka_queue *)base;
	struct kafka_place place = kafka_place_of(envelope);
	struct piece *piece;

	if (place.topic <= KAFKA_NONE || place.topic >= KAFKA_TOPICS) {
		cb(arg, -ENOENT, NULL, 0);
		return;
	}
	piece = xmalloc(sizeof *piece);
	*piece = (struct piece){ .queue = queue,
		.place = place,
		.offset = offset,
		.length = length,
		.cb = cb,
		.arg = arg };
	kafka_body_get(queue->bodies, place, loop_current(), on_piece_body, piece);
}
