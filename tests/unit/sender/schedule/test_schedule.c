/*
 * test_schedule.c - which message the scheduler takes next, and what rests.
 */
#include "tests/unit/schedule_world.h"

/* One connection at a time, in turn. */
static void
run_site(unsigned turns)
{
	struct link *link;

	settle();
	for (unsigned i = 0; i < turns && (link = any_link()); i++) {
		if (link->node.state == CONNECTION_BUSY)
			count_passed(link->message);
		link_acts(link);
		settle();
	}
}

static void
an_account_with_one_message_passes_anothers_pile(void **state)
{
	struct message *lone;

	(void)state;
	world_reset(&usual);
	for (int i = 0; i < 1000; i++)
		message_add(0, 0, 1, true);
	lone = message_add(0, 1, 1, true);
	run_site(60);
	assert_true(lone->sent);
	assert_true(lone->passed < 40);
	schedule_free(&world.schedule);
}

static void
big_messages_pay_for_their_size(void **state)
{
	unsigned small = 0;

	(void)state;
	world_reset(&usual);
	for (int i = 0; i < 500; i++) {
		message_add(0, 0, SCHEDULE_COST_MAX, true);
		message_add(0, 1, 1, true);
	}
	run_site(600);
	for (int i = 0; i < MESSAGES; i++)
		small += world.messages[i].account == 1 && world.messages[i].sent;
	assert_true(small > 200);
	schedule_free(&world.schedule);
}

static void
first_attempts_go_before_retries_but_not_for_ever(void **state)
{
	struct message *retry;

	(void)state;
	world_reset(&usual);
	retry = message_add(0, 0, 1, false);
	for (int i = 0; i < 1000; i++)
		message_add(0, 0, 1, true);
	run_site(100);
	assert_true(retry->sent);
	schedule_free(&world.schedule);
}

static void
a_dead_site_rests_and_its_mail_is_parked(void **state)
{
	uint64_t first;

	(void)state;
	world_reset(&usual);
	world.moods[0] = MOOD_DEAD;
	for (int i = 0; i < 100; i++)
		message_add(0, 0, 1, true);
	run_site(1000);
	assert_int_equal(world.connections, 0);
	assert_int_equal(world.waiting[0], 0);
	assert_true(world.opens < 20);
	assert_true(world.parks > 80);
	first = schedule_rest_until(world.schedule, site_name(0), NULL, world.now);
	assert_int_equal(first, world.now + usual.rest_first_us);

	/* the clock was a day ahead */
	assert_int_equal(
		schedule_rest_until(world.schedule, site_name(0), NULL, world.now - 86400 * SECOND),
		0);

	/* the next failure rests it twice as long */
	world.now = first;
	assert_int_equal(schedule_room(world.schedule, site_name(0), 250), 5);
	message_add(0, 0, 1, true);
	run_site(10);
	assert_int_equal(schedule_rest_until(world.schedule, site_name(0), NULL, world.now),
		world.now + 2 * usual.rest_first_us);
	schedule_free(&world.schedule);
}

/* A site with a busy connection of account "a". */
static struct schedule_connection *
busy_connection(struct schedule_connection *connection, struct schedule_entry *entry)
{
	struct schedule_step step;

	world_reset(&usual);
	schedule_add(world.schedule, entry, site_name(0), false, "a", 1, true, world.now);
	assert_int_equal(schedule_next(world.schedule, world.now, &step), SCHEDULE_OPEN);
	schedule_opening(world.schedule, connection, step.site);
	schedule_ready(world.schedule, connection);
	assert_int_equal(schedule_next(world.schedule, world.now, &step), SCHEDULE_SEND);
	return connection;
}

static uint64_t
rests_for(const char *account)
{
	const uint64_t until = schedule_rest_until(
		world.schedule, site_name(0), account, world.now);

	return until ? until - world.now : 0;
}

static void
a_site_that_refuses_us_rests_at_once_for_all(void **state)
{
	struct schedule_connection connection = { 0 };
	struct schedule_entry entry = { 0 };

	(void)state;
	busy_connection(&connection, &entry);
	assert_true(schedule_break(world.schedule, &connection, 0, world.now));
	assert_int_equal(rests_for("b"), usual.rest_first_us);
	/* a transaction that was under way says the same */
	assert_false(schedule_break(world.schedule, &connection, 0, world.now));
	assert_int_equal(rests_for("a"), usual.rest_first_us);
	/* the next one doubles, a long one is cut */
	world.now += usual.rest_first_us;
	assert_true(schedule_break(world.schedule, &connection, 0, world.now));
	assert_int_equal(rests_for("a"), 2 * usual.rest_first_us);
	world.now += 2 * usual.rest_first_us;
	assert_true(schedule_break(world.schedule, &connection, UINT64_MAX / 4, world.now));
	assert_int_equal(rests_for("a"), usual.rest_max_us);
	/* a success ends it */
	world.now += usual.rest_max_us;
	schedule_feedback(world.schedule, &connection, FEEDBACK_SUCCESS, world.now);
	assert_int_equal(rests_for("a"), 0);
	schedule_gone(world.schedule, &connection);
	schedule_free(&world.schedule);
}

/* How many connections the site opens for many messages. */
static unsigned
opened(struct schedule_connection *connections, struct schedule_entry *entries, unsigned count)
{
	struct schedule_step step;
	unsigned n = 0;

	for (unsigned i = 0; i < count; i++)
		schedule_add(
			world.schedule, &entries[i], site_name(0), false, "a", 1, true, world.now);
	while (schedule_next(world.schedule, world.now, &step) == SCHEDULE_OPEN)
		schedule_opening(world.schedule, &connections[n++], step.site);
	for (unsigned i = 0; i < n; i++)
		schedule_gone(world.schedule, &connections[i]);
	for (unsigned i = 0; i < count; i++)
		schedule_remove(world.schedule, &entries[i]);
	return n;
}

static void
a_site_that_asks_to_go_slower_gets_fewer_connections(void **state)
{
	struct schedule_connection connection = { 0 }, connections[100] = { { .used = 0 } };
	struct schedule_entry entry = { 0 }, entries[100] = { { .fresh = false } };
	unsigned before;

	(void)state;
	busy_connection(&connection, &entry);
	before = opened(connections, entries, 100) + 1;
	assert_int_equal(before, usual.concurrency_start);
	schedule_narrow(connection.site, false);
	assert_int_equal(opened(connections, entries, 100) + 1, before / 2);
	schedule_narrow(connection.site, true);
	assert_int_equal(opened(connections, entries, 100) + 1, 1);
	schedule_gone(world.schedule, &connection);
	schedule_free(&world.schedule);
}

/* A probe after each rest fails; what is left of the next rest, in minutes. */
static unsigned
next_rest(const char *site, bool shared, enum schedule_feedback feedback)
{
	struct schedule_connection connection = { 0 };
	struct schedule_entry entry = { 0 };
	struct schedule_step step;
	uint64_t until = schedule_rest_until(world.schedule, site, NULL, world.now);

	world.now = until > world.now ? until : world.now;
	for (int i = 0; i < 20 && !schedule_rest_until(world.schedule, site, NULL, world.now);
		i++) {
		schedule_add(world.schedule, &entry, site, shared, "a", 1, true, world.now);
		assert_int_equal(schedule_next(world.schedule, world.now, &step), SCHEDULE_OPEN);
		schedule_opening(world.schedule, &connection, step.site);
		schedule_remove(world.schedule, &entry);
		schedule_feedback(world.schedule, &connection, feedback, world.now);
		schedule_gone(world.schedule, &connection);
	}
	return (unsigned)((schedule_rest_until(world.schedule, site, NULL, world.now) - world.now) /
		(60 * SECOND));
}

static void
a_rest_grows_to_half_an_hour_that_of_a_smarthost_to_two_minutes(void **state)
{
	static const struct {
		bool shared;
		enum schedule_feedback feedback;
		unsigned minutes[6];
		bool dry;
	} rows[] = {
		{ false, FEEDBACK_SITE, { 5, 10, 20, 30, 30, 30 }, false },
		{ true, FEEDBACK_SITE, { 2, 2, 2, 2, 2, 2 }, false },
		{ false, FEEDBACK_TRANSIENT, { 5, 5, 5, 5, 5, 5 }, true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		world_reset(&usual);
		for (unsigned n = 0; n < 6; n++)
			assert_int_equal(next_rest("mx.test", rows[i].shared, rows[i].feedback),
				rows[i].minutes[n]);
		assert_int_equal(schedule_rest_is_dry(world.schedule, "mx.test"), rows[i].dry);
		schedule_free(&world.schedule);
	}
}

static void
what_a_site_said_last_is_known_until_a_message_gets_through(void **state)
{
	struct schedule_connection connection = { 0 };
	struct schedule_entry entry = { 0 };
	struct schedule_step step;
	struct outcome outcome;

	(void)state;
	world_reset(&usual);
	schedule_add(world.schedule, &entry, "mx.test", false, "a", 1, true, world.now);
	assert_int_equal(schedule_next(world.schedule, world.now, &step), SCHEDULE_OPEN);
	schedule_opening(world.schedule, &connection, step.site);
	schedule_remove(world.schedule, &entry);
	for (unsigned i = 1; i <= usual.concurrency_start; i++) {
		assert_null(schedule_trouble(world.schedule, "mx.test"));
		schedule_feedback(world.schedule, &connection, FEEDBACK_SITE, world.now);
		outcome_from_error(&outcome, STEP_BANNER, "421 no", "mx");
		schedule_troubled(world.schedule, step.site, &outcome, world.now);
	}
	outcome_from_error(&outcome, STEP_CONNECT, "421 never", "mx2");
	schedule_troubled(world.schedule, step.site, &outcome, world.now + 1);
	assert_string_equal(schedule_trouble(world.schedule, "mx.test")->reply, "421 never");
	assert_string_equal(schedule_trouble(world.schedule, "mx.test")->host, "mx2");
	assert_string_equal(schedule_trouble(world.schedule, "mx.test")->class, "connect");
	assert_int_equal(schedule_trouble(world.schedule, "mx.test")->at_us, world.now + 1);
	assert_null(schedule_trouble(world.schedule, "other.test"));
	world.now += 3600 * SECOND;
	assert_non_null(schedule_trouble(world.schedule, "mx.test"));
	assert_false(schedule_feedback(world.schedule, &connection, FEEDBACK_SUCCESS, world.now));
	assert_null(schedule_trouble(world.schedule, "mx.test"));
	schedule_gone(world.schedule, &connection);
	schedule_free(&world.schedule);
}

static void
a_site_that_only_defers_comes_to_rest(void **state)
{
	(void)state;
	world_reset(&usual);
	world.moods[0] = MOOD_LATER;
	for (int i = 0; i < 200; i++)
		message_add(0, 0, 1, true);
	run_site(2000);
	assert_true(world.sends < 50);
	assert_true(schedule_rest_until(world.schedule, site_name(0), NULL, world.now) > world.now);
	schedule_free(&world.schedule);
}

static uint64_t
rest_of(int account)
{
	return schedule_rest_until(world.schedule, site_name(0), account_name(account), world.now);
}

static void
what_a_site_says_to_one_account_lets_that_one_rest_alone(void **state)
{
	struct message *other;

	(void)state;
	for (int mood = MOOD_HIM_LATER; mood <= MOOD_HIM_DEAD; mood++) {
		world_reset(&usual);
		world.moods[0] = (enum mood)mood;
		message_add(0, 1, 1, true);
		run_site(2);
		for (int i = 0; i < 200; i++)
			message_add(0, 0, 1, true);
		run_site(2000);
		assert_true(rest_of(0) > world.now);
		assert_int_equal(rest_of(1), 0);
		assert_true(world.parks > 100);
		for (int i = 0; i < 50; i++) {
			other = message_add(0, 1 + i % 3, 1, true);
			message_add(0, 0, 1, true);
			run_site(100);
			assert_true(other->sent);
			assert_true(rest_of(0) > world.now);
		}
		world.now = rest_of(0);
		message_add(0, 0, 1, true);
		world.moods[0] = MOOD_GOOD;
		run_site(100);
		assert_int_equal(world.waiting[0], 0);
		schedule_free(&world.schedule);
	}
}

static void
others_that_fail_too_let_the_site_rest_for_all(void **state)
{
	(void)state;
	for (int mood = MOOD_HIM_LATER; mood <= MOOD_HIM_DEAD; mood++) {
		world_reset(&usual);
		world.moods[0] = (enum mood)mood;
		for (int i = 0; i < 200; i++)
			message_add(0, 0, 1, true);
		run_site(2000);
		world.moods[0] = mood == MOOD_HIM_LATER ? MOOD_LATER : MOOD_DEAD;
		for (int i = 0; i < 100; i++)
			message_add(0, 1 + i % 3, 1, true);
		world.sends = 0;
		run_site(1000);
		for (int account = 0; account < 5; account++)
			assert_int_equal(rest_of(account), rest_of(0));
		assert_true(rest_of(0) > world.now);
		assert_in_range(world.sends, 0, 20);
		schedule_free(&world.schedule);
	}
}

static void
one_account_alone_fails_and_then_another(void **state)
{
	(void)state;
	world_reset(&usual);
	world.moods[0] = MOOD_HIM_LATER;
	for (int i = 0; i < 40; i++)
		message_add(0, 0, 1, true);
	run_site(1000);
	world.now = rest_of(0);
	assert_int_equal(rest_of(0), 0);
	world.moods[0] = MOOD_LATER;
	for (int i = 0; i < 40; i++)
		message_add(0, 1, 1, true);
	run_site(1000);
	assert_true(rest_of(1) > world.now);
	assert_int_equal(rest_of(0), 0);
	assert_int_equal(rest_of(2), 0);
	schedule_free(&world.schedule);
}

/* Opens what it may, and sends; nothing is answered. */
static void
ready_all(void)
{
	settle();
	for (size_t i = 0; i < sizeof world.links / sizeof *world.links; i++)
		if (world.links[i].used && world.links[i].node.state == CONNECTION_OPENING)
			schedule_ready(world.schedule, &world.links[i].node);
	settle();
}

static void
messages_of_one_account_that_stand_still_leave_a_connection(void **state)
{
	struct schedule_options options = usual;
	struct message *others[2];

	(void)state;
	for (unsigned start = 1; start <= 20; start += start == 1 ? 4 : 15) {
		for (options.concurrency_max = start; options.concurrency_max <= 20;
			options.concurrency_max += 20 - start ? 20 - start : 1) {
			options.concurrency_start = start;
			world_reset(&options);
			for (int i = 0; i < 100; i++)
				message_add(0, 0, 1, true);
			ready_all();
			others[0] = message_add(0, 1, 1, true);
			ready_all();
			others[1] = message_add(0, 2, 1, true);
			ready_all();
			assert_true(others[0]->sent == (options.concurrency_max > 1));
			assert_false(others[1]->sent);
			assert_true(world.open[0] <= options.concurrency_max);
			assert_true(world.open[0] <= start + 1);
			schedule_free(&world.schedule);
		}
	}
}

static void
success_ends_the_rest_and_widens_the_site(void **state)
{
	struct schedule_stats stats;

	(void)state;
	world_reset(&usual);
	for (int i = 0; i < 1000; i++)
		message_add(0, 0, 1, true);
	run_site(1000);
	assert_true(world.sends > 400);
	schedule_stats(world.schedule, world.now, &stats);
	assert_int_equal(stats.resting, 0);
	schedule_free(&world.schedule);
}

static void
a_smarthost_does_not_rest_for_its_domains(void **state)
{
	struct schedule_entry entries[100];
	unsigned sends = 0;

	(void)state;
	world_reset(&usual);
	memset(entries, 0, sizeof entries);
	for (int i = 0; i < 100; i++)
		schedule_add(world.schedule, &entries[i], "smart.example:25", true, "a", 1, true,
			world.now);
	struct schedule_connection connection = { 0 };
	struct schedule_step step;

	while (schedule_next(world.schedule, world.now, &step) != SCHEDULE_NOTHING) {
		if (step.verb == SCHEDULE_OPEN) {
			if (connection.site)
				break;
			schedule_opening(world.schedule, &connection, step.site);
			schedule_ready(world.schedule, &connection);
			continue;
		}
		assert_int_equal(step.verb, SCHEDULE_SEND);
		sends++;
		schedule_feedback(world.schedule, &connection, FEEDBACK_TRANSIENT, world.now);
		schedule_ready(world.schedule, &connection);
	}
	assert_true(sends >= 90);
	assert_int_equal(
		schedule_rest_until(world.schedule, "smart.example:25", NULL, world.now), 0);
	schedule_free(&world.schedule);
}

static void
sites_share_the_connections_of_the_process(void **state)
{
	struct schedule_options narrow = usual;
	unsigned served = 0;

	(void)state;
	narrow.connections_max = 4;
	world_reset(&narrow);
	for (int i = 0; i < 200; i++)
		message_add(0, 0, 1, true);
	run_site(8);
	for (int site = 1; site < SITES; site++)
		message_add(site, 0, 1, true);
	run_site(1500);
	for (int site = 1; site < SITES; site++)
		served += world.waiting[site] == 0;
	assert_int_equal(served, SITES - 1);
	schedule_free(&world.schedule);
}

static void
sites_that_teach_nothing_are_forgotten(void **state)
{
	struct schedule_stats stats;

	(void)state;
	world_reset(&usual);
	for (int site = 0; site < 20000; site++) {
		struct message *message = message_add(0, 0, 1, true);
		char name[32];

		schedule_remove(world.schedule, &message->entry);
		snprintf(name, sizeof name, "mx%d.test", site);
		schedule_add(world.schedule, &message->entry, name, false, "a", 1, true, world.now);
		schedule_remove(world.schedule, &message->entry);
		message->used = false;
		settle();
	}
	schedule_stats(world.schedule, world.now, &stats);
	assert_true(stats.sites < 10);
	schedule_free(&world.schedule);
}

/* retry.h */

static unsigned
open_all(struct schedule_connection *connections, struct schedule_entry **entry)
{
	struct schedule_step step;
	unsigned count = 0;

	while (schedule_next(world.schedule, world.now, &step) == SCHEDULE_OPEN) {
		schedule_opening(world.schedule, &connections[count++], step.site);
		*entry = step.entry;
	}
	assert_int_equal(step.verb, SCHEDULE_NOTHING);
	return count;
}

static void
one_account_leaves_connections_for_others(void **state)
{
	static struct schedule_entry many[60], other;
	static struct schedule_connection connections[60], more[60];
	struct schedule_entry *entry;

	(void)state;
	world.schedule = schedule_new(&usual);
	world.now = 1000 * SECOND;
	for (int i = 0; i < 60; i++)
		schedule_add(
			world.schedule, &many[i], site_name(i), false, "slow", 1, true, world.now);
	assert_int_equal(open_all(connections, &entry), CONNECTIONS * 3 / 4);
	/* also at a site that the other one's mail waits for */
	schedule_add(world.schedule, &other, site_name(59), false, "other", 1, true, world.now);
	assert_in_range(open_all(more, &entry), 1, 2);
	assert_ptr_equal(entry, &other);
	for (int i = 0; i < 5; i++) {
		schedule_remove(world.schedule, &many[i]);
		schedule_gone(world.schedule, &connections[i]);
	}
	assert_in_range(open_all(connections, &entry), 4, 5);
	schedule_free(&world.schedule);
}

static void
only_the_account_that_crowds_a_site_is_parked(void **state)
{
	static struct schedule_entry many[SCHEDULE_CROWD];

	(void)state;
	world.schedule = schedule_new(&usual);
	for (int i = 0; i < SCHEDULE_CROWD; i++) {
		assert_false(schedule_crowded(world.schedule, "mx", "many"));
		schedule_add(world.schedule, &many[i], "mx", false, "many", 1, true, world.now);
	}
	assert_true(schedule_crowded(world.schedule, "mx", "many"));
	assert_false(schedule_crowded(world.schedule, "mx", "other"));
	schedule_free(&world.schedule);
}

/* What the scheduler wants of a site with one message, or with a connection that waits for work. */
static enum schedule_verb
next_step(struct schedule_step *step)
{
	return schedule_next(world.schedule, world.now, step);
}

static void
allow(unsigned connections, unsigned transactions, uint64_t until, unsigned per_connection)
{
	schedule_allow(world.schedule, site_name(0),
		&(struct schedule_leave){ connections, transactions, until, per_connection });
}

static void
a_metered_site_does_nothing_without_leave(void **state)
{
	struct schedule_connection connection = { 0 };
	struct schedule_entry entries[3] = { 0 };
	struct schedule_step step;

	(void)state;
	world_reset(&usual);
	for (int i = 0; i < 3; i++)
		schedule_add(
			world.schedule, &entries[i], site_name(0), false, "a", 1, true, world.now);
	schedule_meter(world.schedule, site_name(0));
	assert_int_equal(next_step(&step), SCHEDULE_ASK);
	assert_string_equal(schedule_site_name(step.site), site_name(0));
	assert_int_equal(next_step(&step), SCHEDULE_NOTHING); /* once a question */
	allow(1, 0, UINT64_MAX, 2);
	assert_int_equal(next_step(&step), SCHEDULE_OPEN);
	schedule_opening(world.schedule, &connection, step.site);
	/* a second connection, then a message: each is asked for */
	assert_int_equal(next_step(&step), SCHEDULE_ASK);
	schedule_ready(world.schedule, &connection);
	allow(1, 1, world.now, 2);
	world.now++;
	assert_int_equal(next_step(&step), SCHEDULE_ASK); /* its time is over */
	assert_int_equal(schedule_use(world.schedule, site_name(0), world.now).unused, 0);
	allow(1, 1, world.now, 2);
	assert_int_equal(next_step(&step), SCHEDULE_SEND);
	assert_int_equal(next_step(&step), SCHEDULE_ASK);
	allow(1, 5, UINT64_MAX, 2);
	schedule_ready(world.schedule, &connection);
	assert_int_equal(next_step(&step), SCHEDULE_SEND);
	schedule_ready(world.schedule, &connection);
	assert_int_equal(next_step(&step), SCHEDULE_CLOSE); /* two messages a connection */
	schedule_gone(world.schedule, &connection);
	schedule_remove(world.schedule, &entries[2]);
	schedule_free(&world.schedule);
}

static void
fewer_connections_allowed_close_those_that_wait(void **state)
{
	struct schedule_connection connection = { 0 };
	struct schedule_entry entry = { 0 };
	struct schedule_step step;

	(void)state;
	world_reset(&usual);
	schedule_add(world.schedule, &entry, site_name(0), false, "a", 1, true, world.now);
	schedule_meter(world.schedule, site_name(0));
	allow(1, 0, UINT64_MAX, 0);
	assert_int_equal(next_step(&step), SCHEDULE_OPEN);
	schedule_opening(world.schedule, &connection, step.site);
	schedule_ready(world.schedule, &connection);
	allow(0, 1, UINT64_MAX, 0);
	assert_int_equal(next_step(&step), SCHEDULE_CLOSE);
	schedule_gone(world.schedule, &connection);
	schedule_rest(world.schedule, site_name(0), world.now + 900 * SECOND, world.now);
	assert_int_equal(next_step(&step), SCHEDULE_PARK);
	assert_int_equal(schedule_rest_until(world.schedule, site_name(0), NULL, world.now),
		world.now + 900 * SECOND);
	schedule_free(&world.schedule);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_metered_site_does_nothing_without_leave),
		cmocka_unit_test(fewer_connections_allowed_close_those_that_wait),
		cmocka_unit_test(an_account_with_one_message_passes_anothers_pile),
		cmocka_unit_test(big_messages_pay_for_their_size),
		cmocka_unit_test(first_attempts_go_before_retries_but_not_for_ever),
		cmocka_unit_test(a_dead_site_rests_and_its_mail_is_parked),
		cmocka_unit_test(a_site_that_refuses_us_rests_at_once_for_all),
		cmocka_unit_test(a_site_that_asks_to_go_slower_gets_fewer_connections),
		cmocka_unit_test(a_rest_grows_to_half_an_hour_that_of_a_smarthost_to_two_minutes),
		cmocka_unit_test(what_a_site_said_last_is_known_until_a_message_gets_through),
		cmocka_unit_test(a_site_that_only_defers_comes_to_rest),
		cmocka_unit_test(what_a_site_says_to_one_account_lets_that_one_rest_alone),
		cmocka_unit_test(others_that_fail_too_let_the_site_rest_for_all),
		cmocka_unit_test(one_account_alone_fails_and_then_another),
		cmocka_unit_test(messages_of_one_account_that_stand_still_leave_a_connection),
		cmocka_unit_test(success_ends_the_rest_and_widens_the_site),
		cmocka_unit_test(a_smarthost_does_not_rest_for_its_domains),
		cmocka_unit_test(sites_share_the_connections_of_the_process),
		cmocka_unit_test(sites_that_teach_nothing_are_forgotten),
		cmocka_unit_test(one_account_leaves_connections_for_others),
		cmocka_unit_test(only_the_account_that_crowds_a_site_is_parked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
