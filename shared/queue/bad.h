/*
 * bad.h - what could not be read.
 */
#ifndef SHARED_QUEUE_BAD_H
#define SHARED_QUEUE_BAD_H

#include <stddef.h>

#include "shared/queue/call.h"

/*
 * Records and rows that could not be read, and were set aside. A key is <table>/<key there>, bytes;
 * that of a row is "rows/" and the row's key. The value is what stood there.
 */
typedef void (*queue_bad_cb)(
	void *arg, const void *key, size_t key_length, const void *value, size_t length);
/* At once, up to `limit` by key from `from` on (itself included); how many. The bytes are valid
 * during the callback. The page behind a key starts at that key with a NUL behind it. */
size_t queue_bad_scan(struct queue *queue, const void *from, size_t from_length, size_t limit,
	queue_bad_cb on_bad, void *arg);
/* For ever; a row's body goes when no other row holds it. -ENOENT when it is not there. */
void
queue_bad_remove(struct queue *queue, const void *key, size_t key_length, queue_cb cb, void *arg);
/* Where the cluster's queue keeps on each machine what that set aside: the machine that these calls
 * are about, ours. NULL: they are about all there is. */
const char *queue_bad_machine(const struct queue *queue);

#endif
