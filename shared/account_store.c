/*
 * account_store.c - one loop's copy of the auth tables.
 *
 * ingress -> [account_store] -> Redis
 *
 * Every Redis key that was asked for is an entry: parsed, with the time it was fetched. Fresh
 * entries answer at once; look-ups of one key share one request. When Redis does not answer, what
 * is known counts for 24 h; what is not known is -EAGAIN, never "no such user". So is what Redis
 * does not hold while the marker "config:applied" is missing: then it was flushed, and is refilled.
 *
 * Bounded: the entries used longest ago go, known and unknown ones counted apart, so that guessing
 * names does not push the customers out.
 */
#include "shared/account.h"

#include <assert.h>
#include <errno.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "shared/address.h"
#include "shared/log.h"
#include "shared/loop.h"
#include "shared/redis.h"

#define FRESH_MS 5000
#define REFRESH_MS 3000 /* an entry in use is asked for again before it is stale */
#define KEEP_MS (24ull * 3600 * 1000)
#define TIMEOUT_MS 2000
#define KNOWN_MAX 50000
#define UNKNOWN_MAX 5000
#define NAME_MAX_BYTES 255
#define NETWORKS_KEY "ip:networks"
#define MARKER_KEY "config:applied"

struct cached;
typedef void (*entry_cb)(void *arg, int err, struct cached *entry);

struct waiter {
	struct waiter *next;
	entry_cb cb;
	void *arg;
};

/* A request on its way; outlives the entry when the store is freed. */
struct fetch {
	struct cached *entry;
};

struct lru {
	struct cached *newest, *oldest;
	size_t count;
};

struct cached {
	char *key; /* first: the tree compares by it */
	struct account_store *store;
	struct cached *newer, *older;
	struct lru *lru;
	struct waiter *waiters, **last_waiter;
	struct fetch *fetch;
	uint64_t fetched_ms; /* 0: never */
	bool found;
	/* what it says, by kind of key */
	struct account *account;
	char *account_id, *verifier;
	bool on;
	char **networks;
	size_t networks_count;
};

struct account_store {
	struct redis *redis;
	void *tree;
	struct lru known, unknown;
};

/* Least recently used */

static void
lru_remove(struct cached *entry)
{
	struct lru *lru = entry->lru;

	*(entry->newer ? &entry->newer->older : &lru->newest) = entry->older;
	*(entry->older ? &entry->older->newer : &lru->oldest) = entry->newer;
	lru->count--;
	entry->lru = NULL;
}

static void
lru_put(struct lru *lru, struct cached *entry)
{
	assert(lru);
	if (entry->lru)
		lru_remove(entry);
	entry->lru = lru;
	entry->newer = NULL;
	entry->older = lru->newest;
	*(lru->newest ? &lru->newest->newer : &lru->oldest) = entry;
	lru->newest = entry;
	lru->count++;
}

static void
entry_clear(struct cached *entry)
{
	account_unref(entry->account);
	entry->account = NULL;
	free(entry->account_id);
	free(entry->verifier);
	entry->account_id = entry->verifier = NULL;
	for (size_t i = 0; i < entry->networks_count; i++)
		free(entry->networks[i]);
	free(entry->networks);
	entry->networks = NULL;
	entry->networks_count = 0;
	entry->found = entry->on = false;
}

static void
entry_free(struct cached *entry)
{
	if (entry->fetch)
		entry->fetch->entry = NULL;
	entry_clear(entry);
	free(entry->key);
	free(entry);
}

static int
compare(const void *a, const void *b)
{
	return strcmp(((const struct cached *)a)->key, ((const struct cached *)b)->key);
}

static void
lru_trim(struct account_store *store, struct lru *lru, size_t most)
{
	struct cached *entry, *newer;

	for (entry = lru->oldest; entry && lru->count > most; entry = newer) {
		newer = entry->newer;
		if (entry->waiters || entry->fetch)
			continue;
		lru_remove(entry);
		tdelete(entry, &store->tree, compare);
		entry_free(entry);
	}
}

static struct cached *
entry_get(struct account_store *store, const char *key)
{
	struct cached probe = { .key = (char *)key };
	struct cached **found = tfind(&probe, &store->tree, compare);
	struct cached *entry;

	if (found) {
		lru_put((*found)->lru, *found);
		return *found;
	}
	lru_trim(store, &store->unknown, UNKNOWN_MAX);
	lru_trim(store, &store->known, KNOWN_MAX);
	entry = xcalloc(1, sizeof *entry);
	entry->key = xstrdup(key);
	entry->store = store;
	entry->last_waiter = &entry->waiters;
	if (!tsearch(entry, &store->tree, compare))
		die("out of memory", "tsearch");
	lru_put(&store->unknown, entry);
	return entry;
}

/* Parsing what Redis holds */

static bool
take_networks(struct cached *entry, const struct redis_reply *reply)
{
	const size_t count = redis_reply_count(reply);

	entry->networks = xcalloc(count, sizeof *entry->networks);
	for (size_t i = 0; i < count; i++) {
		const char *text = redis_reply_str(redis_reply_at(reply, i), NULL);

		if (text)
			entry->networks[entry->networks_count++] = xstrdup(text);
	}
	return true;
}

static bool
take_grant(struct cached *entry, const char *text, size_t length)
{
	json_t *object = json_loadb(text, length, 0, NULL);
	const char *account = json_string_value(json_object_get(object, "account"));
	const char *verifier = json_string_value(json_object_get(object, "verifier"));

	if (account) {
		entry->account_id = xstrdup(account);
		entry->verifier = verifier ? xstrdup(verifier) : NULL;
		entry->on = json_is_true(json_object_get(object, "enabled")) ||
			json_is_true(json_object_get(object, "active"));
	}
	json_decref(object);
	return account != NULL;
}

static bool
take_document(struct cached *entry, const struct redis_reply *reply)
{
	size_t length;
	const char *text;

	if (redis_reply_kind(reply) == REDIS_LIST)
		return take_networks(entry, reply);
	text = redis_reply_str(reply, &length);
	if (!text)
		return false;
	if (strncmp(entry->key, "account:", 8) == 0) {
		entry->account = account_from_json(text, length);
		return entry->account != NULL;
	}
	return take_grant(entry, text, length);
}

/* Fetching */

static void
entry_answer(struct cached *entry, int err)
{
	struct waiter *waiter = entry->waiters, *next;

	/* The callbacks may look up again, and wait again. */
	entry->waiters = NULL;
	entry->last_waiter = &entry->waiters;
	for (; waiter; waiter = next) {
		next = waiter->next;
		waiter->cb(waiter->arg, err, err ? NULL : entry);
		free(waiter);
	}
}

static int
last_good(const struct cached *entry)
{
	const bool usable = entry->found && clock_mono_ms() - entry->fetched_ms < KEEP_MS;

	return usable ? 0 : -EAGAIN;
}

static void
entry_settle(struct cached *entry, bool found)
{
	entry->found = found;
	entry->fetched_ms = clock_mono_ms();
	lru_put(found ? &entry->store->known : &entry->store->unknown, entry);
	entry_answer(entry, found ? 0 : -ENOENT);
}

/* In one step: a flush or a refill between two reads would make "unknown" of a customer. */
static struct redis_script whether_known = {
	.text = "return redis.call('EXISTS', KEYS[1]) * 2 + redis.call('EXISTS', KEYS[2])"
};
enum { FLUSHED, UNKNOWN }; /* its answers; greater: the key is there by now */

/* The entry of an answer, unless the store has gone; the request is over. */
static struct cached *
fetch_end(struct fetch *fetch)
{
	struct cached *entry = fetch->entry;

	free(fetch);
	if (entry)
		entry->fetch = NULL;
	return entry;
}

static void entry_fetch(struct cached *entry);

static void
on_whether_known(void *arg, int err, const struct redis_reply *reply)
{
	struct cached *entry = fetch_end(arg);
	const int64_t answer = err || redis_reply_kind(reply) != REDIS_INT ? FLUSHED
									   : redis_reply_int(reply);

	if (!entry)
		return;
	if (answer == FLUSHED) {
		entry_answer(entry, last_good(entry));
	} else if (answer == UNKNOWN) {
		entry_clear(entry);
		entry_settle(entry, false);
	} else {
		entry_fetch(entry);
	}
}

static bool
is_nothing(const struct redis_reply *reply)
{
	const enum redis_kind kind = redis_reply_kind(reply);

	return kind == REDIS_NIL || (kind == REDIS_LIST && redis_reply_count(reply) == 0);
}

static void
on_document(void *arg, int err, const struct redis_reply *reply)
{
	struct fetch *fetch = arg;
	struct cached *entry = fetch->entry;
	const enum redis_kind kind = err ? REDIS_ERR : redis_reply_kind(reply);

	if (entry && !err && is_nothing(reply)) {
		const char *keys[] = { entry->key, MARKER_KEY };

		redis_run(entry->store->redis, &whether_known, TIMEOUT_MS, on_whether_known, fetch,
			2, 2, keys);
		return;
	}
	if (!fetch_end(fetch))
		return;
	if (kind == REDIS_ERR) {
		entry_answer(entry, last_good(entry));
		return;
	}
	entry_clear(entry);
	if (take_document(entry, reply)) {
		entry_settle(entry, true);
	} else {
		LOG_WARN("account: an unreadable document in Redis", "key", entry->key);
		entry->fetched_ms = 0;
		entry_answer(entry, -EAGAIN);
	}
}

static void
entry_fetch(struct cached *entry)
{
	const char *argv[] = { strcmp(entry->key, NETWORKS_KEY) ? "GET" : "SMEMBERS", entry->key };

	if (entry->fetch)
		return;
	entry->fetch = xmalloc(sizeof *entry->fetch);
	entry->fetch->entry = entry;
	redis_command(entry->store->redis, TIMEOUT_MS, on_document, entry->fetch, 2, argv, NULL);
}

/* `cb` with the entry of `key`, at once where the copy is fresh, or all there is. */
static void
entry_need(struct account_store *store, const char *key, entry_cb cb, void *arg)
{
	struct cached *entry = entry_get(store, key);
	const uint64_t age = clock_mono_ms() - entry->fetched_ms;
	struct waiter *waiter;

	if (entry->fetched_ms && age < FRESH_MS) {
		if (age >= REFRESH_MS)
			entry_fetch(entry);
		cb(arg, entry->found ? 0 : -ENOENT, entry->found ? entry : NULL);
		return;
	}
	if (!redis_up(store->redis) && last_good(entry) == 0) {
		cb(arg, 0, entry);
		return;
	}
	waiter = xmalloc(sizeof *waiter);
	*waiter = (struct waiter){ .cb = cb, .arg = arg };
	*entry->last_waiter = waiter;
	entry->last_waiter = &waiter->next;
	entry_fetch(entry);
}

/* Look-ups: a grant (user, address or domain), then its account. */

struct lookup {
	struct account_store *store;
	account_user_cb user_cb; /* one of the two */
	account_cb cb;
	void *arg;
	char *verifier;
	bool on;
	bool doubt; /* Redis may know the address itself, but does not answer */
	struct net_address address;
};

static void
lookup_end(struct lookup *lookup, int err, struct account *account)
{
	if (account)
		account_ref(account); /* whatever the callback does to the store */
	if (lookup->user_cb)
		lookup->user_cb(lookup->arg, err, account, err ? NULL : lookup->verifier,
			err ? false : lookup->on);
	else
		lookup->cb(lookup->arg, err, account);
	account_unref(account);
	if (lookup->verifier)
		explicit_bzero(lookup->verifier, strlen(lookup->verifier));
	free(lookup->verifier);
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

	/* An address that is not active is nobody's. */
	if (!err && lookup->address.length && !entry->on)
		err = -ENOENT;
	if (err) {
		lookup_end(lookup, err, NULL);
		return;
	}
	lookup->on = entry->on;
	lookup->verifier = entry->verifier ? xstrdup(entry->verifier) : NULL;
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

/* The key "<kind><name>" in lower case; false when no such name can exist. */
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
		cb(arg, -ENOENT, NULL, NULL, false);
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

/* The narrowest of the operator's networks that the address is in, or NULL. */
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

struct account_store *
account_store_new(struct loop *loop, struct redis *redis)
{
	struct account_store *store = xcalloc(1, sizeof *store);

	(void)loop;
	store->redis = redis;
	return store;
}

static void
entries_end(struct lru *lru)
{
	for (struct cached *entry = lru->oldest; entry; entry = entry->newer)
		entry_answer(entry, -EAGAIN);
}

static void
tree_entry_free(void *entry)
{
	entry_free(entry);
}

void
account_store_free(struct account_store **store_ref)
{
	struct account_store *store = *store_ref;

	if (!store)
		return;
	*store_ref = NULL;
	entries_end(&store->known);
	entries_end(&store->unknown);
	tdestroy(store->tree, tree_entry_free);
	free(store);
}
