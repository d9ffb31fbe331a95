/*
 * deferral_lane.c - which rows come into memory next.
 *
 * deferral -> [deferral_lane] -> queue's rows -> mail
 *
 * A site's rows lie in lanes, one for each account. Lanes take turns by when their rows fell due,
 * or when the lane had its last turn. A lane is loaded from a cursor on: (due, id) of the last row
 * loaded, so that rows in memory are not read again. A lane without rows in memory starts from its
 * first row.
 *
 * No lane takes all of its site's window, and no account all of the rows in memory: both leave room
 * for others (fair_allows()).
 */
#include <stdlib.h>
#include <string.h>

#include "sender/waiting/deferral_private.h"
#include "shared/base/fair.h"
#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/base/named.h"

#define SET_BACK_US (60ll * 1000000)
#define AGAIN_US 1000000
#define DUE_FIRST 1 /* rows without a due time (0) wait for an operator */

/* Whether a clock that was ahead wrote the due time. */
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

void
lanes_arm(struct deferral *d)
{
	const struct wake *soonest = wake_soonest(&d->heap);
	uint64_t us = soonest ? soonest->us : UINT64_MAX;

	if (d->loading)
		return;
	if (!TAILQ_EMPTY(&d->eased))
		us = 0;
	wake_timer_arm(d->timer, is_full(d) ? UINT64_MAX : us, clock_us());
}

/* Owners. */

static struct owner *
owner_find(const struct deferral *d, uint64_t number)
{
	struct owner *owner;

	HASH_FIND(hh, d->owners, &number, sizeof number, owner);
	return owner;
}

static struct owner *
owner_get(struct deferral *d, uint64_t number)
{
	struct owner *owner = owner_find(d, number);

	if (owner)
		return owner;
	owner = xcalloc(1, sizeof *owner);
	owner->number = number;
	TAILQ_INIT(&owner->blocked);
	HASH_ADD(hh, d->owners, number, sizeof owner->number, owner);
	return owner;
}

static bool
owner_allows(const struct deferral *d, const struct owner *owner)
{
	return !is_full(d) && fair_allows(owner ? owner->load : 0, d->options.max - d->load);
}

static void
owner_left(struct deferral *d, struct owner *owner, size_t weight)
{
	owner->load -= weight;
	if (owner->eased)
		return;
	if (!TAILQ_EMPTY(&owner->blocked)) {
		owner->eased = true;
		TAILQ_INSERT_TAIL(&d->eased, owner, link);
	} else if (!owner->load) {
		HASH_DEL(d->owners, owner);
		free(owner);
	}
}

/* Lanes. */

static struct waiting_site *
site_get(struct deferral *d, const char *name)
{
	struct waiting_site *site;

	HASH_FIND_STR(d->sites, name, site);
	if (site)
		return site;
	NAMED_NEW(name, name, site);
	TAILQ_INIT(&site->sated);
	HASH_ADD_STR(d->sites, name, site);
	return site;
}

static void
site_drop(struct deferral *d, struct waiting_site *site)
{
	wake_clear(&d->heap, &site->wake);
	wake_heap_free(&site->turns);
	HASH_DEL(d->sites, site);
	free(site);
}

struct lane *
lane_get(struct deferral *d, const char *site, uint64_t number)
{
	struct lane_key key = { site_get(d, site), number };
	struct lane *lane;

	/* It does not see that all of the key is set. */
	/* NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult) */
	HASH_FIND(hh, d->lanes, &key, sizeof key, lane);
	if (lane)
		return lane;
	lane = xcalloc(1, sizeof *lane);
	lane->key = key;
	lane->due_us = UINT64_MAX;
	key.site->lanes++;
	HASH_ADD(hh, d->lanes, key, sizeof lane->key, lane);
	return lane;
}

static void
lane_out(struct lane *lane)
{
	wake_clear(&lane->key.site->turns, &lane->wake);
	if (lane->list)
		TAILQ_REMOVE(lane->list, lane, link);
	lane->list = NULL;
}

static void
lane_stand(struct lane *lane, struct lane_list *list)
{
	lane->list = list;
	TAILQ_INSERT_TAIL(list, lane, link);
}

static bool
lane_is_idle(const struct lane *lane)
{
	return !lane->loaded && !lane->list && lane->due_us == UINT64_MAX;
}

static void
lane_drop(struct deferral *d, struct lane *lane)
{
	lane->key.site->lanes--;
	lane_out(lane);
	HASH_DEL(d->lanes, lane);
	free(lane);
}

static size_t
site_unused(const struct deferral *d, const struct waiting_site *site)
{
	const size_t room = d->options.room(d->options.arg, site->name, d->options.window);

	return room > site->loaded ? room - site->loaded : 0;
}

/* How many more rows the lane may load. 0 until half of the room is free: a read for each row that
 * leaves would cost more. */
static size_t
lane_room(const struct deferral *d, const struct lane *lane)
{
	const size_t room = fair_room(lane->loaded, site_unused(d, lane->key.site));

	return lane->loaded > room ? 0 : room;
}

static void
lane_arm(struct deferral *d, struct lane *lane, uint64_t now)
{
	struct waiting_site *site = lane->key.site;
	uint64_t turn_us = lane->turn_us < now ? lane->turn_us : now;

	/* A blocked lane waits for its owner, unless its last rows have gone meanwhile. */
	if (lane->list && lane->list != &site->sated && lane->due_us != UINT64_MAX)
		return;
	lane_out(lane);
	if (beyond(d, lane->due_us, now))
		lane->due_us = now;
	if (lane->due_us == UINT64_MAX)
		return;
	if (lane->due_us <= now && lane->loaded && !lane_room(d, lane))
		lane_stand(lane, &site->sated);
	else
		wake_set(
			&site->turns, &lane->wake, lane->due_us > turn_us ? lane->due_us : turn_us);
}

static void
site_arm(struct deferral *d, struct waiting_site *site, uint64_t now)
{
	const struct wake *first = wake_soonest(&site->turns);
	uint64_t rest;

	wake_clear(&d->heap, &site->wake);
	if (!first || (first->us <= now && (!site_unused(d, site) || (site->loaded && is_full(d)))))
		return; /* looked at again when one of the site's rows leaves */
	rest = d->options.rest_until(d->options.arg, site->name, now);
	if (rest != UINT64_MAX)
		wake_set(&d->heap, &site->wake, rest > first->us ? rest : first->us);
}

void
site_look(struct deferral *d, struct waiting_site *site)
{
	const uint64_t now = clock_us();
	const struct lane *last = TAILQ_LAST(&site->sated, lane_list);
	struct lane *lane, *next;

	/* a lane that stays sated comes in again */
	for (lane = TAILQ_FIRST(&site->sated); lane; lane = lane == last ? NULL : next) {
		next = TAILQ_NEXT(lane, link);
		lane_arm(d, lane, now);
	}
	site_arm(d, site, now);
}

/* Reading. */

static size_t
lane_read(struct deferral *d, const struct lane *lane, uint64_t due_us, const uint8_t *id,
	size_t limit, struct row_batch *batch)
{
	const struct rows_place from = {
		.site = lane->key.site->name,
		.lane = lane->key.number,
		.due_us = due_us,
		.id = id,
	};

	return rows_due(d->options.rows, &from, limit, row_batch_add, batch);
}

/* When the lane's first row from `from_us` on is due; UINT64_MAX: there is none. */
static uint64_t
lane_first(struct deferral *d, const struct lane *lane, uint64_t from_us)
{
	Row *first = NULL;
	struct row_batch batch = { .rows = &first };
	uint64_t due_us = UINT64_MAX;

	if (lane_read(d, lane, from_us, NULL, 1, &batch))
		due_us = first->due_us;
	row_free(first);
	return due_us;
}

/* Finds the soonest row of a lane that has no row in memory. */
static void
lane_reset(struct deferral *d, struct lane *lane)
{
	const uint64_t now = clock_us();

	lane->cursor = false;
	lane->due_us = lane_first(d, lane, DUE_FIRST);
	if (d->options.ahead_us && lane->due_us != UINT64_MAX &&
		lane_first(d, lane, now + d->options.ahead_us) != UINT64_MAX)
		lane->due_us = now;
}

static bool
lane_allows(const struct deferral *d, const struct lane *lane)
{
	return owner_allows(d, owner_find(d, lane->key.number));
}

/* Takes the row if it is due; false otherwise. */
static bool
lane_take(struct deferral *d, struct lane *lane, Row *row, uint64_t now)
{
	if (row->due_us > now) {
		lane->due_us = beyond(d, row->due_us, now) ? UINT64_MAX : row->due_us;
		row_free(row);
		return false;
	}
	lane->cursor = true;
	lane->cursor_us = row->due_us;
	memcpy(lane->cursor_id, row->envelope->id.data, ID_SIZE);
	if (deferral_find(d, row->envelope->id.data, row->site))
		row_free(row);
	else
		d->options.load(d->options.arg, row);
	return true;
}

/* Loads the rows that a clock that was ahead wrote. Such rows lie behind all others, so the cursor
 * stays where it is. Returns how many rows were loaded. */
static size_t
lane_load_beyond(struct deferral *d, const struct lane *lane, size_t room, uint64_t now)
{
	struct row_batch batch = { 0 };
	size_t limit = room + lane->loaded, taken = 0;

	if (!d->options.ahead_us)
		return 0;
	batch.rows = xmalloc(limit * sizeof(Row *));
	lane_read(d, lane, now + d->options.ahead_us, NULL, limit, &batch);
	for (size_t i = 0; i < batch.count; i++) {
		Row *row = batch.rows[i];

		if (taken == room || !lane_allows(d, lane) ||
			deferral_find(d, row->envelope->id.data, row->site)) {
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
lane_load_due(struct deferral *d, struct lane *lane, size_t room, uint64_t now)
{
	struct row_batch batch = { .rows = xmalloc(room * sizeof(Row *)) };
	bool due = true;
	size_t i;

	if (lane->cursor)
		lane_read(d, lane, lane->cursor_us, lane->cursor_id, room, &batch);
	else
		lane_read(d, lane, DUE_FIRST, NULL, room, &batch);
	lane->due_us = batch.count == room ? now : UINT64_MAX;
	for (i = 0; i < batch.count && due && lane_allows(d, lane); i++)
		due = lane_take(d, lane, batch.rows[i], now);
	if (i < batch.count && due)
		lane->due_us = now;
	for (; i < batch.count; i++)
		row_free(batch.rows[i]);
	free(batch.rows);
}

static void
lane_load(struct deferral *d, struct lane *lane, uint64_t now)
{
	size_t room = lane_room(d, lane);

	if (room && lane_load_beyond(d, lane, room, now)) {
		lane->due_us = now; /* due rows are left that have no room yet */
		room = lane_room(d, lane);
	}
	if (room)
		lane_load_due(d, lane, room, now);
	if (!lane->loaded && lane->due_us == UINT64_MAX)
		lane_reset(d, lane);
	if (!lane->loaded && lane->due_us <= now)
		lane->due_us = now + AGAIN_US; /* no row could be taken: not again on this turn */
	lane->turn_us = now;
}

/* Turns. */

static void
lane_turn(struct deferral *d, struct lane *lane, uint64_t now)
{
	lane_out(lane);
	if (!lane_allows(d, lane)) {
		lane_stand(lane, &owner_get(d, lane->key.number)->blocked);
		return;
	}
	lane_load(d, lane, now);
	lane_arm(d, lane, now);
	if (lane_is_idle(lane))
		lane_drop(d, lane);
}

/* Loads the lanes whose turn it is at the site, while there is room. */
static void
site_run(struct deferral *d, struct waiting_site *site, uint64_t now)
{
	const bool rests = d->options.rest_until(d->options.arg, site->name, now) > now;
	struct wake *first;

	while (!rests && (first = wake_soonest(&site->turns)) && first->us <= now && !is_full(d) &&
		site_unused(d, site))
		lane_turn(d, (struct lane *)first, now);
	if (!site->lanes)
		site_drop(d, site);
	else
		site_arm(d, site, now);
}

static void
owner_ease(struct deferral *d, struct owner *owner, uint64_t now)
{
	struct waiting_site *site;
	struct lane *lane;

	while ((lane = TAILQ_FIRST(&owner->blocked)) && owner_allows(d, owner)) {
		site = lane->key.site;
		lane_out(lane);
		lane_arm(d, lane, now);
		site_run(d, site, now);
	}
	if (lane && !owner->load) {
		TAILQ_INSERT_TAIL(&d->eased, owner, link); /* looked at once any room is free */
		return;
	}
	owner->eased = false;
	if (!lane && !owner->load) {
		HASH_DEL(d->owners, owner);
		free(owner);
	}
}

/* The clock was set back: wake-up times that were right are too late now. */
static void
check_clock(struct deferral *d, uint64_t now)
{
	const int64_t clock = (int64_t)now - (int64_t)clock_mono_us();
	const bool set_back = clock < d->clock_us - SET_BACK_US;
	struct waiting_site *site, *next_site;
	struct lane *lane, *next;

	d->clock_us = clock;
	if (!set_back)
		return;
	HASH_ITER (hh, d->lanes, lane, next)
		lane_arm(d, lane, now);
	HASH_ITER (hh, d->sites, site, next_site)
		site_arm(d, site, now);
}

void
lanes_run(void *deferral)
{
	struct deferral *d = deferral;
	const uint64_t now = clock_us();
	struct owner *owner;
	struct wake *first;

	d->loading = true;
	check_clock(d, now);
	while ((owner = TAILQ_FIRST(&d->eased)) && !is_full(d)) {
		TAILQ_REMOVE(&d->eased, owner, link);
		owner_ease(d, owner, now);
	}
	while ((first = wake_soonest(&d->heap)) && first->us <= now && !is_full(d)) {
		wake_clear(&d->heap, first);
		site_run(d, (struct waiting_site *)first, now);
	}
	d->loading = false;
	lanes_arm(d);
}

void
lane_noted(struct deferral *d, struct lane *lane, uint64_t due)
{
	const uint64_t now = clock_us();

	if (beyond(d, due, now))
		due = now;
	if (due >= lane->due_us && (lane->list || wake_is_set(&lane->wake)))
		return;
	if (due < lane->due_us)
		lane->due_us = due;
	lane_arm(d, lane, now);
	site_arm(d, lane->key.site, now);
	lanes_arm(d);
}

void
lane_joined(struct deferral *d, struct lane *lane, size_t weight)
{
	lane->loaded++;
	lane->key.site->loaded++;
	d->loaded++;
	d->load += weight;
	owner_get(d, lane->key.number)->load += weight;
}

void
lane_left(struct deferral *d, struct lane *lane, size_t weight)
{
	struct waiting_site *site = lane->key.site;
	const uint64_t now = clock_us();

	lane->loaded--;
	site->loaded--;
	d->loaded--;
	d->load -= weight;
	owner_left(d, owner_find(d, lane->key.number), weight);
	if (!lane->loaded)
		lane_reset(d, lane);
	lane_arm(d, lane, now);
	if (!d->loading && lane_is_idle(lane))
		lane_drop(d, lane);
	if (site->lanes)
		site_arm(d, site, now);
	else
		site_drop(d, site);
	lanes_arm(d);
}

void
lanes_free(struct deferral *d)
{
	struct waiting_site *site, *next_site;
	struct owner *owner, *next_owner;
	struct lane *lane, *next;

	HASH_ITER (hh, d->lanes, lane, next)
		lane_drop(d, lane);
	HASH_ITER (hh, d->sites, site, next_site)
		site_drop(d, site);
	HASH_ITER (hh, d->owners, owner, next_owner) {
		HASH_DEL(d->owners, owner);
		free(owner);
	}
	wake_heap_free(&d->heap);
}
