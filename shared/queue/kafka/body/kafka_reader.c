/*
 * kafka_reader.c - reads single records by offset: bodies of waiting mail when it is due.
 *
 * kafka_body -> [kafka_reader] -> broker
 *
 * One thread, one handle without a group, made when a record is wanted for the first time. The
 * wanted records of a partition are read in the order of offsets: a record up to NEAR further on is
 * reached by reading on, any other by starting at its offset. A partition is fetched from only
 * while a record of it is wanted.
 *
 * An offset that the broker does not have any more is -ENOENT. So is a record of another key, so
 * that no message goes out with the body of another. librdkafka retries any other failure until the
 * want is LATE_MS old.
 */
#include "shared/queue/kafka/body/kafka_reader.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "shared/base/log.h"
#include "shared/base/loop.h"

#define NEAR 64
#define BATCH 64
#define POLL_MS 20

struct want {
	struct want *next;
	struct kafka_place place;
	uint64_t late_at_ms;
};

/* A partition of which records are wanted. */
struct cursor {
	struct cursor *next;
	enum kafka_topic topic;
	int32_t partition;
	bool running;
	int64_t at;         /* the next offset to be read */
	struct want *wants; /* by offset */
};

struct kafka_reader {
	struct kafka_queue *queue;
	kafka_read_cb on_read;
	void *arg;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct want *wanted; /* under lock, newest first */
	bool closing;        /* under lock */
	/* the thread's */
	struct cursor *cursors;
	unsigned waiting; /* wants of all cursors */
	rd_kafka_t *rk;
	rd_kafka_queue_t *records;
	rd_kafka_topic_t *topics[KAFKA_TOPICS];
};

static void
open_handle(struct kafka_reader *reader)
{
	rd_kafka_conf_t *conf = kafka_conf(reader->queue->config);

	kafka_set(conf, "fetch.message.max.bytes", "65536");
	kafka_set(conf, "queued.min.messages", "1000");
	kafka_set(conf, "queued.max.messages.kbytes", "1024");
	kafka_set(conf, "fetch.wait.max.ms", "10");
	kafka_set(conf, "fetch.error.backoff.ms", "50");
	kafka_set(conf, "auto.offset.reset", "error");
	kafka_set(conf, "enable.auto.commit", "false");
	reader->rk = kafka_consumer_handle(conf);
	reader->records = rd_kafka_queue_new(reader->rk);
}

static rd_kafka_topic_t *
topic_of(struct kafka_reader *reader, enum kafka_topic topic)
{
	if (!reader->rk)
		open_handle(reader);
	if (!reader->topics[topic])
		reader->topics[topic] = rd_kafka_topic_new(
			reader->rk, kafka_topic_name[topic], NULL);
	return reader->topics[topic];
}

static struct cursor *
cursor_of(struct kafka_reader *reader, enum kafka_topic topic, int32_t partition)
{
	struct cursor *cursor = reader->cursors;

	while (cursor && (cursor->topic != topic || cursor->partition != partition))
		cursor = cursor->next;
	if (cursor)
		return cursor;
	cursor = xcalloc(1, sizeof *cursor);
	cursor->topic = topic;
	cursor->partition = partition;
	cursor->next = reader->cursors;
	reader->cursors = cursor;
	return cursor;
}

static void
cursor_stop(struct kafka_reader *reader, struct cursor *cursor)
{
	if (cursor->running)
		rd_kafka_consume_stop(topic_of(reader, cursor->topic), cursor->partition);
	cursor->running = false;
}

/* Answers the lowest want and removes it. */
static void
end_first(
	struct kafka_reader *reader, struct cursor *cursor, int err, const void *data, size_t size)
{
	struct want *want = cursor->wants;

	cursor->wants = want->next;
	reader->waiting--;
	reader->on_read(reader->arg, want->place, err, data, size);
	free(want);
}

static void
take_wants(struct kafka_reader *reader)
{
	struct want *wants, *next;

	pthread_mutex_lock(&reader->lock);
	wants = reader->wanted;
	reader->wanted = NULL;
	pthread_mutex_unlock(&reader->lock);
	for (struct want *want = wants; want; want = next) {
		struct cursor *cursor = cursor_of(reader, want->place.topic, want->place.partition);
		struct want **at = &cursor->wants;

		next = want->next;
		while (*at && (*at)->place.offset < want->place.offset)
			at = &(*at)->next;
		want->next = *at;
		*at = want;
		reader->waiting++;
	}
}

static void
end_late(struct kafka_reader *reader, struct cursor *cursor, uint64_t now_ms)
{
	struct want **at = &cursor->wants, *want;

	while ((want = *at)) {
		if (want->late_at_ms > now_ms) {
			at = &want->next;
			continue;
		}
		*at = want->next;
		reader->waiting--;
		reader->on_read(reader->arg, want->place, -ETIMEDOUT, NULL, 0);
		free(want);
	}
}

/* Starts the cursor at its lowest want, unless that is a little ahead. */
static void
cursor_move(struct kafka_reader *reader, struct cursor *cursor)
{
	rd_kafka_topic_t *topic;
	int64_t offset;

	if (!cursor->wants) {
		cursor_stop(reader, cursor);
		return;
	}
	offset = cursor->wants->place.offset;
	if (cursor->running && offset >= cursor->at && offset < cursor->at + NEAR)
		return;
	cursor_stop(reader, cursor);
	topic = topic_of(reader, cursor->topic); /* opens the handle */
	if (rd_kafka_consume_start_queue(topic, cursor->partition, offset, reader->records)) {
		LOG_WARN("a partition cannot be read", "topic", kafka_topic_name[cursor->topic],
			"partition", log_int(cursor->partition), "error",
			rd_kafka_err2str(rd_kafka_last_error()));
		return;
	}
	cursor->running = true;
	cursor->at = offset;
}

static enum kafka_topic
topic_number(const struct kafka_reader *reader, const rd_kafka_topic_t *topic)
{
	const char *name = rd_kafka_topic_name(topic);

	(void)reader;
	for (int i = 1; i < KAFKA_TOPICS; i++)
		if (strcmp(name, kafka_topic_name[i]) == 0)
			return (enum kafka_topic)i;
	return KAFKA_NONE;
}

/* The offset that the cursor was started at is below or beyond the log. */
static void
on_error(struct kafka_reader *reader, struct cursor *cursor, const rd_kafka_message_t *message)
{
	if (message->err != RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET &&
		message->err != RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE) {
		LOG_WARN("a body cannot be read", "topic", kafka_topic_name[cursor->topic], "error",
			rd_kafka_message_errstr(message));
		return;
	}
	cursor_stop(reader, cursor);
	if (cursor->wants)
		end_first(reader, cursor, -ENOENT, NULL, 0);
}

/* Whether the record is the one that the cursor's lowest want means. */
static bool
is_meant(const struct cursor *cursor, const rd_kafka_message_t *message)
{
	const struct kafka_place *place = &cursor->wants->place;
	char wanted[ID_TEXT_SIZE], found[ID_TEXT_SIZE] = "";

	if (message->key_len == ID_SIZE && !memcmp(message->key, place->id, ID_SIZE))
		return true;
	id_format(place->id, wanted);
	if (message->key_len == ID_SIZE)
		id_format(message->key, found);
	LOG_ERROR("a body's place holds another message, it is not used", "topic",
		kafka_topic_name[place->topic], "partition", log_int(place->partition), "offset",
		log_int(place->offset), "id", wanted, "found", found);
	return false;
}

static void
on_message(struct kafka_reader *reader, const rd_kafka_message_t *message)
{
	struct cursor *cursor;

	if (!message->rkt)
		return;
	cursor = cursor_of(reader, topic_number(reader, message->rkt), message->partition);
	if (!cursor->running)
		return;
	if (message->err) {
		on_error(reader, cursor, message);
		return;
	}
	while (cursor->wants && cursor->wants->place.offset >= cursor->at &&
		cursor->wants->place.offset < message->offset)
		end_first(reader, cursor, -ENOENT, NULL, 0);
	cursor->at = message->offset + 1;
	if (!cursor->wants || cursor->wants->place.offset != message->offset)
		return;
	if (is_meant(cursor, message))
		end_first(reader, cursor, 0, message->payload, message->len);
	else
		end_first(reader, cursor, -ENOENT, NULL, 0);
}

static void
read_on(struct kafka_reader *reader)
{
	rd_kafka_message_t *messages[BATCH];
	uint64_t now_ms = clock_mono_ms();
	ssize_t count;

	for (struct cursor *cursor = reader->cursors; cursor; cursor = cursor->next) {
		end_late(reader, cursor, now_ms);
		cursor_move(reader, cursor);
	}
	if (!reader->waiting)
		return;
	count = rd_kafka_consume_batch_queue(reader->records, 0, messages, BATCH);
	if (count <= 0)
		count = rd_kafka_consume_batch_queue(reader->records, POLL_MS, messages, 1);
	for (ssize_t i = 0; i < count; i++) {
		on_message(reader, messages[i]);
		rd_kafka_message_destroy(messages[i]);
	}
	rd_kafka_poll(reader->rk, 0);
}

static void
end_all(struct kafka_reader *reader)
{
	struct cursor *next;

	take_wants(reader);
	for (struct cursor *cursor = reader->cursors; cursor; cursor = next) {
		next = cursor->next;
		cursor_stop(reader, cursor);
		while (cursor->wants)
			end_first(reader, cursor, -ECANCELED, NULL, 0);
		free(cursor);
	}
	if (!reader->rk)
		return;
	rd_kafka_queue_destroy(reader->records);
	for (int i = 0; i < KAFKA_TOPICS; i++)
		if (reader->topics[i])
			rd_kafka_topic_destroy(reader->topics[i]);
	rd_kafka_destroy(reader->rk);
}

static void *
reader_run(void *arg)
{
	struct kafka_reader *reader = arg;
	bool closing;

	pthread_setname_np(pthread_self(), "queue-reader");
	do {
		pthread_mutex_lock(&reader->lock);
		while (!reader->wanted && !reader->waiting && !reader->closing)
			pthread_cond_wait(&reader->wake, &reader->lock);
		closing = reader->closing;
		pthread_mutex_unlock(&reader->lock);
		take_wants(reader);
		if (!closing)
			read_on(reader);
	} while (!closing);
	end_all(reader);
	return NULL;
}

void
kafka_reader_want(struct kafka_reader *reader, struct kafka_place place)
{
	struct want *want = xmalloc(sizeof *want);
	unsigned late_ms = reader->queue->late_ms ? reader->queue->late_ms : LATE_MS;

	want->place = place;
	want->late_at_ms = clock_mono_ms() + late_ms;
	pthread_mutex_lock(&reader->lock);
	want->next = reader->wanted;
	reader->wanted = want;
	pthread_cond_signal(&reader->wake);
	pthread_mutex_unlock(&reader->lock);
}

struct kafka_reader *
kafka_reader_new(struct kafka_queue *queue, kafka_read_cb on_read, void *arg)
{
	struct kafka_reader *reader = xcalloc(1, sizeof *reader);

	reader->queue = queue;
	reader->on_read = on_read;
	reader->arg = arg;
	pthread_mutex_init(&reader->lock, NULL);
	pthread_cond_init(&reader->wake, NULL);
	thread_start(&reader->thread, reader_run, reader);
	return reader;
}

void
kafka_reader_free(struct kafka_reader **reader_ref)
{
	struct kafka_reader *reader = *reader_ref;

	if (!reader)
		return;
	pthread_mutex_lock(&reader->lock);
	reader->closing = true;
	pthread_cond_signal(&reader->wake);
	pthread_mutex_unlock(&reader->lock);
	pthread_join(reader->thread, NULL);
	pthread_mutex_destroy(&reader->lock);
	pthread_cond_destroy(&reader->wake);
	free(reader);
	*reader_ref = NULL;
}
