/*
 * schedule_private.h - what the files of the scheduler share.
 *
 * schedule.c keeps the waiting entries, in sites and accounts. schedule_next.c owns the connections
 * and says what to do next. schedule_feedback.c changes a site's limit and rest by its answers.
 */
#ifndef SENDER_SCHEDULE_PRIVATE_H
#define SENDER_SCHEDULE_PRIVATE_H

#include <string.h>

#include <uthash.h>

#include "sender/schedule/schedule.h"

TAILQ_HEAD(connection_list, schedule_connection);
TAILQ_HEAD(site_list, schedule_site);

/* An account with connections, or with a message on a connection that was opened for another
 * account. */
struct schedule_owner {
	UT_hash_handle hh;
	unsigned connections, messages;
	char name[];
};

struct schedule_site {
	UT_hash_handle hh;
	TAILQ_ENTRY(schedule_site) dirty_link, wanting_link, capped_link, memory_link;
	bool dirty, wanting, granted, capped, remembered;
	struct fair *fair;                 /* what waits */
	struct schedule_owner *opens;      /* the account that the next connection is opened for */
	struct connection_list idle, busy; /* busy: opening, too */
	unsigned waiting, fresh, connections, opening;
	double limit;
	unsigned failures, dry; /* in a row */
	unsigned rests;         /* in a row */
	bool probing, shared, rest_is_dry;
	bool metered, asked;         /* asked: SCHEDULE_ASK awaits its answer */
	struct schedule_leave leave; /* of a metered site */
	char *blamed; /* the account with most of these failures; NULL: none failed */
	unsigned blamed_count, other_count;
	bool rests_alone;                /* the rest is for `blamed` alone */
	struct schedule_trouble trouble; /* `reply` NULL: none */
	uint64_t rest_until_us, since_us;
	char name[];
};

struct schedule {
	struct schedule_options options;
	struct schedule_site *sites;
	struct schedule_owner *owners;
	struct site_list dirty, wanting, memory;
	struct site_list capped; /* all waiting entries are of accounts with their full share of
				    connections */
	struct connection_list idle;
	unsigned connections, closing, wanting_count, granted_count, connected_sites;
	size_t waiting;
};

/* schedule.c */
/* The site changed: schedule_next() has to look at the site. */
void schedule_site_touch(struct schedule *s, struct schedule_site *site);
struct schedule_site *schedule_site_find(struct schedule *s, const char *name);
/* Whether a rest may end at that time: after the clock was set back, no rest ends so late. */
static inline bool
schedule_site_rests(const struct schedule *s, const struct schedule_site *site, uint64_t now)
{
	return site->rest_until_us > now &&
		site->rest_until_us - now <= s->options.rest_first_us + s->options.rest_max_us;
}
/* The same for one account; NULL: for any account. */
static inline bool
schedule_site_rests_for(const struct schedule *s, const struct schedule_site *site,
	const char *account, uint64_t now)
{
	return schedule_site_rests(s, site, now) &&
		(!site->rests_alone || !account || !strcmp(site->blamed, account));
}
void schedule_trouble_clear(struct schedule_site *site);
void schedule_blame_clear(struct schedule_site *site);
/* If the site has no messages and connections: keeps what was learned of it, else frees it. */
void schedule_site_forget(struct schedule *s, struct schedule_site *site, uint64_t now);
struct schedule_entry *schedule_entry_of(struct fair_entry *turn);

#endif
