/*
 * directory.h - what relay.config says about accounts, users, addresses and rules, in memory, with
 * the indexes that keep a domain and an address with one account.
 */
#ifndef CONTROL_DIRECTORY_H
#define CONTROL_DIRECTORY_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

struct directory;

struct directory *directory_new(void);
void directory_free(struct directory **directory);

/* Takes `value` (a reference) as the entry of a key of relay.config; NULL removes it. Returns -1
 * (and keeps what there was) when the value is no object. */
int directory_set(struct directory *directory, const char *key, json_t *value);
/* Borrowed; NULL when there is none. */
json_t *directory_get(const struct directory *directory, const char *kind, const char *name);
json_t *directory_entry(const struct directory *directory, const char *key);
/* All entries by key, in no order; borrowed, unchanged until the next directory_set(). */
json_t *directory_entries(const struct directory *directory);
/* The owner that relay.config names (shared/account/owner.h), or "". */
const char *directory_owner(const struct directory *directory);
/* The time of its last change; 0: it does not say. */
json_int_t directory_version(const json_t *entry);
/* Whether there are accounts, users or addresses. */
bool directory_has_accounts(const struct directory *directory);
/* Whether a key of relay.config is one of these three: what Redis gets. */
bool directory_is_account_key(const char *key);
/* The entries "audit/..." by key, as directory_entries(). */
json_t *directory_notes(const struct directory *directory);
/* The id of the account that has a domain (verified or not), or NULL. */
const char *directory_domain_owner(const struct directory *directory, const char *domain);
/* An object whose keys are the "user/..." and "ip/..." keys of an account; NULL: none. */
json_t *directory_members(const struct directory *directory, const char *account);
/* The keys of all accounts, sorted: an array of ids, the caller's to release. */
json_t *directory_accounts(const struct directory *directory);

#define ACCOUNT_KEPT_US (UINT64_C(30) * 24 * 3600 * 1000000)
/* Of an entry "account/..."; NULL is none. */
bool account_is_deleted(const json_t *account);
/* Until when a deleted one can be restored. */
uint64_t account_kept_until(const json_t *account);

#endif
