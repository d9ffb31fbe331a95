/*
 * kafka_settings.h - what the topics and brokers have to be set to, and why. Pure.
 */
#ifndef SHARED_KAFKA_SETTINGS_H
#define SHARED_KAFKA_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>

struct config;

#define KAFKA_SETTINGS_MAX 24

/* SAME: another value may lose mail. LEAST: a smaller value may lose mail (-1 is without end).
 * CHOICE: a good start that an operator may change. */
enum kafka_rule { RULE_SAME, RULE_LEAST, RULE_CHOICE };

struct kafka_setting {
	const char *name;
	enum kafka_rule rule;
	char value[24]; /* on creation */
	char least[24]; /* RULE_LEAST */
	const char *why;
};

/* The settings of a topic (enum kafka_topic) or, with KAFKA_NONE, of a broker. Returns how many. */
size_t kafka_settings(
	const struct config *config, unsigned topic, struct kafka_setting out[KAFKA_SETTINGS_MAX]);
/* Whether `value` (NULL: the broker does not know the setting) may lose mail. */
bool kafka_setting_wrong(const struct kafka_setting *setting, const char *value);

#endif
