/*
 * rule.h - what operators decided about mail that is not delivered yet, from relay.config
 * ("rule/<number>" and "suspension/...", see queue.h). All of a rule's selector must match.
 *
 * A rule means the mail that was accepted before it, wherever that is: rows are swept in slices,
 * what is in memory meets the rule at once, and mail that comes in later (as a row, or a record
 * that was on its way through the queue) meets the rules before anything is done to it. The sweep
 * also ends mail that has lived too long, whatever state its site is in, and wakes what is no
 * longer suspended.
 */
#ifndef SENDER_RULE_H
#define SENDER_RULE_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/mail/envelope.h"

struct item;
struct rules;
struct sender;

/* `on_known` once relay.config was read. Makes sender->suspensions too. */
struct rules *rules_new(struct sender *sender, void (*on_known)(struct sender *sender));
void rules_free(struct rules **rules);
/* Follows relay.config. */
void rules_start(struct rules *rules);
/* Nothing is followed or swept any more; what is known still holds. */
void rules_stop(struct rules *rules);
bool rules_known(const struct rules *rules);

/* All rows meet the rules, from now on. */
void rules_sweep(struct rules *rules);
/* Takes a row that is due (and its memory) into work, or has it wait. */
void rules_load(struct rules *rules, Row *row);

#endif
