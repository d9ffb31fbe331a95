/*
 * rule.h - what operators decided about waiting mail, from relay.config ("rule/<number>" and
 * "suspension/...", see queue.h). All of a rule's selector must match.
 *
 * retry, bounce and release are done once to the mail that waits: rows are swept in slices, and a
 * row that is due meets the rules it has not met yet. The same sweep ends mail that has lived too
 * long, whatever state its site is in, and wakes what is no longer suspended.
 */
#ifndef SENDER_RULE_H
#define SENDER_RULE_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/envelope.h"

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
/* The number of the newest one; 0: there is none. */
uint64_t rules_newest(const struct rules *rules);

/* All rows meet the rules, from now on. */
void rules_sweep(struct rules *rules);
/* Those of one message. */
void rules_meet(struct rules *rules, const uint8_t id[ID_SIZE]);
/* Takes a row that is due (and its memory) into work, or has it wait. */
void rules_load(struct rules *rules, Row *row);

#endif
