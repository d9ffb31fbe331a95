/*
 * schedule_next.c - the next thing to do, and the connections to do it with.
 *
 * sender:  schedule, schedule_feedback -> [schedule_next] -> attempt
 *
 * Sites that want a connection while all are in use stand in line (`wanting`), and those who have
 * more than their share let go at their next pause.
 */
#include <stdlib.h>
#include <string.h>

#include "sender/schedule/schedule_private.h"
#include "shared/base/log.h"

#define UNCAPPED 2     /* sites that one connection less is of use to, about */
#define YIELD_AFTER 10 /* transactions of a connection that others wait for */

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
	step->entry = schedule_site_take(s, site);
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
		schedule_site_touch(s, site);
	}
}

/* It is looked at again when connections are gone. */
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

static struct schedule_owner *
owner_get(struct schedule *s, const char *name)
{
	const size_t size = strlen(name) + 1;
	struct schedule_owner *owner;

	HASH_FIND_STR(s->owners, name, owner);
	if (owner)
		return owner;
	owner = xcalloc(1, sizeof *owner + size);
	memcpy(owner->name, name, size);
	HASH_ADD_STR(s->owners, name, owner);
	return owner;
}

static bool
may_connect(const struct fair_entry *turn, const void *arg)
{
	const struct schedule *s = arg;
	const char *name = fair_account_of(turn);
	struct schedule_owner *owner;

	HASH_FIND_STR(s->owners, name, owner);
	return fair_allows(
		owner ? owner->connections : 0, s->options.connections_max - s->connections);
}

/* Who is next at the site, unless that account has its share of all connections already. */
static struct fair_entry *
open_for(struct schedule *s, struct schedule_site *site)
{
	struct fair_entry *turn = fair_peek(site->fair, FAIR_ENDLESS);

	return may_connect(turn, s) ? turn : fair_find(site->fair, may_connect, s);
}

/* What an account has idle elsewhere makes room for it. */
static struct schedule_connection *
idle_of(const struct schedule *s, const char *account)
{
	struct schedule_connection *connection;

	TAILQ_FOREACH(connection, &s->idle, idle_link)
	if (!strcmp(connection->owner->name, account))
		return connection;
	return NULL;
}

static enum schedule_verb
step_open(struct schedule *s, struct schedule_site *site, struct schedule_step *step)
{
	struct schedule_connection *idle;
	struct fair_entry *turn;

	if (!site->granted && s->connections + s->granted_count >= s->options.connections_max) {
		site_want(s, site);
		if (!TAILQ_EMPTY(&s->idle) && s->closing < s->wanting_count)
			return step_close(s, TAILQ_FIRST(&s->idle), step);
		return SCHEDULE_NOTHING;
	}
	turn = open_for(s, site);
	if (!turn) {
		site_cap(s, site);
		grant_return(s, site);
		idle = idle_of(s, fair_account_of(fair_peek(site->fair, FAIR_ENDLESS)));
		return idle ? step_close(s, idle, step) : SCHEDULE_NOTHING;
	}
	site->opens = owner_get(s, fair_account_of(turn));
	step->site = site;
	step->entry = schedule_entry_of(turn);
	return step->verb = SCHEDULE_OPEN;
}

static enum schedule_verb
site_step(struct schedule *s, struct schedule_site *site, uint64_t now, struct schedule_step *step)
{
	struct schedule_connection *idle = TAILQ_FIRST(&site->idle);
	unsigned limit = (unsigned)site->limit;

	if (schedule_site_rests(s, site, now) && site->waiting) {
		step->site = site;
		step->entry = schedule_site_take(s, site);
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
	schedule_site_touch(s, site);
}

static void
owner_leave(struct schedule *s, struct schedule_connection *connection)
{
	struct schedule_owner *owner = connection->owner;

	connection->owner = NULL;
	if (--owner->connections)
		return;
	HASH_DEL(s->owners, owner);
	free(owner);
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
	owner_leave(s, connection);
	s->connected_sites -= site->connections == 0;
	connection->site = NULL;
	schedule_site_touch(s, site);
	grant(s);
	uncap(s);
}
