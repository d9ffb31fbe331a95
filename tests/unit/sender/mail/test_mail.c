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
	assert_int_equal(t.rows, 2);
	deliver(t.ends);
	t.cb(t.arg, -ENOSPC);
	assert_ptr_equal(TAILQ_FIRST(&t.mail->items), t.waits);
	assert_null(TAILQ_NEXT(t.waits, link));
	assert_int_equal(t.waits->state, ITEM_PARKED);
	assert_int_equal(t.removed, 1);
	assert_string_equal(t.removed_site, "quick");
	t.mail->busy--; /* the pause is over */
	mail_check(t.mail);
	assert_int_equal(t.rows, 1);
	assert_int_equal(t.finished, 0);
}

/* Another row of the site is due right then. */
static void
what_is_under_way_is_not_loaded_from_its_row(void **state)
{
	(void)state;
	mail_check(t.mail);
	assert_int_equal(t.rows, 2);
	deferral_noted(t.sender.deferral, "quick", rows_lane(t.mail->envelope->account), 1);
	event_base_loop(loop_base(t.sender.loop), EVLOOP_NONBLOCK);
	assert_int_equal(t.loads, 0);
	t.cb(t.arg, 0);
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
	Row row = ROW__INIT;
	uint8_t packed[512];
	size_t size;

	(void)state;
	row.site = (char *)"quick";
	row.envelope = envelope_new(NULL, 0);
	size = row__pack(&row, packed);
	envelope_free(row.envelope);
	mail_from_row(&t.sender, row_unpack(packed, size), ROW_ATTEMPT);
	assert_int_equal(t.removed, 1);
	assert_string_equal(t.removed_site, "quick");
}

static void
slow_answer(int err)
{
	queue_cb cb = t.slow_cb;

	assert_non_null(cb);
	t.slow_cb = NULL;
	cb(t.slow_arg, err);
}

/* Everything of the sender is there until the answer comes, and nothing follows it. */
static void
a_late_answer_at_a_stop_begins_nothing(void **state)
{
	static const int errors[] = { -ETIMEDOUT, -ENOSPC, -ECANCELED };
	const size_t none = 0;

	(void)state;
	t.slow = true;
	t.sender.draining = true;
	t.ends->state = ITEM_SETTLING;
	for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
		t.ends->pass.given_up = false;
		settle_known(t.ends, &none, 1, &(enum ledger_entry){ LEDGER_SENT });
		assert_int_equal(t.sender.settling, 1);
		slow_answer(errors[i]);
		assert_int_equal(t.sender.settling, 0);
		assert_null(t.slow_cb);
		settle_advance(t.ends);
		assert_int_equal(t.rows, 0);
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
	t.cb(t.arg, -ETIMEDOUT);
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
	t.cb(t.arg, 0);
	t.mail = NULL;
	t.sender.ending = true;
	deliver(t.ends);
	assert_int_equal(t.removed, 0);
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
	Row row = ROW__INIT;
	uint8_t packed[512];
	size_t size;

	(void)state;
	t.config.sender.route = (char *)"127.0.0.1:25";
	t.config.hostname = (char *)"relay.example";
	t.sender.resolver = site_resolver_new(t.sender.loop, &t.config);
	row.site = (char *)SITE_HELD;
	row.envelope = envelope_new(recipients, 1);
	size = row__pack(&row, packed);
	envelope_free(row.envelope);
	t.slow = true;
	mail_from_row(&t.sender, row_unpack(packed, size), ROW_ATTEMPT);
	assert_int_equal(t.sender.settling, 1);
	slow_answer(0);
	assert_int_equal(t.removed, 1);
	assert_int_equal(t.sender.settling, 1);
	slow_answer(0);
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
	assert_int_equal(t.rows, 2);
	remainder = remainder_of(&t.sender, t.mail->envelope);
	assert_int_equal(remainder->n_recipients, 1);
	assert_string_equal(remainder->recipients[0]->address, "b@slow.example");
	envelope_free(remainder);
	t.cb(t.arg, -ETIMEDOUT);
	t.mail->busy--;
	/* and it leads to the same hosts now: the row there is may not be written over */
	item = item_new(t.mail, &route);
	item_add(item, &t.mail->envelope->recipients[0], 1, NULL);
	item->state = ITEM_PARKED;
	item_free(t.waits);
	item_free(t.ends);
	t.mail->is_remainder = true;
	mail_check(t.mail);
	assert_int_equal(t.rows, 1);
	assert_string_equal(item->site, "domain:slow.example");
}

static void
a_record_whose_rows_are_all_there_is_finished(void **state)
{
	static const char *const recipients[] = { "c@quick.example" };
	Row row = ROW__INIT;

	(void)state;
	row.site = (char *)"quick";
	row.envelope = envelope_new(recipients, 1);
	t.packed_size = row__pack(&row, t.packed);
	record.envelope = row.envelope;
	record.redelivered = true;
	mail_on_record(&t.sender, &record);
	assert_int_equal(t.finished, 1);
	envelope_free(row.envelope);
	record.envelope = NULL;
	record.redelivered = false;
}

/* An operator released it, and the crash fell between its delivery and the end of the record. */
static void
who_has_a_held_mail_already_is_not_held_again(void **state)
{
	static const char *const recipients[] = { "c@quick.example", "b@slow.example" };

	(void)state;
	t.ledger_has = recipients[0];
	hold_again(recipients, 1);
	assert_int_equal(t.finished, 1);
	assert_int_equal(t.rows, 0);
	hold_again(recipients, 2);
	assert_int_equal(t.finished, 1);
	assert_int_equal(t.rows, 1);
	assert_string_equal(t.held_for, recipients[1]);
	t.cb(t.arg, 0);
	free(t.held_for);
}

static int64_t
bounced(void)
{
	struct metric *metric = metric_find(
		"shout_sender_bounced_total", "provider=\"none\",class=\"dns\"");

	return metric ? metric_value(metric) : 0;
}

/* Two failures of different kinds: the event of the second is refused once. */
static void
an_event_that_was_taken_is_not_repeated(void **state)
{
	struct item *item = item_new(t.mail, NULL);
	const int64_t before = bounced();
	struct outcome outcome;

	(void)state;
	t.refused = 1;
	item_add(item, t.mail->envelope->recipients, 2, NULL);
	for (size_t i = 0; i < 2; i++) {
		outcome_bounce(&outcome, "5.1.1", i ? "no such user" : "no such domain");
		target_set(&item->targets[i], TARGET_FAILED, &outcome);
		item->targets[i].end = END_OPERATOR;
	}
	t.mail->envelope->mail_from[0] = '\0'; /* nobody is told */
	t.sender.times.null_lifetime_us = 1ull << 40;
	item->state = ITEM_SETTLING;
	settle_advance(item);
	assert_int_equal(t.events, 2);
	assert_int_equal(item->targets[0].state, TARGET_CLOSED);
	assert_int_equal(item->targets[1].state, TARGET_ENDING);
	assert_int_equal(bounced() - before, 1);
	while (t.refused || t.events < 3)
		event_base_loop(loop_base(t.sender.loop), EVLOOP_ONCE); /* the pause */
	assert_int_equal(t.events, 3);
	assert_int_equal(bounced() - before, 2);
}

static struct item *
failed_item(void)
{
	struct item *item = item_new(t.mail, NULL);
	struct outcome outcome;

	item_add(item, t.mail->envelope->recipients, 1, NULL);
	outcome_bounce(&outcome, "5.1.1", "no such user");
	target_set(&item->targets[0], TARGET_FAILED, &outcome);
	item->targets[0].end = END_OPERATOR;
	item->state = ITEM_SETTLING;
	return item;
}

static void
a_body_that_cannot_be_read_now_is_waited_for(void **state)
{
	(void)state;
	t.body_err = -ETIMEDOUT;
	settle_advance(failed_item());
	assert_int_equal(t.puts, 0);
	assert_int_equal(t.events, 0);
	while (!t.events)
		event_base_loop(loop_base(t.sender.loop), EVLOOP_ONCE); /* the pause */
	assert_int_equal(t.bodies, 2);
	assert_int_equal(t.puts_before_event, 1);
	assert_non_null(strstr(t.put_text, "Subject: hello"));
}

static void
a_body_that_is_gone_is_told_in_the_dsn(void **state)
{
	(void)state;
	t.body_err = -ENOENT;
	settle_advance(failed_item());
	assert_int_equal(t.puts_before_event, 1);
	assert_non_null(strstr(t.put_text, "no longer be read"));
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
	settle_advance(failed_item());
	assert_int_equal(t.bodies, 1);
	assert_int_equal(t.puts, 0);
	assert_int_equal(t.events, 0);
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
	t.put_err = -ETIMEDOUT;
	settle_known(t.ends, &none, 1, &(enum ledger_entry){ LEDGER_RELAYED });
	assert_int_equal(t.puts, 0);
	assert_int_equal(t.events, 0);
	assert_int_equal(t.ends->targets[0].state, TARGET_RECORDING);
	while (!t.events)
		event_base_loop(loop_base(t.sender.loop), EVLOOP_ONCE); /* the pause */
	assert_int_equal(t.puts_before_event, 1);
	assert_non_null(strstr(t.put_text, "Action: relayed"));
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
		TEST(who_has_a_held_mail_already_is_not_held_again),
		TEST(a_body_that_cannot_be_read_now_is_waited_for),
		TEST(a_body_that_is_gone_is_told_in_the_dsn),
		TEST(no_dsn_begins_once_the_sender_ends),
		TEST(the_dsn_of_a_relayed_message_is_durable_before_its_event),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
