/*
 * queue_backend.h - what a backend of queue.h provides. Only queue.c and the backends include it.
 *
 * A call of queue.h goes through queue.c to the operation of the same name. A backend's own structs
 * begin with the structs of this file.
 */
#ifndef SHARED_QUEUE_BACKEND_H
#define SHARED_QUEUE_BACKEND_H

#include "shared/queue/config_subscriber.h"
#include "shared/queue/queue.h"

struct queue {
	const struct queue_ops *ops;
};

struct consumer {
	const struct queue_ops *ops;
};

struct record {
	const struct queue_ops *ops;
	Envelope *envelope;
	bool redelivered;
};

struct rows {
	const struct queue_ops *ops;
};

struct queue_ops {
	void (*close)(struct queue *queue);
	void (*reload)(struct queue *queue); /* NULL: the backend copies no setting */
	const char *(*spool_dir)(const struct queue *queue);
	int (*space)(const struct queue *queue);
	void (*put)(struct queue *queue, enum topic topic, const Envelope *envelope,
		const struct body *body, queue_cb cb, void *arg);
	struct consumer *(*consume)(struct queue *queue, enum topic topic, struct loop *loop,
		unsigned window, void (*on_record)(void *arg, struct record *record), void *arg);
	void (*consumer_stop)(struct consumer *consumer);
	void (*abandon)(struct record *record);
	void (*forward)(struct record *record, enum topic topic, const Envelope *envelope,
		queue_cb cb, void *arg);
	void (*finish)(struct record *record);
	void (*defer)(
		struct record *record, Row *const *rows, size_t count, queue_cb cb, void *arg);
	bool (*look)(struct queue *queue, enum topic topic, queue_seen_cb on_seen, void *arg);
	void (*body)(struct queue *queue, const Envelope *envelope, uint64_t offset, size_t length,
		queue_body_cb cb, void *arg);
	void (*body_place)(struct queue *queue, const Envelope *envelope, char *out);
	void (*row_put)(struct queue *queue, const Row *row, queue_cb cb, void *arg);
	void (*row_remove)(struct queue *queue, const Row *row, queue_cb cb, void *arg);
	struct rows *(*rows_open)(struct queue *queue, enum rows_scope scope, struct loop *loop,
		const struct rows_subscriber *subscriber, void *arg);
	void (*rows_close)(struct rows *rows);
	bool (*rows_mine)(struct rows *rows, int partition);
	size_t (*rows_due)(struct rows *rows, const struct rows_place *from, size_t limit,
		queue_row_cb on_row, void *arg);
	size_t (*rows_scan)(struct rows *rows, int partition, const uint8_t *after_id,
		const char *after_site, size_t limit, queue_row_cb on_row, void *arg);
	size_t (*rows_of)(struct rows *rows, const uint8_t *id, queue_row_cb on_row, void *arg);
	uint64_t (*rows_count)(struct rows *rows, const char *site);
	bool (*rows_complete)(struct rows *rows); /* NULL: always */
	bool (*rows_refresh)(struct rows *rows);  /* NULL: the view always shows everything */
	void (*config_put)(
		struct queue *queue, const char *key, const char *json, queue_cb cb, void *arg);
	struct config_subscriber *(*config_subscribe)(struct queue *queue, struct loop *loop,
		void (*on_entry)(void *arg, const char *key, const char *json), void *arg);
	void (*config_unsubscribe)(struct config_subscriber *subscriber);
	size_t (*bad_scan)(struct queue *queue, const void *from, size_t from_length, size_t limit,
		queue_bad_cb on_bad, void *arg);
	void (*bad_remove)(
		struct queue *queue, const void *key, size_t key_length, queue_cb cb, void *arg);
	const char *(*bad_machine)(const struct queue *queue); /* NULL: always NULL */
	void (*event_put)(struct queue *queue, enum event_class class, const char *json,
		size_t length, queue_cb cb, void *arg);
	struct event_reader *(*events_open)(
		struct queue *queue, uint64_t since_us, const char *place);
	uint64_t (*clock_us)(struct queue *queue);
	void (*stats)(struct queue *queue, struct queue_stats *out);
};

/* How much of a window must be free before more records come, so that they come in one go. */
static inline unsigned
queue_refill(unsigned window)
{
	return window < 500 ? (window + 3) / 4 : 125;
}

/* queue_lmdb.c, queue_kafka.c: NULL after logging why. */
struct queue *queue_lmdb_open(const struct config *config);
struct queue *queue_kafka_open(const struct config *config);

#endif
