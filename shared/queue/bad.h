/*
 * bad.h - records and rows that could not be read, and were set aside for an operator.
 */
#ifndef SHARED_QUEUE_BAD_H
#define SHARED_QUEUE_BAD_H

#include <stddef.h>

#include "shared/queue/call.h"

/*
 * A key is <table>/<key in that table>, as bytes; for a row "rows/" and the row's key. The value is
 * the bytes that could not be read.
 */
typedef void (*queue_bad_cb)(
	void *arg, const void *key, size_t key_length, const void *value, size_t length);
/* Hands over up to `limit` entries, by key, from `from` on (`from` included), at once. Returns how
 * many. The bytes are valid during the callback. To go on behind a key, start from the key with a
 * NUL byte added. */
size_t queue_bad_scan(struct queue *queue, const void *from, size_t from_length, size_t limit,
	queue_bad_cb on_bad, void *arg);
/* Removes the entry for ever. A row's body goes when no other row needs it. -ENOENT: there is no
 * such entry. */
void
queue_bad_remove(struct queue *queue, const void *key, size_t key_length, queue_cb cb, void *arg);
/* In a cluster each machine keeps what it set aside: the name of this machine, which the calls
 * above are about. NULL: they are about everything. */
const char *queue_bad_machine(const struct queue *queue);

#endif
