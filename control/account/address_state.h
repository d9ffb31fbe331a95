/*
 * address_state.h - the states of an account's address: edits, as accounts.h says of all of them.
 * Pure but for the clock and random numbers.
 *
 *   waiting --proof--> active --25 idle days--> lapsing --5 days more--> lapsed --proof--> active
 *                         ^--------mail-----------'
 *
 * The proof is a login from the address, or a link that is opened from it within a day. The entry
 * "ip/..." has "active", which ingress reads, and beside it:
 *
 *   "asked_us":  since when a proof is awaited (of a waiting or lapsed one)
 *   "lapsed":    true: it was active
 *   "used_us":   when it was last used, as far as it was looked up; it is, once that is 25 days ago
 *   "lapses_us": of a lapsing one
 *   "proof":     {"hash", "until_us"} of the link
 *
 * Networks, which operators alone give, need no proof and never lapse.
 */
#ifndef CONTROL_ADDRESS_STATE_H
#define CONTROL_ADDRESS_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "control/account/accounts.h"

#define ADDRESS_NOTICE_DAYS 25
#define ADDRESS_LAPSE_DAYS 30

/* "waiting", "active", "lapsing" or "lapsed". */
const char *address_state(const json_t *entry);
/* An address as the API shows it. `network` is the entry's name. */
json_t *address_shown(const char *network, const json_t *entry);

/* {"address","waiting"}: adds an address that waits for its proof. -1 and a fault for one
 * that is no address of the internet, is ours (edit->config), or is another account's, which is not
 * named. */
int account_ask_address(struct edit *edit, const char *id, const json_t *body);
/* Makes the link for a waiting or lapsed address; the reply has "path" and "until". A link of
 * before no longer counts. */
int account_address_link(struct edit *edit, const char *id, const char *network);
/* Opens a link from the address `client`. Fault 404: there is no such link, or no longer (also one
 * that was opened); 403: it is another address's. The reply has "address". */
int account_address_open(struct edit *edit, const char *token, const char *client);

/* What happens by itself. Whether an entry "ip/..." asks for a look at the account's last uses. */
bool address_wants_look(const char *network, const json_t *entry, uint64_t now_us);
/* Moves on the states of all addresses of an account, by `times` (use.h) and the clock. True:
 * `edit` has changes. */
bool
account_addresses_seen(struct edit *edit, const char *id, const json_t *times, uint64_t now_us);

/* Makes an entry active. */
void address_activate(json_t *entry, uint64_t now_us);

/* Checks the fields of an entry that came in a file. */
int address_state_check(struct fault *fault, const json_t *entry);

#endif
