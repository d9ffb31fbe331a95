/*
 * rule_list.c - the operators' rules: a list, which mail each rule means, and how an item meets
 * them.
 *
 * relay.config -> rule -> [rule_list] <- mail, routing
 */
#include "sender/mail/rule_list.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "sender/mail/item.h"
#include "sender/mail/lane.h"
#include "sender/mail/sender.h"
#include "sender/waiting/deferral.h"
#include "shared/base/json_text.h"
#include "shared/base/log.h"
#include "shared/config/config.h"

static const char *const actions[] = { "retry", "bounce", "release" };

const char *
rule_action(const struct rule *rule)
{
	return actions[rule->action];
}

static void
rule_free(struct rule *rule)
{
	free(rule->key);
	free(rule->by);
	selector_wipe(&rule->selector);
	free(rule);
}

static char *
text_of(const json_t *object, const char *name)
{
	const char *text = json_text(object, name);

	return text && *text ? xstrdup(text) : NULL;
}

static int
action_of(const char *name)
{
	for (int i = 0; name && i < (int)(sizeof actions / sizeof *actions); i++)
		if (!strcmp(name, actions[i]))
			return i;
	return -EINVAL;
}

struct rule *
rule_parse(const char *key, const char *text)
{
	json_t *json = json_loads(text, 0, NULL);
	int action = action_of(json_text(json, "action"));
	struct rule *rule = xcalloc(1, sizeof *rule);
	const char *field;

	if (action >= 0 &&
		!selector_parse(&rule->selector, json_object_get(json, "selector"), &field)) {
		rule->number = (uint64_t)json_integer_value(json_object_get(json, "number"));
		rule->before_us = (uint64_t)json_integer_value(
			json_object_get(json, "accepted_before_us"));
		rule->action = (enum action)action;
		rule->key = xstrdup(key);
		rule->by = text_of(json, "by");
	} else {
		rule_free(rule);
		rule = NULL;
	}
	json_decref(json);
	return rule;
}

void
rule_list_add(struct rule **first, struct rule *rule)
{
	struct rule **at = first;

	while (*at && (*at)->number <= rule->number)
		at = &(*at)->next;
	rule->next = *at;
	*at = rule;
}

void
rule_list_drop(struct rule **first, const char *key)
{
	struct rule **at = first, *rule;

	while ((rule = *at)) {
		if (key && strcmp(rule->key, key) != 0) {
			at = &rule->next;
			continue;
		}
		*at = rule->next;
		rule_free(rule);
	}
}

uint64_t
rule_list_newest(const struct rule *first)
{
	const struct rule *rule = first;

	while (rule && rule->next)
		rule = rule->next;
	return rule ? rule->number : 0;
}

/* A rule that names a message was given after the message arrived, whatever two nodes' clocks
 * say. */
static bool
rule_is_for(const struct rule *rule, const Envelope *envelope)
{
	return !rule->before_us || envelope->accepted_us < rule->before_us ||
		rule->selector.text[SELECT_ID];
}

static const char *
own_egress(const struct sender *sender)
{
	const char *own = sender->config->sender.egress;

	return own ? own : "";
}

bool
rule_matches_row(const struct sender *sender, const struct rule *rule, const Row *row)
{
	return rule_is_for(rule, row->envelope) &&
		selector_matches_row(&rule->selector, row, own_egress(sender));
}

bool
rule_matches_item(const struct sender *sender, const struct rule *rule, const struct item *item)
{
	const Envelope *envelope = item->mail->envelope;
	const char *egress = item->egress ? item->egress : own_egress(sender);
	const char *site = item->site ? item->site : item->held ? SITE_HELD : "";

	return rule_is_for(rule, envelope) &&
		(selector_matches(&rule->selector, envelope, site, egress) ||
			(item->route &&
				selector_matches(
					&rule->selector, envelope, item->route->site, egress)));
}

/* A waiting item obeys now. An attempt under way may still fail, and its site rest because of that.
 * So the row of an item under way meets the rule again afterwards. */
static void
retry_in_memory(struct sender *sender, struct item *item)
{
	item->meets_rules = item->meets_rules || item->state != ITEM_WAITING;
	if (!item->site)
		return;
	lanes_wake(sender, item->site);
	deferral_poke(sender->deferral, item->site);
}

static bool
item_mark_unwanted(const struct rule *rule, struct item *item)
{
	bool any = false;

	for (size_t i = 0; i < item->count; i++)
		if (item->targets[i].state != TARGET_CLOSED &&
			selector_has_domain(&rule->selector, item->targets[i].recipient))
			any = item->targets[i].unwanted = true;
	return any;
}

bool
rule_can_release(const struct rule *rule, bool held, uint64_t held_rule)
{
	return held && rule->number > held_rule;
}

void
item_meet_rules(struct item *item, bool is_tried)
{
	struct sender *sender = item->mail->sender;
	const uint64_t newest = rule_list_newest(sender->decisions);

	for (const struct rule *rule = sender->decisions; rule; rule = rule->next) {
		if (rule->number <= item->met || !rule_matches_item(sender, rule, item))
			continue;
		if (rule->action == ACTION_BOUNCE)
			item_mark_unwanted(rule, item);
		else if (rule->action == ACTION_RELEASE)
			item->meets_rules = item->meets_rules ||
				rule_can_release(rule, item->held, item->held_rule);
		else if (!item->held && !is_tried)
			retry_in_memory(sender, item);
	}
	if (item->met < newest)
		item->met = newest;
}
