/*
 * deferral_rig.h - waiting mail in a real embedded queue, and the deferral that loads it.
 */
#ifndef TESTS_UNIT_DEFERRAL_RIG_H
#define TESTS_UNIT_DEFERRAL_RIG_H

#include <sys/queue.h>

#include "sender/waiting/deferral.h"
#include "shared/base/container_of.h"
#include "tests/unit/queue_rig.h"

#define HOUR_US (3600ull * 1000000)
#define SITES 4

static const char *const names[SITES] = { "google", "microsoft", "mx.dead.example",
	"mx.x.example" };

/* A row that was loaded, as mail.c would hold it. */
struct loaded {
	TAILQ_ENTRY(loaded) link;
	struct loaded_row loaded;
	bool pending; /* it awaits an answer */
	Row *row;
};

/* All of it belongs to the rig's loop; the test looks while it waits for that. */
static struct {
	struct deferral *deferral;
	struct letter *letters;
	size_t letter_count;
	TAILQ_HEAD(, loaded) in_hand;
	size_t count, loads, most, window;
	uint64_t due[4096]; /* of the rows loaded, in order */
	uint8_t id[4096][ID_SIZE];
	uint64_t rest_until_us[SITES];
	size_t room; /* 0: the whole window */
	int64_t waiting;
	size_t answers; /* under rig.lock */
	bool removes;   /* what is loaded is delivered at once */
} t;

static inline void
on_bulk(void *arg, int err)
{
	(void)arg;
	assert_int_equal(err, 0);
	pthread_mutex_lock(&rig.lock);
	t.answers++;
	changed();
	pthread_mutex_unlock(&rig.lock);
}

static inline int
site_index(const char *site)
{
	for (int i = 0; i < SITES; i++)
		if (!strcmp(names[i], site))
			return i;
	return 0;
}

static inline void
leave(struct loaded *loaded)
{
	TAILQ_REMOVE(&t.in_hand, loaded, link);
	deferral_left(t.deferral, &loaded->loaded);
	row_free(loaded->row);
	free(loaded);
	pthread_mutex_lock(&rig.lock);
	t.count--;
	changed();
	pthread_mutex_unlock(&rig.lock);
}

/* What the deferral asks of the sender. */

static inline void
on_removed(void *arg, int err)
{
	struct loaded *loaded = arg;

	assert_int_equal(err, 0);
	deferral_removed(t.deferral, loaded->row->envelope);
	leave(loaded);
}

static inline void
load(void *arg, Row *row)
{
	struct loaded *loaded = xcalloc(1, sizeof *loaded);

	(void)arg;
	loaded->row = row;
	TAILQ_INSERT_TAIL(&t.in_hand, loaded, link);
	deferral_joined(
		t.deferral, &loaded->loaded, row->envelope, row->site, row->envelope->n_recipients);
	pthread_mutex_lock(&rig.lock);
	t.due[t.loads] = row->due_us;
	memcpy(t.id[t.loads++], row->envelope->id.data, ID_SIZE);
	t.count++;
	if (t.count > t.most)
		t.most = t.count;
	changed();
	pthread_mutex_unlock(&rig.lock);
	if (t.removes)
		queue_row_remove(rig.queue, row, on_removed, loaded);
}

static inline uint64_t
rest_until(void *arg, const char *site, uint64_t now_us)
{
	uint64_t until_us = t.rest_until_us[site_index(site)];

	(void)arg;
	return until_us > now_us ? until_us : 0;
}

static inline size_t
room(void *arg, const char *site, size_t window)
{
	(void)arg;
	(void)site;
	return t.room ? t.room : window;
}

static inline void
waiting(void *arg, const char *account, int64_t rows)
{
	(void)arg;
	if (!strcmp(account, "acme"))
		t.waiting = rows;
}

static inline void
open_run(void *arg)
{
	(void)arg;
	t.deferral = deferral_new(&(struct deferral_options){
		.loop = rig.loop,
		.rows = rig.rows,
		.window = t.window,
		.max = 2 * t.window,
		.ahead_us = 5 * HOUR_US,
		.load = load,
		.rest_until = rest_until,
		.room = room,
		.waiting = waiting,
	});
	deferral_read(t.deferral, 0);
}

static inline void
open_deferral(size_t window)
{
	t.window = window;
	run_on(rig.loop, open_run, NULL);
}

static inline struct loaded *
loaded_of(const struct loaded_row *row)
{
	return container_of((struct loaded_row *)row, struct loaded, loaded);
}

static inline bool
awaits_nothing(const struct loaded_row *row)
{
	return !loaded_of(row)->pending;
}

static inline void
close_run(void *arg)
{
	struct loaded_row *row;

	(void)arg;
	while ((row = deferral_any(t.deferral, awaits_nothing)))
		leave(loaded_of(row));
	deferral_free(&t.deferral);
}

static inline int
setup(void **state)
{
	memset(&t, 0, sizeof t);
	TAILQ_INIT(&t.in_hand);
	return rig_setup(state);
}

static inline int
teardown(void **state)
{
	for (int i = 0; i < SITES; i++)
		t.rest_until_us[i] = UINT64_MAX;
	if (t.deferral)
		run_on(rig.loop, close_run, NULL);
	free(t.letters);
	return rig_teardown(state);
}

/* `count` messages with a row each, round the first `sites`; the i-th is due at due(i). */
struct bulk {
	size_t count;
	int sites;
	uint64_t (*due)(size_t i);
	const char *(*account)(size_t i);
};

static inline void
bulk_run(void *arg)
{
	const struct bulk *bulk = arg;
	const struct body body = { .data = "body", .size = 4 };

	for (size_t i = 0; i < bulk->count; i++) {
		struct letter *letter = &t.letters[i];
		Row row;

		letter_init(letter);
		letter->envelope.account = (char *)bulk->account(i);
		row_init(&row, letter, names[i % (size_t)bulk->sites], bulk->due(i));
		if (!row.due_us)
			row.state = ROW__STATE__HELD;
		queue_put(rig.queue, TOPIC_READY, &letter->envelope, &body, on_bulk, NULL);
		queue_row_put(rig.queue, &row, on_bulk, NULL);
	}
}

static const char *
all_of_acme(size_t i)
{
	(void)i;
	return "acme";
}

static inline void
make_rows_of(size_t count, int sites, uint64_t (*due)(size_t i), const char *(*account)(size_t i))
{
	struct bulk bulk = { count, sites, due, account };

	t.letters = xcalloc(count, sizeof *t.letters);
	t.letter_count = count;
	run_on(rig.loop, bulk_run, &bulk);
	AWAIT(t.answers == 2 * count);
}

static inline void
make_rows(size_t count, int sites, uint64_t (*due)(size_t i))
{
	make_rows_of(count, sites, due, all_of_acme);
}

static inline uint64_t
due_long_ago(size_t i)
{
	return clock_us() - HOUR_US + i;
}

/* The later put, the sooner due; two at a time have the same moment. */
static inline uint64_t
due_backwards(size_t i)
{
	static uint64_t base_us;

	if (!i)
		base_us = clock_us() - HOUR_US;
	return base_us - i / 2 * 1000;
}

static inline uint64_t
due_in_an_hour(size_t i)
{
	return clock_us() + HOUR_US + i;
}

static inline uint64_t
due_never(size_t i)
{
	(void)i;
	return 0;
}

static inline void
stats_run(void *out)
{
	deferral_stats(t.deferral, out);
}

static inline struct deferral_stats
numbers(void)
{
	struct deferral_stats out;

	run_on(rig.loop, stats_run, &out);
	return out;
}

static inline void
poke_run(void *site)
{
	deferral_poke(t.deferral, site);
}

/* What is due has been loaded: timers come after tasks in a turn of the loop, so the second look is
 * behind them. */
static inline void
settle(void)
{
	run_on(rig.loop, poke_run, NULL);
	numbers();
	numbers();
}

static inline int
compare_ids(const void *a, const void *b)
{
	return memcmp(a, b, ID_SIZE);
}

static inline void
assert_each_came_once(size_t count)
{
	assert_int_equal(t.loads, count);
	qsort(t.id, count, ID_SIZE, compare_ids);
	for (size_t i = 1; i < count; i++)
		assert_true(memcmp(t.id[i - 1], t.id[i], ID_SIZE) < 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
