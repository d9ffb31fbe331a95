/*
 * kafka_reader.h - single records by offset, on a thread of its own.
 */
#ifndef SHARED_KAFKA_READER_H
#define SHARED_KAFKA_READER_H

#include "shared/queue/kafka/body/kafka_body.h"
#include "shared/queue/kafka/client/kafka_queue.h"

struct kafka_reader;

/*
 * `on_read` is called on the reader's thread, once for each wanted place. err 0: with the record's
 * value (valid during the call). -ENOENT: the log does not hold the record any more. -ETIMEDOUT.
 * -ECANCELED: the reader ends.
 */
typedef void (*kafka_read_cb)(
	void *arg, struct kafka_place place, int err, const void *data, size_t size);
struct kafka_reader *kafka_reader_new(struct kafka_queue *queue, kafka_read_cb on_read, void *arg);
void kafka_reader_free(struct kafka_reader **reader);
/* From any thread. */
void kafka_reader_want(struct kafka_reader *reader, struct kafka_place place);

#endif
