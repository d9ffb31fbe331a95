/*
 * accounts_private.h - what the files of accounts share.
 */
#ifndef CONTROL_ACCOUNTS_PRIVATE_H
#define CONTROL_ACCOUNTS_PRIVATE_H

#include <stdbool.h>

#include <jansson.h>

#include "control/account/accounts.h"
#include "control/account/fault.h"

#define PLAIN_SIGNS "23456789abcdefghjkmnpqrstuvwxyz"
#define ACCOUNT_ID_LENGTH 10

#define MAILBOXES_MAX 1000000 /* of a domain */

/* edit.c */
/* A version for a new entry in the place of `old` (NULL: none). */
json_int_t now_version(const json_t *old);
/* A copy of the entry with a new version, already among the changes: the caller changes that
 * copy. */
json_t *edit_entry(struct edit *edit, const char *kind, const char *name);
/* Begins an edit of an account: returns such a copy; or NULL, and a fault when there is no such
 * account, or (not for edit_any_account()) when the account is deleted. */
json_t *edit_account(struct edit *edit, const char *id);
json_t *edit_any_account(struct edit *edit, const char *id);
/* Adds an entry, which is taken over, in the place of none or of another one. */
void edit_add(struct edit *edit, const char *kind, const char *name, json_t *entry);
void edit_remove(struct edit *edit, const char *kind, const char *name);
/* Adds each of a list of domains, the field "domains". `verified`: those that do not say it. */
int edit_add_domains(struct edit *edit, json_t *account, const json_t *list, bool verified);
/* Makes a pending account active; the reply gets its "status". */
void account_begin(struct edit *edit, json_t *account);
/* 0, or -1 and a fault: what a file says of an account's suspension and owner. */
int account_status_check(struct fault *fault, const json_t *account);
/* account_user.c */
/* Adds a user; the reply gets its name and password. `name` is the account's, for people; `fields`
 * (may be NULL) are a user's own, checked. */
void edit_add_user(struct edit *edit, const char *id, const char *name, const json_t *fields);
/* Checks a user's own fields in an entry that may come from a file. */
int user_check(struct fault *fault, const json_t *user);
/* A user as the API shows it, without what Redis knows. */
json_t *user_shown(const char *name, const json_t *user, uint64_t now_us);
/* Adds an address or a network; the reply gets it. -1 and a fault naming `field`. */
int edit_add_address(struct edit *edit, const char *id, const char *text, const char *field);
/* Adds each of a list, the field "addresses". */
int edit_add_addresses(struct edit *edit, const char *id, const json_t *list);
/* Makes the fault that `what` belongs to another account; a customer does not hear to which. */
int taken(struct edit *edit, const char *field, const char *what, const char *owner);

/* account_address.c */
/* Writes the one text (account_network_text()) of an address or a network that an account may have.
 * 0, or -1 and a fault. */
int address_check(struct fault *fault, const char *field, const char *text, char out[NET_TEXT_MAX]);
/* 0, or -1 and a fault when another account has the address, or a network that overlaps it. `text`
 * is the one text. */
int address_free(struct edit *edit, const char *id, const char *field, const char *text);

/* account_service.c */
/* Gives a new account the name of this relay (service.hosts) that has the fewest accounts. */
void host_assign(const struct edit *edit, json_t *account);
/* Likewise for an account from another relay, whose host is none of ours. */
void host_keep(const struct edit *edit, json_t *account);
/* Moves an account to the host that a request names, if it names one. 0, or -1 and a fault. */
int host_move(struct edit *edit, json_t *account, const json_t *body);
/* 0, or -1 and a fault: there is no plan of the name that a request gives. */
int plan_known(struct edit *edit, const json_t *body);
/* 0, or -1 and a fault: the account has more or fewer mailboxes than its plan allows. */
int plan_fits(struct edit *edit, const json_t *account);
/* Takes whose account this is, and how many accounts it may own, where a request says so. 0, or -1
 * and a fault. */
int take_owner(struct edit *edit, json_t *account, const json_t *body);
/* The limits that count for an account; the caller releases them. */
json_t *limits_in_force(const struct config *config, const json_t *account);
/* Adds to an account that is shown where its servers connect to, and its mailboxes. */
void show_service(json_t *shown, const json_t *account);

/* Copies name, contact, language, plan, policies and limits from a request into an account; `all`:
 * name and contact must be there. */
int take_profile(struct fault *fault, json_t *account, const json_t *body, bool all);

#endif
