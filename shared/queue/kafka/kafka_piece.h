/*
 * kafka_piece.h - a piece of a body, wherever the body is by now.
 */
#ifndef SHARED_KAFKA_PIECE_H
#define SHARED_KAFKA_PIECE_H

#include "shared/queue/queue_backend.h"

/* queue_body() */
void kafka_piece_read(struct queue *base, const Envelope *envelope, uint64_t offset, size_t length,
	queue_body_cb cb, void *arg);

#endif
