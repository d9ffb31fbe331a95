/*
 * account.h - who may send: accounts, credentials and addresses as Redis has them, with a copy
 * in memory for when Redis does not answer (<= 24 h old). One store per loop.
 *
 * Redis has JSON documents, written by control's applier from relay.config, each with "owner" and
 * "version" (who wrote it, and when):
 *   account:{<id>}
 * {"id","name","contact","status":"active|pending|disabled","policy":"strict|resent",
 *                    "display_address":"refuse|pass",
 *                    "domains":["d.example",...], "limits":{"messages_hour","messages_day",
 *                    "recipients_hour","recipients_day"} (0: none; absent: default),
 *                    "off":"credentials|ip" (this way no longer counts; absent: both count)}
 *   user:<name>     {"account","enabled":true,"verifier":"<SCRAM, see scram.h>"} and, unless
 * absent, "former":[{"verifier","until_us"}] (passwords that still work), "suspended":"<reason>",
 * "sandbox":true, "networks":["192.0.2.0/24"], "limits":{"messages_hour","messages_day"}
 * (credential.h) ip:<network>    {"account","active":true}   IPv4 address, IPv6 /64 as
 * "2001:db8:0:1::/64", or an operator's network; networks are listed in the set "ip:networks"
 *   domain:<name>   {"account"}   whose verified domain this is (address_domain_canonical)
 *   config:applied  "<time of the newest write> <owner>" (owner.h; without one before the first
 *                   account): exists once everything is written
 *   config:owner    whose accounts these are, also while they are being written
 *   config:keys     the set of the keys of all documents
 */
#ifndef SHARED_ACCOUNT_H
#define SHARED_ACCOUNT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/account/credential.h"
#include "shared/base/net.h"

struct account_store;
struct config;
struct loop;
struct redis;

enum originator_policy { POLICY_STRICT, POLICY_RESENT };

/* How an account's servers are known: by a login, or by their address. */
enum access_mode { ACCESS_NONE, ACCESS_CREDENTIALS, ACCESS_IP };
/* The mode of a text, "credentials" or "ip"; ACCESS_NONE for any other, and for NULL. */
enum access_mode access_mode_read(const char *text);
/* "credentials" or "ip". */
const char *access_mode_text(enum access_mode mode);

#define LIMIT_DEFAULT UINT64_MAX /* the account sets none: the configuration's counts */
struct account_limits {
	uint64_t messages_hour, messages_day, recipients_hour, recipients_day; /* 0: no limit */
};

/* A snapshot that never changes. Its references are counted on one loop. */
struct account {
	char *id, *name, *contact;
	bool active;
	bool pending;         /* not active, because it has not begun yet */
	enum access_mode off; /* how its servers are no longer known */
	enum originator_policy policy;
	bool display_address; /* display names may show addresses of other accounts */
	char **domains;       /* canonical, sorted */
	size_t domains_count;
	struct account_limits limits;
	unsigned references;
};
struct account *account_ref(struct account *account);
void account_unref(struct account *account);
/* Whether the account has verified the domain, in whatever spelling. */
bool account_has_domain(const struct account *account, const char *domain, size_t length);
/* The limits of the configuration, for accounts that set none. */
struct account_limits account_limits_default(const struct config *config);
/* NULL when the text is no account document. */
struct account *account_from_json(const char *json, size_t length);

/* Writes the <network> of an "ip:" key: "192.0.2.1", "2001:db8:0:1::/64" (also for an address
 * within it), "10.0.0.0/8" (bits below the prefix cleared). 0 or -EINVAL. */
int account_network_text(const char *text, char out[NET_TEXT_MAX]);

/* A copy is fresh for 5 s; afterwards Redis is asked again. While Redis does not answer, a copy
 * counts for 24 h. */
struct account_store *account_store_new(struct loop *loop, struct redis *redis);
void account_store_free(struct account_store **store);

/*
 * Look-ups. The callback comes exactly once, perhaps before the call returns. Pass an id in `arg`,
 * not a pointer: the caller's struct may have gone when the answer comes. err: 0 found; -ENOENT
 * surely not there; -EAGAIN cannot tell now (there is no copy, and Redis is down, being filled, or
 * has another owner's accounts). The callback borrows what it gets. Usernames are looked up in
 * lower case. account_store_free() ends pending look-ups with -EAGAIN.
 */
typedef void (*account_user_cb)(
	void *arg, int err, struct account *account, struct credential *credential);
void
account_by_user(struct account_store *store, const char *username, account_user_cb cb, void *arg);
typedef void (*account_cb)(void *arg, int err, struct account *account);
void account_by_address(
	struct account_store *store, const struct net_address *address, account_cb cb, void *arg);
/* By the account's id, as envelopes carry it. */
void account_by_id(struct account_store *store, const char *id, account_cb cb, void *arg);
/* The account that has verified this domain, in whatever spelling. */
void account_by_domain(struct account_store *store, const char *domain, account_cb cb, void *arg);
/* The account that has verified the domain or, without one, the closest domain above it. `domain`
 * is the result of address_domain_named(). err may also be -E2BIG: the name has too many labels. */
void account_above(struct account_store *store, const char *domain, account_cb cb, void *arg);

/* Whether Redis has what control wrote last. While it is unsure, an unknown client is not let in,
 * and is not refused for good either. */
bool account_store_sure(const struct account_store *store);

#endif
