/*
 * deferral.c - waiting mail: the rows in memory, and how many there are.
 *
 * sender:  settle -> queue's rows -> [deferral] -> mail -> schedule -> attempt
 *
 * All rows in memory are in one table, which also keeps a row from being loaded twice.
 */

#include <stdlib.h>
#include <string.h>

#include "sender/mail/sender_private.h"
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

/* Its rows are not behind the cursors. */
static void
partition_begin(struct deferral *d, uint32_t number)
{
	waiting_count_begin(d->count, number);
	for (struct lane *lane = d->lanes; lane; lane = lane->hh.next)
		lane->cursor = false;
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
item_key(const uint8_t *id, const char *site)
{
	char text[ID_TEXT_SIZE];

	id_format(id, text);
	return xasprintf("%s/%s", text, site);
}

struct item *
deferral_find(struct deferral *d, const uint8_t *id, const char *site)
{
	struct item *item;
	char *key;

	if (!d->items)
		return NULL;
	key = item_key(id, site);
	HASH_FIND_STR(d->items, key, item);
	free(key);
	return item;
}

static struct lane *
item_lane(struct deferral *d, const struct item *item)
{
	return lane_get(d, item->site, rows_lane(item->mail->envelope->account));
}

void
deferral_joined(struct deferral *d, struct item *item)
{
	item->key = item_key(item->mail->envelope->id.data, item->site);
	HASH_ADD_KEYPTR(hh, d->items, item->key, strlen(item->key), item);
	lane_joined(d, item_lane(d, item), recipients_weight(item->count));
}

void
deferral_left(struct deferral *d, struct item *item)
{
	HASH_DEL(d->items, item);
	free(item->key);
	item->key = NULL;
	lane_left(d, item_lane(d, item), recipients_weight(item->count));
}

struct item **
deferral_items(const struct deferral *d, uint32_t partition, size_t *count_out)
{
	struct item **items = xmalloc((HASH_COUNT(d->items) + 1) * sizeof *items);
	size_t count = 0;

	for (struct item *item = d->items; item; item = item->hh.next)
		if (item->row && item->mail->envelope->partition == partition)
			items[count++] = item;
	*count_out = count;
	return items;
}

struct item *
deferral_pop(struct deferral *d)
{
	struct item *item, *next;

	HASH_ITER(hh, d->items, item, next)
	if (!item->pending)
		return item;
	return NULL;
}

void
deferral_each(struct deferral *d, void (*on_item)(void *arg, struct item *item), void *arg)
{
	struct item *item, *next;

	HASH_ITER(hh, d->items, item, next)
	on_item(arg, item);
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
		HASH_ITER(hh, d->sites, site, next)
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
