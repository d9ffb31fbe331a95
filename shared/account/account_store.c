/*
 * account_store.c - one loop's copy of the auth tables.
 *
 * ingress -> account_lookup -> [account_store] -> Redis
 *                                    `-> account_memory (what other loops heard)
 *
 * Every Redis key that was asked for is an entry: parsed, with the time it was fetched. A fresh
 * entry answers at once; look-ups of one key share one request. How much of Redis's answer counts
 * depends on the owner of the accounts in Redis, which each request reads together with the
 * document:
 *
 *   ours, complete        everything counts
 *   ours, being filled,   what is found counts; what is not found is doubted
 *   or relay.config has
 *   not been read yet
 *   another owner's       nothing counts, as if Redis did not answer
 *
 * When nothing counts, the last copy of any loop of the process counts for 24 h. Without a copy the
 * answer is -EAGAIN, never "no such user". A key that vanished although the marker did not move is
 * doubted in the same way: control moves the marker with every removal.
 *
 * Bounded: the entries used longest ago go. Known and unknown names are counted apart, so that
 * guessing names pushes no customer out.
 */
#include "shared/account/account_private.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "shared/account/account_memory.h"
#include "shared/account/owner.h"
#include "shared/base/json_text.h"
#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/redis/redis.h"

#define FRESH_MS 5000
#define REFRESH_MS 3000 /* an entry in use is asked for again before it is stale */
#define KEEP_MS (24ull * 3600 * 1000)
#define TIMEOUT_MS 2000
#define KNOWN_MAX 50000
#define UNKNOWN_MAX 5000
#define MARKER_KEY "config:applied"
#define CLAIM_KEY "config:owner"

struct waiter {
	struct waiter *next;
	entry_cb cb;
	void *arg;
};

/* A request under way. It outlives the entry when the store is freed. */
struct fetch {
	struct cached *entry;
};

struct lru {
	struct cached *newest, *oldest;
	size_t count;
};

struct account_store {
	struct redis *redis;
	struct cached *entries;
	struct lru known, unknown;
	bool sure; /* whether the newest answer was sure */
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
	entry->account_id = NULL;
	credential_unref(entry->credential);
	entry->credential = NULL;
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
	HASH_DEL(entry->store->entries, entry);
	if (entry->fetch)
		entry->fetch->entry = NULL;
	entry_clear(entry);
	free(entry->key);
	free(entry);
}

static void
lru_trim(struct lru *lru, size_t most)
{
	struct cached *entry, *newer;

	for (entry = lru->oldest; entry && lru->count > most; entry = newer) {
		newer = entry->newer;
		if (entry->waiters || entry->fetch)
			continue;
		lru_remove(entry);
		entry_free(entry);
	}
}

static struct cached *
entry_get(struct account_store *store, const char *key)
{
	struct cached *entry;

	HASH_FIND_STR(store->entries, key, entry);
	if (entry) {
		lru_put(entry->lru, entry);
		return entry;
	}
	lru_trim(&store->unknown, UNKNOWN_MAX);
	lru_trim(&store->known, KNOWN_MAX);
	entry = xcalloc(1, sizeof *entry);
	entry->key = xstrdup(key);
	entry->store = store;
	entry->last_waiter = &entry->waiters;
	HASH_ADD_KEYPTR(hh, store->entries, entry->key, strlen(key), entry);
	lru_put(&store->unknown, entry);
	return entry;
}

/* Parsing Redis's documents */

static void
take_networks(struct cached *entry, const char *text)
{
	for (size_t length; *text; text += length + (text[length] == '\n')) {
		length = strcspn(text, "\n");
		entry->networks = xrealloc(
			entry->networks, (entry->networks_count + 1) * sizeof *entry->networks);
		entry->networks[entry->networks_count++] = xstrndup(text, length);
	}
}

static bool
take_grant(struct cached *entry, const char *text, size_t length)
{
	json_t *object = json_loadb(text, length, 0, NULL);
	const char *account = json_text(object, "account");
	const bool is_user = strncmp(entry->key, "user:", 5) == 0;

	if (account) {
		entry->account_id = xstrdup(account);
		entry->credential = is_user ? credential_from_json(object) : NULL;
		entry->on = json_is_true(json_object_get(object, "active"));
	}
	json_decref(object);
	return account && (!is_user || entry->credential);
}

/* The text as account_memory.h stores it; NULL when the answer is no document. */
static char *
document_text(const struct redis_reply *reply)
{
	const char *text = redis_reply_str(reply, NULL);
	size_t length;
	char *all;
	FILE *out;

	if (redis_reply_kind(reply) != REDIS_LIST)
		return text ? xstrdup(text) : NULL;
	out = xopen_memstream(&all, &length);
	for (size_t i = 0; i < redis_reply_count(reply); i++) {
		text = redis_reply_str(redis_reply_at(reply, i), NULL);
		if (text)
			fprintf(out, "%s\n", text);
	}
	xclose_memstream(out);
	return all;
}

static bool
take_document(struct cached *entry, const char *text)
{
	if (strcmp(entry->key, NETWORKS_KEY) == 0) {
		take_networks(entry, text);
		return true;
	}
	if (strncmp(entry->key, "account:", 8) == 0) {
		entry->account = account_from_json(text, strlen(text));
		return entry->account != NULL;
	}
	return take_grant(entry, text, strlen(text));
}

/* Fetching */

static void
entry_answer(struct cached *entry, int err)
{
	struct waiter *waiter = entry->waiters, *next;

	/* The callbacks may look up, and wait, again. */
	entry->waiters = NULL;
	entry->last_waiter = &entry->waiters;
	for (; waiter; waiter = next) {
		next = waiter->next;
		waiter->cb(waiter->arg, err, err ? NULL : entry);
		free(waiter);
	}
}

/* The owner whose accounts Redis had at this marker. */
static const char *
marker_owner(const char *marker)
{
	const char *blank = strchr(marker, ' ');

	return blank ? blank + 1 : "";
}

static void
entry_know(struct cached *entry, bool found, uint64_t heard_ms, const char *marker)
{
	entry->found = found;
	entry->fetched_ms = heard_ms;
	snprintf(entry->marker, sizeof entry->marker, "%s", marker);
	lru_put(found ? &entry->store->known : &entry->store->unknown, entry);
}

/* Takes another loop's copy when that is newer than this loop's. */
static void
entry_recall(struct cached *entry)
{
	struct account_copy copy;
	char marker[MARKER_SIZE];

	if (!account_memory_get(entry->key, entry->fetched_ms, &copy, marker))
		return;
	entry_clear(entry);
	entry_know(entry, copy.text && take_document(entry, copy.text), copy.heard_ms, marker);
	account_copy_free(copy.text);
}

static int
last_good(struct cached *entry)
{
	bool usable;

	entry_recall(entry);
	usable = entry->found && clock_mono_ms() - entry->fetched_ms < KEEP_MS &&
		owner_compare(marker_owner(entry->marker)) != OWNER_OTHER;
	return usable ? 0 : -EAGAIN;
}

/*
 * Reads a document and its owner in one step: between two reads Redis may be flushed or refilled.
 */
static struct redis_script document_script = {
	.text = "return {redis.call(ARGV[1], KEYS[1]), redis.call('GET', KEYS[2]),\n"
		"  redis.call('GET', KEYS[3])}\n",
};
enum { DOCUMENT, MARKER, CLAIM }; /* places in the script's answer */

/* How much of an answer counts. */
enum trust { TRUST_NONE, TRUST_FOUND, TRUST_ALL };

/* `marker` gets the answer's marker; for an incomplete view time 0 and the owner who fills Redis.
 */
static enum trust
take_marker(const struct redis_reply *reply, char marker[MARKER_SIZE])
{
	const char *text = redis_reply_str(redis_reply_at(reply, MARKER), NULL);
	const char *claim = redis_reply_str(redis_reply_at(reply, CLAIM), NULL);
	enum owner_match match;

	if (text)
		snprintf(marker, MARKER_SIZE, "%s", text);
	else
		snprintf(marker, MARKER_SIZE, "0%s%s", claim ? " " : "", claim ? claim : "");
	match = owner_compare(marker_owner(marker));
	if (match == OWNER_OTHER)
		return TRUST_NONE;
	return text && match == OWNER_SAME ? TRUST_ALL : TRUST_FOUND;
}

/* `text` NULL: the key is surely not there. */
static void
entry_settle(struct cached *entry, char *text, const char *marker)
{
	const struct account_copy copy = { text, clock_mono_ms(), marker };

	entry_know(entry, text != NULL, copy.heard_ms, marker);
	account_memory_put(entry->key, &copy);
	entry_answer(entry, text ? 0 : -ENOENT);
}

static bool
is_nothing(const struct redis_reply *reply)
{
	const enum redis_kind kind = redis_reply_kind(reply);

	return kind == REDIS_NIL || (kind == REDIS_LIST && redis_reply_count(reply) == 0);
}

static void
take_found(struct cached *entry, const struct redis_reply *document, const char *marker)
{
	char *text = document_text(document);

	entry_clear(entry);
	if (text && take_document(entry, text)) {
		entry_settle(entry, text, marker);
	} else {
		LOG_WARN("account: an unreadable document in Redis", "key", entry->key);
		entry->fetched_ms = 0;
		entry_answer(entry, -EAGAIN);
	}
	account_copy_free(text);
}

static void
take_nothing(struct cached *entry, enum trust trust, const char *marker)
{
	const bool vanished = last_good(entry) == 0 && strcmp(entry->marker, marker) == 0;

	if (trust != TRUST_ALL || vanished) {
		entry_answer(entry, last_good(entry));
		return;
	}
	entry_clear(entry);
	entry_settle(entry, NULL, marker);
}

static void
on_document(void *arg, int err, const struct redis_reply *reply)
{
	struct fetch *fetch = arg;
	struct cached *entry = fetch->entry;
	const bool good = !err && redis_reply_kind(reply) == REDIS_LIST;
	char marker[MARKER_SIZE];
	enum trust trust;

	free(fetch);
	if (!entry)
		return;
	entry->fetch = NULL;
	trust = good ? take_marker(reply, marker) : TRUST_NONE;
	entry->store->sure = trust == TRUST_ALL;
	if (trust == TRUST_NONE)
		entry_answer(entry, last_good(entry));
	else if (is_nothing(redis_reply_at(reply, DOCUMENT)))
		take_nothing(entry, trust, marker);
	else
		take_found(entry, redis_reply_at(reply, DOCUMENT), marker);
}

static void
entry_fetch(struct cached *entry)
{
	const char *read = strcmp(entry->key, NETWORKS_KEY) == 0 ? "SMEMBERS" : "GET";
	const char *argv[] = { entry->key, MARKER_KEY, CLAIM_KEY, read };

	if (entry->fetch)
		return;
	entry->fetch = xmalloc(sizeof *entry->fetch);
	entry->fetch->entry = entry;
	redis_run(entry->store->redis, &document_script, TIMEOUT_MS, on_document, entry->fetch, 3,
		4, argv);
}

void
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

bool
account_store_sure(const struct account_store *store)
{
	return store->sure && redis_up(store->redis);
}

struct account_store *
account_store_new(struct loop *loop, struct redis *redis)
{
	struct account_store *store = xcalloc(1, sizeof *store);

	(void)loop;
	account_memory_hold();
	store->redis = redis;
	store->sure = true;
	return store;
}

static void
entries_end(struct lru *lru)
{
	for (struct cached *entry = lru->oldest; entry; entry = entry->newer)
		entry_answer(entry, -EAGAIN);
}

void
account_store_free(struct account_store **store_ref)
{
	struct account_store *store = *store_ref;
	struct cached *entry, *next;

	if (!store)
		return;
	*store_ref = NULL;
	entries_end(&store->known);
	entries_end(&store->unknown);
	HASH_ITER (hh, store->entries, entry, next)
		entry_free(entry);
	account_memory_let_go();
	free(store);
}
