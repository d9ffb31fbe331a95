/*
 * kafka_settings.c - the table of settings that `shout topics` creates topics with and asks for.
 */
#include "shared/queue/kafka/client/kafka_settings.h"
#include "shared/queue/kafka/client/kafka_client.h"

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/config/config.h"

#define BIT(topic) (1u << (topic))
#define BROKER BIT(KAFKA_NONE)
#define MAIL (BIT(KAFKA_INBOUND) | BIT(KAFKA_READY) | BIT(KAFKA_DEFERRED))
#define EVENTS BIT(KAFKA_EVENTS)
#define COMPACTED (BIT(KAFKA_STATE) | BIT(KAFKA_CONFIG))
#define TOPICS (MAIL | EVENTS | COMPACTED)
#define FOREVER "9223372036854775807"
#define DAY "86400000"

struct row {
	unsigned where;
	enum kafka_rule rule;
	const char *name;
	const char *value, *least; /* least: when it is not `value` */
	const char *why;
};

/* clang-format off */
static const struct row rows[] = {
	{ TOPICS, RULE_LEAST, "max.message.bytes", "54525952", NULL,
		"messages up to message_size_limit would be refused" },
	{ TOPICS, RULE_SAME, "message.timestamp.type", "LogAppendTime", NULL,
		"records would be dated by our clocks, and refused when those are wrong" },
	{ TOPICS, RULE_LEAST, "message.timestamp.before.max.ms", FOREVER, DAY,
		"records of a node whose clock is slow would be refused" },
	{ TOPICS, RULE_LEAST, "message.timestamp.after.max.ms", FOREVER, DAY,
		"records of a node whose clock is fast would be refused" },
	{ TOPICS, RULE_SAME, "unclean.leader.election.enable", "false", NULL,
		"a replica that lacks acknowledged records could become leader" },
	{ TOPICS, RULE_CHOICE, "compression.type", "producer", NULL, NULL },
	{ MAIL | EVENTS, RULE_SAME, "cleanup.policy", "delete", NULL,
		"records would be removed by their key" },
	{ COMPACTED, RULE_SAME, "cleanup.policy", "compact", NULL,
		"rows and settings would be removed by their age" },
	{ MAIL, RULE_LEAST, "retention.ms", "-1", NULL, "mail that waits would be removed by its age" },
	{ TOPICS, RULE_LEAST, "retention.bytes", "-1", NULL, "the oldest would be removed when many wait" },
	{ MAIL | BIT(KAFKA_STATE), RULE_CHOICE, "segment.bytes", "134217728", NULL, NULL },
	{ MAIL | BIT(KAFKA_CONFIG), RULE_CHOICE, "segment.ms", "3600000", NULL, NULL },
	{ EVENTS, RULE_CHOICE, "segment.ms", DAY, NULL, NULL },
	{ BIT(KAFKA_STATE), RULE_CHOICE, "segment.ms", "21600000", NULL, NULL },
	{ COMPACTED, RULE_LEAST, "delete.retention.ms", "604800000", NULL,
		"a sender that was away could miss that a message ended, and send it again" },
	{ COMPACTED, RULE_CHOICE, "min.compaction.lag.ms", "3600000", NULL, NULL },
	{ COMPACTED, RULE_CHOICE, "max.compaction.lag.ms", "21600000", NULL, NULL },
	{ BROKER, RULE_SAME, "unclean.leader.election.enable", "false", NULL,
		"a replica that lacks acknowledged records could become leader" },
	{ BROKER, RULE_SAME, "auto.create.topics.enable", "false", NULL,
		"a topic that is missing would come back with other settings" },
	{ BROKER, RULE_LEAST, "offsets.retention.minutes", "43200", NULL,
		"what is done would be forgotten while a role stands still, and done again" },
	{ BROKER, RULE_LEAST, "socket.request.max.bytes", "104857600", "67108864",
		"messages up to message_size_limit would be refused" },
};
/* clang-format on */

static struct kafka_setting *
add(struct kafka_setting *setting, const char *name, enum kafka_rule rule, const char *value,
	const char *why)
{
	*setting = (struct kafka_setting){ .name = name, .rule = rule, .why = why };
	snprintf(setting->value, sizeof setting->value, "%s", value);
	snprintf(setting->least, sizeof setting->least, "%s", value);
	return setting;
}

/* The settings whose values depend on the configuration. */
static size_t
add_chosen(const struct config *config, unsigned topic, struct kafka_setting *out)
{
	bool alone = config->queue.replication == 1;
	char keep[24];
	size_t n = 0;

	if (topic == KAFKA_NONE) {
		snprintf(keep, sizeof keep, "%u", config->queue.replication);
		add(&out[n++], "offsets.topic.replication.factor", RULE_LEAST, keep,
			"what is done would be forgotten with one broker, and done again");
		return n;
	}
	add(&out[n++], "min.insync.replicas", RULE_LEAST, alone ? "1" : "2",
		"a single broker could acknowledge a record and lose it");
	if (alone)
		add(&out[n++], "flush.messages", RULE_SAME, "1",
			"acknowledged records would be in the memory of the only broker");
	if (topic == KAFKA_EVENTS) {
		snprintf(keep, sizeof keep, "%" PRIu64, config->queue.events_keep);
		add(&out[n++], "retention.ms", RULE_LEAST, keep,
			"events would be removed before queue.events_keep");
	}
	return n;
}

size_t
kafka_settings(
	const struct config *config, unsigned topic, struct kafka_setting out[KAFKA_SETTINGS_MAX])
{
	size_t n = add_chosen(config, topic, out);

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		const struct row *row = &rows[i];
		struct kafka_setting *setting;

		if (!(row->where & BIT(topic)))
			continue;
		setting = add(&out[n++], row->name, row->rule, row->value, row->why);
		if (row->least)
			snprintf(setting->least, sizeof setting->least, "%s", row->least);
	}
	return n;
}

/* -1 is without end. */
static bool
is_less(const char *value, const char *least)
{
	intmax_t a = strtoimax(value, NULL, 10), b = strtoimax(least, NULL, 10);

	return a >= 0 && (b < 0 || a < b);
}

bool
kafka_setting_wrong(const struct kafka_setting *setting, const char *value)
{
	if (!value || setting->rule == RULE_CHOICE)
		return false;
	if (setting->rule == RULE_SAME)
		return strcmp(value, setting->value) != 0;
	return is_less(value, setting->least);
}
