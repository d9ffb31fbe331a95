/*
 * kafka_view.h - reading waiting mail: rows_open() and what follows.
 */
#ifndef SHARED_KAFKA_VIEW_H
#define SHARED_KAFKA_VIEW_H

#include "shared/base/loop.h"
#include "shared/queue/kafka/client/kafka_queue.h"

struct rows *kafka_rows_open(struct queue *base, enum rows_scope scope, struct loop *loop,
	const struct rows_subscriber *subscriber, void *arg);
void kafka_rows_close(struct rows *base);
size_t kafka_rows_due(struct rows *base, const struct rows_place *from, size_t limit,
	queue_row_cb on_row, void *arg);
size_t kafka_rows_scan(struct rows *base, int partition, const uint8_t *after_id,
	const char *after_site, size_t limit, queue_row_cb on_row, void *arg);
size_t kafka_rows_of(struct rows *base, const uint8_t *id, queue_row_cb on_row, void *arg);
uint64_t kafka_rows_count(struct rows *base, const char *site);
bool kafka_rows_complete(struct rows *base);
bool kafka_rows_refresh(struct rows *base);
bool kafka_rows_mine(struct rows *base, int partition);
/* Rows of the partitions that are ours, and what cannot be read, for queue_stats(). */
void kafka_state_count(struct kafka_state *state, struct queue_stats *out);
/* queue_bad_scan(), queue_bad_remove(): of rows. */
size_t kafka_bad_rows_scan(struct queue *base, const void *from, size_t from_length, size_t limit,
	queue_bad_cb on_bad, void *arg);
void kafka_bad_rows_remove(
	struct queue *base, const void *key, size_t key_length, queue_cb cb, void *arg);

#endif
