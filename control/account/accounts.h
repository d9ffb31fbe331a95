/*
 * accounts.h - changes of accounts: from a request to the new entries of relay.config. Pure but for
 * the clock and random numbers: nothing is written here.
 *
 * Every function returns 0 with `changes`, an object {key of relay.config: new entry, or null to
 * remove it}, and the answer `reply`, both the caller's; or -1 with `fault`. `body` is borrowed.
 */
#ifndef CONTROL_ACCOUNTS_H
#define CONTROL_ACCOUNTS_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "control/account/fault.h"
#include "control/config/directory.h"
#include "shared/account/account.h"

#define HOST_OVERLAP_US (UINT64_C(14) * 24 * 3600 * 1000000)

struct config;

struct edit {
	const struct config
		*config; /* NULL will do where no plan, host or waiting address is asked for */
	const struct directory *directory;
	bool customer; /* who asks belongs to an account, and hears of no other one */
	json_t *changes, *reply;
	struct fault fault;
};

/* {"name","contact","language","plan","domains":["d" | {"name","mailboxes"}],"verified","pending",
 * "mode","addresses":[],"policy","display_address","limits":{}} ->
 * {"account","username","password"}, or
 * {"account","addresses"} with mode ip. The password is in the reply and nowhere else. */
int account_create(struct edit *edit, const json_t *body);
/* `body` has at least one of name, contact, language, plan, host, policy, display_address, limits.
 * Another host is told from now on, and the one before is shown for HOST_OVERLAP_US: the relay
 * serves an account by all its names. */
int account_change(struct edit *edit, const char *id, const json_t *body);
/* {"domains":[{"name","mailboxes"}]}: how many mailboxes these domains of an active account have.
 */
int account_set_mailboxes(struct edit *edit, const char *id, const json_t *body);
/* Ends a suspension, or makes a pending account active. */
int account_enable(struct edit *edit, const char *id);
/* {"reason","until"}: suspends the account; `reason` is what the customer reads. */
int account_disable(struct edit *edit, const char *id, const json_t *body);
/* Whether the account's suspension has ended by its "until". */
bool account_is_due(const json_t *account, uint64_t now_us);
/* Deletes the account: it is no longer served, but keeps everything for ACCOUNT_KEPT_US, and can
 * come back. */
int account_delete(struct edit *edit, const char *id);
int account_restore(struct edit *edit, const char *id);
/* Removes the account for ever, with its users and addresses. */
int account_purge(struct edit *edit, const char *id);
int account_remove_user(struct edit *edit, const char *id, const char *username);
/* {"address"}: active at once. address_state.h has the other way. */
int account_add_address(struct edit *edit, const char *id, const json_t *body);
int account_remove_address(struct edit *edit, const char *id, const char *network);
/* {"name","mailboxes","verified"}; changes the domain if the account has it already. A customer
 * does not say "verified": domain_state.h has his way. */
int account_add_domain(struct edit *edit, const char *id, const json_t *body);
int account_remove_domain(struct edit *edit, const char *id, const char *domain);

/* Writes a domain in its one form; -1 for a text that can be nobody's domain. */
int canonical_domain(const char *text, char out[256]);
/* Whether the text can be an account's id. */
bool account_id_valid(const char *id);
/* An account as the API shows it: its entry, "users" and "addresses" (without verifiers), and as
 * "limits_in_force" its own limits, or else its plan's, or else the default ones; NULL: there is no
 * such account. */
json_t *
account_show(const struct directory *directory, const struct config *config, const char *id);

#endif
