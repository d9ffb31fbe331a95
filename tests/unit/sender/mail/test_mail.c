/*
 * test_mail.c - a message that becomes rows while its other recipients are being delivered.
 */
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sender/mail/mail_end.h"
#include "sender/mail/remainder.h"
#include "sender/mail/settle.h"
#include "sender/mail/settle_end.h"
#include "tests/unit/mail_rig.h"

static void
deliver(struct item *item)
{
	item->targets[0].state = TARGET_CLOSED;
	item->state = ITEM_SETTLING;
	settle_advance(item);
}

static void
what_was_delivered_while_rows_could_not_be_written_becomes_none(void **state)
{
	(void)state;
	mail_check(t.mail);
	assert_int_equal(fake.deferred, 2);
	deliver(t.ends);
	queue_fake_answer(-ENOSPC);
	assert_ptr_equal(TAILQ_FIRST(&t.mail->items), t.waits);
	assert_null(TAILQ_NEXT(t.waits, link));
	assert_int_equal(t.waits->state, ITEM_PARKED);
	assert_int_equal(fake.calls[OP_ROW_REMOVE], 1);
	assert_string_equal(fake.last[OP_ROW_REMOVE], "quick");
	t.mail->busy--; /* the pause is over */
	mail_check(t.mail);
	assert_int_equal(fake.deferred, 1);
	assert_int_equal(fake.finished, 0);
}

/* Another row of the site is due right then. */
static void
what_is_under_way_is_not_loaded_from_its_row(void **state)
{
	(void)state;
	mail_check(t.mail);
	assert_int_equal(fake.deferred, 2);
	deferral_noted(t.sender.deferral, "quick", rows_lane(t.mail->envelope->account), 1);
	event_base_loop(loop_base(t.sender.loop), EVLOOP_NONBLOCK);
	assert_int_equal(t.loads, 0);
	queue_fake_answer(0);
	deferral_noted(t.sender.deferral, "quick", rows_lane(t.mail->envelope->account), 1);
	event_base_loop(loop_base(t.sender.loop), EVLOOP_NONBLOCK);
	assert_int_equal(t.loads, 0);
	assert_ptr_equal(deferral_find(t.sender.deferral, t.mail->envelope->id.data, "quick"),
		&t.ends->loaded);
	item_free(t.ends);
	t.mail = NULL;
}

static void
a_row_without_recipients_goes(void **state)
{
	(void)state;
	mail_from_row(&t.sender, row_new("quick", NULL, 0), ROW_ATTEMPT);
	assert_int_equal(fake.calls[OP_ROW_REMOVE], 1);
	assert_string_equal(fake.last[OP_ROW_REMOVE], "quick");
}

/* Everything of the sender is there until the answer comes, and nothing follows it. */
static void
a_late_answer_at_a_stop_begins_nothing(void **state)
{
	static const int errors[] = { -ETIMEDOUT, -ENOSPC, -ECANCELED };
	const size_t none = 0;

	(void)state;
	memset(fake.late, true, sizeof fake.late);
	t.sender.draining = true;
	t.ends->state = ITEM_SETTLING;
	for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
		t.ends->pass.given_up = false;
		settle_known(t.ends, &none, 1, &(enum ledger_entry){ LEDGER_SENT });
		assert_int_equal(t.sender.settling, 1);
		assert_true(queue_fake_answer(errors[i]));
		assert_int_equal(t.sender.settling, 0);
		assert_int_equal(fake.waiting_count, 0);
		settle_advance(t.ends);
		assert_int_equal(fake.deferred, 0);
	}
	mail_drop_all(&t.sender);
	assert_int_equal(t.sender.in_hand, 0);
	t.mail = NULL;
}

static void
rows_that_cannot_be_written_at_a_stop_are_not_tried_again(void **state)
{
	(void)state;
	mail_check(t.mail);
	assert_int_equal(t.sender.settling, 1);
	t.sender.draining = true;
	queue_fake_answer(-ETIMEDOUT);
	assert_int_equal(t.sender.settling, 0);
	assert_int_equal(t.mail->busy, 0);
	mail_drop_all(&t.sender);
	t.mail = NULL;
}

static bool
any(const struct loaded_row *row)
{
	(void)row;
	return true;
}

static void
no_step_begins_once_the_sender_ends(void **state)
{
	(void)state;
	mail_check(t.mail);
	queue_fake_answer(0);
	t.mail = NULL;
	t.sender.ending = true;
	deliver(t.ends);
	assert_int_equal(fake.calls[OP_ROW_REMOVE], 0);
	mail_drop_all(&t.sender);
	assert_null(deferral_any(t.sender.deferral, any));
}

static void
an_item_only_comes_to_a_state_that_may_follow(void **state)
{
	const pid_t child = fork();
	int status;

	(void)state;
	if (!child) {
		item_enter(t.waits, ITEM_ATTEMPTING); /* it is parked */
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	item_enter(t.ends, ITEM_SETTLING);
	assert_int_equal(t.ends->state, ITEM_SETTLING);
}

/* The stop waits for the answers of a split, too. */
static void
a_row_that_is_split_is_being_settled(void **state)
{
	static const char *const recipients[] = { "b@slow.example" };

	(void)state;
	t.config.sender.route = (char *)"127.0.0.1:25";
	t.config.hostname = (char *)"relay.example";
	t.sender.resolver = site_resolver_new(t.sender.loop, &t.config);
	memset(fake.late, true, sizeof fake.late);
	mail_from_row(&t.sender, row_new(SITE_HELD, recipients, 1), ROW_ATTEMPT);
	assert_int_equal(t.sender.settling, 1);
	assert_true(queue_fake_answer(0));
	assert_int_equal(fake.calls[OP_ROW_REMOVE], 1);
	assert_int_equal(t.sender.settling, 1);
	assert_true(queue_fake_answer(0));
	assert_int_equal(t.sender.settling, 0);
	site_resolver_free(&t.sender.resolver);
}

/* The process was killed between the acknowledgements of a message's two rows. */
static void
who_has_no_row_yet_is_still_the_records(void **state)
{
	static struct route route = { .site = "quick", .references = 1 };
	struct item *item;
	Envelope *remainder;

	(void)state;
	mail_check(t.mail);
	assert_int_equal(fake.deferred, 2);
	remainder = remainder_of(&t.sender, t.mail->envelope);
	assert_int_equal(remainder->n_recipients, 1);
	assert_string_equal(remainder->recipients[0]->address, "b@slow.example");
	envelope_free(remainder);
	queue_fake_answer(-ETIMEDOUT);
	t.mail->busy--;
	/* and it leads to the same hosts now: the row there is may not be written over */
	item = item_new(t.mail, &route);
	item_add(item, &t.mail->envelope->recipients[0], 1, NULL);
	item->state = ITEM_PARKED;
	item_free(t.waits);
	item_free(t.ends);
	t.mail->is_remainder = true;
	mail_check(t.mail);
	assert_int_equal(fake.deferred, 1);
	assert_string_equal(item->site, "domain:slow.example");
}

static void
a_record_whose_rows_are_all_there_is_finished(void **state)
{
	static const char *const recipients[] = { "c@quick.example" };
	Row *row = row_new("quick", recipients, 1);

	(void)state;
	queue_fake_store(row);
	redeliver(row->envelope);
	assert_int_equal(fake.finished, 1);
	row_free(row);
}

/* The scanner's first attempt to hand the record on took long, and came through after all. */
static void
of_two_records_of_a_mail_one_is_delivered(void **state)
{
	(void)state;
	fake.record.envelope = t.mail->envelope;
	assert_false(fake.record.redelivered);
	mail_on_record(&t.sender, &fake.record);
	assert_int_equal(fake.finished, 1);
	assert_int_equal(t.sender.in_hand, 1);
	assert_ptr_equal(TAILQ_FIRST(&t.sender.arrivals), t.mail);
	assert_null(TAILQ_NEXT(t.mail, link));
}

/* An operator released it, and the crash fell between its delivery and the end of the record. */
static void
who_has_a_held_mail_already_is_not_held_again(void **state)
{
	static const char *const recipients[] = { "c@quick.example", "b@slow.example" };

	(void)state;
	t.ledger_has = recipients[0];
	hold_again(recipients, 1);
	assert_int_equal(fake.finished, 1);
	assert_int_equal(fake.deferred, 0);
	hold_again(recipients, 2);
	assert_int_equal(fake.finished, 1);
	assert_int_equal(fake.deferred, 1);
	assert_string_equal(held_for(), recipients[1]);
	queue_fake_answer(0);
}

static int64_t
bounced(void)
{
	struct metric *metric = metric_find(
		"shout_sender_bounced_total", "provider=\"none\",class=\"dns\"");

	return metric ? metric_value(metric) : 0;
}

static struct item *
failed_item(size_t count)
{
	struct item *item = item_new(t.mail, NULL);
	struct outcome outcome;

	item_add(item, t.mail->envelope->recipients, count, NULL);
	for (size_t i = 0; i < count; i++) {
		outcome_bounce(&outcome, "5.1.1", i ? "no such user" : "no such domain");
		target_set(&item->targets[i], TARGET_FAILED, &outcome);
		item->targets[i].end = END_OPERATOR;
	}
	item->state = ITEM_SETTLING;
	return item;
}

/* Two failures of different kinds: the event of the second is refused once. */
static void
an_event_that_was_taken_is_not_repeated(void **state)
{
	struct item *item = failed_item(2);
	const int64_t before = bounced();

	(void)state;
	fake.fault[OP_EVENT] = (struct fake_fault){ -ETIMEDOUT, 1, 1 };
	t.mail->envelope->mail_from[0] = '\0'; /* nobody is told */
	t.sender.times.null_lifetime_us = 1ull << 40;
	settle_advance(item);
	assert_int_equal(fake.calls[OP_EVENT], 2);
	assert_int_equal(item->targets[0].state, TARGET_CLOSED);
	assert_int_equal(item->targets[1].state, TARGET_ENDING);
	assert_int_equal(bounced() - before, 1);
	while (fake.fault[OP_EVENT].times || fake.calls[OP_EVENT] < 3)
		event_base_loop(loop_base(t.sender.loop), EVLOOP_ONCE); /* the pause */
	assert_int_equal(fake.calls[OP_EVENT], 3);
	assert_int_equal(bounced() - before, 2);
}

static void
a_body_that_cannot_be_read_now_is_waited_for(void **state)
{
	(void)state;
	fake.fault[OP_BODY] = (struct fake_fault){ -ETIMEDOUT, 0, 1 };
	settle_advance(failed_item(1));
	assert_int_equal(fake.done[OP_PUT], 0);
	assert_int_equal(fake.calls[OP_EVENT], 0);
	while (!fake.calls[OP_EVENT])
		event_base_loop(loop_base(t.sender.loop), EVLOOP_ONCE); /* the pause */
	assert_int_equal(fake.calls[OP_BODY], 2);
	assert_int_equal(t.puts_before_event, 1);
	assert_non_null(strstr(fake.last[OP_PUT], "Subject: hello"));
}

static void
a_body_that_is_gone_is_told_in_the_dsn(void **state)
{
	(void)state;
	fake.fault[OP_BODY] = (struct fake_fault){ -ENOENT, 0, UINT_MAX };
	settle_advance(failed_item(1));
	assert_int_equal(t.puts_before_event, 1);
	assert_non_null(strstr(fake.last[OP_PUT], "no longer be read"));
}

static void
end_sender(void)
{
	t.sender.draining = t.sender.ending = true;
}

static void
no_dsn_begins_once_the_sender_ends(void **state)
{
	(void)state;
	t.on_body = end_sender;
	settle_advance(failed_item(1));
	assert_int_equal(fake.calls[OP_BODY], 1);
	assert_int_equal(fake.done[OP_PUT], 0);
	assert_int_equal(fake.calls[OP_EVENT], 0);
	assert_int_equal(t.sender.settling, 0);
	mail_drop_all(&t.sender);
	t.mail = NULL;
}

/* From the ledger: the process that had delivered it ended before the DSN was durable. */
static void
the_dsn_of_a_relayed_message_is_durable_before_its_event(void **state)
{
	const size_t none = 0;

	(void)state;
	t.mail->envelope->recipients[1]->notify = NOTIFY_SUCCESS;
	t.ends->state = ITEM_SETTLING;
	fake.fault[OP_PUT] = (struct fake_fault){ -ETIMEDOUT, 0, 1 };
	settle_known(t.ends, &none, 1, &(enum ledger_entry){ LEDGER_RELAYED });
	assert_int_equal(fake.done[OP_PUT], 0);
	assert_int_equal(fake.calls[OP_EVENT], 0);
	assert_int_equal(t.ends->targets[0].state, TARGET_RECORDING);
	while (!fake.calls[OP_EVENT])
		event_base_loop(loop_base(t.sender.loop), EVLOOP_ONCE); /* the pause */
	assert_int_equal(t.puts_before_event, 1);
	assert_non_null(strstr(fake.last[OP_PUT], "Action: relayed"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_was_delivered_while_rows_could_not_be_written_becomes_none),
		TEST(what_is_under_way_is_not_loaded_from_its_row),
		TEST(a_row_without_recipients_goes),
		TEST(a_late_answer_at_a_stop_begins_nothing),
		TEST(rows_that_cannot_be_written_at_a_stop_are_not_tried_again),
		TEST(no_step_begins_once_the_sender_ends),
		TEST(an_item_only_comes_to_a_state_that_may_follow),
		TEST(a_row_that_is_split_is_being_settled),
		TEST(an_event_that_was_taken_is_not_repeated),
		TEST(who_has_no_row_yet_is_still_the_records),
		TEST(a_record_whose_rows_are_all_there_is_finished),
		TEST(of_two_records_of_a_mail_one_is_delivered),
		TEST(who_has_a_held_mail_already_is_not_held_again),
		TEST(a_body_that_cannot_be_read_now_is_waited_for),
		TEST(a_body_that_is_gone_is_told_in_the_dsn),
		TEST(no_dsn_begins_once_the_sender_ends),
		TEST(the_dsn_of_a_relayed_message_is_durable_before_its_event),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
