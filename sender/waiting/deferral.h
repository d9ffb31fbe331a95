/*
 * deferral.h - waiting mail: which rows come into memory, and when.
 *
 * Rows lie in the queue, by site, account and due time. Here every site with rows has one due time
 * in one heap, and a bounded window of its rows in memory, where accounts take turns. A site that
 * rests or is suspended has its rows left alone, whatever their number.
 */
#ifndef SENDER_DEFERRAL_H
#define SENDER_DEFERRAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uthash.h>

#include "shared/mail/envelope.h"

struct deferral;
struct rows;
struct loop;

#define DEFERRAL_WINDOW 250 /* rows of a site in memory */
#define DEFERRAL_MAX 20000  /* of all, by recipients_weight() */

struct deferral_options {
	struct loop *loop;
	struct rows *rows;
	size_t window, max;
	/* No row is due later than this from now, unless a clock that was ahead wrote it: such a
	 * one is due at once. 0: any time may be right. */
	uint64_t ahead_us;
	/* Takes a due row (and its memory) into work; answers with deferral_joined(). */
	void (*load)(void *arg, Row *row);
	/* When the site may be tried again: 0 now, UINT64_MAX not until deferral_poke(). */
	uint64_t (*rest_until)(void *arg, const char *site, uint64_t now_us);
	/* How many rows of it may be in memory, at most `window`. */
	size_t (*room)(void *arg, const char *site, size_t window);
	/* How many rows the account has now. */
	void (*waiting)(void *arg, const char *account, int64_t rows);
	void *arg;
};

/* A row in memory: part of what works on the row (container_of()). */
struct loaded_row {
	UT_hash_handle hh;
	char *key; /* "<id in hex>/<site>"; NULL: not in memory */
	const char *site;
	uint64_t lane; /* rows_lane() of its account */
	size_t weight;
	uint32_t partition;
};

struct deferral *deferral_new(const struct deferral_options *options);
/* Another options.ahead_us. */
void deferral_change(struct deferral *deferral, uint64_t ahead_us);
void deferral_free(struct deferral **deferral);
/* Takes in what waits in a partition; blocking. What is in memory of it stays. */
void deferral_read(struct deferral *deferral, uint32_t partition);
/* The partition's rows are somebody else's: they count no more until it is read again. */
void deferral_forget(struct deferral *deferral, uint32_t partition);
/* The partition's rows in memory; the array is the caller's to free. */
struct loaded_row **
deferral_loaded(const struct deferral *deferral, uint32_t partition, size_t *count_out);

/* A row of the site, in the lane of its account (rows_lane()), was written with this due time. */
void deferral_noted(struct deferral *deferral, const char *site, uint64_t lane, uint64_t due_us);
/* A row exists that did not before; and the other way round. */
void deferral_added(struct deferral *deferral, const Envelope *envelope);
void deferral_removed(struct deferral *deferral, const Envelope *envelope);
/* A row, or what is being written as one, is in memory from now on, with so many recipients; the
 * row has left memory. `site` lives until then. */
void deferral_joined(struct deferral *deferral, struct loaded_row *row, const Envelope *envelope,
	const char *site, size_t recipients);
void deferral_left(struct deferral *deferral, struct loaded_row *row);
/* NULL: the row is not in memory. */
struct loaded_row *deferral_find(struct deferral *deferral, const uint8_t *id, const char *site);
/* Any row in memory that fits, for shutdown; NULL: there is none. */
struct loaded_row *
deferral_any(struct deferral *deferral, bool (*fits)(const struct loaded_row *row));
/* All rows in memory; `on_row` may have the one it is told of leave. */
void deferral_each(
	struct deferral *deferral, void (*on_row)(void *arg, struct loaded_row *row), void *arg);
/* Something changed about when the site may be tried: look again. NULL: all sites. */
void deferral_poke(struct deferral *deferral, const char *site);

struct deferral_stats {
	size_t sites, loaded, rows;
	size_t timers;          /* sites with a due time: one each, whatever the number of rows */
	uint64_t oldest_due_us; /* 0: none */
};
void deferral_stats(const struct deferral *deferral, struct deferral_stats *out);

#endif
