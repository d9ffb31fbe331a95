/*
 * account_user.h - an account's usernames (SMTP credentials): edits, as accounts.h says of all of
 * them. Pure but for the clock and random numbers. The entry "user/..." has
 *
 *   "enabled":   false: its customer has disabled it
 *   "verifier":  of its password (shared/account/scram.h)
 *   "former":    [{"verifier", "until_us"}] of passwords that were renewed and still work
 *   "suspended": why the operator has suspended it; absent: it is not
 *   "sandbox":   true: its mail is accepted, and goes nowhere
 *   "label":     for people, like "printer, 2nd floor"
 *   "limits":    {"messages_hour", "messages_day"} of its own; absent: none
 *   "networks":  where it may be used; absent: anywhere
 *
 * What is absent is as if it was never set, so that an entry of an older build reads the same.
 */
#ifndef CONTROL_ACCOUNT_USER_H
#define CONTROL_ACCOUNT_USER_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "control/account/accounts.h"

#define USER_GRACE_HOURS_MAX (90 * 24)

/* Adds a user. {"label","sandbox","limits","networks","mail"}; "mail": whether the user is to be
 * told by mail is the caller's. */
int account_add_user(struct edit *edit, const char *id, const json_t *body);
/* {"label","enabled","sandbox","limits","networks"}, at least one. Of the limits those that are not
 * named stay; 0: none. Networks are replaced; an empty list: anywhere. */
int
account_change_user(struct edit *edit, const char *id, const char *username, const json_t *body);
/* Makes a new password for {"username"}, or for the account's only user. With "grace_hours" the
 * password before it works for so long, and one that was renewed earlier until its own end;
 * without, all others end at once. "mail", as above. */
int account_password(struct edit *edit, const char *id, const json_t *body);
/* {"reason"}: the operator suspends a user, or lets it go on. */
int
account_suspend_user(struct edit *edit, const char *id, const char *username, const json_t *body);
int account_resume_user(struct edit *edit, const char *id, const char *username);
/* Changes nothing: `reply` names the account, and with `user` the user of {"username"}, or the
 * account's only one. */
int account_named(struct edit *edit, const char *id, bool user, const json_t *body);

/* What happens by itself. Whether a former password has ended. */
bool user_former_is_over(const json_t *user, uint64_t now_us);
/* Forgets the former passwords that have ended. True: `edit` has the change. */
bool account_former_end(struct edit *edit, const char *username, uint64_t now_us);

/* Adds to users, as the API shows them, what Redis knows (logins_read(); NULL: nothing): "last"
 * {at, address} of a login or accepted mail, how many "failures" to log in there were within a day,
 * and the "last_failure" {at, address} of these. */
void users_show_logins(json_t *users, const json_t *logins);
/* "active", "grace", "disabled", "suspended" or "sandbox": the first that says more than active, in
 * the order suspended, disabled, sandbox, grace. */
const char *user_state(const json_t *user, uint64_t now_us);

#endif
