/*
 * lmdb_op.c - makes operations, and lists them for the writer.
 *
 * every file here -> [lmdb_op] -> lmdb_writer
 *
 * The writer frees an operation after its end.
 */
#include "shared/queue/lmdb/lmdb_private.h"

#include <string.h>

#include "shared/base/log.h"

void
op_list_add(struct op_list *list, struct op *op)
{
	op->next = NULL;
	if (!list->first)
		list->last = &list->first;
	*list->last = op;
	list->last = &op->next;
}

struct op *
op_new(struct lmdb_queue *queue, enum op_kind kind, size_t packed_size, queue_cb cb, void *arg)
{
	struct op *op = xmalloc(sizeof *op + packed_size);

	(void)queue;
	memset(op, 0, sizeof *op);
	op->kind = kind;
	op->packed_size = packed_size;
	op->cb = cb;
	op->arg = arg;
	op->loop = cb ? loop_current() : NULL;
	op->asked_us = clock_mono_us();
	return op;
}

bool
op_is_urgent(const struct op *op)
{
	return op->cb || op->record || (op->kind != OP_FINISH && op->kind != OP_ROW_REMOVE);
}

void
op_submit(struct lmdb_queue *queue, struct op *op)
{
	bool urgent = op_is_urgent(op), signal;

	pthread_mutex_lock(&queue->lock);
	signal = queue->waiting && (!queue->pending.first || (urgent && !queue->urgent));
	op_list_add(&queue->pending, op);
	queue->urgent += urgent;
	pthread_mutex_unlock(&queue->lock);
	if (signal)
		pthread_cond_signal(&queue->wake);
}
