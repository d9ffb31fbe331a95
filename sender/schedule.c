/*
 * schedule.c - who sends next.
 *
 * sender:  mail, deferral -> [schedule] -> attempt -> client
 *
 * Owns sites and their accounts; entries and connections belong to the caller. A site that
 * something happened to is `dirty` and looked at by schedule_next(), so that the cost of a step
 * does not grow with the number of sites. Sites that want a connection while all are in use stand
 * in line
 * (`wanting`), and those who have more than their share let go at their next pause.
 *
 * A site without messages and connections is kept while what it taught us (limit, rest) may matter,
 * an hour at most after its rest.
 */
#include "sender/schedule.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "shared/log.h"

#define QUANTUM 8       /* what an account gets each round */
#define RETRY_TURN 5    /* of so many messages of an account, one is a retry */
#define DRY_NARROW 10   /* transactions without a success: one connection */
#define DRY_REST 20     /* and more: rest */
#define DRY_PROBE 5     /* after a rest */
#define DRY_REST_PART 8 /* such rests are at most rest_max / 8 */
#define YIELD_AFTER 10  /* transactions of a connection that others wait for */
#define MEMORY_US (3600ull * 1000000)

TAILQ_HEAD(entry_list, schedule_entry);
TAILQ_HEAD(connection_list, schedule_connection);
TAILQ_HEAD(site_list, schedule_site);

struct schedule_account {
	UT_hash_handle hh;
	TAILQ_ENTRY(schedule_account) ring;
	struct schedule_site *site;
	struct entry_list fresh, again;
	unsigned deficit, turn;
	char name[];
};

TAILQ_HEAD(account_list, schedule_account);

struct schedule_site {
	UT_hash_handle hh;
	TAILQ_ENTRY(schedule_site) dirty_link, wanting_link, memory_link;
	bool dirty, wanting, granted, remembered;
	struct schedule_account *accounts;
	struct account_list ring; /* accounts with something waiting */
	struct connection_list idle;
	unsigned waiting, fresh, connections, opening;
	double limit;
	unsigned failures, dry; /* in a row */
	unsigned rests;         /* in a row */
	bool probing, shared;
	uint64_t rest_until_us, since_us;
	char name[];
};

struct schedule {
	struct schedule_options options;
	struct schedule_site *sites;
	struct site_list dirty, wanting, memory;
	struct connection_list idle;
	unsigned connections, closing, wanting_count, granted_count, connected_sites;
	size_t waiting;
};

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

static void
site_touch(struct schedule *s, struct schedule_site *site)
{
	if (site->dirty)
		return;
	site->dirty = true;
	TAILQ_INSERT_TAIL(&s->dirty, site, dirty_link);
}

static struct schedule_site *
site_find(struct schedule *s, const char *name)
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
	struct schedule_site *site = site_find(s, name);

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
static void
site_maybe_rest_in_memory(struct schedule *s, struct schedule_site *site, uint64_t now)
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
	site_touch(s, site);
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
	site_touch(s, site);
}

static struct schedule_entry *
account_head(const struct schedule_account *account)
{
	struct schedule_entry *fresh = TAILQ_FIRST(&account->fresh);
	struct schedule_entry *again = TAILQ_FIRST(&account->again);

	if (!fresh || (again && account->turn % RETRY_TURN == RETRY_TURN - 1))
		return again;
	return fresh;
}

/* Deficit round robin: it ends, since a cost is at most SCHEDULE_COST_MAX. */
static struct schedule_entry *
site_take(struct schedule *s, struct schedule_site *site)
{
	struct schedule_account *account;
	struct schedule_entry *entry;

	while ((account = TAILQ_FIRST(&site->ring))) {
		entry = account_head(account);
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

static void
idle_leave(struct schedule *s, struct schedule_connection *connection)
{
	TAILQ_REMOVE(&s->idle, connection, idle_link);
	TAILQ_REMOVE(&connection->site->idle, connection, site_link);
}

static enum schedule_verb
step_close(struct schedule *s, struct schedule_connection *connection, struct schedule_step *step)
{
	idle_leave(s, connection);
	connection->state = CONNECTION_CLOSING;
	s->closing++;
	step->connection = connection;
	step->site = connection->site;
	return step->verb = SCHEDULE_CLOSE;
}

static struct schedule_connection *
idle_for(const struct schedule_site *site, const struct schedule_entry *entry)
{
	struct schedule_connection *connection;

	TAILQ_FOREACH(connection, &site->idle, site_link)
	if (connection->affinity == entry->affinity)
		return connection;
	return TAILQ_LAST(&site->idle, connection_list);
}

static enum schedule_verb
step_send(struct schedule *s, struct schedule_site *site, struct schedule_step *step)
{
	struct schedule_connection *connection;

	step->site = site;
	step->entry = site_take(s, site);
	connection = idle_for(site, step->entry);
	idle_leave(s, connection);
	connection->state = CONNECTION_BUSY;
	connection->used++;
	step->connection = connection;
	return step->verb = SCHEDULE_SEND;
}

/* Others stand in line, and this connection has had its share. */
static bool
must_yield(const struct schedule *s, const struct schedule_connection *connection)
{
	unsigned share;

	if (s->wanting_count <= s->closing)
		return false;
	share = s->options.connections_max / (s->connected_sites + s->wanting_count);
	return connection->used >= YIELD_AFTER ||
		connection->site->connections > (share ? share : 1);
}

static void
site_want(struct schedule *s, struct schedule_site *site)
{
	if (site->wanting)
		return;
	site->wanting = true;
	s->wanting_count++;
	TAILQ_INSERT_TAIL(&s->wanting, site, wanting_link);
}

/* Free connections go to those in line. */
static void
grant(struct schedule *s)
{
	struct schedule_site *site;

	while (s->connections + s->granted_count < s->options.connections_max &&
		(site = TAILQ_FIRST(&s->wanting))) {
		TAILQ_REMOVE(&s->wanting, site, wanting_link);
		site->wanting = false;
		s->wanting_count--;
		site->granted = true;
		s->granted_count++;
		site_touch(s, site);
	}
}

static void
grant_return(struct schedule *s, struct schedule_site *site)
{
	if (!site->granted)
		return;
	site->granted = false;
	s->granted_count--;
	grant(s);
}

static enum schedule_verb
step_open(struct schedule *s, struct schedule_site *site, struct schedule_step *step)
{
	if (!site->granted && s->connections + s->granted_count >= s->options.connections_max) {
		site_want(s, site);
		if (!TAILQ_EMPTY(&s->idle) && s->closing < s->wanting_count)
			return step_close(s, TAILQ_FIRST(&s->idle), step);
		return SCHEDULE_NOTHING;
	}
	step->site = site;
	step->entry = account_head(TAILQ_FIRST(&site->ring));
	return step->verb = SCHEDULE_OPEN;
}

static enum schedule_verb
site_step(struct schedule *s, struct schedule_site *site, uint64_t now, struct schedule_step *step)
{
	struct schedule_connection *idle = TAILQ_FIRST(&site->idle);
	unsigned limit = (unsigned)site->limit;

	if (site->rest_until_us > now && site->waiting) {
		step->site = site;
		step->entry = site_take(s, site);
		return step->verb = SCHEDULE_PARK;
	}
	if (idle && (site->connections > limit || must_yield(s, idle)))
		return step_close(s, idle, step);
	if (idle && site->waiting)
		return step_send(s, site, step);
	if (site->waiting > site->opening && site->connections < limit)
		return step_open(s, site, step);
	grant_return(s, site);
	return SCHEDULE_NOTHING;
}

enum schedule_verb
schedule_next(struct schedule *s, uint64_t now, struct schedule_step *step)
{
	struct schedule_site *site;

	memset(step, 0, sizeof *step);
	while ((site = TAILQ_FIRST(&s->dirty))) {
		TAILQ_REMOVE(&s->dirty, site, dirty_link);
		site->dirty = false;
		if (site_step(s, site, now, step) != SCHEDULE_NOTHING) {
			site_touch(s, site);
			return step->verb;
		}
		site_maybe_rest_in_memory(s, site, now);
	}
	return SCHEDULE_NOTHING;
}

void
schedule_opening(
	struct schedule *s, struct schedule_connection *connection, struct schedule_site *site)
{
	connection->site = site;
	connection->state = CONNECTION_OPENING;
	connection->used = 0;
	s->connected_sites += site->connections == 0;
	site->connections++;
	site->opening++;
	s->connections++;
	if (site->granted) {
		site->granted = false;
		s->granted_count--;
	}
}

void
schedule_ready(struct schedule *s, struct schedule_connection *connection)
{
	struct schedule_site *site = connection->site;

	if (connection->state == CONNECTION_IDLE || connection->state == CONNECTION_CLOSING)
		return;
	site->opening -= connection->state == CONNECTION_OPENING;
	connection->state = CONNECTION_IDLE;
	TAILQ_INSERT_TAIL(&s->idle, connection, idle_link);
	TAILQ_INSERT_HEAD(&site->idle, connection, site_link);
	site_touch(s, site);
}

void
schedule_gone(struct schedule *s, struct schedule_connection *connection)
{
	struct schedule_site *site = connection->site;

	if (connection->state == CONNECTION_IDLE)
		idle_leave(s, connection);
	site->opening -= connection->state == CONNECTION_OPENING;
	s->closing -= connection->state == CONNECTION_CLOSING;
	site->connections--;
	s->connections--;
	s->connected_sites -= site->connections == 0;
	connection->site = NULL;
	site_touch(s, site);
	grant(s);
}

static void
site_rest(struct schedule *s, struct schedule_site *site, uint64_t longest, uint64_t now)
{
	uint64_t rest = s->options.rest_first_us;

	for (unsigned i = 0; i < site->rests && rest < longest; i++)
		rest *= 2;
	if (rest > longest)
		rest = longest;
	site->rests++;
	site->rest_until_us = now + rest;
	site->probing = true;
	site->failures = site->dry = 0;
	site->limit = 1;
}

static bool
feedback_success(struct schedule *s, struct schedule_site *site, uint64_t now)
{
	bool rested = site->rest_until_us > now;

	site->failures = site->dry = site->rests = 0;
	site->probing = false;
	site->rest_until_us = 0;
	site->limit += 1 / site->limit;
	if (site->limit > s->options.concurrency_max)
		site->limit = s->options.concurrency_max;
	return rested;
}

static uint64_t
dry_rest_max(const struct schedule *s)
{
	uint64_t longest = s->options.rest_max_us / DRY_REST_PART;

	return longest > s->options.rest_first_us ? longest : s->options.rest_first_us;
}

static bool
feedback_failure(struct schedule *s, struct schedule_site *site, bool whole, uint64_t now)
{
	if (site->rest_until_us > now)
		return false; /* what was under way when the rest began */
	if (whole) {
		site->failures++;
		site->limit = site->limit > 2 ? site->limit - 1 : 1;
	}
	if (whole || !site->shared)
		site->dry++;
	if (site->failures >= (site->probing ? 1 : s->options.concurrency_start))
		site_rest(s, site, s->options.rest_max_us, now);
	else if (site->dry >= (site->probing ? DRY_PROBE : DRY_REST))
		site_rest(s, site, dry_rest_max(s), now);
	else if (site->dry >= DRY_NARROW)
		site->limit = 1;
	return site->rest_until_us > now;
}

bool
schedule_feedback(struct schedule *s, struct schedule_site *site, enum schedule_feedback feedback,
	uint64_t now)
{
	site_touch(s, site);
	switch (feedback) {
	case FEEDBACK_SUCCESS: return feedback_success(s, site, now);
	case FEEDBACK_TRANSIENT: return feedback_failure(s, site, false, now);
	case FEEDBACK_SITE: return feedback_failure(s, site, true, now);
	case FEEDBACK_NONE: break;
	}
	return false;
}

uint64_t
schedule_rest_until(struct schedule *s, const char *name, uint64_t now)
{
	struct schedule_site *site = site_find(s, name);

	return site && site->rest_until_us > now ? site->rest_until_us : 0;
}

bool
schedule_crowded(struct schedule *s, const char *name)
{
	struct schedule_site *site = site_find(s, name);

	return site && site->fresh >= SCHEDULE_CROWD && !site->shared;
}

size_t
schedule_room(struct schedule *s, const char *name, size_t window)
{
	struct schedule_site *site = site_find(s, name);

	return site && site->probing && window > DRY_PROBE ? DRY_PROBE : window;
}

void
schedule_wake(struct schedule *s, const char *name)
{
	struct schedule_site *site = site_find(s, name);

	if (site)
		site->rest_until_us = 0;
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
		out->resting += site->rest_until_us > now;
}
