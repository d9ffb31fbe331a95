/*
 * account.h - who may send: accounts, credentials and addresses as Redis holds them, with a copy in
 * memory for when it does not answer (<= 24 h old). One store per loop.
 *
 * Redis holds JSON documents, written by control's applier from relay.config:
 *   account:{<id>}  {"id","name","contact","status":"active|disabled","policy":"strict|resent",
 *                    "domains":["d.example",...], "limits":{"messages_hour","messages_day",
 *                    "recipients_hour","recipients_day"} (0 or absent: none)}
 *   user:<name>     {"account","enabled":true,"verifier":"<SCRAM, see scram.h>"}
 *   ip:<network>    {"account","active":true}   IPv4 address, IPv6 /64 as "2001:db8:0:1::/64",
 *                    or an operator's network; networks are listed in the set "ip:networks"
 */
#ifndef SHARED_ACCOUNT_H
#define SHARED_ACCOUNT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/net.h"

struct account_store;
struct loop;
struct redis;

enum originator_policy { POLICY_STRICT, POLICY_RESENT };

struct account_limits {
	uint64_t messages_hour, messages_day, recipients_hour, recipients_day; /* 0: none */
};

/* A snapshot that never changes; counted references on one loop. */
struct account {
	char *id, *name, *contact;
	bool active;
	enum originator_policy policy;
	char **domains; /* lower case, sorted */
	size_t domains_count;
	struct account_limits limits;
	unsigned references;
};
struct account *account_ref(struct account *account);
void account_unref(struct account *account);
/* Whether the domain (any case) is one of the account's. */
bool account_has_domain(const struct account *account, const char *domain, size_t length);
/* NULL when the text is no such document. */
struct account *account_from_json(const char *json, size_t length);

struct account_store *account_store_new(struct loop *loop, struct redis *redis);
void account_store_free(struct account_store **store);

/*
 * Look-ups; the callback may come before the call returns, and comes exactly once. `ticket`-like
 * safety is the caller's: pass an id in `arg`, not a pointer that may be gone.
 * err: 0 found; -ENOENT surely not there; -EAGAIN cannot tell now (Redis down and no copy).
 */
typedef void (*account_user_cb)(
	void *arg, int err, struct account *account, const char *verifier, bool enabled);
void
account_by_user(struct account_store *store, const char *username, account_user_cb cb, void *arg);
typedef void (*account_cb)(void *arg, int err, struct account *account);
void account_by_address(
	struct account_store *store, const struct net_address *address, account_cb cb, void *arg);
/* The account (borrowed by the callback; account_ref() to keep) whose verified domain this is. */
void account_by_domain(struct account_store *store, const char *domain, account_cb cb, void *arg);

#endif
