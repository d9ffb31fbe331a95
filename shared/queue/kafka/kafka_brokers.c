/*
 * kafka_brokers.c - asks each broker for what it knows of the cluster.
 *
 * shout check -> [kafka_brokers] -> brokers
 *
 * A client of librdkafka is content with any broker, so each is asked by a client of its own. All
 * topics are asked for, since a question by name may create one.
 */
#include "shared/queue/kafka/kafka_brokers.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/log.h"
#include "shared/base/text.h"
#include "shared/config/config.h"
#include "shared/queue/kafka/client/kafka_client.h"

#define WHY_MAX 256

struct brokers {
	char **names;
	size_t count;
};

static void
brokers_add(struct brokers *brokers, char *name)
{
	for (size_t i = 0; i < brokers->count; i++) {
		if (strcmp(brokers->names[i], name) != 0)
			continue;
		free(name);
		return;
	}
	brokers->names = xrealloc(brokers->names, (brokers->count + 1) * sizeof *brokers->names);
	brokers->names[brokers->count++] = name;
}

static void
brokers_take(struct brokers *brokers, const char *list)
{
	for (size_t n; *list; list += n + (list[n] == ',')) {
		n = strcspn(list, ",");
		if (n)
			brokers_add(brokers, xstrndup(list, n));
	}
}

/* librdkafka's reason says more than its code. */
static void
on_error(rd_kafka_t *rk, int err, const char *reason, void *arg)
{
	(void)rk;
	if (err != RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN)
		text_clean(arg, WHY_MAX, 0, reason, strlen(reason));
}

/* NULL and why not; else rd_kafka_metadata_destroy(). */
static const struct rd_kafka_metadata *
ask(const struct config *config, const char *broker, int timeout_ms, char why[WHY_MAX])
{
	const struct rd_kafka_metadata *metadata = NULL;
	rd_kafka_conf_t *conf = kafka_conf(config);
	rd_kafka_resp_err_t err;
	rd_kafka_t *rk;

	why[0] = '\0';
	kafka_set(conf, "bootstrap.servers", broker);
	rd_kafka_conf_set_log_cb(conf, NULL);
	rd_kafka_conf_set_error_cb(conf, on_error);
	rd_kafka_conf_set_opaque(conf, why);
	rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, WHY_MAX);
	if (!rk) {
		rd_kafka_conf_destroy(conf);
		return NULL;
	}
	err = rd_kafka_metadata(rk, 1, NULL, &metadata, timeout_ms);
	if (err)
		rd_kafka_poll(rk, 0);
	if (err && !*why)
		snprintf(why, WHY_MAX, "%s", rd_kafka_err2str(err));
	rd_kafka_destroy(rk);
	return err ? NULL : metadata;
}

static void
take(const struct rd_kafka_metadata *metadata, struct brokers *brokers, bool *topics)
{
	for (int i = 0; i < metadata->broker_cnt; i++)
		brokers_add(brokers,
			xasprintf("%s:%d", metadata->brokers[i].host, metadata->brokers[i].port));
	for (int i = 0; i < metadata->topic_cnt; i++)
		for (int topic = KAFKA_NONE + 1; topic < KAFKA_TOPICS; topic++)
			if (!metadata->topics[i].err &&
				strcmp(metadata->topics[i].topic, kafka_topic_name[topic]) == 0)
				topics[topic] = true;
}

unsigned
kafka_brokers_ask(const struct config *config, int timeout_ms,
	const struct kafka_brokers_handler *handler, void *arg)
{
	struct brokers brokers = { 0 };
	bool topics[KAFKA_TOPICS] = { false };
	const struct rd_kafka_metadata *metadata;
	unsigned answered = 0;
	char why[WHY_MAX];

	brokers_take(&brokers, config->queue.brokers);
	for (size_t i = 0; i < brokers.count; i++) { /* grows meanwhile */
		metadata = ask(config, brokers.names[i], timeout_ms, why);
		if (!metadata) {
			handler->away(arg, brokers.names[i], why);
			continue;
		}
		answered++;
		take(metadata, &brokers, topics);
		rd_kafka_metadata_destroy(metadata);
	}
	for (int topic = KAFKA_NONE + 1; answered && topic < KAFKA_TOPICS; topic++)
		if (!topics[topic])
			handler->missing(arg, kafka_topic_name[topic]);
	for (size_t i = 0; i < brokers.count; i++)
		free(brokers.names[i]);
	free(brokers.names);
	return answered;
}
