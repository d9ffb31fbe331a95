/*
 * listing.h - reads one page of the mail that is not delivered yet, and counts what matches.
 *
 * A list goes in the order of the flow, so that mail that moves on between two pages is not missed:
 * records that are not scanned, records for the sender, rows. A page is read from a cursor on:
 * records by id; rows along a site's index when one site is asked for, else by key. One page
 * examines at most LISTING_EXAMINE_MAX rows (half a second), and then says where to go on.
 */
#ifndef CONTROL_LISTING_H
#define CONTROL_LISTING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "control/http/api_private.h"
#include "control/look/seen.h"
#include "control/queue/mail_shown.h"
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
	struct selector selector; /* empty: any mail */
	const char *site;         /* the site whose index is read; NULL: by key */
	enum mail_state state;    /* or ANY_STATE */
	size_t limit;
	bool after, whole; /* after: a cursor was given; whole: everything is shown */
	struct surroundings around;
	json_t *rows;
	uint64_t total, records, examined; /* records: a part of the total, once read */
	/* records */
	enum topic topic; /* the cursor's; TOPIC_COUNT: in the rows */
	struct seen seen;
	struct candidate *candidates; /* of the topic in hand: the first `limit` by id */
	size_t candidates_count;
	bool inexact; /* some mail could not be read, or has no site yet */
	/* the place of the reading */
	bool started;
	uint64_t at_lane, at_us;
	uint8_t at_id[ID_SIZE];
	char *at_site;
	char *next; /* where the page ends */
};

/* Asks which sender has which mail in hand, then starts the job; on the loop. */
void listing_start(struct listing *l);
/* Frees the memory of the listing. */
void listing_wipe(struct listing *l);
/* Reads the selector from the query; -1 after a reply. */
int take_selector(struct exchange *x, struct selector *selector);

/* Whether a record, as a row, matches. Its site is not known before a sender has the record: then
 * the list is not exact. */
bool listing_matches(struct listing *l, const Row *row);
/* Moves the cursor behind that row. */
void listing_place(struct listing *l, const Row *row);
/* Reads on, by an index where one fits the selector. Returns how many rows there were. */
size_t listing_read_on(struct listing *l, size_t limit, queue_row_cb on_row, void *arg);

/* On the worker. Each of these adds to `rows` up to the limit, and to `total`. */
void listing_records(struct listing *l);
/* Returns whether the end was reached. If job.more is set, another slice is left. `counted`: the
 * total is known otherwise. */
bool listing_rows(struct listing *l, bool counted);

#endif
