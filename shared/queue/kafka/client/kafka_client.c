/*
 * kafka_client.c - what all handles of librdkafka share: brokers, security, log, and what its
 * errors mean to us.
 *
 * [kafka_conf] -> kafka_producer, kafka_consumer, kafka_body, kafka_state, kafka_topics, ...
 */
#include "shared/queue/kafka/client/kafka_client.h"

#include <errno.h>
#include <stdatomic.h>

#include "shared/base/log.h"
#include "shared/config/config.h"

const char *const kafka_group_name[TOPIC_COUNT] = { KAFKA_GROUP_SCANNER, KAFKA_GROUP_SENDER };

const char *const kafka_topic_name[KAFKA_TOPICS] = {
	[KAFKA_NONE] = "",
	[KAFKA_INBOUND] = "mail.inbound",
	[KAFKA_READY] = "mail.ready",
	[KAFKA_DEFERRED] = "mail.deferred",
	[KAFKA_STATE] = "mail.state",
	[KAFKA_EVENTS] = "mail.events",
	[KAFKA_CONFIG] = "relay.config",
};

enum kafka_topic
kafka_topic_of(enum topic topic)
{
	return topic == TOPIC_INBOUND ? KAFKA_INBOUND : KAFKA_READY;
}

/* librdkafka calls an unreachable broker an error. It tries again, so the log says warning. */
static void
on_log(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
	const char *name = rk ? rd_kafka_name(rk) : "";

	if (level <= 2)
		LOG_ERROR("kafka", "what", facility, "text", text, "handle", name);
	else if (level <= 4)
		LOG_WARN("kafka", "what", facility, "text", text, "handle", name);
	else if (level <= 6)
		LOG_INFO("kafka", "what", facility, "text", text, "handle", name);
	else
		LOG_DEBUG("kafka", "what", facility, "text", text, "handle", name);
}

void
kafka_set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
	char why[256];

	if (rd_kafka_conf_set(conf, name, value, why, sizeof why) != RD_KAFKA_CONF_OK)
		die("a setting of librdkafka is refused", why);
}

/* Brokers since 4.0 check the nonce of RFC 5802. librdkafka before 2.6.1 sends a wrong one. */
#define SCRAM_VERSION 0x02060100

static void
warn_of_scram(void)
{
	static atomic_flag said = ATOMIC_FLAG_INIT;

	if (rd_kafka_version() < SCRAM_VERSION && !atomic_flag_test_and_set(&said))
		LOG_WARN("queue.sasl: brokers of Kafka 4 refuse SCRAM from this librdkafka as "
			 "\"invalid credentials\"; use PLAIN within TLS, or librdkafka 2.6.1",
			"librdkafka", rd_kafka_version_str());
}

static void
set_security(rd_kafka_conf_t *conf, const struct config *config)
{
	static const char *const protocols[2][2] = {
		{ "plaintext", "ssl" },
		{ "sasl_plaintext", "sasl_ssl" },
	};
	static const char *const mechanisms[] = { "", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512" };
	bool sasl = config->queue.sasl.mechanism != SASL_NONE;

	kafka_set(conf, "security.protocol", protocols[sasl][config->queue.tls]);
	if (config->queue.ca)
		kafka_set(conf, "ssl.ca.location", config->queue.ca);
	if (!sasl)
		return;
	if (config->queue.sasl.mechanism != SASL_PLAIN)
		warn_of_scram();
	kafka_set(conf, "sasl.mechanism", mechanisms[config->queue.sasl.mechanism]);
	kafka_set(conf, "sasl.username", config->queue.sasl.username);
	kafka_set(conf, "sasl.password", config->queue.sasl.password);
}

rd_kafka_conf_t *
kafka_conf(const struct config *config)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();

	rd_kafka_conf_set_log_cb(conf, on_log);
	kafka_set(conf, "bootstrap.servers", config->queue.brokers);
	kafka_set(conf, "client.id", "shout");
	kafka_set(conf, "socket.nagle.disable", "true");
	kafka_set(conf, "socket.keepalive.enable", "true");
	/* A broker that hangs has to be given up in time for its successor to answer within
	 * LATE_MS.
	 */
	kafka_set(conf, "socket.timeout.ms", "10000");
	kafka_set(conf, "reconnect.backoff.max.ms", "1000");
	kafka_set(conf, "log.connection.close", "false");
	/* Mail in a new partition waits until its consumers and producers have heard of it. */
	kafka_set(conf, "topic.metadata.refresh.interval.ms", "30000");
	set_security(conf, config);
	return conf;
}

rd_kafka_t *
kafka_consumer_handle(rd_kafka_conf_t *conf)
{
	char why[256];
	rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, why, sizeof why);

	if (!rk)
		die("cannot make a consumer", why);
	return rk;
}

rd_kafka_resp_err_t
kafka_deleted(rd_kafka_event_t *event)
{
	const rd_kafka_DeleteRecords_result_t *result = rd_kafka_event_DeleteRecords_result(event);
	const rd_kafka_topic_partition_list_t *list = result
		? rd_kafka_DeleteRecords_result_offsets(result)
		: NULL;
	rd_kafka_resp_err_t err = rd_kafka_event_error(event);

	for (int i = 0; list && i < list->cnt && !err; i++)
		err = list->elems[i].err;
	return err;
}

/* rd_kafka_query_watermark_offsets() waits for ever for a leader that is away (librdkafka 2.0.2).
 * A look-up of offsets by time does not, and brokers take start and end as times. */
rd_kafka_resp_err_t
kafka_find_offsets(
	rd_kafka_t *rk, rd_kafka_topic_partition_list_t *partitions, int64_t where, int timeout_ms)
{
	rd_kafka_resp_err_t err;

	for (int i = 0; i < partitions->cnt; i++)
		partitions->elems[i].offset = where;
	err = rd_kafka_offsets_for_times(rk, partitions, timeout_ms);
	for (int i = 0; i < partitions->cnt && !err; i++)
		err = partitions->elems[i].err;
	return err;
}

rd_kafka_topic_partition_list_t *
kafka_find_partitions(rd_kafka_t *rk, enum kafka_topic number, int timeout_ms)
{
	const char *name = kafka_topic_name[number];
	rd_kafka_topic_t *topic = rd_kafka_topic_new(rk, name, NULL);
	const struct rd_kafka_metadata *metadata;
	rd_kafka_topic_partition_list_t *partitions = NULL;

	if (!rd_kafka_metadata(rk, 0, topic, &metadata, timeout_ms)) {
		partitions = rd_kafka_topic_partition_list_new(12);
		for (int i = 0; metadata->topic_cnt && i < metadata->topics[0].partition_cnt; i++)
			rd_kafka_topic_partition_list_add(partitions, name, i);
		rd_kafka_metadata_destroy(metadata);
	}
	rd_kafka_topic_destroy(topic);
	return partitions;
}

rd_kafka_resp_err_t
kafka_find_ends(rd_kafka_t *rk, enum kafka_topic topic, int32_t partition, int timeout_ms,
	int64_t *low, int64_t *high)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
	rd_kafka_topic_partition_t *entry = rd_kafka_topic_partition_list_add(
		list, kafka_topic_name[topic], partition);
	rd_kafka_resp_err_t err;

	err = kafka_find_offsets(rk, list, RD_KAFKA_OFFSET_BEGINNING, timeout_ms);
	*low = entry->offset;
	if (!err)
		err = kafka_find_offsets(rk, list, RD_KAFKA_OFFSET_END, timeout_ms);
	*high = entry->offset;
	rd_kafka_topic_partition_list_destroy(list);
	return err;
}

Envelope *
kafka_envelope(enum kafka_topic topic, const rd_kafka_message_t *message)
{
	rd_kafka_headers_t *headers;
	const void *data;
	size_t size;
	Envelope *envelope;

	if (rd_kafka_message_headers(message, &headers) ||
		rd_kafka_header_get_last(headers, KAFKA_ENVELOPE, &data, &size))
		return NULL;
	envelope = envelope_unpack(data, size);
	if (envelope && envelope->id.len != ID_SIZE) {
		envelope_free(envelope);
		envelope = NULL;
	}
	if (!envelope)
		return NULL;
	envelope->partition = (uint32_t)message->partition;
	envelope->body_topic = (uint32_t)topic;
	envelope->body_offset = message->offset;
	return envelope;
}

int
kafka_errno(rd_kafka_resp_err_t err)
{
	switch (err) {
	case RD_KAFKA_RESP_ERR_NO_ERROR: return 0;
	case RD_KAFKA_RESP_ERR__TIMED_OUT:
	case RD_KAFKA_RESP_ERR__MSG_TIMED_OUT:
	case RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE:
	case RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT: return -ETIMEDOUT;
	case RD_KAFKA_RESP_ERR__QUEUE_FULL: return -ENOSPC;
	default: return -EIO;
	}
}
