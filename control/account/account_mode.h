/*
 * account_mode.h - how an account's servers are known, and the switch to the other mode: edits, as
 * accounts.h says of all of them. Pure but for the clock and random numbers.
 *
 *   steady --PUT mode--> switching --mail by the new mode--> grace --until--> steady
 *      ^---DELETE mode------'                                  `--DELETE grace--^
 *
 * Both modes count while a switch is under way and during the time of grace. Afterwards the old
 * mode is off. An account that never switched has both. The account's entry has it all:
 *
 *   "mode":   "credentials" | "ip", the one in force (absent: by what the account has)
 *   "switch": {"to", "since_us", "grace_us", "off"} until the new mode is seen; "off" is what was
 * off "grace":  {"until_us", "length_us", "extended"} of the other mode; "told", "used_us": the
 * customer was told of the end, and of this last use. "off":    the mode that no longer counts
 */
#ifndef CONTROL_ACCOUNT_MODE_H
#define CONTROL_ACCOUNT_MODE_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "control/account/accounts.h"

#define GRACE_DAYS_MAX 90
#define GRACE_NOTICE_DAYS 3

/* {"mode","grace_days","addresses"}: begins the switch. The addresses are added; an account without
 * a user gets one. */
int account_mode_switch(struct edit *edit, const char *id, const json_t *body);
/* Takes back a switch whose new mode was not seen yet. */
int account_mode_undo(struct edit *edit, const char *id);
/* The time of grace begins anew from its end, once. */
int account_grace_extend(struct edit *edit, const char *id);
/* The other mode is off from now on. */
int account_grace_end(struct edit *edit, const char *id);

/* The mode in force. */
enum access_mode account_mode(const struct directory *directory, const char *id);
/* Replaces "mode", "switch" and "grace" of an account, or sets them, as the API shows them. */
void account_mode_show(json_t *shown, const struct directory *directory, const json_t *account);

/* What happens by itself. */

/* Since when mail by the new mode is awaited; 0: no switch is under way. */
uint64_t account_switch_since(const json_t *account);
/* The new mode is in force if `times` (use.h) has a use of it since the switch began. True: `edit`
 * has the change. */
bool account_mode_seen(struct edit *edit, const char *id, const json_t *times, uint64_t now_us);
/* Whether the time of grace, of more than GRACE_NOTICE_DAYS, ends within these days, and its
 * customer was not told. */
bool account_grace_is_ending(const json_t *account, uint64_t now_us);
/* Notes that the customer is told, and when `times` (use.h) has the old mode used last. True:
 * `edit` has the change. */
bool account_grace_notice(struct edit *edit, const char *id, const json_t *times, uint64_t now_us);
/* Whether the time of grace is over. */
bool account_grace_is_over(const json_t *account, uint64_t now_us);

/* Checks an entry's "mode", "switch", "grace" and "off", which may come from a file. */
int account_mode_check(struct fault *fault, const json_t *account);

#endif
