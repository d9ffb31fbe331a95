/*
 * rule.h - what operators decided about mail that is not delivered yet, from relay.config
 * ("rule/<number>" and "suspension/...", see queue.h). All of a rule's selector must match.
 *
 * A rule means the mail that was accepted before the rule, wherever that mail is. Rows are swept in
 * slices. Mail in memory meets the rule at once. Mail that comes later (as a row, or as a record
 * that was on its way through the queue) meets the rules before anything is done to it.
 *
 * The sweep also ends mail that has lived too long, whatever state its site is in, and wakes mail
 * whose suspension has ended.
 */
#ifndef SENDER_RULE_H
#define SENDER_RULE_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/mail/envelope.h"

struct item;
struct rules;
struct sender;

/* Makes the rules and sender->suspensions. `on_known` is called once relay.config was read. */
struct rules *rules_new(struct sender *sender, void (*on_known)(struct sender *sender));
void rules_free(struct rules **rules);
/* Begins to follow relay.config. */
void rules_start(struct rules *rules);
/* Stops following and sweeping; the rules known so far still count. */
void rules_stop(struct rules *rules);
bool rules_known(const struct rules *rules);

/* Begins a sweep, in which all rows meet the rules. */
void rules_sweep(struct rules *rules);
/* Takes a due row into work, or has the row wait. Owns the row's memory afterwards. */
void rules_load(struct rules *rules, Row *row);

#endif
