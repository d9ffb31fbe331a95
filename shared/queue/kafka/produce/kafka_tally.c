/*
 * kafka_tally.c - what became of records: metrics, and a line a second of those that failed.
 *
 * kafka_producer -> [kafka_tally] -> /metrics, log
 */
#include "shared/queue/kafka/produce/kafka_tally.h"

#include <stdio.h>
#include <string.h>

#include "shared/base/log.h"
#include "shared/metrics/metrics.h"

void
kafka_tally_init(struct kafka_tally *tally)
{
	char labels[48];

	for (int i = KAFKA_NONE + 1; i < KAFKA_TOPICS; i++) {
		snprintf(labels, sizeof labels, "topic=\"%s\"", kafka_topic_name[i]);
		tally->latency[i] = metric_histogram("shout_queue_produce_seconds",
			"From asking to the brokers' acknowledgement", labels);
		tally->errors[i] = metric_counter("shout_queue_produce_errors_total",
			"Records that the brokers did not acknowledge", labels);
		tally->unknown[i] = metric_counter("shout_queue_unknown_total",
			"Records answered with an error that may be durable nevertheless", labels);
	}
	tally->in_flight = metric_gauge(
		"shout_queue_producing", "Records that wait for an acknowledgement", NULL);
	tally->large_waiting = metric_gauge("shout_queue_large_waiting",
		"Large records that wait for others to be acknowledged", NULL);
	tally->replaced = metric_counter("shout_queue_producers_replaced_total",
		"Producers replaced after a fatal error", NULL);
}

/* Logs the first of each error, then at most one a second: the brokers fail many records at
 * once. */
static void
log_error(struct kafka_tally *tally, const struct kafka_message *message, int err)
{
	unsigned left_out;

	if (said_now(&tally->said[message->topic], strerror(-err), 1000, &left_out))
		LOG_WARN("the brokers did not take a record", "topic",
			kafka_topic_name[message->topic], "partition", log_int(message->partition),
			"error", strerror(-err), SAID_LEFT_OUT(left_out));
}

void
kafka_tally_answer(struct kafka_tally *tally, const struct kafka_message *message, int err)
{
	if (!err) {
		metric_observe_us(
			tally->latency[message->topic], clock_mono_us() - message->asked_us);
		return;
	}
	metric_add(tally->errors[message->topic], 1);
	log_error(tally, message, err);
}
