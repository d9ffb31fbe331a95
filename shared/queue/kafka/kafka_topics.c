/*
 * kafka_topics.c - creates and verifies the topics.
 *
 *   metadata -> create what is missing -> add partitions -> describe -> findings -> table
 *
 * The settings of an existing topic are never changed: an operator may have had reasons. Each
 * setting that could lose mail is named instead. A message keeps its partition number through all
 * stages, so partitions are added from the end of its way to the beginning: state, deferred, ready,
 * and inbound last. Every call waits for its answer.
 *
 * Where an operator of Kubernetes makes the topics, the same settings are printed as resources.
 */
#include "shared/queue/kafka/kafka_topics.h"
#include "shared/queue/kafka/client/kafka_client.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "shared/base/json.h"
#include "shared/base/log.h"
#include "shared/base/text.h"
#include "shared/config/config.h"
#include "shared/queue/kafka/client/kafka_settings.h"

#define ASK_MS 15000
#define DESCRIBE_TRIES 20

static const enum kafka_topic order[] = { KAFKA_STATE, KAFKA_DEFERRED, KAFKA_READY, KAFKA_INBOUND,
	KAFKA_EVENTS, KAFKA_CONFIG };
#define ORDER (sizeof order / sizeof *order)

struct found {
	int partitions, replicas; /* 0: the topic does not exist */
	int before;               /* partitions before they were added */
	bool created;
	unsigned findings;
};

struct finding {
	struct finding *next;
	char *where, *what; /* "topic mail.inbound", "retention.ms is ..." */
};

struct topics {
	const struct config *config;
	rd_kafka_t *rk;
	rd_kafka_queue_t *answers;
	struct found topics[KAFKA_TOPICS];
	int32_t *brokers;
	int brokers_count;
	struct finding *first, **last;
	unsigned findings;
};

static void add_finding(struct topics *topics, const char *where, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static void
add_finding(struct topics *topics, const char *where, const char *format, ...)
{
	struct finding *finding = xcalloc(1, sizeof *finding);
	va_list args;
	char *text;
	int length;

	finding->where = xstrdup(where);
	va_start(args, format);
	length = vasprintf(&text, format, args);
	va_end(args);
	if (length < 0)
		die("out of memory", "vasprintf");
	finding->what = xmalloc((size_t)length + 1);
	text_clean(finding->what, (size_t)length + 1, 0, text, (size_t)length);
	free(text);
	*topics->last = finding;
	topics->last = &finding->next;
	topics->findings++;
}

static int
wanted_partitions(const struct config *config, enum kafka_topic topic)
{
	return topic == KAFKA_CONFIG ? 1 : (int)config->queue.partitions;
}

static enum kafka_topic
topic_named(const char *name)
{
	for (int i = KAFKA_NONE + 1; i < KAFKA_TOPICS; i++)
		if (strcmp(name, kafka_topic_name[i]) == 0)
			return (enum kafka_topic)i;
	return KAFKA_NONE;
}

static void
take_topic(struct topics *topics, const struct rd_kafka_metadata_topic *from)
{
	struct found *to = &topics->topics[topic_named(from->topic)];

	if (from->err)
		return;
	to->partitions = from->partition_cnt;
	to->replicas = from->partition_cnt ? from->partitions[0].replica_cnt : 0;
	for (int i = 1; i < from->partition_cnt; i++)
		if (from->partitions[i].replica_cnt < to->replicas)
			to->replicas = from->partitions[i].replica_cnt;
}

static int
read_metadata(struct topics *topics)
{
	const struct rd_kafka_metadata *metadata;
	rd_kafka_resp_err_t err = rd_kafka_metadata(topics->rk, 1, NULL, &metadata, ASK_MS);

	if (err) {
		add_finding(topics, "brokers", "%s: %s", topics->config->queue.brokers,
			rd_kafka_err2str(err));
		return -1;
	}
	for (int i = 0; i < metadata->topic_cnt; i++)
		take_topic(topics, &metadata->topics[i]);
	topics->brokers = xrealloc(
		topics->brokers, (size_t)metadata->broker_cnt * sizeof *topics->brokers + 1);
	topics->brokers_count = metadata->broker_cnt;
	for (int i = 0; i < metadata->broker_cnt; i++)
		topics->brokers[i] = metadata->brokers[i].id;
	rd_kafka_metadata_destroy(metadata);
	return 0;
}

static rd_kafka_AdminOptions_t *
options(struct topics *topics, rd_kafka_admin_op_t op)
{
	rd_kafka_AdminOptions_t *made = rd_kafka_AdminOptions_new(topics->rk, op);

	rd_kafka_AdminOptions_set_request_timeout(made, ASK_MS, NULL, 0);
	if (op != RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS)
		rd_kafka_AdminOptions_set_operation_timeout(made, ASK_MS, NULL, 0);
	return made;
}

/* The answer to one request; NULL after a finding. */
static rd_kafka_event_t *
answer(struct topics *topics, const char *where)
{
	rd_kafka_event_t *event = rd_kafka_queue_poll(topics->answers, 2 * ASK_MS);

	if (event && !rd_kafka_event_error(event))
		return event;
	add_finding(topics, where, "%s",
		event ? rd_kafka_event_error_string(event) : "the brokers do not answer");
	if (event)
		rd_kafka_event_destroy(event);
	return NULL;
}

static int
take_results(struct topics *topics, const rd_kafka_topic_result_t **results, size_t count)
{
	int status = 0;

	for (size_t i = 0; i < count; i++) {
		rd_kafka_resp_err_t err = rd_kafka_topic_result_error(results[i]);

		if (!err || err == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS)
			continue;
		add_finding(topics, rd_kafka_topic_result_name(results[i]),
			"the brokers refuse: %s", rd_kafka_topic_result_error_string(results[i]));
		status = -1;
	}
	return status;
}

static int
create(struct topics *topics, enum kafka_topic topic)
{
	rd_kafka_AdminOptions_t *how = options(topics, RD_KAFKA_ADMIN_OP_CREATETOPICS);
	rd_kafka_NewTopic_t *new = rd_kafka_NewTopic_new(kafka_topic_name[topic],
		wanted_partitions(topics->config, topic), (int)topics->config->queue.replication,
		NULL, 0);
	struct kafka_setting settings[KAFKA_SETTINGS_MAX];
	size_t count = kafka_settings(topics->config, topic, settings);
	const rd_kafka_topic_result_t **results;
	rd_kafka_event_t *event;
	int status = -1;

	for (size_t i = 0; i < count; i++)
		rd_kafka_NewTopic_set_config(new, settings[i].name, settings[i].value);
	rd_kafka_CreateTopics(topics->rk, &new, 1, how, topics->answers);
	event = answer(topics, kafka_topic_name[topic]);
	if (event) {
		results = rd_kafka_CreateTopics_result_topics(
			rd_kafka_event_CreateTopics_result(event), &count);
		status = take_results(topics, results, count);
		rd_kafka_event_destroy(event);
	}
	rd_kafka_NewTopic_destroy(new);
	rd_kafka_AdminOptions_destroy(how);
	if (!status) {
		topics->topics[topic].created = true;
		topics->topics[topic].partitions = wanted_partitions(topics->config, topic);
		topics->topics[topic].replicas = (int)topics->config->queue.replication;
	}
	return status;
}

static int
add_partitions(struct topics *topics, enum kafka_topic topic)
{
	struct found *found = &topics->topics[topic];
	rd_kafka_AdminOptions_t *how = options(topics, RD_KAFKA_ADMIN_OP_CREATEPARTITIONS);
	rd_kafka_NewPartitions_t *new;
	const rd_kafka_topic_result_t **results;
	rd_kafka_event_t *event;
	size_t count;
	int status = -1;

	new = rd_kafka_NewPartitions_new(
		kafka_topic_name[topic], (size_t)wanted_partitions(topics->config, topic), NULL, 0);
	rd_kafka_CreatePartitions(topics->rk, &new, 1, how, topics->answers);
	event = answer(topics, kafka_topic_name[topic]);
	if (event) {
		results = rd_kafka_CreatePartitions_result_topics(
			rd_kafka_event_CreatePartitions_result(event), &count);
		status = take_results(topics, results, count);
		rd_kafka_event_destroy(event);
	}
	rd_kafka_NewPartitions_destroy(new);
	rd_kafka_AdminOptions_destroy(how);
	if (!status) {
		found->before = found->partitions;
		found->partitions = wanted_partitions(topics->config, topic);
	}
	return status;
}

static int
prepare(struct topics *topics)
{
	for (size_t i = 0; i < ORDER; i++) {
		enum kafka_topic topic = order[i];
		struct found *found = &topics->topics[topic];
		int wanted = wanted_partitions(topics->config, topic);

		if (!found->partitions && create(topics, topic))
			return -1;
		if (found->partitions < wanted && add_partitions(topics, topic))
			return -1;
	}
	return 0;
}

static const char *
value_of(const rd_kafka_ConfigResource_t *resource, const char *name)
{
	size_t count;
	const rd_kafka_ConfigEntry_t **entries = rd_kafka_ConfigResource_configs(resource, &count);

	for (size_t i = 0; i < count; i++)
		if (strcmp(rd_kafka_ConfigEntry_name(entries[i]), name) == 0)
			return rd_kafka_ConfigEntry_value(entries[i]);
	return NULL;
}

static void
judge(struct topics *topics, enum kafka_topic topic, const char *where,
	const rd_kafka_ConfigResource_t *resource)
{
	struct kafka_setting settings[KAFKA_SETTINGS_MAX];
	size_t count = kafka_settings(topics->config, topic, settings);

	for (size_t i = 0; i < count; i++) {
		const struct kafka_setting *setting = &settings[i];
		const char *value = value_of(resource, setting->name);

		if (kafka_setting_wrong(setting, value))
			add_finding(topics, where, "%s is %s; it has to be %s%s, or %s",
				setting->name, value,
				setting->rule == RULE_LEAST ? "at least " : "",
				setting->rule == RULE_LEAST ? setting->least : setting->value,
				setting->why);
	}
}

/* 0; -1: this broker does not know the new topic yet. */
static int
describe(struct topics *topics, enum kafka_topic topic, const char *name, const char *where)
{
	rd_kafka_AdminOptions_t *how = options(topics, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS);
	rd_kafka_ConfigResource_t *asked = rd_kafka_ConfigResource_new(
		topic == KAFKA_NONE ? RD_KAFKA_RESOURCE_BROKER : RD_KAFKA_RESOURCE_TOPIC, name);
	const rd_kafka_ConfigResource_t **resources;
	rd_kafka_resp_err_t err = RD_KAFKA_RESP_ERR_NO_ERROR;
	rd_kafka_event_t *event;
	size_t count = 0;

	rd_kafka_DescribeConfigs(topics->rk, &asked, 1, how, topics->answers);
	event = answer(topics, where);
	if (event) {
		resources = rd_kafka_DescribeConfigs_result_resources(
			rd_kafka_event_DescribeConfigs_result(event), &count);
		err = count ? rd_kafka_ConfigResource_error(resources[0]) : err;
		if (!err && count)
			judge(topics, topic, where, resources[0]);
		else if (err != RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART)
			add_finding(
				topics, where, "cannot be described: %s", rd_kafka_err2str(err));
		rd_kafka_event_destroy(event);
	}
	rd_kafka_ConfigResource_destroy(asked);
	rd_kafka_AdminOptions_destroy(how);
	return err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART ? -1 : 0;
}

static void
verify_topic(struct topics *topics, enum kafka_topic topic)
{
	struct found *found = &topics->topics[topic];
	unsigned before = topics->findings;
	struct timespec pause = { 0, 250000000 };
	int tries = 0;

	while (describe(topics, topic, kafka_topic_name[topic], kafka_topic_name[topic]) &&
		++tries < DESCRIBE_TRIES)
		nanosleep(&pause, NULL);
	if (tries == DESCRIBE_TRIES)
		add_finding(topics, kafka_topic_name[topic], "the brokers do not know it");
	if (found->replicas < (int)topics->config->queue.replication)
		add_finding(topics, kafka_topic_name[topic],
			"has %d copies; queue.replication says %u", found->replicas,
			topics->config->queue.replication);
	found->findings = topics->findings - before;
}

static void
verify(struct topics *topics)
{
	char name[16], where[24];

	for (size_t i = 0; i < ORDER; i++)
		verify_topic(topics, order[i]);
	for (int i = 0; i < topics->brokers_count; i++) {
		snprintf(name, sizeof name, "%d", (int)topics->brokers[i]);
		snprintf(where, sizeof where, "broker %s", name);
		describe(topics, KAFKA_NONE, name, where);
	}
}

static void
print_table(const struct topics *topics, FILE *out)
{
	fprintf(out, "%-16s %10s %6s  %s\n", "topic", "partitions", "copies", "");
	for (int i = KAFKA_NONE + 1; i < KAFKA_TOPICS; i++) {
		const struct found *found = &topics->topics[i];

		if (!found->partitions)
			continue;
		fprintf(out, "%-16s %10d %6d  %s", kafka_topic_name[i], found->partitions,
			found->replicas, found->created ? "created, " : "");
		if (found->before)
			fprintf(out, "had %d partitions, ", found->before);
		fprintf(out, "%s\n", found->findings ? "NOT ok" : "ok");
	}
	for (const struct finding *finding = topics->first; finding; finding = finding->next)
		fprintf(out, "%s: %s\n", finding->where, finding->what);
}

static void
print_json(const struct topics *topics, FILE *out)
{
	struct json json = { 0 };

	json_begin(&json);
	json_open(&json, "topics", '[');
	for (int i = KAFKA_NONE + 1; i < KAFKA_TOPICS; i++) {
		const struct found *found = &topics->topics[i];

		if (!found->partitions)
			continue;
		json_open(&json, NULL, '{');
		json_str(&json, "topic", kafka_topic_name[i]);
		json_int(&json, "partitions", found->partitions);
		json_int(&json, "copies", found->replicas);
		json_bool(&json, "created", found->created);
		json_int(&json, "partitions_before",
			found->before ? found->before : found->partitions);
		json_bool(&json, "ok", !found->findings);
		json_close(&json, '}');
	}
	json_close(&json, ']');
	json_open(&json, "findings", '[');
	for (const struct finding *finding = topics->first; finding; finding = finding->next) {
		json_open(&json, NULL, '{');
		json_str(&json, "where", finding->where);
		json_str(&json, "what", finding->what);
		json_close(&json, '}');
	}
	json_close(&json, ']');
	fprintf(out, "%s\n", json_end(&json));
	json_free(&json);
}

static void
findings_free(struct topics *topics)
{
	struct finding *next;

	for (struct finding *finding = topics->first; finding; finding = next) {
		next = finding->next;
		free(finding->where);
		free(finding->what);
		free(finding);
	}
}

int
kafka_topics(const struct config *config, bool as_json, FILE *out)
{
	struct topics topics = { .config = config };
	char why[256];

	topics.last = &topics.first;
	topics.rk = rd_kafka_new(RD_KAFKA_PRODUCER, kafka_conf(config), why, sizeof why);
	if (!topics.rk) {
		fprintf(out, "brokers: %s\n", why);
		return 1;
	}
	topics.answers = rd_kafka_queue_new(topics.rk);
	if (!read_metadata(&topics) && !prepare(&topics))
		verify(&topics);
	if (as_json)
		print_json(&topics, out);
	else
		print_table(&topics, out);
	rd_kafka_queue_destroy(topics.answers);
	rd_kafka_destroy(topics.rk);
	free(topics.brokers);
	findings_free(&topics);
	return topics.findings ? 1 : 0;
}

static void
print_resource(const struct config *config, enum kafka_topic topic, const char *cluster, FILE *out)
{
	struct kafka_setting settings[KAFKA_SETTINGS_MAX];
	size_t count = kafka_settings(config, topic, settings);

	fprintf(out,
		"---\n"
		"apiVersion: kafka.strimzi.io/v1\n"
		"kind: KafkaTopic\n"
		"metadata:\n"
		"  name: %s\n"
		"  labels:\n"
		"    strimzi.io/cluster: \"%s\"\n"
		"  annotations:\n"
		"    helm.sh/resource-policy: keep\n"
		"spec:\n"
		"  partitions: %d\n"
		"  replicas: %u\n"
		"  config:\n",
		kafka_topic_name[topic], cluster, wanted_partitions(config, topic),
		config->queue.replication);
	for (size_t i = 0; i < count; i++)
		fprintf(out, "    %s: \"%s\"\n", settings[i].name, settings[i].value);
}

void
kafka_topics_print(const struct config *config, const char *cluster, FILE *out)
{
	fputs("# Who deletes a KafkaTopic deletes the mail in the topic.\n", out);
	for (int i = KAFKA_NONE + 1; i < KAFKA_TOPICS; i++)
		print_resource(config, (enum kafka_topic)i, cluster, out);
}
