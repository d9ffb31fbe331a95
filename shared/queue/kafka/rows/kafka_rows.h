/*
 * kafka_rows.h - writing waiting mail: queue_defer(), queue_row_put(), queue_row_remove().
 */
#ifndef SHARED_KAFKA_ROWS_H
#define SHARED_KAFKA_ROWS_H

#include "shared/queue/queue_backend.h"

void kafka_defer(struct record *base, Row *const *rows, size_t count, queue_cb cb, void *arg);
void kafka_row_put(struct queue *base, const Row *row, queue_cb cb, void *arg);
void kafka_row_remove(struct queue *base, const Row *row, queue_cb cb, void *arg);

#endif
