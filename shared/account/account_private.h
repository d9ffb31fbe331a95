/*
 * account_private.h - an entry of account_store.c's cache, for account_lookup.c.
 */
#ifndef SHARED_ACCOUNT_PRIVATE_H
#define SHARED_ACCOUNT_PRIVATE_H

#include <uthash.h>

#include "shared/account/account.h"
#include "shared/account/owner.h"

#define NETWORKS_KEY "ip:networks"
#define MARKER_SIZE (24 + OWNER_ID_SIZE) /* "<time> <owner>" */

struct fetch;
struct lru;
struct waiter;

/* What is known of one key of Redis. */
struct cached {
	UT_hash_handle hh;
	char *key;
	struct account_store *store;
	struct cached *newer, *older;
	struct lru *lru;
	struct waiter *waiters, **last_waiter;
	struct fetch *fetch;
	uint64_t fetched_ms; /* 0: never */
	bool found;
	char marker[MARKER_SIZE]; /* Redis's marker when the entry was fetched */
	/* what it says, by kind of key */
	struct account *account;
	char *account_id;
	struct credential *credential; /* a user's */
	bool on;                       /* an address's */
	char **networks;
	size_t networks_count;
};

typedef void (*entry_cb)(void *arg, int err, struct cached *entry);

/* Calls `cb` with the entry of `key`: at once where the copy is fresh or Redis cannot be asked,
 * else after Redis's answer. err as in the look-ups. */
void entry_need(struct account_store *store, const char *key, entry_cb cb, void *arg);

#endif
