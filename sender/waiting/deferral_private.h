/*
 * deferral_private.h - what the files of the deferral share.
 *
 * deferral.c has the rows in memory, and counts all rows; deferral_lane.c decides which rows are
 * loaded next.
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
 * The rows of one account at a site. A lane with rows outside memory is in one of these:
 *
 *   turns    of its site: a heap, by the lane's next turn
 *   sated    of its site, until one of the lane's own rows leaves memory
 *   blocked  of its owner, until one of the owner's rows leaves memory
 */
struct lane {
	struct wake wake; /* first: the site's heap has lanes */
	UT_hash_handle hh;
	struct lane_key key;
	TAILQ_ENTRY(lane) link;
	struct lane_list *list; /* the list that the lane is in; NULL: none */
	uint64_t due_us;        /* of the soonest row outside memory; UINT64_MAX: none known */
	uint64_t turn_us;       /* when the lane had its last turn */
	size_t loaded;
	bool cursor;
	uint64_t cursor_us;
	uint8_t cursor_id[ID_SIZE];
};

struct waiting_site {
	struct wake wake; /* first: the heap has sites */
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
	size_t load; /* of its rows in memory, by weight */
	struct lane_list blocked;
	TAILQ_ENTRY(owner) link; /* of `eased` */
	bool eased;              /* the owner's blocked lanes may have room now */
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
	size_t load;      /* of all rows in memory, by weight */
	int64_t clock_us; /* clock_us() minus the monotonic clock, when last looked at */
	bool loading;
};

struct row_batch {
	Row **rows; /* room for all rows that are asked for */
	size_t count;
};
void row_batch_add(void *batch, Row *row);

/* deferral_lane.c */
struct lane *lane_get(struct deferral *d, const char *site, uint64_t number);
/* A row of the lane is due at that time. */
void lane_noted(struct deferral *d, struct lane *lane, uint64_t due_us);
/* A row of the lane is in memory; (left) has left memory. Frees lane, site and owner when nothing
 * waits in them. */
void lane_joined(struct deferral *d, struct lane *lane, size_t weight);
void lane_left(struct deferral *d, struct lane *lane, size_t weight);
/* It changed when the site may be tried, or how many rows it may have. */
void site_look(struct deferral *d, struct waiting_site *site);
/* The timer's callback: loads the due rows. */
void lanes_run(void *deferral);
void lanes_free(struct deferral *d);
/* Sets the timer for the next due row. */
void lanes_arm(struct deferral *d);

#endif
