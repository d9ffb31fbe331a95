/*
 * schedule_next.c - decides the next thing to do, and owns the connections to do it with.
 *
 * sender:  schedule, schedule_feedback -> [schedule_next] -> attempt
 *
 * Sites that want a connection while all are in use stand in line (`wanting`). A site with more
 * than its share gives a connection up when the connection next pauses.
 *
 * A site may be slow with one account's messages only. So an account whose messages have as many
 * connections as the site bears gets no more. The other accounts get one beyond, but all together
 * never more than `concurrency_max`.
 */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "sender/schedule/schedule_private.h"
#include "shared/base/log.h"
#include "shared/base/named.h"

#define UNCAPPED 2     /* capped sites that one free connection is of use to, about */
#define YIELD_AFTER 10 /* transactions until a connection that others wait for is closed */

static struct schedule_owner *
owner_get(struct schedule *s, const char *name)
{
	struct schedule_owner *owner;

	NAMED_GET(s->owners, name, name, owner);
	return owner;
}

static void
owner_drop_if_unused(struct schedule *s, struct schedule_owner *owner)
{
	if (owner->connections || owner->messages)
		return;
	HASH_DEL(s->owners, owner);
	free(owner);
}

/* The connection works for the account from now on: it opens, or has a message. */
static void
engage(struct schedule_connection *connection, struct schedule_owner *owner)
{
	connection->works_for = owner;
	owner->messages++;
	TAILQ_INSERT_TAIL(&connection->site->busy, connection, site_link);
}

static void
disengage(struct schedule *s, struct schedule_connection *connection)
{
	struct schedule_owner *owner = connection->works_for;

	if (!owner)
		return;
	connection->works_for = NULL;
	TAILQ_REMOVE(&connection->site->busy, connection, site_link);
	owner->messages--;
	owner_drop_if_unused(s, owner);
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

	TAILQ_FOREACH (connection, &site->idle, site_link)
		if (connection->affinity == entry->affinity)
			return connection;
	return TAILQ_LAST(&site->idle, connection_list);
}

/* How many of a site's connections one account may have. */
static unsigned
account_share(const struct schedule *s, const struct schedule_site *site)
{
	const unsigned limit = (unsigned)site->limit, most = s->options.concurrency_max;

	return limit < most || most == 1 ? limit : most - 1;
}

/* The account that has used up its share of the site, or NULL: a majority vote, then its proof. */
static const struct schedule_owner *
site_hog(const struct schedule *s, const struct schedule_site *site)
{
	const struct schedule_connection *connection;
	const struct schedule_owner *owner = NULL;
	unsigned votes = 0, count = 0;

	TAILQ_FOREACH (connection, &site->busy, site_link) {
		if (!votes)
			owner = connection->works_for;
		votes += connection->works_for == owner ? 1 : -1u;
	}
	TAILQ_FOREACH (connection, &site->busy, site_link)
		count += connection->works_for == owner;
	return owner && count >= account_share(s, site) ? owner : NULL;
}

static struct fair_entry *
site_turn(const struct schedule_site *site, const struct schedule_owner *hog)
{
	return hog ? fair_first_but(site->fair, hog->name) : fair_peek(site->fair, FAIR_ENDLESS);
}

static void
step_take(struct schedule *s, struct schedule_site *site, struct fair_entry *turn,
	struct schedule_step *step)
{
	step->site = site;
	step->entry = schedule_entry_of(turn);
	schedule_remove(s, step->entry);
}

static enum schedule_verb
step_send(struct schedule *s, struct schedule_site *site, const struct schedule_owner *hog,
	struct schedule_step *step)
{
	struct fair_entry *turn = site_turn(site, hog);
	struct schedule_owner *owner = owner_get(s, fair_account_of(turn));
	struct schedule_connection *connection;

	if (hog)
		step_take(s, site, turn, step);
	else
		step_take(s, site, fair_take(site->fair, FAIR_ENDLESS), step);
	connection = idle_for(site, step->entry);
	idle_leave(s, connection);
	connection->state = CONNECTION_BUSY;
	site->leave.transactions -= site->metered && site->leave.transactions != UINT_MAX;
	engage(connection, owner);
	connection->used++;
	step->connection = connection;
	return step->verb = SCHEDULE_SEND;
}

/* Whether others stand in line, and this connection has had its share. */
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

/* Gives free connections to the sites in line. */
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
		schedule_site_touch(s, site);
	}
}

/* The site is looked at again when connections have gone. */
static void
site_cap(struct schedule *s, struct schedule_site *site)
{
	if (site->capped)
		return;
	site->capped = true;
	TAILQ_INSERT_TAIL(&s->capped, site, capped_link);
}

static void
uncap(struct schedule *s)
{
	struct schedule_site *site;

	for (int i = 0; i < UNCAPPED && (site = TAILQ_FIRST(&s->capped)); i++) {
		TAILQ_REMOVE(&s->capped, site, capped_link);
		site->capped = false;
		schedule_site_touch(s, site);
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

struct wish {
	const struct schedule *s;
	const struct schedule_owner *hog;
};

static bool
may_connect(const struct fair_entry *turn, const void *arg)
{
	const struct wish *wish = arg;
	const struct schedule *s = wish->s;
	const char *name = fair_account_of(turn);
	struct schedule_owner *owner;

	HASH_FIND_STR(s->owners, name, owner);
	if (owner && owner == wish->hog)
		return false;
	return fair_allows(
		owner ? owner->connections : 0, s->options.connections_max - s->connections);
}

/* The site's next entry, unless its account has its share of all connections already. */
static struct fair_entry *
open_for(struct schedule *s, struct schedule_site *site, const struct schedule_owner *hog)
{
	const struct wish wish = { s, hog };
	struct fair_entry *turn = site_turn(site, hog);

	return may_connect(turn, &wish) ? turn : fair_find(site->fair, may_connect, &wish);
}

/* An account's idle connection at another site makes room for the account here. */
static struct schedule_connection *
idle_of(const struct schedule *s, const char *account)
{
	struct schedule_connection *connection;

	TAILQ_FOREACH (connection, &s->idle, idle_link)
		if (!strcmp(connection->owner->name, account))
			return connection;
	return NULL;
}

static enum schedule_verb
step_open(struct schedule *s, struct schedule_site *site, const struct schedule_owner *hog,
	struct schedule_step *step)
{
	struct schedule_connection *idle;
	struct fair_entry *turn;

	if (!site->granted && s->connections + s->granted_count >= s->options.connections_max) {
		site_want(s, site);
		if (!TAILQ_EMPTY(&s->idle) && s->closing < s->wanting_count)
			return step_close(s, TAILQ_FIRST(&s->idle), step);
		return SCHEDULE_NOTHING;
	}
	turn = open_for(s, site, hog);
	if (!turn) {
		site_cap(s, site);
		grant_return(s, site);
		idle = idle_of(s, fair_account_of(site_turn(site, hog)));
		return idle ? step_close(s, idle, step) : SCHEDULE_NOTHING;
	}
	site->opens = owner_get(s, fair_account_of(turn));
	step->site = site;
	step->entry = schedule_entry_of(turn);
	return step->verb = SCHEDULE_OPEN;
}

/* The next entry that has to wait for the site's rest; NULL: none. */
static struct fair_entry *
resting_turn(const struct schedule *s, const struct schedule_site *site, uint64_t now)
{
	if (!schedule_site_rests(s, site, now) || !site->waiting)
		return NULL;
	return site->rests_alone ? fair_first_of(site->fair, site->blamed)
				 : fair_peek(site->fair, FAIR_ENDLESS);
}

static unsigned
site_room(const struct schedule *s, const struct schedule_site *site)
{
	const unsigned limit = (unsigned)site->limit;

	return limit < s->options.concurrency_max ? limit + 1 : limit;
}

/* Transactions that the site may begin now. */
static bool
may_send(const struct schedule_site *site, uint64_t now)
{
	return !site->metered || (site->leave.transactions && now <= site->leave.until_us);
}

static bool
is_used_up(const struct schedule_site *site, const struct schedule_connection *connection)
{
	return site->metered && site->leave.per_connection &&
		connection->used >= site->leave.per_connection;
}

static enum schedule_verb
step_ask(struct schedule_site *site, struct schedule_step *step)
{
	if (site->asked)
		return SCHEDULE_NOTHING;
	site->asked = true;
	step->site = site;
	return step->verb = SCHEDULE_ASK;
}

/* The connections that the site may have now, by what was learned of it and by leave. */
static unsigned
site_limit(const struct schedule_site *site, unsigned learned)
{
	return site->metered && site->leave.connections < learned ? site->leave.connections
								  : learned;
}

static enum schedule_verb
site_step(struct schedule *s, struct schedule_site *site, uint64_t now, struct schedule_step *step)
{
	const struct schedule_owner *hog = site_hog(s, site);
	const unsigned learned = hog ? site_room(s, site) : (unsigned)site->limit;
	const unsigned limit = site_limit(site, learned);
	struct schedule_connection *idle = TAILQ_FIRST(&site->idle);
	struct fair_entry *turn = resting_turn(s, site, now);

	if (turn) {
		step_take(s, site, turn, step);
		return step->verb = SCHEDULE_PARK;
	}
	if (idle && (site->connections > limit || is_used_up(site, idle) || must_yield(s, idle)))
		return step_close(s, idle, step);
	turn = site->waiting ? site_turn(site, hog) : NULL;
	if (idle && turn)
		return may_send(site, now) ? step_send(s, site, hog, step) : step_ask(site, step);
	if (turn && site->waiting > site->opening && site->connections < limit)
		return step_open(s, site, hog, step);
	if (turn && site->waiting > site->opening && site->connections < learned)
		return step_ask(site, step);
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
			schedule_site_touch(s, site);
			return step->verb;
		}
		schedule_site_forget(s, site, now);
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
	connection->owner = site->opens;
	connection->owner->connections++;
	engage(connection, connection->owner);
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
	disengage(s, connection);
	connection->state = CONNECTION_IDLE;
	TAILQ_INSERT_TAIL(&s->idle, connection, idle_link);
	TAILQ_INSERT_HEAD(&site->idle, connection, site_link);
	schedule_site_touch(s, site);
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
	disengage(s, connection);
	connection->owner->connections--;
	owner_drop_if_unused(s, connection->owner);
	connection->owner = NULL;
	s->connected_sites -= site->connections == 0;
	connection->site = NULL;
	schedule_site_touch(s, site);
	grant(s);
	uncap(s);
}
