/*
 * rule.h - what operators decided about waiting mail, from relay.config ("rule/<number>", see
 * queue.h). All of a rule's selector must match.
 *
 * retry, bounce and release are done once to the mail that waits: rows are swept in slices. suspend
 * holds mail back (a site's whole, or what matches) until a later resume with the same selector.
 * The same sweep ends mail that has lived too long, whatever state its site is in.
 */
#ifndef SENDER_RULE_H
#define SENDER_RULE_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/envelope.h"

struct item;
struct rules;
struct sender;

struct rules *rules_new(struct sender *sender);
void rules_free(struct rules **rules);
/* Follows relay.config. */
void rules_start(struct rules *rules);
/* Nothing is followed or swept any more; what is known still holds. */
void rules_stop(struct rules *rules);
/* Looks at all rows: some are new to this process. */
void rules_sweep(struct rules *rules);

/* Whether a suspension of anything but the whole site holds the item back. */
bool rules_suspended(const struct rules *rules, const struct item *item);
bool rules_site_suspended(const struct rules *rules, const char *site);

#endif
