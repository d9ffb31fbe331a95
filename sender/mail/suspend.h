/*
 * suspend.h - what operators have suspended, from relay.config ("suspension/...", see queue.h).
 *
 * A site that is suspended as a whole has its rows left alone. Mail that is suspended for another
 * reason becomes rows without a due time once it would be due: they cost nothing until they are
 * woken (a sweep of rule.c), when what held them has ended. Suspended mail still expires.
 */
#ifndef SENDER_SUSPEND_H
#define SENDER_SUSPEND_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/mail/envelope.h"

struct item;
struct sender;
struct suspensions;

/* `on_lifted` when one has ended: mail may have to be woken. */
struct suspensions *suspensions_new(struct sender *sender, void (*on_lifted)(void *arg), void *arg);
/* No end is noticed any more; what is known still holds. */
void suspensions_stop(struct suspensions *suspensions);
void suspensions_free(struct suspensions **suspensions);

/* An entry as relay.config has it now; json NULL: removed. */
void suspensions_set(struct suspensions *suspensions, const char *key, const char *json);

bool suspensions_hold_site(const struct suspensions *suspensions, const char *site);
/* Whether mail for this recipient at the site must wait. */
bool suspensions_hold(const struct suspensions *suspensions, const Envelope *envelope,
	const char *site, const Recipient *recipient);
/* Whether it must for all recipients of the row. */
bool suspensions_hold_row(const struct suspensions *suspensions, const Row *row);
/* Of how many recipients of the routed item that are still open it must. */
enum held { HELD_NONE, HELD_SOME, HELD_ALL };
enum held suspensions_held(const struct suspensions *suspensions, const struct item *item);
/* Whether it must for all recipients of the routed item that are still open; marks the item so that
 * its row gets no due time, unless its site as a whole is suspended. */
bool suspensions_mark(const struct suspensions *suspensions, struct item *item);
/* The row of an item that was not routed gets no due time. */
void suspensions_mark_row(const struct suspensions *suspensions, struct item *item);
/* The item's row is durable, waiting: tells the deferral store when it is due. */
void suspensions_row_stored(struct suspensions *suspensions, const struct item *item);

#endif
