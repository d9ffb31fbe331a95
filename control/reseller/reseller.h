/*
 * reseller.h - accounts that own accounts: a reseller sees his customers, and acts for them.
 *
 * An operator makes an account a reseller by the number of accounts that it may own. There is one
 * level: an owned account owns none. Whoever belongs to the reseller may with an owned account what
 * he may with his own one, and what RIGHT_RESELL names beside.
 */
#ifndef CONTROL_RESELLER_H
#define CONTROL_RESELLER_H

#include <stdbool.h>

#include <jansson.h>

#include "control/account/accounts.h"
#include "control/people/rights.h"

/* Whether `id` is an account that the account `reseller` owns. */
bool reseller_owns(const struct directory *directory, const char *reseller, const char *id);
/* Whether the caller may know that the account is there: as caller_sees(), or a reseller's own. */
bool
reseller_sees(const struct directory *directory, const struct caller *caller, const char *account);
/* Whether a caller who has a right of resellers may use it for `account`; NULL: for a new one, or
 * for a list. */
bool
reseller_may(const struct directory *directory, const struct caller *caller, const char *account);

/* As the functions of accounts.h, within what a reseller may say. A new account is his, pending,
 * with domains that nobody has verified. */
int reseller_account_create(struct edit *edit, const char *reseller, const json_t *body);
/* {"name","contact","language"} */
int reseller_account_change(struct edit *edit, const char *id, const json_t *body);

#endif
