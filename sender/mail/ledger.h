/*
 * ledger.h - what was delivered, in Redis, so that a crash or a second sender does not deliver it
 * again. Key sent:{<id>}:<recipient>.
 *
 * The ledger holds nobody up: it answers at once without Redis, and after 200 ms with a slow one.
 * Then a duplicate may be sent, but no mail is lost.
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
	LEDGER_RELAYED /* and the sender still gets a DSN from us: the host sends none */
};

/* Records that the recipients have the message. `late`: the mail has waited already, so the entry
 * lives 6 days instead of an hour. `cb` is called exactly once, maybe before the call returns. */
typedef void (*ledger_cb)(void *arg);
void ledger_put(struct ledger *ledger, const uint8_t *id, Recipient *const *recipients,
	size_t count, enum ledger_entry entry, bool late, ledger_cb cb, void *arg);

/* Asks which of the recipients have the message; `found` has `count` entries. `cb` is called
 * exactly once, maybe before the call returns. */
typedef void (*ledger_check_cb)(void *arg, const enum ledger_entry *found);
void ledger_check(struct ledger *ledger, const uint8_t *id, Recipient *const *recipients,
	size_t count, ledger_check_cb cb, void *arg);

#endif
