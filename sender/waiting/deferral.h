/*
 * deferral.h - waiting mail: which rows come into memory, and when.
 *
 * Rows lie in the queue, ordered by site, account and due time. In memory every site with rows has
 * one due time in one heap, and a bounded window of its rows, in which accounts take turns. While a
 * site rests or is suspended its rows stay in the queue, whatever their number.
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
#define DEFERRAL_MAX 20000  /* rows of all sites in memory, by recipients_weight() */

struct deferral_options {
	struct loop *loop;
	struct rows *rows;
	size_t window, max;
	/* No row is due later than `ahead_us` from now, unless a clock that was ahead wrote the
	 * row: such a row is due at once. 0: a row may be due at any time. */
	uint64_t ahead_us;
	/* Takes a due row into work, with its memory, and calls deferral_joined(). */
	void (*load)(void *arg, Row *row);
	/* When the site may be tried again: 0 now, UINT64_MAX not before deferral_poke(). */
	uint64_t (*rest_until)(void *arg, const char *site, uint64_t now_us);
	/* How many rows of the site may be in memory, at most `window`. */
	size_t (*room)(void *arg, const char *site, size_t window);
	/* How many rows the account has now. */
	void (*waiting)(void *arg, const char *account, int64_t rows);
	void *arg;
};

/* A row in memory: part of the item that works on the row (container_of()). */
struct loaded_row {
	UT_hash_handle hh;
	char *key; /* "<id in hex>/<site>"; NULL: not in memory */
	const char *site;
	uint64_t lane; /* rows_lane() of the row's account */
	size_t weight;
	uint32_t partition;
};

struct deferral *deferral_new(const struct deferral_options *options);
/* Changes options.ahead_us. */
void deferral_change(struct deferral *deferral, uint64_t ahead_us);
void deferral_free(struct deferral **deferral);
/* Counts the rows of a partition, and blocks while reading. Rows in memory stay. */
void deferral_read(struct deferral *deferral, uint32_t partition);
/* Another process has the partition: its rows count no more until the partition is read again. */
void deferral_forget(struct deferral *deferral, uint32_t partition);
/* The partition's rows in memory; the array is the caller's to free. */
struct loaded_row **
deferral_loaded(const struct deferral *deferral, uint32_t partition, size_t *count_out);

/* A row of the site, in the lane of its account (rows_lane()), was written with this due time. */
void deferral_noted(struct deferral *deferral, const char *site, uint64_t lane, uint64_t due_us);
/* A row exists that did not before; (removed) a row exists no more. */
void deferral_added(struct deferral *deferral, const Envelope *envelope);
void deferral_removed(struct deferral *deferral, const Envelope *envelope);
/* A row, or an item that is being written as one, is in memory, with so many recipients; (left) the
 * row has left memory. `site` lives until then. */
void deferral_joined(struct deferral *deferral, struct loaded_row *row, const Envelope *envelope,
	const char *site, size_t recipients);
void deferral_left(struct deferral *deferral, struct loaded_row *row);
/* The loaded row; NULL: the row is not in memory. */
struct loaded_row *deferral_find(struct deferral *deferral, const uint8_t *id, const char *site);
/* Any row in memory for which `fits` is true, for shutdown; NULL: there is none. */
struct loaded_row *
deferral_any(struct deferral *deferral, bool (*fits)(const struct loaded_row *row));
/* Calls `on_row` for all rows in memory; the row in hand may leave memory meanwhile. */
void deferral_each(
	struct deferral *deferral, void (*on_row)(void *arg, struct loaded_row *row), void *arg);
/* It changed when the site (NULL: any site) may be tried: looks at its rows again. */
void deferral_poke(struct deferral *deferral, const char *site);

struct deferral_stats {
	size_t sites, loaded, rows;
	size_t timers;          /* sites with a due time */
	uint64_t oldest_due_us; /* 0: none */
};
void deferral_stats(const struct deferral *deferral, struct deferral_stats *out);

#endif
