/*
 * test_late.c - how long mail waits, and what is said of it meanwhile.
 */
#include "sender/mail/settle.h"
#include "tests/unit/mail_rig.h"

static struct route to_site = { .site = "mx.test", .references = 1000 };

/* Its site rests from now on, and said so. */
static void
rest_site(const char *reply)
{
	struct schedule_connection connection = { 0 };
	struct schedule_entry entry = { 0 };
	struct schedule_step step;
	struct schedule *s = t.sender.schedule;
	const uint64_t now = clock_us();
	struct outcome outcome;

	schedule_add(s, &entry, to_site.site, false, "", 1, true, now);
	assert_int_equal(schedule_next(s, now, &step), SCHEDULE_OPEN);
	schedule_opening(s, &connection, step.site);
	schedule_remove(s, &entry);
	assert_true(schedule_feedback(s, &connection, FEEDBACK_SITE, now));
	outcome_from_error(&outcome, STEP_CONNECT, reply, "mx[192.0.2.1]");
	schedule_troubled(s, step.site, &outcome, now);
	schedule_gone(s, &connection);
}

static struct item *
routed_item(void)
{
	struct item *item = item_new(t.mail, &to_site);

	item_add(item, t.mail->envelope->recipients, 1, NULL);
	t.mail->busy++; /* it is looked at while it is none of the rows yet */
	return item;
}

/* An attempt failed; returns how long the mail waits, in seconds. */
static unsigned
pause_after(struct item *item, enum outcome_scope scope, bool unsent)
{
	struct outcome outcome;
	const uint64_t now = clock_us();

	outcome_defer(&outcome, scope, "4.4.1", "timed out");
	target_set(&item->targets[0], TARGET_DEFERRED, &outcome);
	item->state = ITEM_SETTLING;
	item->pass = (struct item_pass){ .unsent = unsent };
	item->due_us = 0;
	settle_advance(item);
	assert_int_equal(item->state, ITEM_PARKED);
	assert_true(item->due_us >= now);
	return (unsigned)((item->due_us - now) / 1000000);
}

static void
times_usual(void)
{
	t.sender.times.first_us = 300 * 1000000ull;
	t.sender.times.max_us = 4 * 3600 * 1000000ull;
	t.sender.times.rest_max_us = 1800 * 1000000ull;
	t.sender.times.rest_route_us = 120 * 1000000ull;
}

static void
only_its_own_failures_make_mail_wait_longer_and_longer(void **state)
{
	struct item *item = routed_item();

	(void)state;
	times_usual();
	for (int i = 0; i < 10; i++)
		assert_in_range(pause_after(item, SCOPE_SITE, true), 269, 331);
	assert_in_range(pause_after(item, SCOPE_MESSAGE, false), 269, 331);
	assert_in_range(pause_after(item, SCOPE_SITE, true), 269, 331);
	assert_in_range(pause_after(item, SCOPE_RECIPIENT, false), 539, 661);
	assert_in_range(pause_after(item, SCOPE_SITE, false), 1079, 1321); /* 421 in mid-dialogue */
	to_site.smarthost = true;
	assert_in_range(pause_after(item, SCOPE_SITE, true), 107, 133);
	to_site.smarthost = false;
	rest_site("421 no");
	assert_int_equal(pause_after(item, SCOPE_SITE, true), 0); /* until its site is up */
	assert_int_equal(pause_after(item, SCOPE_SITE, false), 0);
	assert_in_range(pause_after(item, SCOPE_MESSAGE, false), 2159, 2641);
	assert_int_equal(item->setbacks, 4);
}

/* A domain whose DNS fails has no site that could rest. */
static void
mail_without_a_route_waits_no_longer_than_a_site_rests(void **state)
{
	struct item *item = routed_item();

	(void)state;
	times_usual();
	item->route = NULL;
	for (int i = 0; i < 10; i++)
		pause_after(item, SCOPE_SITE, false);
	assert_in_range(pause_after(item, SCOPE_SITE, false), 1619, 1981);
}

static const char *
parked(struct item *item)
{
	item->state = ITEM_NEW; /* as when its row is loaded */
	settle_park(item, 0);
	assert_int_equal(item->state, ITEM_PARKED);
	return item->last_reply;
}

static void
mail_that_is_parked_has_its_sites_reply(void **state)
{
	(void)state;
	assert_null(parked(routed_item()));
	rest_site("421 4.3.2 gone fishing");
	assert_string_equal(parked(routed_item()), "421 4.3.2 gone fishing");
	assert_int_equal(fake.done[OP_PUT], 0);
	assert_int_equal(fake.calls[OP_EVENT], 0);
}

static void
mail_that_was_never_tried_is_late_once_with_its_sites_reply(void **state)
{
	struct item *item = routed_item();

	(void)state;
	t.sender.times.delay_dsn_us = 0;
	rest_site("421 4.3.2 gone fishing");
	parked(item);
	assert_int_equal(fake.done[OP_PUT], 1);
	assert_non_null(strstr(fake.last[OP_PUT], "Action: delayed"));
	assert_non_null(strstr(fake.last[OP_PUT], "Status: 4.3.2"));
	assert_non_null(strstr(fake.last[OP_PUT], "Remote-MTA: dns; mx\r\n"));
	assert_non_null(strstr(fake.last[OP_PUT], "Diagnostic-Code: smtp; 421 4.3.2 gone fishing"));
	assert_non_null(strstr(fake.last[OP_EVENT], "\"event\":\"delayed\""));
	assert_non_null(strstr(fake.last[OP_EVENT], "gone fishing"));
	parked(item);
	assert_int_equal(fake.done[OP_PUT], 1);
	assert_int_equal(fake.calls[OP_EVENT], 1);
}

static void
nobody_is_told_of_mail_that_is_held_or_of_nobody(void **state)
{
	struct item *held = routed_item(), *null = routed_item();

	(void)state;
	t.sender.times.delay_dsn_us = 0;
	held->held = true;
	parked(held);
	t.mail->envelope->mail_from[0] = '\0';
	t.sender.times.null_lifetime_us = 1ull << 40;
	parked(null);
	assert_int_equal(fake.done[OP_PUT], 0);
	assert_int_equal(fake.calls[OP_EVENT], 0);
}

/* What its own attempt heard is newer, or nothing is wrong with its site. */
static void
the_newest_reply_is_the_reason(void **state)
{
	struct item *item = routed_item();

	(void)state;
	t.sender.times.delay_dsn_us = 0;
	rest_site("421 4.3.2 gone fishing");
	item->last_reply = xstrdup("451 4.7.1 greylisted");
	item->last_host = xstrdup("mx2[192.0.2.2]");
	item->last_attempt_us = clock_us() + 1000000;
	parked(item);
	assert_non_null(strstr(fake.last[OP_PUT], "Diagnostic-Code: smtp; 451 4.7.1 greylisted"));
	assert_non_null(strstr(fake.last[OP_PUT], "Remote-MTA: dns; mx2\r\n"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(only_its_own_failures_make_mail_wait_longer_and_longer),
		TEST(mail_without_a_route_waits_no_longer_than_a_site_rests),
		TEST(mail_that_is_parked_has_its_sites_reply),
		TEST(mail_that_was_never_tried_is_late_once_with_its_sites_reply),
		TEST(nobody_is_told_of_mail_that_is_held_or_of_nobody),
		TEST(the_newest_reply_is_the_reason),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
