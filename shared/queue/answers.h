/*
 * answers.h - callbacks gathered by a thread of a backend, to be posted as one task a loop.
 */
#ifndef SHARED_ANSWERS_H
#define SHARED_ANSWERS_H

#include "shared/base/loop.h"
#include "shared/queue/call.h"

struct answers;

/* `cb` may be NULL: nobody waits. */
void answers_add(struct answers **list, struct loop *loop, queue_cb cb, void *arg, int err);
/* Posts them in the order they were added; those without a loop are called here, and may add more.
 */
void answers_send(struct answers **list);

#endif
