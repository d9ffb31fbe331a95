/*
 * schedule.c - who waits, and whose turn it is.
 *
 * sender:  mail, deferral -> [schedule] -> attempt -> client
 *
 * Owns sites and their accounts; entries and connections belong to the caller. A site that
 * something happened to is `dirty` and looked at by schedule_next(), so that the cost of a step
 * does not grow with the number of sites.
 *
 * A site without messages and connections is kept while what it taught us (limit, rest) may matter,
 * an hour at most after its rest.
 */
#include <stdlib.h>
#include <string.h>

#include "sender/schedule_private.h"
#include "shared/log.h"

#define QUANTUM 8    /* what an account gets each round */
#define RETRY_TURN 5 /* of so many messages of an account, one is a retry */
#define MEMORY_US (3600ull * 1000000)

struct schedule *
schedule_new(const struct schedule_options *options)
{
	struct schedule *s = xcalloc(1, sizeof *s);

	s->options = *options;
	TAILQ_INIT(&s->dirty);
	TAILQ_INIT(&s->wanting);
	TAILQ_INIT(&s->memory);
	TAILQ_INIT(&s->idle);
	return s;
}

static void
account_drop(struct schedule_account *account)
{
	HASH_DEL(account->site->accounts, account);
	free(account);
}

static void
site_drop(struct schedule *s, struct schedule_site *site)
{
	struct schedule_account *account, *next;

	HASH_ITER(hh, site->accounts, account, next)
	account_drop(account);
	if (site->dirty)
		TAILQ_REMOVE(&s->dirty, site, dirty_link);
	if (site->wanting) {
		TAILQ_REMOVE(&s->wanting, site, wanting_link);
		s->wanting_count--;
	}
	if (site->granted)
		s->granted_count--;
	if (site->remembered)
		TAILQ_REMOVE(&s->memory, site, memory_link);
	HASH_DEL(s->sites, site);
	schedule_trouble_clear(site);
	free(site);
}

void
schedule_free(struct schedule **schedule)
{
	struct schedule *s = *schedule;
	struct schedule_site *site, *next;

	if (!s)
		return;
	HASH_ITER(hh, s->sites, site, next)
	site_drop(s, site);
	free(s);
	*schedule = NULL;
}

void
schedule_site_touch(struct schedule *s, struct schedule_site *site)
{
	if (site->dirty)
		return;
	site->dirty = true;
	TAILQ_INSERT_TAIL(&s->dirty, site, dirty_link);
}

struct schedule_site *
schedule_site_find(struct schedule *s, const char *name)
{
	struct schedule_site *site;

	HASH_FIND_STR(s->sites, name, site);
	return site;
}

/* Two of the longest forgotten go for each one that comes: enough to stay bounded. */
static void
memory_sweep(struct schedule *s, uint64_t now)
{
	struct schedule_site *site;

	for (int i = 0; i < 2 && (site = TAILQ_FIRST(&s->memory)); i++) {
		if (site->since_us + MEMORY_US > now)
			return;
		if (site->rest_until_us + MEMORY_US <= now) {
			site_drop(s, site);
			continue;
		}
		TAILQ_REMOVE(&s->memory, site, memory_link);
		site->since_us = now;
		TAILQ_INSERT_TAIL(&s->memory, site, memory_link);
	}
}

static struct schedule_site *
site_get(struct schedule *s, const char *name, bool shared, uint64_t now)
{
	struct schedule_site *site = schedule_site_find(s, name);

	if (site)
		return site;
	memory_sweep(s, now);
	site = xcalloc(1, sizeof *site + strlen(name) + 1);
	memcpy(site->name, name, strlen(name) + 1);
	site->shared = shared;
	site->limit = s->options.concurrency_start;
	TAILQ_INIT(&site->ring);
	TAILQ_INIT(&site->idle);
	HASH_ADD_STR(s->sites, name, site);
	return site;
}

/* Without messages and connections: remember what matters, forget the others. */
void
schedule_site_forget(struct schedule *s, struct schedule_site *site, uint64_t now)
{
	if (site->waiting || site->connections || site->remembered)
		return;
	if (site->limit == s->options.concurrency_start && !site->failures && !site->dry &&
		!site->rests) {
		site_drop(s, site);
		return;
	}
	site->remembered = true;
	site->since_us = now;
	TAILQ_INSERT_TAIL(&s->memory, site, memory_link);
}

static void
site_recall(struct schedule *s, struct schedule_site *site)
{
	if (!site->remembered)
		return;
	site->remembered = false;
	TAILQ_REMOVE(&s->memory, site, memory_link);
}

static struct schedule_account *
account_get(struct schedule_site *site, const char *name)
{
	struct schedule_account *account;

	HASH_FIND_STR(site->accounts, name, account);
	if (account)
		return account;
	account = xcalloc(1, sizeof *account + strlen(name) + 1);
	memcpy(account->name, name, strlen(name) + 1);
	account->site = site;
	TAILQ_INIT(&account->fresh);
	TAILQ_INIT(&account->again);
	HASH_ADD_STR(site->accounts, name, account);
	return account;
}

static bool
account_empty(const struct schedule_account *account)
{
	return TAILQ_EMPTY(&account->fresh) && TAILQ_EMPTY(&account->again);
}

void
schedule_add(struct schedule *s, struct schedule_entry *entry, const char *site_name, bool shared,
	const char *account_name, unsigned cost, bool fresh, uint64_t now)
{
	struct schedule_site *site = site_get(s, site_name, shared, now);
	struct schedule_account *account = account_get(site, account_name);

	site_recall(s, site);
	if (account_empty(account))
		TAILQ_INSERT_TAIL(&site->ring, account, ring);
	entry->account = account;
	entry->cost = cost < 1 ? 1 : cost > SCHEDULE_COST_MAX ? SCHEDULE_COST_MAX : cost;
	entry->fresh = fresh;
	if (fresh)
		TAILQ_INSERT_TAIL(&account->fresh, entry, link);
	else
		TAILQ_INSERT_TAIL(&account->again, entry, link);
	site->waiting++;
	site->fresh += fresh;
	s->waiting++;
	schedule_site_touch(s, site);
}

void
schedule_remove(struct schedule *s, struct schedule_entry *entry)
{
	struct schedule_account *account = entry->account;
	struct schedule_site *site;

	if (!account)
		return;
	site = account->site;
	if (entry->fresh)
		TAILQ_REMOVE(&account->fresh, entry, link);
	else
		TAILQ_REMOVE(&account->again, entry, link);
	entry->account = NULL;
	site->waiting--;
	site->fresh -= entry->fresh;
	s->waiting--;
	if (account_empty(account)) {
		TAILQ_REMOVE(&site->ring, account, ring);
		account->deficit = 0;
		if (HASH_COUNT(site->accounts) > SCHEDULE_CROWD)
			account_drop(account);
	}
	schedule_site_touch(s, site);
}

struct schedule_entry *
schedule_account_head(const struct schedule_account *account)
{
	struct schedule_entry *fresh = TAILQ_FIRST(&account->fresh);
	struct schedule_entry *again = TAILQ_FIRST(&account->again);

	if (!fresh || (again && account->turn % RETRY_TURN == RETRY_TURN - 1))
		return again;
	return fresh;
}

/* Deficit round robin: it ends, since a cost is at most SCHEDULE_COST_MAX. */
struct schedule_entry *
schedule_site_take(struct schedule *s, struct schedule_site *site)
{
	struct schedule_account *account;
	struct schedule_entry *entry;

	while ((account = TAILQ_FIRST(&site->ring))) {
		entry = schedule_account_head(account);
		if (entry->cost <= account->deficit || !TAILQ_NEXT(account, ring)) {
			account->deficit -= entry->cost < account->deficit ? entry->cost
									   : account->deficit;
			account->turn++;
			schedule_remove(s, entry);
			return entry;
		}
		account->deficit += QUANTUM;
		TAILQ_REMOVE(&site->ring, account, ring);
		TAILQ_INSERT_TAIL(&site->ring, account, ring);
	}
	return NULL;
}

static struct schedule_entry *
list_find(const struct entry_list *list, uint64_t affinity)
{
	struct schedule_entry *entry;

	TAILQ_FOREACH(entry, list, link)
	if (entry->affinity == affinity)
		return entry;
	return NULL;
}

struct schedule_entry *
schedule_take(struct schedule *s, struct schedule_site *site, uint64_t affinity)
{
	struct schedule_account *account;
	struct schedule_entry *entry = NULL;

	TAILQ_FOREACH(account, &site->ring, ring)
	{
		entry = list_find(&account->fresh, affinity);
		if (!entry)
			entry = list_find(&account->again, affinity);
		if (entry)
			break;
	}
	if (entry)
		schedule_remove(s, entry);
	return entry;
}

bool
schedule_crowded(struct schedule *s, const char *name)
{
	struct schedule_site *site = schedule_site_find(s, name);

	return site && site->fresh >= SCHEDULE_CROWD && !site->shared;
}

const char *
schedule_site_name(const struct schedule_site *site)
{
	return site->name;
}

void
schedule_stats(const struct schedule *s, uint64_t now, struct schedule_stats *out)
{
	*out = (struct schedule_stats){
		.sites = HASH_COUNT(s->sites),
		.waiting = s->waiting,
		.connections = s->connections,
	};
	for (const struct schedule_site *site = s->sites; site; site = site->hh.next)
		out->resting += schedule_site_rests(s, site, now);
}
