/*
 * listing.h - reads one page of the mail that is not delivered yet, and counts what matches.
 *
 * A list goes in the order of the flow, so that mail which moves on between two pages is not
 * missed: records that are not scanned, records for the sender, rows. A page is read from a cursor
 * on: records by id, rows along the index of a site when one is asked for, else by key. One page
 * examines LISTING_EXAMINE_MAX rows at most (half a second), and then says where to go on.
 */
#ifndef CONTROL_LISTING_H
#define CONTROL_LISTING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "control/api/mail_shown.h"
#include "control/http/api_private.h"
#include "control/look/seen.h"
#include "shared/mail/selector.h"

#define LISTING_EXAMINE_MAX 200000
#define ANY_STATE MAIL_STATES

/* A record for the page. */
struct candidate {
	uint8_t id[ID_SIZE];
	json_t *shown;
};

struct listing {
	struct job job;
	struct selector selector; /* nothing given: any */
	const char *site;         /* whose index is read; NULL: by key */
	enum mail_state state;    /* or ANY_STATE */
	size_t limit;
	bool after, whole; /* a cursor was given; everything is shown */
	struct surroundings around;
	json_t *rows;
	uint64_t total, records, examined; /* records: of the total, when they were read */
	/* records */
	enum topic topic; /* that the cursor is in; TOPIC_COUNT: in the rows */
	struct seen seen;
	struct candidate *candidates; /* of the topic that is being read: the first `limit` by id */
	size_t candidates_count;
	bool inexact; /* not all could be seen, or has a site */
	/* where the reading is */
	bool started;
	uint64_t at_lane, at_us;
	uint8_t at_id[ID_SIZE];
	char *at_site;
	char *next; /* where the page ends */
};

/* Asks who has what in hand, then the job starts; on the loop. */
void listing_start(struct listing *l);
/* Frees what it holds. */
void listing_wipe(struct listing *l);
/* The selector from the query; -1 after a reply. */
int take_selector(struct exchange *x, struct selector *selector);

/* Whether a record, as a row, is what is asked for. Where it will go is not known before a sender
 * says so: then the list is not exact. */
bool listing_matches(struct listing *l, const Row *row);
/* The reading goes on behind that row. */
void listing_place(struct listing *l, const Row *row);
/* Reads on; an account's rows at a site without any others. Returns how many there were. */
size_t listing_read_on(struct listing *l, size_t limit, queue_row_cb on_row, void *arg);

/* On the worker. Each adds to `rows` up to the limit, and to `total`. */
void listing_records(struct listing *l);
/* Returns whether the end was reached; with job.more there is another slice to read. `counted`: the
 * total is known otherwise. */
bool listing_rows(struct listing *l, bool counted);

#endif
