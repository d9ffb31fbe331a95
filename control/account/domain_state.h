/*
 * domain_state.h - the states of an account's domain: "unverified" until its owner's TXT record was
 * seen or an operator vouched for it, "verified", and "lost" once the record is gone. Pure.
 */
#ifndef CONTROL_DOMAIN_STATE_H
#define CONTROL_DOMAIN_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "control/account/accounts.h"

#define DOMAIN_MISSED_MAX 3        /* daily checks without the record, then the domain is lost */
#define DOMAIN_GRACE_DAYS 7        /* a lost domain may still send */
#define DOMAINS_UNVERIFIED_MAX 100 /* of an account, by its own wish */

/* What a check said of the record. The DNS that does not answer says nothing. */
enum domain_seen { DOMAIN_UNSURE, DOMAIN_SEEN, DOMAIN_NOT_SEEN };

/* The domain in an account's entry; NULL: the account does not have it. `name` is canonical. */
json_t *domain_in_account(const json_t *account, const char *name);
/* "unverified", "verified" or "lost". */
const char *domain_state(const json_t *domain);
/* Whether an operator vouches for the domain, so that no record is needed. */
bool domain_is_vouched(const json_t *domain);
/* From when on mail of a lost domain is refused; 0: the domain is not lost. */
uint64_t domain_refused_us(const json_t *domain);
/* An operator vouches for the domain, or takes that back. */
void domain_vouch(json_t *domain, bool verified);

/*
 * Moves a domain on by what a check saw at `now_us`; false: nothing changes. The first verified
 * domain makes a pending account active, which `reply` tells as "status". Two checks of one day
 * without the record count as one. The edit's contents are the caller's in any case.
 */
bool account_domain_seen(struct edit *edit, const char *id, const char *name, enum domain_seen seen,
	uint64_t now_us);

/* 0, or -1 and a fault: the fields of a domain in a file of accounts. */
int domain_state_check(struct fault *fault, const json_t *domain);

#endif
