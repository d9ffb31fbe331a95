/*
 * schedule.h - who sends next. Pure: no I/O, no clock; every call is told the time.
 *
 * Waiting messages lie in sites, and inside a site in accounts. Deficit round robin over a site's
 * accounts decides which message is next. When all connections of the process are in use, sites
 * take turns, and one account has only its share of the connections (fair.h).
 *
 * A site may have `limit` connections. The limit starts low, grows with success, and shrinks when
 * the site fails. After a run of failures the site rests; when one account caused most of them, the
 * site rests for that account alone. When messages of one account have all connections of a site,
 * others get one more.
 *
 *   schedule_add() ... schedule_next() -> OPEN, SEND, CLOSE, PARK ... schedule_done()
 */
#ifndef SENDER_SCHEDULE_H
#define SENDER_SCHEDULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "sender/policy/outcome.h"
#include "shared/base/fair.h"

struct schedule;
struct schedule_site;

struct schedule_options {
	unsigned concurrency_start, concurrency_max; /* connections of a site */
	unsigned connections_max;                    /* of all sites */
	uint64_t rest_first_us, rest_max_us;         /* doubling from the first to the max */
	uint64_t rest_shared_max_us;                 /* the max of a shared site */
};

/* What a metered site may do, until the caller says otherwise. */
struct schedule_leave {
	unsigned connections;    /* at the same time */
	unsigned transactions;   /* so many may begin ... */
	uint64_t until_us;       /* ... until then; UINT64_MAX: at any time */
	unsigned per_connection; /* transactions of a connection; 0: any number */
};

/* Messages of an account that wait for their first attempt at a site; more are crowded. */
#define SCHEDULE_CROWD 100
/* What one message may cost at most, see schedule_add(). */
#define SCHEDULE_COST_MAX 64

/* A message that waits; embedded in the caller's struct. Zero-initialise. */
struct schedule_entry {
	struct fair_entry turn;
	struct schedule_site *site; /* NULL: not waiting */
	uint64_t affinity;          /* a connection of the same kind suits it best */
	bool fresh;
};

enum schedule_state { CONNECTION_OPENING, CONNECTION_IDLE, CONNECTION_BUSY, CONNECTION_CLOSING };

/* A connection; embedded in the caller's struct. Zero-initialise. */
struct schedule_connection {
	TAILQ_ENTRY(schedule_connection) idle_link, site_link; /* the latter: idle, or not */
	struct schedule_site *site;
	enum schedule_state state;
	uint64_t affinity;                /* the caller's to set */
	unsigned used;                    /* transactions */
	struct schedule_owner *owner;     /* the account that it was opened for */
	struct schedule_owner *works_for; /* whose message it has, or opens for; NULL: idle */
};

enum schedule_verb {
	SCHEDULE_NOTHING,
	SCHEDULE_OPEN,  /* open a connection for `entry` (which goes on waiting): the caller answers
			   with schedule_opening() */
	SCHEDULE_SEND,  /* `entry` no longer waits; `connection` is busy with it */
	SCHEDULE_CLOSE, /* close `connection`, which is idle; schedule_gone() when it is */
	SCHEDULE_PARK,  /* `entry` no longer waits: its site rests */
	SCHEDULE_ASK, /* `site` is metered, and has no leave for what it could do: the caller finds
			 out, and answers with schedule_allow() */
};

struct schedule_step {
	enum schedule_verb verb;
	struct schedule_site *site;
	struct schedule_entry *entry;
	struct schedule_connection *connection;
};

struct schedule *schedule_new(const struct schedule_options *options);
/* Changes the options. Open connections stay; the rest times count from a site's next rest on. */
void schedule_change(struct schedule *schedule, const struct schedule_options *options);
/* Frees the scheduler. Entries and connections are the caller's, and no longer belong to any
 * scheduler. */
void schedule_free(struct schedule **schedule);

/*
 * Lets an entry wait for its turn. `cost` (1 to SCHEDULE_COST_MAX) is what the entry's account
 * pays. Fresh entries (first attempts) mostly go before the other entries of their account.
 * `shared`: the site serves many domains (a smarthost), so that only failures of the site itself
 * count against the site.
 */
void schedule_add(struct schedule *schedule, struct schedule_entry *entry, const char *site,
	bool shared, const char *account, unsigned cost, bool fresh, uint64_t now_us);
/* Takes the entry out; does nothing when it does not wait. */
void schedule_remove(struct schedule *schedule, struct schedule_entry *entry);

/* The next thing to do. After every other call, call schedule_next() until it says
 * SCHEDULE_NOTHING. */
enum schedule_verb
schedule_next(struct schedule *schedule, uint64_t now_us, struct schedule_step *step);

void schedule_opening(struct schedule *schedule, struct schedule_connection *connection,
	struct schedule_site *site);
/* The connection is ready for a transaction: first after opening, then after each transaction. */
void schedule_ready(struct schedule *schedule, struct schedule_connection *connection);

enum schedule_feedback {
	FEEDBACK_NONE,      /* says nothing about the site */
	FEEDBACK_SUCCESS,   /* the site took a message, or refused it for good */
	FEEDBACK_TRANSIENT, /* not now, for a message or recipient */
	FEEDBACK_SITE,      /* the next message would fare the same */
};
/* Tells how a transaction, or the attempt to connect, went; the connection is busy or opening.
 * True: the site began or ended a rest, maybe for one account alone. */
bool schedule_feedback(struct schedule *schedule, const struct schedule_connection *connection,
	enum schedule_feedback feedback, uint64_t now_us);
/* The site asks to go slower: half as many connections, or one. Beside the feedback. */
void schedule_narrow(struct schedule_site *site, bool single);
/* The site refuses this relay, whatever the mail is: the site rests at once, for all, for
 * `break_us` (0: as long as after failures) and at most as long as a site may. In the place of the
 * feedback. True: the rest began. */
bool schedule_break(struct schedule *schedule, const struct schedule_connection *connection,
	uint64_t break_us, uint64_t now_us);
/* What the site said when it failed last. Kept from its rest until a message gets through. */
struct schedule_trouble {
	uint64_t at_us;
	char *reply, *host, class[REPLY_CLASS_MAX];
};
/* Tells what the site said, after the feedback; does nothing when the site does not rest. */
void schedule_troubled(struct schedule *schedule, struct schedule_site *site,
	const struct outcome *trouble, uint64_t now_us);
/* The site's trouble; NULL: none is known. */
const struct schedule_trouble *schedule_trouble(struct schedule *schedule, const char *site);
/* A connection no longer exists, whatever its state was. The site may be freed with its last
 * connection. */
void schedule_gone(struct schedule *schedule, struct schedule_connection *connection);
/* Takes out an entry of this affinity that waits at the site: the entry shares the fate of a
 * connection that could not be had. NULL: none waits. */
struct schedule_entry *
schedule_take(struct schedule *schedule, struct schedule_site *site, uint64_t affinity);

/* Questions by name; a site that is not known has no rest, is not crowded, and has room for the
 * whole window. A rest may be one account's alone; account NULL asks for any. */
uint64_t schedule_rest_until(
	struct schedule *schedule, const char *site, const char *account, uint64_t now_us);
/* Whether the site rests because it put off one message after the other, not because it failed as a
 * whole. */
bool schedule_rest_is_dry(struct schedule *schedule, const char *site);
bool schedule_crowded(struct schedule *schedule, const char *site, const char *account);
/* How many waiting rows the site should get at most: few after a rest, until one succeeds. */
size_t schedule_room(struct schedule *schedule, const char *site, size_t window);
/* The site is metered from now on: it opens and sends only by leave. Not for a shared site's own
 * limits, which count as well. Does nothing when the site has neither mail nor connections. */
void schedule_meter(struct schedule *schedule, const char *site);
/* Replaces the leave of a metered site, and ends the question of SCHEDULE_ASK. */
void
schedule_allow(struct schedule *schedule, const char *site, const struct schedule_leave *leave);
/* The site's connections, how many of them wait for work, and its mail that waits. */
struct schedule_use {
	unsigned connections, idle, waiting;
	unsigned allowed, unused; /* connections and transactions of its leave */
};
struct schedule_use schedule_use(struct schedule *schedule, const char *site, uint64_t now_us);
/* The site rests until then, for all. Also when it rests already. */
void schedule_rest(struct schedule *schedule, const char *site, uint64_t until_us, uint64_t now_us);
/* Ends the site's rest, as an operator asked. */
void schedule_wake(struct schedule *schedule, const char *site);

const char *schedule_site_name(const struct schedule_site *site);

/* A site that rests, for all or for one account, or has trouble. `rest_until_us` 0: no rest. */
struct schedule_seen {
	const char *site, *account; /* account NULL: all */
	uint64_t rest_until_us;
	const struct schedule_trouble *trouble;
};
/* Calls back for all such sites, in no order. */
void schedule_each_trouble(struct schedule *schedule, uint64_t now_us,
	void (*on_site)(void *arg, const struct schedule_seen *seen), void *arg);

struct schedule_stats {
	size_t sites, waiting, connections, resting;
};
void schedule_stats(const struct schedule *schedule, uint64_t now_us, struct schedule_stats *out);

#endif
