/*
 * schedule.c - who waits, and whose turn it is.
 *
 * sender:  mail, deferral -> [schedule] -> attempt -> client
 *
 * Owns sites and their accounts; entries and connections belong to the caller. A site whose state
 * changed is `dirty`, and schedule_next() looks at dirty sites only: the cost of a step does not
 * grow with the number of sites.
 *
 * A site without messages and connections is kept while what was learned of it (limit, rest) may
 * matter: until an hour after the end of its rest at most.
 */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "sender/schedule/schedule_private.h"
#include "shared/base/container_of.h"
#include "shared/base/log.h"
#include "shared/base/named.h"

#define QUANTUM 8 /* what an account gets each round */
#define MEMORY_US (3600ull * 1000000)

struct schedule *
schedule_new(const struct schedule_options *options)
{
	struct schedule *s = xcalloc(1, sizeof *s);

	s->options = *options;
	TAILQ_INIT(&s->dirty);
	TAILQ_INIT(&s->wanting);
	TAILQ_INIT(&s->capped);
	TAILQ_INIT(&s->memory);
	TAILQ_INIT(&s->idle);
	return s;
}

void
schedule_change(struct schedule *s, const struct schedule_options *options)
{
	s->options = *options;
}

static void
site_drop(struct schedule *s, struct schedule_site *site)
{
	fair_free(&site->fair);
	if (site->dirty)
		TAILQ_REMOVE(&s->dirty, site, dirty_link);
	if (site->wanting) {
		TAILQ_REMOVE(&s->wanting, site, wanting_link);
		s->wanting_count--;
	}
	if (site->granted)
		s->granted_count--;
	if (site->capped)
		TAILQ_REMOVE(&s->capped, site, capped_link);
	if (site->remembered)
		TAILQ_REMOVE(&s->memory, site, memory_link);
	HASH_DEL(s->sites, site);
	schedule_trouble_clear(site);
	schedule_blame_clear(site);
	free(site);
}

void
schedule_free(struct schedule **schedule)
{
	struct schedule *s = *schedule;
	struct schedule_site *site, *next;
	struct schedule_owner *owner, *next_owner;

	if (!s)
		return;
	HASH_ITER (hh, s->sites, site, next)
		site_drop(s, site);
	HASH_ITER (hh, s->owners, owner, next_owner) {
		HASH_DEL(s->owners, owner);
		free(owner);
	}
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

/* For each new site the two that were unused for longest are looked at: enough to stay bounded. */
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
	NAMED_NEW(name, name, site);
	site->shared = shared;
	site->limit = s->options.concurrency_start;
	site->fair = fair_new(QUANTUM);
	TAILQ_INIT(&site->idle);
	TAILQ_INIT(&site->busy);
	HASH_ADD_STR(s->sites, name, site);
	return site;
}

/* Keeps a site without messages and connections if something was learned of it, else frees it. */
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

struct schedule_entry *
schedule_entry_of(struct fair_entry *turn)
{
	return container_of(turn, struct schedule_entry, turn);
}

void
schedule_add(struct schedule *s, struct schedule_entry *entry, const char *site_name, bool shared,
	const char *account_name, unsigned cost, bool fresh, uint64_t now)
{
	struct schedule_site *site = site_get(s, site_name, shared, now);

	site_recall(s, site);
	entry->site = site;
	entry->fresh = fresh;
	fair_add(site->fair, &entry->turn, account_name, cost, !fresh);
	site->waiting++;
	s->waiting++;
	schedule_site_touch(s, site);
}

void
schedule_remove(struct schedule *s, struct schedule_entry *entry)
{
	struct schedule_site *site = entry->site;

	if (!site)
		return;
	fair_remove(site->fair, &entry->turn);
	entry->site = NULL;
	site->waiting--;
	s->waiting--;
	schedule_site_touch(s, site);
}

static bool
has_affinity(const struct fair_entry *turn, const void *arg)
{
	const struct schedule_entry *entry = schedule_entry_of((struct fair_entry *)turn);

	return entry->affinity == *(const uint64_t *)arg;
}

struct schedule_entry *
schedule_take(struct schedule *s, struct schedule_site *site, uint64_t affinity)
{
	struct fair_entry *turn = fair_find(site->fair, has_affinity, &affinity);

	if (!turn)
		return NULL;
	schedule_remove(s, schedule_entry_of(turn));
	return schedule_entry_of(turn);
}

bool
schedule_crowded(struct schedule *s, const char *name, const char *account)
{
	struct schedule_site *site = schedule_site_find(s, name);

	return site && !site->shared && fair_fresh_of(site->fair, account) >= SCHEDULE_CROWD;
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

void
schedule_meter(struct schedule *s, const char *name)
{
	struct schedule_site *site = schedule_site_find(s, name);

	if (!site || site->metered)
		return;
	site->metered = true;
	site->leave = (struct schedule_leave){ 0 };
	schedule_site_touch(s, site);
}

void
schedule_allow(struct schedule *s, const char *name, const struct schedule_leave *leave)
{
	struct schedule_site *site = schedule_site_find(s, name);

	if (!site || !site->metered)
		return;
	site->leave = *leave;
	site->asked = false;
	schedule_site_touch(s, site);
}

struct schedule_use
schedule_use(struct schedule *s, const char *name, uint64_t now)
{
	const struct schedule_site *site = schedule_site_find(s, name);
	struct schedule_use use = { 0 };
	const struct schedule_connection *connection;

	if (!site)
		return use;
	use.connections = site->connections;
	use.waiting = site->waiting;
	use.allowed = site->leave.connections;
	use.unused = now <= site->leave.until_us ? site->leave.transactions : 0;
	TAILQ_FOREACH (connection, &site->idle, site_link)
		use.idle++;
	return use;
}
