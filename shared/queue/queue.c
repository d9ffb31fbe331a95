/*
 * queue.c - passes the calls of queue.h to the backend in use (open/queue_open.c chooses it).
 *
 * every role -> [queue] -> queue_lmdb (one machine) | queue_kafka (a cluster)
 */
#include "shared/queue/queue_backend.h"

#include <errno.h>
#include <stddef.h>

#include "shared/base/hash.h"
#include "shared/queue/event_reader.h"

void
queue_reload(struct queue *queue)
{
	if (queue->ops->reload)
		queue->ops->reload(queue);
}

void
queue_close(struct queue **queue)
{
	if (*queue)
		(*queue)->ops->close(*queue);
	*queue = NULL;
}

const char *
queue_spool_dir(const struct queue *queue)
{
	return queue->ops->spool_dir(queue);
}

int
queue_space(const struct queue *queue)
{
	return queue->ops->space(queue);
}

void
queue_put(struct queue *queue, enum topic topic, const Envelope *envelope, const struct body *body,
	queue_cb cb, void *arg)
{
	queue->ops->put(queue, topic, envelope, body, cb, arg);
}

struct consumer *
queue_consume(struct queue *queue, enum topic topic, struct loop *loop, unsigned window,
	void (*on_record)(void *arg, struct record *record), void *arg)
{
	return queue->ops->consume(queue, topic, loop, window, on_record, arg);
}

void
consumer_stop(struct consumer *consumer)
{
	consumer->ops->consumer_stop(consumer);
}

const Envelope *
record_envelope(const struct record *record)
{
	return record->envelope;
}

bool
record_redelivered(const struct record *record)
{
	return record->redelivered;
}

void
record_abandon(struct record *record)
{
	record->ops->abandon(record);
}

void
queue_forward(
	struct record *record, enum topic topic, const Envelope *envelope, queue_cb cb, void *arg)
{
	record->ops->forward(record, topic, envelope, cb, arg);
}

void
queue_finish(struct record *record)
{
	record->ops->finish(record);
}

bool
queue_look(struct queue *queue, enum topic topic, queue_seen_cb on_seen, void *arg)
{
	return queue->ops->look(queue, topic, on_seen, arg);
}

void
queue_body(struct queue *queue, const Envelope *envelope, uint64_t offset, size_t length,
	queue_body_cb cb, void *arg)
{
	queue->ops->body(queue, envelope, offset, length, cb, arg);
}

void
queue_body_place(struct queue *queue, const Envelope *envelope, char out[QUEUE_PLACE_MAX])
{
	queue->ops->body_place(queue, envelope, out);
}

void
queue_defer(struct record *record, Row *const *rows, size_t count, queue_cb cb, void *arg)
{
	record->ops->defer(record, rows, count, cb, arg);
}

void
queue_row_put(struct queue *queue, const Row *row, queue_cb cb, void *arg)
{
	queue->ops->row_put(queue, row, cb, arg);
}

void
queue_row_remove(struct queue *queue, const Row *row, queue_cb cb, void *arg)
{
	queue->ops->row_remove(queue, row, cb, arg);
}

struct rows *
rows_open(struct queue *queue, enum rows_scope scope, struct loop *loop,
	const struct rows_subscriber *subscriber, void *arg)
{
	return queue->ops->rows_open(queue, scope, loop, subscriber, arg);
}

void
rows_close(struct rows **rows)
{
	if (*rows)
		(*rows)->ops->rows_close(*rows);
	*rows = NULL;
}

bool
rows_mine(struct rows *rows, int partition)
{
	return rows->ops->rows_mine(rows, partition);
}

uint64_t
rows_lane(const char *account)
{
	return hash_text(HASH_START, account);
}

size_t
rows_due(struct rows *rows, const struct rows_place *from, size_t limit, queue_row_cb on_row,
	void *arg)
{
	return rows->ops->rows_due(rows, from, limit, on_row, arg);
}

size_t
rows_scan(struct rows *rows, int partition, const uint8_t *after_id, const char *after_site,
	size_t limit, queue_row_cb on_row, void *arg)
{
	return rows->ops->rows_scan(rows, partition, after_id, after_site, limit, on_row, arg);
}

size_t
rows_of(struct rows *rows, const uint8_t id[ID_SIZE], queue_row_cb on_row, void *arg)
{
	return rows->ops->rows_of(rows, id, on_row, arg);
}

uint64_t
rows_count(struct rows *rows, const char *site)
{
	return rows->ops->rows_count(rows, site);
}

bool
rows_complete(struct rows *rows)
{
	return !rows->ops->rows_complete || rows->ops->rows_complete(rows);
}

bool
rows_refresh(struct rows *rows)
{
	return !rows->ops->rows_refresh || rows->ops->rows_refresh(rows);
}

void
queue_config_put(struct queue *queue, const char *key, const char *json, queue_cb cb, void *arg)
{
	queue->ops->config_put(queue, key, json, cb, arg);
}

struct config_subscriber *
queue_config_subscribe(struct queue *queue, struct loop *loop,
	void (*on_entry)(void *arg, const char *key, const char *json), void *arg)
{
	return queue->ops->config_subscribe(queue, loop, on_entry, arg);
}

void
queue_config_unsubscribe(struct config_subscriber **subscriber)
{
	if (*subscriber)
		(*subscriber)->ops->config_unsubscribe(*subscriber);
	*subscriber = NULL;
}

size_t
queue_bad_scan(struct queue *queue, const void *from, size_t from_length, size_t limit,
	queue_bad_cb on_bad, void *arg)
{
	return queue->ops->bad_scan(queue, from, from_length, limit, on_bad, arg);
}

void
queue_bad_remove(struct queue *queue, const void *key, size_t key_length, queue_cb cb, void *arg)
{
	queue->ops->bad_remove(queue, key, key_length, cb, arg);
}

const char *
queue_bad_machine(const struct queue *queue)
{
	return queue->ops->bad_machine ? queue->ops->bad_machine(queue) : NULL;
}

void
queue_event_put(struct queue *queue, enum event_class class, const char *json, size_t length,
	queue_cb cb, void *arg)
{
	queue->ops->event_put(queue, class, json, length, cb, arg);
}

struct event_reader *
queue_events_open(struct queue *queue, uint64_t since_us, const char *place)
{
	return queue->ops->events_open(queue, since_us, place);
}

enum events_state
event_reader_next(struct event_reader *reader, unsigned ms,
	bool (*on_event)(void *arg, const char *json, size_t length), void *arg)
{
	return reader->next(reader, ms, on_event, arg);
}

char *
event_reader_place(const struct event_reader *reader)
{
	return reader->place(reader);
}

void
event_reader_close(struct event_reader **reader)
{
	if (*reader)
		(*reader)->close(*reader);
	*reader = NULL;
}

uint64_t
queue_clock_us(struct queue *queue)
{
	return queue->ops->clock_us ? queue->ops->clock_us(queue) : 0;
}

void
queue_stats(struct queue *queue, struct queue_stats *out)
{
	queue->ops->stats(queue, out);
}
