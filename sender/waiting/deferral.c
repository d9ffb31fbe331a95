/*
 * deferral.c - waiting mail: the rows in memory, and how many there are.
 *
 * sender:  settle -> queue's rows -> [deferral] -> mail -> schedule -> attempt
 *
 * All rows in memory are in one table, so that no row is loaded twice.
 */
#include <stdlib.h>
#include <string.h>

#include "sender/waiting/deferral_private.h"
#include "sender/waiting/waiting_count.h"
#include "shared/base/log.h"
#include "shared/base/loop.h"

#define READ_SLICE 1000

void
row_batch_add(void *arg, Row *row)
{
	struct row_batch *batch = arg;

	batch->rows[batch->count++] = row;
}

void
deferral_added(struct deferral *d, const Envelope *envelope)
{
	waiting_count_add(d->count, envelope, 1);
}

void
deferral_removed(struct deferral *d, const Envelope *envelope)
{
	waiting_count_add(d->count, envelope, -1);
}

void
deferral_forget(struct deferral *d, uint32_t partition)
{
	waiting_count_forget(d->count, partition);
}

/* The cursors of the lanes may have passed the partition's rows: all lanes begin anew. */
static void
partition_begin(struct deferral *d, uint32_t number)
{
	waiting_count_begin(d->count, number);
	for (struct lane *lane = d->lanes; lane; lane = lane->hh.next)
		lane->cursor = false;
}

void
deferral_change(struct deferral *d, uint64_t ahead_us)
{
	d->options.ahead_us = ahead_us;
}

struct deferral *
deferral_new(const struct deferral_options *options)
{
	struct deferral *d = xcalloc(1, sizeof *d);

	d->options = *options;
	d->count = waiting_count_new(options->waiting, options->arg);
	d->clock_us = (int64_t)clock_us() - (int64_t)clock_mono_us();
	TAILQ_INIT(&d->eased);
	d->timer = wake_timer_new(options->loop, lanes_run, d);
	return d;
}

void
deferral_free(struct deferral **deferral)
{
	struct deferral *d = *deferral;

	if (!d)
		return;
	lanes_free(d);
	waiting_count_free(&d->count);
	wake_timer_free(&d->timer);
	free(d);
	*deferral = NULL;
}

void
deferral_read(struct deferral *d, uint32_t partition)
{
	struct row_batch batch = { .rows = xmalloc(READ_SLICE * sizeof(Row *)) };
	Row *last = NULL, *row;
	size_t n;

	partition_begin(d, partition);
	do {
		batch.count = 0;
		n = rows_scan(d->options.rows, (int)partition,
			last ? last->envelope->id.data : NULL, last ? last->site : NULL, READ_SLICE,
			row_batch_add, &batch);
		row_free(last);
		last = NULL;
		for (size_t i = 0; i < n; i++) {
			row = batch.rows[i];
			deferral_added(d, row->envelope);
			if (row->due_us)
				deferral_noted(d, row->site, rows_lane(row->envelope->account),
					row->due_us);
			if (i + 1 == n)
				last = row;
			else
				row_free(row);
		}
	} while (n == READ_SLICE);
	row_free(last);
	free(batch.rows);
}

void
deferral_noted(struct deferral *d, const char *site, uint64_t lane, uint64_t due)
{
	lane_noted(d, lane_get(d, site, lane), due);
}

/* Rows in memory. */

static char *
row_key(const uint8_t *id, const char *site)
{
	char text[ID_TEXT_SIZE];

	id_format(id, text);
	return xasprintf("%s/%s", text, site);
}

struct loaded_row *
deferral_find(struct deferral *d, const uint8_t *id, const char *site)
{
	struct loaded_row *row;
	char *key;

	if (!d->rows)
		return NULL;
	key = row_key(id, site);
	HASH_FIND_STR(d->rows, key, row);
	free(key);
	return row;
}

void
deferral_joined(struct deferral *d, struct loaded_row *row, const Envelope *envelope,
	const char *site, size_t recipients)
{
	row->key = row_key(envelope->id.data, site);
	row->site = site;
	row->lane = rows_lane(envelope->account);
	row->weight = recipients_weight(recipients);
	row->partition = envelope->partition;
	HASH_ADD_KEYPTR(hh, d->rows, row->key, strlen(row->key), row);
	lane_joined(d, lane_get(d, site, row->lane), row->weight);
}

void
deferral_left(struct deferral *d, struct loaded_row *row)
{
	HASH_DEL(d->rows, row);
	free(row->key);
	row->key = NULL;
	lane_left(d, lane_get(d, row->site, row->lane), row->weight);
}

struct loaded_row **
deferral_loaded(const struct deferral *d, uint32_t partition, size_t *count_out)
{
	struct loaded_row **rows = xmalloc((HASH_COUNT(d->rows) + 1) * sizeof *rows);
	size_t count = 0;

	for (struct loaded_row *row = d->rows; row; row = row->hh.next)
		if (row->partition == partition)
			rows[count++] = row;
	*count_out = count;
	return rows;
}

struct loaded_row *
deferral_any(struct deferral *d, bool (*fits)(const struct loaded_row *row))
{
	struct loaded_row *row, *next;

	HASH_ITER (hh, d->rows, row, next)
		if (fits(row))
			return row;
	return NULL;
}

void
deferral_each(struct deferral *d, void (*on_row)(void *arg, struct loaded_row *row), void *arg)
{
	struct loaded_row *row, *next;

	HASH_ITER (hh, d->rows, row, next)
		on_row(arg, row);
}

void
deferral_poke(struct deferral *d, const char *name)
{
	struct waiting_site *site, *next;

	if (name) {
		HASH_FIND_STR(d->sites, name, site);
		if (site)
			site_look(d, site);
	} else
		HASH_ITER (hh, d->sites, site, next)
			site_look(d, site);
	lanes_arm(d);
}

void
deferral_stats(const struct deferral *d, struct deferral_stats *out)
{
	const struct wake *soonest = wake_soonest(&d->heap);

	*out = (struct deferral_stats){
		.sites = HASH_COUNT(d->sites),
		.timers = d->heap.count,
		.loaded = d->loaded,
		.rows = waiting_count_rows(d->count),
		.oldest_due_us = soonest ? soonest->us : 0,
	};
}
