/*
 * kafka_fold.c - what one record of mail.state does to the cache of rows.
 *
 * kafka_follow -> [kafka_fold] -> row_cache
 *
 * A claim raises the epoch. A row or tombstone of a lower epoch is a zombie's and changes nothing.
 * A row that cannot be read takes the place of the row before it; the place of its body is unknown.
 */
#include "shared/queue/kafka/rows/kafka_state_private.h"

#include <string.h>

#include "shared/base/log.h"

struct fold {
	struct row_cache *cache;
	const struct follow_hooks *hooks;
	int64_t *epoch;
};

/* A tombstone's epoch is in its header, as a Row. A tombstone made by hand has none: it is an
 * operator's wish, and counts. */
static int64_t
tombstone_epoch(const rd_kafka_message_t *message, int64_t otherwise)
{
	rd_kafka_headers_t *headers;
	const void *value;
	size_t size;
	int64_t epoch = otherwise;
	Row *row = NULL;

	if (!rd_kafka_message_headers(message, &headers) &&
		!rd_kafka_header_get_last(headers, KAFKA_ENVELOPE, &value, &size) && value)
		row = row__unpack(NULL, size, value);
	if (row)
		epoch = row->epoch;
	if (row)
		row__free_unpacked(row, NULL);
	return epoch;
}

/* False: the record is a zombie's and changes nothing. */
static bool
epoch_counts(const struct fold *f, const rd_kafka_message_t *message, int64_t epoch)
{
	if (epoch < *f->epoch) {
		if (f->hooks->zombie)
			f->hooks->zombie(f->hooks->arg, message, *f->epoch);
		return false;
	}
	/* The claim itself may have been compacted away. */
	*f->epoch = epoch;
	return true;
}

/* Keeps the bytes of an unreadable row: a later version may be able to read them, or an operator
 * decides. */
static int
fold_bad(const struct fold *f, const rd_kafka_message_t *message, const uint8_t *id)
{
	const size_t length = message->key_len - ID_TEXT_SIZE;

	LOG_ERROR("a row of mail.state cannot be read; it is held, and no body is trimmed",
		"partition", log_int(message->partition), "offset", log_int(message->offset));
	if (length > QUEUE_SITE_MAX) /* no version writes such a key */
		return 0;
	return row_cache_put_bad(f->cache, message->partition, id,
		(const char *)message->key + ID_TEXT_SIZE, length, message->payload, message->len);
}

static bool
is_named(const Row *row, const rd_kafka_message_t *message, const uint8_t *id)
{
	const size_t length = message->key_len - ID_TEXT_SIZE;

	return strlen(row->site) == length && length <= QUEUE_SITE_MAX &&
		!memcmp(row->site, (const char *)message->key + ID_TEXT_SIZE, length) &&
		!memcmp(row->envelope->id.data, id, ID_SIZE);
}

static int
fold_row(const struct fold *f, const rd_kafka_message_t *message, const uint8_t *id)
{
	Row *row = row_unpack(message->payload, message->len);
	int64_t body = -1;
	int err = 0;

	if (!row || !is_named(row, message, id)) {
		err = fold_bad(f, message, id);
	} else if (epoch_counts(f, message, row->epoch)) {
		if (row->envelope->body_topic == KAFKA_DEFERRED)
			body = row->envelope->body_offset;
		err = row_cache_put(f->cache, message->partition, row, message->payload,
			message->len, body,
			(uint64_t)rd_kafka_message_timestamp(message, NULL) * 1000);
	}
	row_free(row);
	return err;
}

static int
fold_tombstone(const struct fold *f, const rd_kafka_message_t *message, const uint8_t *id)
{
	const char *site = (const char *)message->key + ID_TEXT_SIZE;
	size_t length = message->key_len - ID_TEXT_SIZE;

	if (length > QUEUE_SITE_MAX ||
		!epoch_counts(f, message, tombstone_epoch(message, *f->epoch)))
		return 0;
	if (f->hooks->removed)
		f->hooks->removed(f->hooks->arg, message);
	return row_cache_remove(f->cache, message->partition, id, site, length);
}

/* <id>/<site> */
static bool
key_parse(const rd_kafka_message_t *message, uint8_t id[ID_SIZE])
{
	char text[ID_TEXT_SIZE];

	if (message->key_len < ID_TEXT_SIZE)
		return false;
	memcpy(text, message->key, ID_TEXT_SIZE - 1);
	text[ID_TEXT_SIZE - 1] = '\0';
	return ((const char *)message->key)[ID_TEXT_SIZE - 1] == '/' && !id_parse(text, id);
}

int
fold_record(struct row_cache *cache, const struct follow_hooks *hooks, int64_t *epoch,
	const rd_kafka_message_t *message)
{
	const struct fold fold = { cache, hooks, epoch };
	const size_t claim_length = strlen(CLAIM_KEY);
	uint8_t id[ID_SIZE];

	if (message->key_len > claim_length && !memcmp(message->key, CLAIM_KEY, claim_length)) {
		*epoch = message->offset;
		if (hooks->claimed)
			hooks->claimed(hooks->arg, message->partition, message->offset);
		return 0;
	}
	if (!key_parse(message, id)) {
		LOG_WARN("mail.state has a key that is none", "partition",
			log_int(message->partition), "offset", log_int(message->offset));
		return 0;
	}
	if (message->payload)
		return fold_row(&fold, message, id);
	return fold_tombstone(&fold, message, id);
}
