/*
 * settle_end.h - recipients reach their end state: delivered, bounced, expired.
 */
#ifndef SENDER_SETTLE_END_H
#define SENDER_SETTLE_END_H

#include <stddef.h>

#include "sender/mail/ledger.h"

struct item;
struct outcome;

/* The targets at `indices` have the mail. Closes them once the ledger, the DSN (relayed) and the
 * event have recorded that. */
void settle_delivered(
	struct item *item, const size_t *indices, size_t count, const struct outcome *outcome);
/* The same for targets that the ledger has as delivered; `found` has `count` entries. */
void settle_known(
	struct item *item, const size_t *indices, size_t count, const enum ledger_entry *found);
/* Asks the ledger about the item's open recipients, and closes those that have the mail. */
void settle_ask(struct item *item);
/* The failure DSN is durable: sends the events of the failed recipients, then closes them. */
void settle_failed(struct item *item);

#endif
