/*
 * keyring.h - the keys that are signed with now, of the entries "dkim/<domain>" of relay.config:
 *
 *   {"version","domain","account","enabled","active":1|2,"keys":[{"slot":1|2,"selector","algorithm",
 *    "sealed","record","created_us","used_us"}]}
 *
 * "account" is "" for a domain of the relay's own. The keys of one slot sign together; the other
 * slot has their successors, or their predecessors. "used_us": since when the slot has signed; 0:
 * it never has.
 */
#ifndef SHARED_DKIM_KEYRING_H
#define SHARED_DKIM_KEYRING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/dkim/key.h"

#define DKIM_PREFIX "dkim/"
#define DKIM_SLOTS 2
#define DKIM_SELECTOR_MAX 64

struct keyring;

struct keyring_key {
	char selector[DKIM_SELECTOR_MAX];
	struct dkim_key *key;
};

struct keyring_domain {
	char *account;
	bool broken; /* a key of the active slot cannot be opened */
	size_t count;
	struct keyring_key keys[DKIM_ALGORITHMS]; /* of the active slot */
};

/* `secret` NULL: no key can be opened, every domain is broken. */
struct keyring *keyring_new(const uint8_t secret[DKIM_SECRET_SIZE]);
/* Takes NULL. */
void keyring_free(struct keyring **keyring);
/* Takes an entry of relay.config in (json NULL: it is removed); keys that are no domain's are
 * passed over. False: the entry cannot be used, and the domain is broken. */
bool keyring_set(struct keyring *keyring, const char *key, const char *json);
/* NULL: the domain's mail is not signed. Borrowed until the next keyring_set(). */
const struct keyring_domain *keyring_find(const struct keyring *keyring, const char *domain);
size_t keyring_count(const struct keyring *keyring, bool broken);

/* What a key is sealed with: "<domain>/<selector>". The caller frees it. */
char *keyring_name(const char *domain, const char *selector);

#endif
