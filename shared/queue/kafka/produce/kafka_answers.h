/*
 * kafka_answers.h - callbacks gathered during a turn, to be posted as one task a loop.
 */
#ifndef SHARED_KAFKA_ANSWERS_H
#define SHARED_KAFKA_ANSWERS_H

#include "shared/base/loop.h"
#include "shared/queue/queue.h"

struct kafka_answers;

/* `cb` may be NULL: nobody waits. */
void
kafka_answers_add(struct kafka_answers **list, struct loop *loop, queue_cb cb, void *arg, int err);
/* Posts them in the order they were added; those without a loop are called here, and may add more.
 */
void kafka_answers_send(struct kafka_answers **list);

#endif
