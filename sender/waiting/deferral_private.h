/*
 * deferral_private.h - what the files of the deferral share.
 *
 * deferral.c knows the rows in memory and how many there are; deferral_lane.c decides which come
 * next.
 */
#ifndef SENDER_DEFERRAL_PRIVATE_H
#define SENDER_DEFERRAL_PRIVATE_H

#include <sys/queue.h>
#include <uthash.h>

#include "sender/waiting/deferral.h"
#include "sender/waiting/wake.h"
#include "shared/queue/queue.h"

TAILQ_HEAD(lane_list, lane);
TAILQ_HEAD(owner_list, owner);

struct lane_key {
	struct waiting_site *site;
	uint64_t number; /* rows_lane() */
};

/*
 * The rows of one account at a site. A lane with rows that are not in memory is in its site's heap,
 * by its turn; or in a list: `sated` of its site until one of its own rows leaves, `blocked` of its
 * owner until one of the owner's does.
 */
struct lane {
	struct wake wake; /* first: the heap's soonest is a lane's */
	UT_hash_handle hh;
	struct lane_key key;
	TAILQ_ENTRY(lane) link;
	struct lane_list *list; /* in which it is; NULL: none */
	uint64_t due_us;        /* the soonest row that is not in memory; UINT64_MAX: none known */
	uint64_t turn_us;       /* when it had its last turn */
	size_t loaded;
	bool cursor;
	uint64_t cursor_us;
	uint8_t cursor_id[ID_SIZE];
};

struct waiting_site {
	struct wake wake; /* first: the heap's soonest is a site's */
	UT_hash_handle hh;
	struct wake_heap turns;
	struct lane_list sated;
	size_t loaded, lanes;
	char name[];
};

/* An account with rows in memory, or with lanes that are blocked. */
struct owner {
	UT_hash_handle hh;
	uint64_t number;
	size_t load; /* by weight */
	struct lane_list blocked;
	TAILQ_ENTRY(owner) link; /* of `eased` */
	bool eased;              /* its blocked lanes are to be looked at */
};

struct deferral {
	struct deferral_options options;
	struct waiting_site *sites;
	struct lane *lanes;
	struct owner *owners;
	struct owner_list eased;
	struct waiting_count *count;
	struct loaded_row *rows;
	struct wake_heap heap;
	struct wake_timer *timer;
	size_t loaded;
	size_t load;      /* what is loaded, by weight */
	int64_t clock_us; /* what our clock was ahead of the one that only goes forward */
	bool loading;
};

struct row_batch {
	Row **rows; /* room for as many as are asked for */
	size_t count;
};
void row_batch_add(void *batch, Row *row);

/* deferral_lane.c */
struct lane *lane_get(struct deferral *d, const char *site, uint64_t number);
/* A row of the lane is due then. */
void lane_noted(struct deferral *d, struct lane *lane, uint64_t due_us);
/* A row of it is in memory; has left it. What nothing waits in is gone after that. */
void lane_joined(struct deferral *d, struct lane *lane, size_t weight);
void lane_left(struct deferral *d, struct lane *lane, size_t weight);
/* Something changed about when the site may be tried, or how many rows it may have. */
void site_look(struct deferral *d, struct waiting_site *site);
/* The timer's: what is due is loaded. */
void lanes_run(void *deferral);
void lanes_free(struct deferral *d);
/* The timer runs for what is due next. */
void lanes_arm(struct deferral *d);

#endif
