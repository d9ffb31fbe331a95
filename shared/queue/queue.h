/*
 * queue.h - the only way in or out of a topic. There are two backends: queue_lmdb.c (one machine)
 * and queue_kafka.c (a cluster). Roles cannot tell which one they run on.
 *
 * A record is one message with all its recipients: its envelope (protobuf) and its body, the RFC
 * 5322 bytes as they go on the wire, without dot-stuffing.
 *
 * Threads: every callback arrives on the loop that made the call (loop_current() at that time). A
 * caller without a loop is called back from one of the queue's own threads. A callback may come
 * before the call returns. A loop must live until the callbacks of its calls have come.
 *
 * Errors are negative errno values:
 *   -ENOSPC     the queue is full (map size, or less free disk than queue.min_free)   -> 452
 *   -ETIMEDOUT  not durable within 20 s; the write may still become durable           -> 451
 *   -ENOENT     there is no such body or row
 *   -ECANCELED  the queue is closing
 * When the disk refuses to make a write durable, the process ends: nobody knows what is on the
 * disk.
 */
#ifndef SHARED_QUEUE_H
#define SHARED_QUEUE_H

#include "shared/queue/bad.h"
#include "shared/queue/config.h"
#include "shared/queue/events.h"
#include "shared/queue/records.h"
#include "shared/queue/rows.h"
#include "shared/queue/stats.h"

struct config;

/* Opens, or creates, the queue of `state_dir`. NULL after logging why. One process at a time. */
struct queue *queue_open(const struct config *config);
/* Waits until everything put is durable, then frees. No consumer's loop may run any more. */
void queue_close(struct queue **queue);
/* The settings that the queue was opened with have changed (config_live.h). */
void queue_reload(struct queue *queue);

#endif
