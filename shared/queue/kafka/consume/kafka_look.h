/*
 * kafka_look.h - what is unfinished in a topic, whoever has it in hand.
 */
#ifndef SHARED_KAFKA_LOOK_H
#define SHARED_KAFKA_LOOK_H

#include "shared/queue/queue_backend.h"

/* queue_look() */
bool kafka_look(struct queue *base, enum topic topic, queue_seen_cb on_seen, void *arg);

#endif
