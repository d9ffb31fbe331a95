/* Waiting mail against a real embedded queue: what is loaded, when, in which order, how much of it.
 */
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

static void
on_bulk(void *arg, int err)
{
	(void)arg;
	assert_int_equal(err, 0);
	pthread_mutex_lock(&rig.lock);
	t.answers++;
	changed();
	pthread_mutex_unlock(&rig.lock);
}

static int
site_index(const char *site)
{
	for (int i = 0; i < SITES; i++)
		if (!strcmp(names[i], site))
			return i;
	return 0;
}

static void
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

static void
on_removed(void *arg, int err)
{
	struct loaded *loaded = arg;

	assert_int_equal(err, 0);
	deferral_removed(t.deferral, loaded->row->envelope);
	leave(loaded);
}

static void
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

static uint64_t
rest_until(void *arg, const char *site, uint64_t now_us)
{
	uint64_t until_us = t.rest_until_us[site_index(site)];

	(void)arg;
	return until_us > now_us ? until_us : 0;
}

static size_t
room(void *arg, const char *site, size_t window)
{
	(void)arg;
	(void)site;
	return t.room ? t.room : window;
}

static void
waiting(void *arg, const char *account, int64_t rows)
{
	(void)arg;
	if (!strcmp(account, "acme"))
		t.waiting = rows;
}

static void
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

static void
open_deferral(size_t window)
{
	t.window = window;
	run_on(rig.loop, open_run, NULL);
}

static struct loaded *
loaded_of(const struct loaded_row *row)
{
	return container_of((struct loaded_row *)row, struct loaded, loaded);
}

static bool
awaits_nothing(const struct loaded_row *row)
{
	return !loaded_of(row)->pending;
}

static void
close_run(void *arg)
{
	struct loaded_row *row;

	(void)arg;
	while ((row = deferral_any(t.deferral, awaits_nothing)))
		leave(loaded_of(row));
	deferral_free(&t.deferral);
}

static int
setup(void **state)
{
	memset(&t, 0, sizeof t);
	TAILQ_INIT(&t.in_hand);
	return rig_setup(state);
}

static int
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

static void
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

static void
make_rows_of(size_t count, int sites, uint64_t (*due)(size_t i), const char *(*account)(size_t i))
{
	struct bulk bulk = { count, sites, due, account };

	t.letters = xcalloc(count, sizeof *t.letters);
	t.letter_count = count;
	run_on(rig.loop, bulk_run, &bulk);
	AWAIT(t.answers == 2 * count);
}

static void
make_rows(size_t count, int sites, uint64_t (*due)(size_t i))
{
	make_rows_of(count, sites, due, all_of_acme);
}

static uint64_t
due_long_ago(size_t i)
{
	return clock_us() - HOUR_US + i;
}

/* The later put, the sooner due; two at a time have the same moment. */
static uint64_t
due_backwards(size_t i)
{
	static uint64_t base_us;

	if (!i)
		base_us = clock_us() - HOUR_US;
	return base_us - i / 2 * 1000;
}

static uint64_t
due_in_an_hour(size_t i)
{
	return clock_us() + HOUR_US + i;
}

static uint64_t
due_never(size_t i)
{
	(void)i;
	return 0;
}

static void
stats_run(void *out)
{
	deferral_stats(t.deferral, out);
}

static struct deferral_stats
numbers(void)
{
	struct deferral_stats out;

	run_on(rig.loop, stats_run, &out);
	return out;
}

static void
poke_run(void *site)
{
	deferral_poke(t.deferral, site);
}

/* What is due has been loaded: timers come after tasks in a turn of the loop, so the second look is
 * behind them. */
static void
settle(void)
{
	run_on(rig.loop, poke_run, NULL);
	numbers();
	numbers();
}

static void
what_waits_is_found_at_the_start(void **state)
{
	struct deferral_stats found;

	(void)state;
	make_rows(90, 3, due_in_an_hour);
	open_deferral(1000);
	found = numbers();
	assert_int_equal(found.rows, 90);
	assert_int_equal(found.sites, 3);
	assert_int_equal(found.loaded, 0);
	assert_int_equal(t.waiting, 90);
	assert_in_range(found.oldest_due_us, clock_us() + 1, clock_us() + HOUR_US);
}

static void
a_thousand_rows_of_a_site_are_one_timer(void **state)
{
	(void)state;
	make_rows(1000, 1, due_in_an_hour);
	open_deferral(1000);
	assert_int_equal(numbers().timers, 1);
	assert_int_equal(numbers().rows, 1000);
	assert_int_equal(numbers().loaded, 0);
}

static void
the_soonest_due_comes_first(void **state)
{
	(void)state;
	make_rows(200, 1, due_backwards);
	open_deferral(1000);
	AWAIT(t.loads == 200);
	for (size_t i = 1; i < 200; i++)
		assert_true(t.due[i - 1] <= t.due[i]);
}

static int
compare_ids(const void *a, const void *b)
{
	return memcmp(a, b, ID_SIZE);
}

static void
assert_each_came_once(size_t count)
{
	assert_int_equal(t.loads, count);
	qsort(t.id, count, ID_SIZE, compare_ids);
	for (size_t i = 1; i < count; i++)
		assert_true(memcmp(t.id[i - 1], t.id[i], ID_SIZE) < 0);
}

static void
no_more_than_the_window_is_in_memory(void **state)
{
	(void)state;
	make_rows(1200, 1, due_backwards);
	open_deferral(100);
	AWAIT(t.loads == 75);
	settle();
	assert_int_equal(numbers().loaded, 75);
	assert_int_equal(t.loads, 75);
	assert_int_equal(numbers().timers, 0); /* a site that is full has nothing to wait for */
}

/* What is loaded is taken from the queue after the next commit. */
static void
all_of_a_long_queue_comes_once_in_order_through_the_window(void **state)
{
	(void)state;
	make_rows(1200, 1, due_backwards);
	t.removes = true;
	open_deferral(100);
	AWAIT(t.loads == 1200 && !t.count);
	for (size_t i = 1; i < 1200; i++)
		assert_true(t.due[i - 1] <= t.due[i]);
	assert_int_equal(t.most, 75);
	assert_each_came_once(1200);
	assert_int_equal(t.waiting, 0);
	assert_int_equal(numbers().rows, 0);
	assert_int_equal(numbers().sites, 0);
	assert_int_equal(numbers().timers, 0);
}

static void
all_sites_together_have_a_bound_and_none_is_forgotten(void **state)
{
	(void)state;
	make_rows(1200, SITES, due_backwards);
	t.removes = true;
	open_deferral(100);
	AWAIT(t.loads == 1200 && !t.count);
	assert_in_range(t.most, 1, 150);
	assert_each_came_once(1200);
	assert_int_equal(numbers().sites, 0);
}

/* 999 of one account at a site, and then one of another. */
static const char *
the_last_of_bolt(size_t i)
{
	return i < 999 ? "acme" : "bolt";
}

static void
who_has_many_due_keeps_nobody_out(void **state)
{
	(void)state;
	make_rows_of(1000, 1, due_long_ago, the_last_of_bolt);
	open_deferral(100);
	AWAIT(t.loads == 76);
	assert_memory_equal(t.id[75], t.letters[999].id, ID_SIZE);
	settle();
	assert_int_equal(t.loads, 76);
}

static const char *
acme_or_bolt(size_t i)
{
	return i % 2 ? "acme" : "bolt";
}

static void
lanes_that_have_their_share_are_left_alone(void **state)
{
	(void)state;
	make_rows_of(1000, 1, due_long_ago, acme_or_bolt);
	open_deferral(100);
	AWAIT(t.loads >= 90);
	settle();
	run_on(rig.loop, poke_run, (void *)names[0]);
	assert_in_range(t.loads, 90, 100);
}

static size_t
place_of(size_t letter)
{
	size_t i = 0;

	while (i < t.loads && memcmp(t.id[i], t.letters[letter].id, ID_SIZE) != 0)
		i++;
	return i;
}

/* The first tenth of the rows, by due time, is acme's. */
static const char *
many_of_acme(size_t i)
{
	static const char *const others[] = { "bolt", "corp", "dale", "east" };

	return i < 1000 ? "acme" : others[i % 4];
}

static void
lanes_take_turns_and_none_is_forgotten(void **state)
{
	(void)state;
	make_rows_of(1400, 1, due_long_ago, many_of_acme);
	t.removes = true;
	open_deferral(100);
	AWAIT(t.loads == 1400 && !t.count);
	for (size_t i = 1000; i < 1004; i++)
		assert_in_range(place_of(i), 0, 300);
	assert_in_range(t.most, 1, 100);
	assert_each_came_once(1400);
	assert_int_equal(numbers().sites, 0);
}

/* acme's rows fill all sites' windows, as far as one account may; bolt's comes all the same. */
static void
an_account_leaves_room_in_memory_for_others(void **state)
{
	(void)state;
	make_rows_of(1000, SITES, due_long_ago, the_last_of_bolt);
	open_deferral(100);
	AWAIT(t.loads >= 151);
	settle();
	assert_int_equal(t.loads, 151);
	assert_memory_equal(t.id[150], t.letters[999].id, ID_SIZE);
}

static void
leave_all_run(void *arg)
{
	struct loaded *loaded;

	(void)arg;
	t.removes = true;
	TAILQ_FOREACH(loaded, &t.in_hand, link)
	queue_row_remove(rig.queue, loaded->row, on_removed, loaded);
}

/* A site rests when its turn would have come. */
static void
what_was_blocked_by_its_own_account_comes_when_that_has_room(void **state)
{
	(void)state;
	make_rows_of(1000, SITES, due_long_ago, the_last_of_bolt);
	open_deferral(100);
	AWAIT(t.loads == 151);
	t.rest_until_us[2] = UINT64_MAX;
	run_on(rig.loop, leave_all_run, NULL);
	AWAIT(!t.count && t.loads >= 750);
	settle();
	t.rest_until_us[2] = 0;
	run_on(rig.loop, poke_run, (void *)names[2]);
	AWAIT(t.loads == 1000 && !t.count);
	assert_each_came_once(1000);
	assert_int_equal(numbers().sites, 0);
}

static void
a_site_that_rests_is_left_alone_until_it_is_poked(void **state)
{
	(void)state;
	make_rows(20, 2, due_long_ago);
	t.rest_until_us[1] = UINT64_MAX;
	open_deferral(100);
	AWAIT(t.loads == 10);
	settle();
	assert_int_equal(t.loads, 10);
	assert_int_equal(numbers().timers, 0);
	t.rest_until_us[1] = 0;
	run_on(rig.loop, poke_run, (void *)names[1]);
	AWAIT(t.loads == 20);
}

static void
a_rest_that_ends_by_itself_needs_no_poke(void **state)
{
	(void)state;
	make_rows(10, 1, due_long_ago);
	t.rest_until_us[0] = clock_us() + 50000;
	open_deferral(100);
	AWAIT(t.loads == 10);
	assert_true(clock_us() >= t.rest_until_us[0]);
}

static void
a_site_on_probation_gets_few(void **state)
{
	(void)state;
	make_rows(50, 1, due_long_ago);
	t.room = 5;
	open_deferral(100);
	AWAIT(t.loads == 4);
	settle();
	assert_int_equal(t.loads, 4);
	t.room = 0;
	run_on(rig.loop, poke_run, (void *)names[0]);
	AWAIT(t.loads == 50);
}

struct note {
	Row *row;
	uint64_t due_us;
};

static void
note_run(void *arg)
{
	const struct note *note = arg;

	deferral_noted(t.deferral, note->row->site, rows_lane("acme"), note->due_us);
}

/* Writes the row of a letter anew, as a settled attempt or an operator's rule does. */
static void
rewrite(size_t letter, const char *site, uint64_t due_us)
{
	Row row;
	struct note note = { &row, due_us };

	row_init(&row, &t.letters[letter], site, due_us);
	assert_int_equal(row_put(&row), 0);
	run_on(rig.loop, note_run, &note);
}

static void
held_mail_waits_for_its_release(void **state)
{
	(void)state;
	make_rows(3, 1, due_never);
	open_deferral(100);
	settle();
	assert_int_equal(t.loads, 0);
	assert_int_equal(numbers().rows, 3);
	assert_int_equal(numbers().sites, 0);
	assert_int_equal(numbers().timers, 0);
	rewrite(1, names[0], clock_us());
	AWAIT(t.loads == 1);
	settle();
	assert_int_equal(t.loads, 1);
	assert_memory_equal(t.id[0], t.letters[1].id, ID_SIZE);
}

static void
a_row_that_becomes_due_sooner_is_not_kept_waiting(void **state)
{
	(void)state;
	make_rows(10, 1, due_in_an_hour);
	open_deferral(100);
	settle();
	assert_int_equal(t.loads, 0);
	rewrite(7, names[0], clock_us() - 1);
	AWAIT(t.loads == 1);
	assert_memory_equal(t.id[0], t.letters[7].id, ID_SIZE);
	assert_int_equal(numbers().timers, 1);
}

static void
what_is_in_memory_is_not_loaded_a_second_time(void **state)
{
	(void)state;
	make_rows(5, 1, due_long_ago);
	open_deferral(100);
	AWAIT(t.loads == 5);
	rewrite(0, names[0], clock_us() - 1);
	rewrite(4, names[0], clock_us() - 1);
	settle();
	assert_int_equal(t.loads, 5);
	assert_int_equal(numbers().loaded, 5);
}

static void
leave_run(void *arg)
{
	(void)arg;
	leave(TAILQ_FIRST(&t.in_hand));
}

/* settle.c: the row is durable with its new due time, then the item leaves. */
static void
a_row_that_was_tried_comes_again_at_its_new_time(void **state)
{
	(void)state;
	make_rows(2, 1, due_long_ago);
	open_deferral(100);
	AWAIT(t.loads == 2);
	rewrite(0, names[0], clock_us() + 50000);
	run_on(rig.loop, leave_run, NULL);
	rewrite(1, names[0], clock_us() + HOUR_US);
	run_on(rig.loop, leave_run, NULL);
	AWAIT(t.loads == 3);
	assert_memory_equal(t.id[2], t.letters[0].id, ID_SIZE);
	assert_int_equal(numbers().rows, 2);
	assert_int_equal(numbers().timers, 1);
}

static void
find_run(void *found)
{
	struct loaded_row **rows = found;

	rows[0] = deferral_find(t.deferral, t.letters[0].id, names[0]);
	rows[1] = deferral_find(t.deferral, t.letters[0].id, names[1]);
	TAILQ_FIRST(&t.in_hand)->pending = true;
	rows[2] = deferral_any(t.deferral, awaits_nothing);
	TAILQ_FIRST(&t.in_hand)->pending = false;
}

static void
a_row_is_found_by_message_and_site_and_stays_while_it_awaits_an_answer(void **state)
{
	struct loaded_row *rows[3];

	(void)state;
	make_rows(1, 1, due_long_ago);
	open_deferral(100);
	AWAIT(t.loads == 1);
	run_on(rig.loop, find_run, rows);
	assert_ptr_equal(rows[0], &TAILQ_FIRST(&t.in_hand)->loaded);
	assert_null(rows[1]);
	assert_null(rows[2]);
}

static void
forget_run(void *arg)
{
	(void)arg;
	deferral_forget(t.deferral, 0);
}

static void
gain_run(void *arg)
{
	(void)arg;
	deferral_read(t.deferral, 0);
}

static void
remove_run(void *arg)
{
	(void)arg;
	deferral_removed(t.deferral, &t.letters[0].envelope);
	deferral_added(t.deferral, &t.letters[1].envelope);
}

static void
what_is_lost_counts_no_more_until_it_is_gained(void **state)
{
	(void)state;
	make_rows(90, 3, due_in_an_hour);
	open_deferral(1000);
	run_on(rig.loop, forget_run, NULL);
	assert_int_equal(numbers().rows, 0);
	assert_int_equal(t.waiting, 0);
	/* what ends of it now is the new owner's to count */
	run_on(rig.loop, remove_run, NULL);
	assert_int_equal(numbers().rows, 0);
	for (int i = 0; i < 2; i++) {
		run_on(rig.loop, gain_run, NULL);
		assert_int_equal(numbers().rows, 90);
		assert_int_equal(t.waiting, 90);
	}
}

static void
what_is_in_memory_when_it_is_gained_again_is_not_loaded_twice(void **state)
{
	(void)state;
	make_rows(20, 1, due_long_ago);
	open_deferral(1000);
	AWAIT(t.loads == 20);
	run_on(rig.loop, forget_run, NULL);
	run_on(rig.loop, gain_run, NULL);
	settle();
	assert_int_equal(t.loads, 20);
	assert_int_equal(numbers().loaded, 20);
	assert_int_equal(numbers().rows, 20);
}

/* Every other one by a clock that was a day ahead. */
static uint64_t
due_by_two_clocks(size_t i)
{
	return clock_us() + HOUR_US + (i % 2 ? 24 * HOUR_US : 0);
}

static void
what_a_clock_that_was_ahead_put_off_is_due(void **state)
{
	(void)state;
	t.removes = true;
	make_rows(200, 1, due_by_two_clocks);
	open_deferral(20);
	AWAIT(t.loads == 100 && t.count == 0);
	for (size_t i = 0; i < 100; i++)
		assert_true(t.due[i] > clock_us() + 5 * HOUR_US);
	settle();
	assert_int_equal(t.loads, 100);
	assert_true(t.most <= 20);
	assert_int_equal(numbers().rows, 100);
	assert_in_range(numbers().oldest_due_us, clock_us() + 1, clock_us() + HOUR_US);
}

static void
what_a_clock_that_was_ahead_put_off_is_taken_once(void **state)
{
	(void)state;
	make_rows(40, 1, due_by_two_clocks);
	open_deferral(1000);
	AWAIT(t.loads == 20);
	settle();
	assert_int_equal(t.loads, 20);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_waits_is_found_at_the_start),
		TEST(a_thousand_rows_of_a_site_are_one_timer),
		TEST(the_soonest_due_comes_first),
		TEST(no_more_than_the_window_is_in_memory),
		TEST(all_of_a_long_queue_comes_once_in_order_through_the_window),
		TEST(all_sites_together_have_a_bound_and_none_is_forgotten),
		TEST(who_has_many_due_keeps_nobody_out),
		TEST(lanes_that_have_their_share_are_left_alone),
		TEST(lanes_take_turns_and_none_is_forgotten),
		TEST(an_account_leaves_room_in_memory_for_others),
		TEST(what_was_blocked_by_its_own_account_comes_when_that_has_room),
		TEST(a_site_that_rests_is_left_alone_until_it_is_poked),
		TEST(a_rest_that_ends_by_itself_needs_no_poke),
		TEST(a_site_on_probation_gets_few),
		TEST(held_mail_waits_for_its_release),
		TEST(a_row_that_becomes_due_sooner_is_not_kept_waiting),
		TEST(what_is_in_memory_is_not_loaded_a_second_time),
		TEST(a_row_that_was_tried_comes_again_at_its_new_time),
		TEST(a_row_is_found_by_message_and_site_and_stays_while_it_awaits_an_answer),
		TEST(what_is_lost_counts_no_more_until_it_is_gained),
		TEST(what_is_in_memory_when_it_is_gained_again_is_not_loaded_twice),
		TEST(what_a_clock_that_was_ahead_put_off_is_due),
		TEST(what_a_clock_that_was_ahead_put_off_is_taken_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
