/*
 * settle_end.h - recipients reach their end state: delivered, bounced, expired.
 */
#ifndef SENDER_SETTLE_END_H
#define SENDER_SETTLE_END_H

#include <stddef.h>

#include "sender/mail/ledger.h"

struct item;
struct outcome;

/* The targets of these indices have the mail: closed once that is recorded. */
void settle_delivered(
	struct item *item, const size_t *indices, size_t count, const struct outcome *outcome);
/* Likewise those of the targets that the ledger has: `found` has `count` entries. */
void settle_known(
	struct item *item, const size_t *indices, size_t count, const enum ledger_entry *found);
/* Asks the ledger for the item's open recipients: those that have the mail are not to wait. */
void settle_ask(struct item *item);
/* The DSN is durable, the event of those that failed is next. */
void settle_failed(struct item *item);

#endif
