/*
 * suspend.h - what operators have suspended, from relay.config ("suspension/...", see queue.h).
 *
 * The rows of a site that is suspended as a whole are left alone. Mail that is suspended for
 * another reason becomes a row without a due time once it would be due. Such a row costs nothing
 * until its suspension ends, when a sweep of rule.c wakes the row. Suspended mail still expires.
 */
#ifndef SENDER_SUSPEND_H
#define SENDER_SUSPEND_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/mail/envelope.h"

struct item;
struct sender;
struct suspensions;

/* Calls `on_lifted` when a suspension has ended: mail may have to be woken. */
struct suspensions *suspensions_new(struct sender *sender, void (*on_lifted)(void *arg), void *arg);
/* Ends are no longer noticed; the suspensions known so far still count. */
void suspensions_stop(struct suspensions *suspensions);
void suspensions_free(struct suspensions **suspensions);

/* An entry as relay.config has it now; json NULL: removed. */
void suspensions_set(struct suspensions *suspensions, const char *key, const char *json);

/* Whether the site is suspended as a whole. */
bool suspensions_cover_site(const struct suspensions *suspensions, const char *site);
/* Whether mail for this recipient at the site must wait. `egress`: the egress IP; NULL: none is
 * chosen. */
bool suspensions_cover(const struct suspensions *suspensions, const Envelope *envelope,
	const char *site, const char *egress, const Recipient *recipient);
/* Whether the row's mail must wait for all its recipients. */
bool suspensions_cover_row(const struct suspensions *suspensions, const Row *row);
/* For how many of the routed item's open recipients mail must wait. */
enum suspended { SUSPENDED_NONE, SUSPENDED_SOME, SUSPENDED_ALL };
enum suspended suspensions_extent(const struct suspensions *suspensions, const struct item *item);
/* Whether mail must wait for all open recipients of the routed item. If so, marks the item: its row
 * gets no due time, unless its site is suspended as a whole. */
bool suspensions_mark(const struct suspensions *suspensions, struct item *item);
/* The row of an item that was not routed gets no due time. */
void suspensions_mark_row(const struct suspensions *suspensions, struct item *item);
/* The item's row is durable, waiting: tells the deferral store when it is due. */
void suspensions_row_stored(struct suspensions *suspensions, const struct item *item);

#endif
