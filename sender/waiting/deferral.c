/*
 * deferral.c - waiting mail: which rows come into memory, and when.
 *
 * sender:  settle -> queue's rows -> [deferral] -> mail -> schedule -> attempt
 *
 * A site is loaded from a cursor on, (due, id) of the last row loaded, so that what is in memory is
 * not read again; with nothing of it in memory it starts from its first row. All rows in memory are
 * in one table, which also keeps a row from being loaded twice.
 */
#include "sender/waiting/deferral.h"

#include <stdlib.h>
#include <string.h>

#include "sender/mail/sender_private.h"
#include "sender/waiting/waiting_count.h"
#include "sender/waiting/wake.h"
#include "shared/base/log.h"
#include "shared/base/loop.h"

#define READ_SLICE 1000
#define SET_BACK_US (60ll * 1000000)
#define DUE_FIRST 1 /* what has no due time (0) waits for somebody, not for a time */

struct waiting_site {
	struct wake wake; /* first: the heap's soonest is a site's */
	UT_hash_handle hh;
	uint64_t due_us; /* the soonest row that is not in memory; UINT64_MAX: none known */
	size_t loaded;
	bool cursor;
	uint64_t cursor_us;
	uint8_t cursor_id[ID_SIZE];
	char name[];
};

struct deferral {
	struct deferral_options options;
	struct waiting_site *sites;
	struct waiting_count *count;
	struct item *items;
	struct wake_heap *heap;
	size_t loaded;
	size_t load;      /* what is loaded, by weight */
	int64_t clock_us; /* what our clock was ahead of the one that only goes forward */
	bool loading;
};

/* Written by a clock that was ahead. */
static bool
beyond(const struct deferral *d, uint64_t due, uint64_t now)
{
	return d->options.ahead_us && due != UINT64_MAX && due > now + d->options.ahead_us;
}

static bool
is_full(const struct deferral *d)
{
	return d->load >= d->options.max;
}

/* Sites. */

static struct waiting_site *
site_get(struct deferral *d, const char *name)
{
	struct waiting_site *site;

	HASH_FIND_STR(d->sites, name, site);
	if (site)
		return site;
	site = xcalloc(1, sizeof *site + strlen(name) + 1);
	memcpy(site->name, name, strlen(name) + 1);
	site->due_us = UINT64_MAX;
	HASH_ADD_STR(d->sites, name, site);
	return site;
}

static void
site_drop(struct deferral *d, struct waiting_site *site)
{
	wake_clear(d->heap, &site->wake);
	HASH_DEL(d->sites, site);
	free(site);
}

static size_t
site_room(const struct deferral *d, const struct waiting_site *site)
{
	size_t room = d->options.room(d->options.arg, site->name, d->options.window), left;

	/* Refill by halves: a read for each row that leaves would cost more. */
	if (site->loaded && site->loaded > room / 2)
		return 0;
	room = room > site->loaded ? room - site->loaded : 0;
	left = d->load < d->options.max ? d->options.max - d->load : 0;
	return room < left ? room : left;
}

static void
site_arm(struct deferral *d, struct waiting_site *site, uint64_t now)
{
	uint64_t rest, wake;

	wake_clear(d->heap, &site->wake);
	if (beyond(d, site->due_us, now))
		site->due_us = now;
	if (site->due_us == UINT64_MAX ||
		(site->due_us <= now && site->loaded && (is_full(d) || !site_room(d, site))))
		return;
	rest = d->options.rest_until(d->options.arg, site->name, now);
	wake = rest > site->due_us ? rest : site->due_us;
	if (wake == UINT64_MAX)
		return;
	wake_set(d->heap, &site->wake, wake);
}

struct batch {
	Row **rows;
	size_t count;
};

static void
on_row(void *arg, Row *row)
{
	struct batch *batch = arg;

	batch->rows[batch->count++] = row;
}

/* Nothing of the site is in memory: what is its soonest row? */
static void
site_reset(struct deferral *d, struct waiting_site *site)
{
	const uint64_t now = clock_us();
	Row *first = NULL;
	struct batch batch = { .rows = &first };

	site->cursor = false;
	site->due_us = UINT64_MAX;
	if (rows_due(d->options.rows, site->name, DUE_FIRST, NULL, 1, on_row, &batch))
		site->due_us = first->due_us;
	row_free(first);
	first = NULL;
	batch.count = 0;
	if (d->options.ahead_us && site->due_us != UINT64_MAX &&
		rows_due(d->options.rows, site->name, now + d->options.ahead_us, NULL, 1, on_row,
			&batch))
		site->due_us = now;
	row_free(first);
}

/* Whether the row is due; if so it is taken. */
static bool
site_take(struct deferral *d, struct waiting_site *site, Row *row, uint64_t now)
{
	if (row->due_us > now) {
		site->due_us = beyond(d, row->due_us, now) ? UINT64_MAX : row->due_us;
		row_free(row);
		return false;
	}
	site->cursor = true;
	site->cursor_us = row->due_us;
	memcpy(site->cursor_id, row->envelope->id.data, ID_SIZE);
	if (deferral_find(d, row->envelope->id.data, row->site))
		row_free(row);
	else
		d->options.load(d->options.arg, row);
	return true;
}

/* Those that a clock that was ahead wrote, which lie behind all others. The cursor stays where it
 * is. Returns how many were taken. */
static size_t
site_load_beyond(struct deferral *d, const struct waiting_site *site, size_t room, uint64_t now)
{
	struct batch batch = { 0 };
	size_t taken = 0;

	if (!d->options.ahead_us)
		return 0;
	batch.rows = xmalloc((room + site->loaded) * sizeof(Row *));
	rows_due(d->options.rows, site->name, now + d->options.ahead_us, NULL, room + site->loaded,
		on_row, &batch);
	for (size_t i = 0; i < batch.count; i++) {
		Row *row = batch.rows[i];

		if (taken == room || deferral_find(d, row->envelope->id.data, row->site)) {
			row_free(row);
			continue;
		}
		taken++;
		d->options.load(d->options.arg, row);
	}
	free(batch.rows);
	return taken;
}

static void
site_load(struct deferral *d, struct waiting_site *site, uint64_t now)
{
	size_t room = site_room(d, site), i;
	struct batch batch = { 0 };
	bool due = true;

	if (room && site_load_beyond(d, site, room, now)) {
		site->due_us = now; /* for what has no room yet */
		room = site_room(d, site);
	}
	if (!room)
		return;
	batch.rows = xmalloc(room * sizeof(Row *));
	if (site->cursor)
		rows_due(d->options.rows, site->name, site->cursor_us, site->cursor_id, room,
			on_row, &batch);
	else
		rows_due(d->options.rows, site->name, DUE_FIRST, NULL, room, on_row, &batch);
	site->due_us = batch.count == room ? now : UINT64_MAX;
	for (i = 0; i < batch.count && due; i++)
		due = site_take(d, site, batch.rows[i], now);
	for (; i < batch.count; i++)
		row_free(batch.rows[i]);
	free(batch.rows);
	if (!site->loaded && site->due_us == UINT64_MAX)
		site_reset(d, site);
}

/* Wake-up times that were right by the clock as it was are beyond now. */
static void
check_clock(struct deferral *d, uint64_t now)
{
	const int64_t clock = (int64_t)now - (int64_t)clock_mono_us();
	const bool set_back = clock < d->clock_us - SET_BACK_US;
	struct waiting_site *site, *next;

	d->clock_us = clock;
	if (!set_back)
		return;
	HASH_ITER(hh, d->sites, site, next)
	site_arm(d, site, now);
}

static void
on_due(void *arg)
{
	struct deferral *d = arg;
	uint64_t now = clock_us();
	struct waiting_site *site;
	struct wake *wake;

	d->loading = true;
	check_clock(d, now);
	while ((wake = wake_heap_soonest(d->heap)) && wake->us <= now && !is_full(d)) {
		site = (struct waiting_site *)wake;
		wake_clear(d->heap, &site->wake);
		if (d->options.rest_until(d->options.arg, site->name, now) <= now)
			site_load(d, site, now);
		if (!site->loaded && site->due_us <= now &&
			d->options.rest_until(d->options.arg, site->name, now) <= now) {
			/* nothing could be taken: not again on this turn */
			wake_set(d->heap, &site->wake, now + 1000000);
		} else
			site_arm(d, site, now);
		if (!site->loaded && site->due_us == UINT64_MAX)
			site_drop(d, site);
	}
	d->loading = false;
	wake_heap_arm(d->heap, is_full(d), now);
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
	for (struct waiting_site *site = d->sites; site; site = site->hh.next)
		site->cursor = false;
}

struct deferral *
deferral_new(const struct deferral_options *options)
{
	struct deferral *d = xcalloc(1, sizeof *d);

	d->options = *options;
	d->count = waiting_count_new(options->waiting, options->arg);
	d->clock_us = (int64_t)clock_us() - (int64_t)clock_mono_us();
	d->heap = wake_heap_new(options->loop, on_due, d);
	return d;
}

void
deferral_free(struct deferral **deferral)
{
	struct deferral *d = *deferral;
	struct waiting_site *site, *next_site;

	if (!d)
		return;
	HASH_ITER(hh, d->sites, site, next_site)
	site_drop(d, site);
	waiting_count_free(&d->count);
	wake_heap_free(&d->heap);
	free(d);
	*deferral = NULL;
}

void
deferral_read(struct deferral *d, uint32_t partition)
{
	struct batch batch = { .rows = xmalloc(READ_SLICE * sizeof(Row *)) };
	Row *last = NULL, *row;
	size_t n;

	partition_begin(d, partition);
	do {
		batch.count = 0;
		n = rows_scan(d->options.rows, (int)partition,
			last ? last->envelope->id.data : NULL, last ? last->site : NULL, READ_SLICE,
			on_row, &batch);
		row_free(last);
		last = NULL;
		for (size_t i = 0; i < n; i++) {
			row = batch.rows[i];
			deferral_added(d, row->envelope);
			if (row->due_us)
				deferral_noted(d, row->site, row->due_us);
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
deferral_noted(struct deferral *d, const char *name, uint64_t due)
{
	struct waiting_site *site = site_get(d, name);
	const uint64_t now = clock_us();

	if (beyond(d, due, now))
		due = now;
	if (due >= site->due_us && wake_is_set(&site->wake))
		return;
	if (due < site->due_us)
		site->due_us = due;
	site_arm(d, site, now);
	if (!d->loading)
		wake_heap_arm(d->heap, is_full(d), now);
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

void
deferral_joined(struct deferral *d, struct item *item)
{
	item->key = item_key(item->mail->envelope->id.data, item->site);
	HASH_ADD_KEYPTR(hh, d->items, item->key, strlen(item->key), item);
	site_get(d, item->site)->loaded++;
	d->loaded++;
	d->load += recipients_weight(item->count);
}

void
deferral_left(struct deferral *d, struct item *item)
{
	struct waiting_site *site = site_get(d, item->site);
	uint64_t now = clock_us();

	HASH_DEL(d->items, item);
	free(item->key);
	item->key = NULL;
	d->loaded--;
	d->load -= recipients_weight(item->count);
	if (!--site->loaded)
		site_reset(d, site);
	if (d->loading)
		return;
	site_arm(d, site, now);
	if (!site->loaded && site->due_us == UINT64_MAX)
		site_drop(d, site);
	wake_heap_arm(d->heap, is_full(d), now);
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
	uint64_t now = clock_us();
	struct waiting_site *site, *next;

	if (name) {
		HASH_FIND_STR(d->sites, name, site);
		if (site)
			site_arm(d, site, now);
	} else
		HASH_ITER(hh, d->sites, site, next)
	site_arm(d, site, now);
	if (!d->loading)
		wake_heap_arm(d->heap, is_full(d), now);
}

void
deferral_stats(const struct deferral *d, struct deferral_stats *out)
{
	const struct wake *soonest = wake_heap_soonest(d->heap);

	*out = (struct deferral_stats){
		.sites = HASH_COUNT(d->sites),
		.timers = wake_heap_count(d->heap),
		.loaded = d->loaded,
		.rows = waiting_count_rows(d->count),
		.oldest_due_us = soonest ? soonest->us : 0,
	};
}
