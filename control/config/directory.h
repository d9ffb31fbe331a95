/*
 * directory.h - relay.config in memory: accounts, users, addresses and rules, with indexes that
 * keep each domain and address with one account.
 */
#ifndef CONTROL_DIRECTORY_H
#define CONTROL_DIRECTORY_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

struct directory;

struct directory *directory_new(void);
void directory_free(struct directory **directory);

/* Takes `value` (a reference) as the entry of a key of relay.config; NULL removes the entry.
 * Returns -1, and changes nothing, when the value is no object. */
int directory_set(struct directory *directory, const char *key, json_t *value);
/* The entry of the key, borrowed; NULL: there is none. */
json_t *directory_get(const struct directory *directory, const char *kind, const char *name);
json_t *directory_entry(const struct directory *directory, const char *key);
/* All entries by key, in no order; borrowed, unchanged until the next directory_set(). */
json_t *directory_entries(const struct directory *directory);
/* The key of the entry "token/..." or "person/..." whose secret has this hash, or NULL. */
const char *directory_secret(const struct directory *directory, const char *hash);
/* The owner that relay.config names (shared/account/owner.h), or "". */
const char *directory_owner(const struct directory *directory);
/* The time of the entry's last change; 0: the entry does not say. */
json_int_t directory_version(const json_t *entry);
/* Whether there are accounts, users or addresses. */
bool directory_has_accounts(const struct directory *directory);
/* Whether the key is an account's, a user's or an address's: these go to Redis. */
bool directory_is_account_key(const char *key);
/* The entries "audit/..." by key, as directory_entries(). */
json_t *directory_notes(const struct directory *directory);
/* The entries "webhook/..." by key, likewise. */
json_t *directory_webhooks(const struct directory *directory);
/* The id of the account that has a domain (verified or not), or NULL. */
const char *directory_domain_owner(const struct directory *directory, const char *domain);
/* An object with the "user/...", "ip/...", "token/..." and "person/..." keys of an account; NULL:
 * none. */
json_t *directory_members(const struct directory *directory, const char *account);
/* The ids of all accounts, sorted: an array that the caller releases. */
json_t *directory_accounts(const struct directory *directory);

#define ACCOUNT_KEPT_US (UINT64_C(30) * 24 * 3600 * 1000000)
/* Whether the "account/..." entry is deleted; NULL is not. */
bool account_is_deleted(const json_t *account);
/* Until when a deleted account can be restored. */
uint64_t account_kept_until(const json_t *account);

#endif
