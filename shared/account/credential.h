/*
 * credential.h - a username of an account: its passwords, whether it may be used, from where, and
 * how much it may send. A snapshot that never changes, made of Redis's document (account.h).
 *
 * Renewed with an overlap, a username has several passwords. All verifiers of a username then have
 * one salt and one count of iterations, so that one PBKDF2 checks them all, and SCRAM's challenge
 * holds for each.
 */
#ifndef SHARED_CREDENTIAL_H
#define SHARED_CREDENTIAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "shared/base/net.h"

#define CREDENTIAL_FORMER_MAX 3    /* former passwords that still work */
#define CREDENTIAL_NETWORKS_MAX 32 /* from which a username may be used */

struct credential {
	bool enabled;   /* its customer has not disabled it */
	bool suspended; /* by the operator */
	bool sandbox;   /* its mail is accepted, and never delivered */
	/* Texts (scram.h): the current one, then the former ones, each with the time at which it
	 * ends. */
	char *verifiers[1 + CREDENTIAL_FORMER_MAX];
	uint64_t until_us[1 + CREDENTIAL_FORMER_MAX]; /* since 1970 */
	size_t verifiers_count;
	uint64_t messages_hour, messages_day; /* its own limits; 0: none */
	struct network *networks;             /* where it may be used; none: anywhere */
	size_t networks_count;
	unsigned references; /* counted on one loop */
};

/* NULL when the document is no user's. A document of an older build lacks most fields. */
struct credential *credential_from_json(const json_t *document);
struct credential *credential_ref(struct credential *credential);
/* Wipes the verifiers with the last reference. Takes NULL. */
void credential_unref(struct credential *credential);

/* Whether it may be used at all. */
bool credential_works(const struct credential *credential);
/* Whether it may be used from the client's address. */
bool credential_admits(const struct credential *credential, const struct net_address *client);
/* Whether the verifier of that number has not ended. */
bool credential_holds(const struct credential *credential, size_t i, uint64_t now_us);

#endif
