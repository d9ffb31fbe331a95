/*
 * rule_list.h - one operator's rule: what rule.c (doing it) and rule_list.c (which there are,
 * and whom they mean) share.
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

/* An entry of relay.config; NULL when it cannot be read. */
struct rule *rule_parse(const char *key, const char *json);
const char *rule_action(const struct rule *rule);
/* Takes the rule. */
void rule_list_add(struct rule **first, struct rule *rule);
/* The one of that key goes, or (NULL) all. */
void rule_list_drop(struct rule **first, const char *key);
/* The largest number; 0: there is none. */
uint64_t rule_list_newest(const struct rule *first);

bool rule_matches_row(const struct sender *sender, const struct rule *rule, const Row *row);
/* The site is that of the row it is, or would become. Whatever its recipients' domains are. */
bool
rule_matches_item(const struct sender *sender, const struct rule *rule, const struct item *item);

/* Held mail that the rule lets go: it was held before the rule. */
bool rule_can_release(const struct rule *rule, bool held, uint64_t held_rule);

/* Marks what the rules say that the item has not met yet: whom to bounce (item_unwanted()), and
 * whether its row is to meet the rules. `is_tried`: it is about to be tried, as a retry asks. */
void item_meet_rules(struct item *item, bool is_tried);

#endif
