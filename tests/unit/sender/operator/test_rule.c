/*
 * test_rule.c - operators' rules meet mail that is in the sender's hand, or comes to it.
 */
#include "sender/mail/mail_end.h"
#include "sender/mail/settle.h"
#include "tests/unit/mail_rig.h"

/* It was in a scan when it was bounced, and was found infected after that. */
static void
what_is_to_be_bounced_is_not_held(void **state)
{
	static const char *const recipients[] = { "c@quick.example", "b@slow.example" };

	(void)state;
	command(7, "bounce", "quick.example");
	command(8, "release", "slow.example");
	hold_again(recipients, 1);
	assert_int_equal(fake.done[OP_PUT], 1);
	assert_non_null(strstr(fake.last[OP_PUT], "bounced by the operator"));
	assert_int_equal(fake.finished, 1);
	assert_int_equal(fake.deferred, 0);
	hold_again(recipients, 2);
	assert_int_equal(fake.done[OP_PUT], 2);
	assert_int_equal(fake.deferred, 1);
	assert_string_equal(held_for(), recipients[1]);
	assert_int_equal(fake.stored[0]->rule, 8); /* all that was asked for is done */
	/* the release was not about what was found after it */
	assert_int_equal(fake.stored[0]->held_rule, 8);
	queue_fake_answer(0);
}

/* The process that delivered it ended before it could tell. */
static void
who_has_a_mail_already_is_not_told_that_it_was_bounced(void **state)
{
	static const char *const recipients[] = { "c@quick.example" };
	Row *row = row_new("quick", recipients, 1);

	(void)state;
	command(4, "bounce", "quick.example");
	row->due_us = 1;
	t.ledger_has = recipients[0];
	mail_from_row(&t.sender, row_copy(row), ROW_BOUNCE);
	assert_int_equal(fake.done[OP_PUT], 0);
	assert_int_equal(fake.calls[OP_EVENT], 1);
	assert_string_equal(fake.last[OP_ROW_REMOVE], "quick");
	t.ledger_has = NULL;
	mail_from_row(&t.sender, row_copy(row), ROW_BOUNCE);
	assert_int_equal(fake.done[OP_PUT], 1);
	assert_int_equal(fake.calls[OP_ROW_REMOVE], 2);
	row_free(row);
}

/* One has been tried and waits, one is being tried. */
static void
a_record_that_becomes_rows_takes_a_bounce_along(void **state)
{
	(void)state;
	fake.on_entry(fake.on_entry_arg, NULL, NULL);
	command(3, "bounce", "elsewhere.example");
	mail_check(t.mail);
	assert_int_equal(fake.deferred, 2);
	assert_true(fake.stored[0]->rule == 3 && fake.stored[1]->rule == 3);
	command(4, "bounce", "quick.example");
	command(5, "retry", "slow.example");
	queue_fake_answer(-ENOSPC);
	t.mail->busy--; /* the pause is over */
	mail_check(t.mail);
	/* both are to meet the rules, should we end before it is done */
	assert_true(fake.stored[0]->rule < 4 && fake.stored[1]->rule < 4);
	queue_fake_answer(0);
	t.ends->state = ITEM_SETTLING; /* the attempt has failed for now */
	t.ends->targets[0].state = TARGET_DEFERRED;
	settle_advance(t.ends);
	assert_int_equal(fake.done[OP_PUT], 1);
	assert_string_equal(fake.last[OP_ROW_REMOVE], "quick");
	t.mail = NULL;
}

static void
what_waits_for_its_turn_is_bounced_at_once(void **state)
{
	(void)state;
	fake.on_entry(fake.on_entry_arg, NULL, NULL);
	t.ends->state = ITEM_WAITING;
	command(4, "bounce", "quick.example");
	assert_int_equal(fake.done[OP_PUT], 1);
	assert_int_equal(fake.deferred, 1); /* the other one's */
	queue_fake_answer(0);
	t.mail = NULL;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_to_be_bounced_is_not_held),
		TEST(who_has_a_mail_already_is_not_told_that_it_was_bounced),
		TEST(a_record_that_becomes_rows_takes_a_bounce_along),
		TEST(what_waits_for_its_turn_is_bounced_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
