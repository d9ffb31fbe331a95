/*
 * domain_result.h - what a look at a domain in the DNS means for its account.
 */
#ifndef CONTROL_WATCH_DOMAIN_RESULT_H
#define CONTROL_WATCH_DOMAIN_RESULT_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "control/account/accounts.h"
#include "control/domain/domain_check.h"

/* What a check has to ask about a domain of an account. The texts are borrowed from the arguments
 * and the directory. False: the accounts have no owner yet. */
bool domain_asked_of(const struct directory *directory, const char *account, const json_t *domain,
	struct domain_asked *out);

/* Adds to a report (domain_check.h) what relay.config says of the domain: "state", "verified",
 * "mailboxes" and, of a lost domain, "refused_from". */
void domain_result_show(json_t *report, const json_t *domain);

/* Moves the account's domain on by a report, and shows the outcome in it: "state", and "status" and
 * "began" when the account became active. True: `edit` has changes. The edit's contents are the
 * caller's in any case. */
bool domain_result_take(struct edit *edit, const char *account, json_t *report, uint64_t now_us);

/* What the owner of the domain has to mend, as words that differ where a new mail is due; NULL:
 * nothing. The caller frees it. */
char *domain_result_trouble(const json_t *report);

#endif
