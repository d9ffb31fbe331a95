/*
 * account_lookup.c - whose a user, an address or a domain is: first its grant, then the account.
 *
 * ingress -> [account_lookup] -> account_store -> Redis
 *
 * A look-up lives from the question to its callback. Fails with -ENOENT or -EAGAIN (account.h).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/account/account_private.h"
#include "shared/base/log.h"
#include "shared/mail/address.h"

#define NAME_MAX_BYTES 255

struct lookup {
	struct account_store *store;
	account_user_cb user_cb; /* either user_cb or cb is set */
	account_cb cb;
	void *arg;
	struct credential *credential;
	bool doubt; /* the address itself may have a grant, but Redis does not answer */
	struct net_address address;
};

static void
lookup_end(struct lookup *lookup, int err, struct account *account)
{
	if (account)
		account_ref(account); /* the callback may make the store drop the account */
	if (lookup->user_cb)
		lookup->user_cb(lookup->arg, err, account, err ? NULL : lookup->credential);
	else
		lookup->cb(lookup->arg, err, account);
	account_unref(account);
	credential_unref(lookup->credential);
	free(lookup);
}

static void
on_account(void *arg, int err, struct cached *entry)
{
	lookup_end(arg, err, err ? NULL : entry->account);
}

static void
on_grant(void *arg, int err, struct cached *entry)
{
	struct lookup *lookup = arg;
	char key[320];

	/* A grant that is not active counts as none. */
	if (!err && lookup->address.length && !entry->on)
		err = account_store_sure(lookup->store) ? -ENOENT : -EAGAIN;
	if (err) {
		lookup_end(lookup, err, NULL);
		return;
	}
	lookup->credential = entry->credential ? credential_ref(entry->credential) : NULL;
	snprintf(key, sizeof key, "account:{%s}", entry->account_id);
	entry_need(lookup->store, key, on_account, lookup);
}

static struct lookup *
lookup_new(struct account_store *store, account_cb cb, void *arg)
{
	struct lookup *lookup = xmalloc(sizeof *lookup);

	*lookup = (struct lookup){ .store = store, .cb = cb, .arg = arg };
	return lookup;
}

/* Writes the key "<kind><name>" in lower case. False when no such name can exist. */
static bool
key_make(const char *kind, const char *name, char key[320])
{
	const int length = snprintf(key, 320, "%s%s", kind, name);

	if (!*name || strlen(name) > NAME_MAX_BYTES || length >= 320)
		return false;
	for (char *c = key + strlen(kind); *c; c++)
		if (*c >= 'A' && *c <= 'Z')
			*c = (char)(*c + 32);
	return true;
}

void
account_by_user(struct account_store *store, const char *username, account_user_cb cb, void *arg)
{
	char key[320];
	struct lookup *lookup;

	if (!key_make("user:", username, key)) {
		cb(arg, -ENOENT, NULL, NULL);
		return;
	}
	lookup = lookup_new(store, NULL, arg);
	lookup->user_cb = cb;
	entry_need(store, key, on_grant, lookup);
}

void
account_by_domain(struct account_store *store, const char *domain, account_cb cb, void *arg)
{
	char key[320], canonical[256];
	struct lookup *lookup;

	if (!address_domain_canonical(domain, strlen(domain), canonical) ||
		!key_make("domain:", canonical, key)) {
		cb(arg, -ENOENT, NULL);
		return;
	}
	lookup = lookup_new(store, cb, arg);
	entry_need(store, key, on_grant, lookup);
}

void
account_by_id(struct account_store *store, const char *id, account_cb cb, void *arg)
{
	char key[320];
	struct lookup *lookup;

	if (!*id || snprintf(key, sizeof key, "account:{%s}", id) >= (int)sizeof key) {
		cb(arg, -ENOENT, NULL);
		return;
	}
	lookup = lookup_new(store, cb, arg);
	entry_need(store, key, on_account, lookup);
}

/* The narrowest of the operator's networks that has the address, or NULL. */
static const char *
network_of(const struct cached *entry, const struct net_address *address)
{
	const char *best = NULL;
	unsigned prefix = 0;
	struct network network;

	for (size_t i = 0; i < entry->networks_count; i++) {
		if (network_parse(entry->networks[i], &network) < 0 ||
			!network_contains(&network, address) || (best && network.prefix <= prefix))
			continue;
		best = entry->networks[i];
		prefix = network.prefix;
	}
	return best;
}

static void
on_networks(void *arg, int err, struct cached *entry)
{
	struct lookup *lookup = arg;
	const char *network = err ? NULL : network_of(entry, &lookup->address);
	char key[320];

	if (!network) {
		lookup_end(lookup, err == -EAGAIN || lookup->doubt ? -EAGAIN : -ENOENT, NULL);
		return;
	}
	snprintf(key, sizeof key, "ip:%s", network);
	entry_need(lookup->store, key, on_grant, lookup);
}

static void
on_address(void *arg, int err, struct cached *entry)
{
	struct lookup *lookup = arg;

	lookup->doubt = err == -EAGAIN;
	if (err)
		entry_need(lookup->store, NETWORKS_KEY, on_networks, lookup);
	else
		on_grant(arg, err, entry);
}

void
account_by_address(
	struct account_store *store, const struct net_address *address, account_cb cb, void *arg)
{
	char ip[NET_TEXT_MAX], text[NET_TEXT_MAX], key[320];
	struct lookup *lookup;

	net_format_ip(address, ip);
	if (account_network_text(ip, text) < 0) {
		cb(arg, -ENOENT, NULL);
		return;
	}
	lookup = lookup_new(store, cb, arg);
	lookup->address = *address;
	snprintf(key, sizeof key, "ip:%s", text);
	entry_need(store, key, on_address, lookup);
}
