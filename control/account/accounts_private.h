/*
 * accounts_private.h - what the files of accounts share.
 */
#ifndef CONTROL_ACCOUNTS_PRIVATE_H
#define CONTROL_ACCOUNTS_PRIVATE_H

#include <stdbool.h>

#include <jansson.h>

#include "control/account/accounts.h"
#include "control/account/fault.h"

/* A version for a new entry in the place of `old` (NULL: none). */
json_int_t now_version(const json_t *old);
/* The entry to change, a copy with a new version that is in the changes already. */
json_t *edit_entry(struct edit *edit, const char *kind, const char *name);
/* Begins an edit of an account: likewise; or NULL, and a fault when there is none. One that is
 * deleted is a fault too, but for edit_any_account(). */
json_t *edit_account(struct edit *edit, const char *id);
json_t *edit_any_account(struct edit *edit, const char *id);
void edit_remove(struct edit *edit, const char *kind, const char *name);
/* A domain in its one form; -1 for what can be nobody's. */
int canonical_domain(const char *text, char out[256]);
/* A fault: `what` belongs to another account. */
int taken(struct edit *edit, const char *field, const char *what, const char *owner);

/* account_address.c */
/* The one text (account_network_text()) of an address or a network that an account may have; else a
 * fault. 0 or -1. */
int address_check(struct fault *fault, const char *field, const char *text, char out[NET_TEXT_MAX]);
/* Likewise a fault when another account has it, or one that overlaps it. `text` is the one text. */
int address_free(struct edit *edit, const char *id, const char *field, const char *text);

/* name, contact, policies and limits, from a request into an account; `all`: name and contact must
 * be there. */
int take_profile(struct fault *fault, json_t *account, const json_t *body, bool all);

#endif
