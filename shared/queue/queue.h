/*
 * queue.h - the only way in or out of a topic. Two backends: queue_lmdb.c (one machine) and, in a
 * cluster, Kafka. Role code cannot tell which one it runs on.
 *
 * A record is one message with all its recipients: its envelope (protobuf) and its body, the
 * RFC 5322 bytes as they go on the wire without dot-stuffing.
 *
 * Threads: every callback arrives on the loop that made the call (loop_current() at that time); a
 * caller without a loop is called from one of the queue's own threads. A callback may come before
 * the call returns. A loop lives until the callbacks of its calls have come.
 *
 * Errors are negative errno values:
 *   -ENOSPC     the queue is full (map size, or less free disk than queue.min_free)   -> 452
 *   -ETIMEDOUT  not durable within 20 s; it may still become so                       -> 451
 *   -ENOENT     no such body or row
 *   -ECANCELED  the queue is closing
 * A write that the disk refused to make durable ends the process: nothing is known after that.
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

/* Opens (and creates) the queue of `state_dir`; NULL after logging why. One process at a time. */
struct queue *queue_open(const struct config *config);
/* Waits until everything put so far is durable, then frees. No consumer loop may run any more. */
void queue_close(struct queue **queue);
/* Settings of the configuration that it was opened with have changed (config_live.h). */
void queue_reload(struct queue *queue);

#endif
