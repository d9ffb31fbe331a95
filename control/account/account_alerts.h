/*
 * account_alerts.h - which mails of the service an account gets where, and at which part of a limit
 * it is told.
 *
 * Mails about the service itself (activation, configuration, suspension, ends of addresses and
 * modes) always go to the contact. Of the others the account says who gets them. Its entry:
 *
 *   "alerts": {"limits": [percents], "mails": {mail: [mailboxes]}}   what is not there is as ever:
 *             80 and 100 %, and the contact
 */
#ifndef CONTROL_ACCOUNT_ALERTS_H
#define CONTROL_ACCOUNT_ALERTS_H

#include <stdbool.h>

#include <jansson.h>

#include "control/account/accounts.h"

#define ALERT_MAILBOXES_MAX 5
#define ALERT_LIMITS_MAX 5

/* {"limits","mails"}: changes what is named. Instead of a list, "default" and "contact" take it
 * back. */
int account_set_alerts(struct edit *edit, const char *id, const json_t *body);
/* {"limits","mails","fixed"} with everything that counts; the caller releases it. */
json_t *account_alerts_show(const json_t *account);
/* Checks "alerts" of an entry that came in a file. */
int account_alerts_check(struct fault *fault, const json_t *account);

/* Who gets the mail: a list of mailboxes, maybe empty, borrowed; NULL: the contact. */
const json_t *account_alert_mailboxes(const json_t *account, const char *mail);
/* The percents of a limit at which the account is told; the caller releases them. */
json_t *account_alert_limits(const json_t *account);

#endif
