/*
 * kafka_client.h - what every handle of librdkafka shares: topics, groups, settings, errors.
 */
#ifndef SHARED_KAFKA_CLIENT_H
#define SHARED_KAFKA_CLIENT_H

#include <librdkafka/rdkafka.h>

#include "shared/queue/queue_backend.h"

/*
 * A record without an acknowledgement is answered with -ETIMEDOUT after LATE_MS. A record that
 * waited for others for longer than PATIENCE_MS is timed by the producer; librdkafka gives a record
 * up after DELIVERY_MS, and looks at its clock every two seconds.
 */
#define LATE_MS QUEUE_LATE_MS
#define PATIENCE_MS(late_ms) ((late_ms) / 20)
#define DELIVERY_MS(late_ms) ((late_ms) / 5 * 4)
#define KAFKA_ENVELOPE "envelope" /* the header that holds the packed Envelope (state: Row) */
/* Who reads mail.inbound and mail.ready. */
#define KAFKA_GROUP_SCANNER "shout-scanner"
#define KAFKA_GROUP_SENDER "shout-sender"
extern const char *const kafka_group_name[TOPIC_COUNT];
/* The largest record on the wire: message_size_limit, its key and envelope. */
#define KAFKA_MESSAGE_MAX "67108864"

/* Numbers go into Envelope.body_topic: they are for ever. */
enum kafka_topic {
	KAFKA_NONE,
	KAFKA_INBOUND,
	KAFKA_READY,
	KAFKA_DEFERRED,
	KAFKA_STATE,
	KAFKA_EVENTS,
	KAFKA_CONFIG,
	KAFKA_TOPICS
};
extern const char *const kafka_topic_name[KAFKA_TOPICS]; /* "mail.inbound", ... */
enum kafka_topic kafka_topic_of(enum topic topic);

/*
 * A configuration with everything that all handles share (brokers, security,
 * logging), for the caller to add to. Never NULL; ends in rd_kafka_new()
 * or kafka_consumer_handle().
 */
rd_kafka_conf_t *kafka_conf(const struct config *config);
/* A consumer with that configuration, which the consumer takes over. Ends the process when there
 * can be none. */
rd_kafka_t *kafka_consumer_handle(rd_kafka_conf_t *conf);
/* Sets one property; a wrong one is a bug: it ends the process. */
void kafka_set(rd_kafka_conf_t *conf, const char *name, const char *value);
/* Sets each `offset` of the list to where the partition starts (RD_KAFKA_OFFSET_BEGINNING) or ends
 * (RD_KAFKA_OFFSET_END). Waits for `timeout_ms` at most. */
rd_kafka_resp_err_t kafka_find_offsets(
	rd_kafka_t *rk, rd_kafka_topic_partition_list_t *partitions, int64_t where, int timeout_ms);
/* Start and end of one partition. Each wait is `timeout_ms` at most. */
rd_kafka_resp_err_t kafka_find_ends(rd_kafka_t *rk, enum kafka_topic topic, int32_t partition,
	int timeout_ms, int64_t *low, int64_t *high);
/* All partitions of a topic, without offsets. NULL: the brokers do not answer. */
rd_kafka_topic_partition_list_t *
kafka_find_partitions(rd_kafka_t *rk, enum kafka_topic topic, int timeout_ms);
/* The envelope of a record, with the place of its body. NULL: the record has none that can be
 * read. */
Envelope *kafka_envelope(enum kafka_topic topic, const rd_kafka_message_t *message);
/* What became of a DeleteRecords request: its own error, or the first of a partition. */
rd_kafka_resp_err_t kafka_deleted(rd_kafka_event_t *event);
/* 0, -ETIMEDOUT, -ENOSPC or -EIO for what librdkafka calls an error. */
int kafka_errno(rd_kafka_resp_err_t err);

#endif
