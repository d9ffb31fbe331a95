/*
 * call.h - what all calls of the queue have in common. queue.h tells of threads and errors.
 */
#ifndef SHARED_QUEUE_CALL_H
#define SHARED_QUEUE_CALL_H

struct loop;
struct queue;
struct record;

enum topic { TOPIC_INBOUND, TOPIC_READY, TOPIC_COUNT };

/* The queue answers by then; with -ETIMEDOUT when it is slow. */
#define QUEUE_LATE_MS 20000

typedef void (*queue_cb)(void *arg, int err);

#endif
