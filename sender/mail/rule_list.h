/*
 * rule_list.h - operators' rules: what rule.c (carries rules out) and rule_list.c (knows the rules,
 * and which mail each means) share.
 */
#ifndef SENDER_RULE_LIST_H
#define SENDER_RULE_LIST_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/mail/envelope.h"
#include "shared/mail/selector.h"

struct item;
struct sender;

enum action { ACTION_RETRY, ACTION_BOUNCE, ACTION_RELEASE };

struct rule {
	struct rule *next; /* by number */
	uint64_t number, before_us;
	enum action action;
	char *key, *by;
	struct selector selector;
};

/* Parses an entry of relay.config; NULL when the entry is no rule. */
struct rule *rule_parse(const char *key, const char *json);
const char *rule_action(const struct rule *rule);
/* Adds the rule to the list, which owns the rule afterwards. */
void rule_list_add(struct rule **first, struct rule *rule);
/* Frees the rule with that key, or (NULL) all rules. */
void rule_list_drop(struct rule **first, const char *key);
/* The largest number of a rule; 0: the list is empty. */
uint64_t rule_list_newest(const struct rule *first);

bool rule_matches_row(const struct sender *sender, const struct rule *rule, const Row *row);
/* Whether the rule means the item. The item's site is that of its row, or of the row that the item
 * would become. */
bool
rule_matches_item(const struct sender *sender, const struct rule *rule, const struct item *item);

/* Whether the rule releases the mail: mail is released only by a rule that is newer than the
 * hold. */
bool rule_can_release(const struct rule *rule, bool held, uint64_t held_rule);

/* Applies the rules that the item has not met: marks whom to bounce (item_unwanted()), and whether
 * the item's row has to meet the rules again. `is_tried`: the item is about to be tried, which is
 * what a retry asks for. */
void item_meet_rules(struct item *item, bool is_tried);

#endif
