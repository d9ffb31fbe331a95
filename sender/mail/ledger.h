/*
 * ledger.h - what was delivered, in Redis, so that a crash or a second sender does not deliver it
 * again. Key sent:{<id>}:<recipient>.
 *
 * Never in the way: without Redis it answers at once, with a slow one after 200 ms. That may cause
 * a duplicate, never a loss.
 */
#ifndef SENDER_LEDGER_H
#define SENDER_LEDGER_H

#include <stdbool.h>
#include <stddef.h>

#include "shared/mail/envelope.h"

struct ledger;
struct redis;

struct ledger *ledger_new(struct redis *redis);
void ledger_free(struct ledger **ledger);

enum ledger_entry {
	LEDGER_NONE,
	LEDGER_SENT,
	LEDGER_RELAYED /* and its sender is still to be told: the host will not */
};

/* `late`: the mail has waited already, so that it is remembered for 6 days instead of an hour. The
 * callback may come before the call returns, exactly once. */
typedef void (*ledger_cb)(void *arg);
void ledger_put(struct ledger *ledger, const uint8_t *id, Recipient *const *recipients,
	size_t count, enum ledger_entry entry, bool late, ledger_cb cb, void *arg);

/* Which of the recipients have the message already: `found` has `count` entries. Likewise. */
typedef void (*ledger_check_cb)(void *arg, const enum ledger_entry *found);
void ledger_check(struct ledger *ledger, const uint8_t *id, Recipient *const *recipients,
	size_t count, ledger_check_cb cb, void *arg);

#endif
