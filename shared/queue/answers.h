/*
 * answers.h - callbacks that a backend's thread gathers, and then posts as one task for each loop.
 */
#ifndef SHARED_ANSWERS_H
#define SHARED_ANSWERS_H

#include "shared/base/loop.h"
#include "shared/queue/call.h"

struct answers;

/* `cb` may be NULL: nobody waits. */
void answers_add(struct answers **list, struct loop *loop, queue_cb cb, void *arg, int err);
/* Posts the callbacks in the order they were added. A callback without a loop is called here, and
 * may add more. */
void answers_send(struct answers **list);

#endif
