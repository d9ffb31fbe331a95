/*
 * rules.h - response rules of one file, compiled. Pure.
 *
 * Rules that name a provider come before the others; beside that, the order of the file counts.
 */
#ifndef SENDER_RULES_H
#define SENDER_RULES_H

#include <stddef.h>
#include <stdio.h>

#include "sender/reply/pattern.h"
#include "sender/reply/rules_file.h"

struct rule_set;

struct reply_rule {
	char name[RULE_NAME_MAX];
	unsigned stages;
	struct line_texts providers; /* none: any */
	enum meaning class;
	enum blame blame;
	struct reactions reactions;
};

/* Compiles the rules, and tries each one's samples and near misses. `below`: a set whose providers
 * the rules may name, too; NULL: none. NULL: `errors` got a line for each mistake. Takes over the
 * file. */
struct rule_set *rule_set_new(struct rules_file **file, const struct rule_set *below,
	struct pattern_room *room, FILE *errors);
void rule_set_free(struct rule_set **set);

size_t rule_set_count(const struct rule_set *set);
/* The provider of a host's name, by the longest end that fits; NULL: none has it. */
const char *rule_set_provider(const struct rule_set *set, const char *host, size_t *length_out);
/* Fills what `limits` does not say yet from the entries for the provider (NULL: none), then from
 * those for all others. False: there is no such entry. */
bool rule_set_limits(const struct rule_set *set, const char *provider, struct lane_limits *limits);
/* The first rule that fits a plain text (plain.h). `provider` NULL: rules of no provider only.
 * `stages`: where in the dialogue, or STAGE_ANY. NULL: none fits. */
const struct reply_rule *rule_set_find(const struct rule_set *set, struct pattern_room *room,
	const char *provider, unsigned stages, const char *plain, size_t length);

#endif
