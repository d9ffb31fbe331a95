/*
 * test_client.c - the SMTP client: transactions and the messages themselves.
 */
#include "tests/unit/client_rig.h"

static void
a_message_is_delivered_in_lock_step(void **state)
{
	struct rig rig;
	char *script = join(JOIN(hello, plain_ehlo, deliver_slowly, bye));

	(void)state;
	rig_start(&rig, JOIN(script), 1);
	rig_run(&rig, 1);
	assert_int_equal(rig.done, 1);
	check(&rig.outcomes[0][0], &delivered);
	assert_string_equal(rig.outcomes[0][0].host, "[127.0.0.1]");
	assert_string_equal(rig.outcomes[0][0].tls, "");
	assert_false(rig.failed);
	rig_end(&rig);
	free(script);
}

static void
the_envelope_goes_in_one_write_when_the_server_pipelines(void **state)
{
	struct rig rig;
	char *script = join(JOIN(hello, full_ehlo, deliver_pipelined, bye));

	(void)state;
	rig_start(&rig, JOIN(script), 1);
	rig_run(&rig, 1);
	check(&rig.outcomes[0][0], &delivered);
	rig_join(&rig);
	/* EHLO, the envelope, QUIT; the body is counted apart */
	assert_int_equal(rig.peer.reads, 3);
	assert_string_equal(rig.peer.body, "Subject: x\r\n\r\nhello\r\n.\r\n");
	assert_non_null(strstr(rig.peer.commands, "MAIL FROM:<a@sender.example> SIZE=21\n"));
	rig_end(&rig);
	free(script);
}

static void
parameters_are_sent_when_offered(void **state)
{
	struct rig rig;
	char *script = join(JOIN(hello, full_ehlo, deliver_pipelined, bye));

	(void)state;
	rig_start(&rig, JOIN(script), 1);
	rig.envelope.mime_8bit = rig.envelope.smtputf8 = 1;
	rig.envelope.ret = (char *)"HDRS";
	rig.envelope.envid = (char *)"id+3D1";
	rig.recipients[0].notify = NOTIFY_SUCCESS | NOTIFY_FAILURE | NOTIFY_DELAY;
	rig.recipients[0].orcpt = (char *)"rfc822;b@x.example";
	rig_run(&rig, 1);
	check(&rig.outcomes[0][0], &delivered);
	assert_non_null(strstr(rig.peer.commands,
		"MAIL FROM:<a@sender.example> SIZE=21 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=id+3D1\n"));
	assert_non_null(strstr(rig.peer.commands,
		"RCPT TO:<b@x.example> NOTIFY=SUCCESS,FAILURE,DELAY ORCPT=rfc822;b@x.example\n"));
	rig_end(&rig);
	free(script);
}

static void
parameters_are_left_out_when_not_offered(void **state)
{
	struct rig rig;
	char *script = join(JOIN(hello, plain_ehlo, deliver_slowly, bye));

	(void)state;
	rig_start(&rig, JOIN(script), 1);
	rig.envelope.mime_8bit = 1;
	rig.envelope.ret = (char *)"HDRS";
	rig.recipients[0].notify = NOTIFY_NEVER;
	rig_run(&rig, 1);
	check(&rig.outcomes[0][0], &delivered);
	assert_non_null(strstr(rig.peer.commands, "MAIL FROM:<a@sender.example>\n"));
	assert_non_null(strstr(rig.peer.commands, "RCPT TO:<b@x.example>\n"));
	rig_end(&rig);
	free(script);
}

static void
what_the_server_cannot_take_bounces_without_being_sent(void **state)
{
	static const struct expected big = { OUTCOME_BOUNCE, SCOPE_MESSAGE, 0, "5.3.4", false };
	static const struct expected utf8 = { OUTCOME_BOUNCE, SCOPE_MESSAGE, 0, "5.6.7", false };
	struct rig rig;
	char *small = join(JOIN(hello, "<250-peer\n<250 SIZE 20\n", bye));
	char *ascii = join(JOIN(hello, plain_ehlo, bye));

	(void)state;
	rig_start(&rig, JOIN(small), 1);
	rig_run(&rig, 1);
	check(&rig.outcomes[0][0], &big);
	rig_end(&rig);
	rig_start(&rig, JOIN(ascii), 1);
	rig.recipients[0].address = (char *)"j\xc3\xb6rg@x.example";
	rig_run(&rig, 1);
	check(&rig.outcomes[0][0], &utf8);
	rig_end(&rig);
	free(small);
	free(ascii);
}

static void
recipients_have_outcomes_of_their_own(void **state)
{
	static const struct expected unknown = { OUTCOME_BOUNCE, SCOPE_RECIPIENT, 550, "5.1.1",
		false };
	static const struct expected full = { OUTCOME_DEFER, SCOPE_RECIPIENT, 452, "4.2.2", false };
	struct rig rig;
	char *script = join(JOIN(hello, full_ehlo,
		">MAIL\n>RCPT TO:<b@\n>RCPT TO:<c@\n>RCPT TO:<d@\n>DATA\n"
		"=250 ok|550 5.1.1 no|250 ok|452 4.2.2 full|354 go|\n!body\n<250 ok\n",
		bye));

	(void)state;
	rig_start(&rig, JOIN(script), 1);
	rig.count = 3;
	rig_run(&rig, 1);
	check(&rig.outcomes[0][0], &unknown);
	check(&rig.outcomes[0][1], &delivered);
	check(&rig.outcomes[0][2], &full);
	rig_end(&rig);
	free(script);
}

static void
too_many_recipients_defers_only_the_rest_and_at_once(void **state)
{
	static const struct expected rest = { OUTCOME_DEFER, SCOPE_RECIPIENT, 452, "4.5.3", true };
	static const struct expected old = { OUTCOME_DEFER, SCOPE_RECIPIENT, 552, "4.5.3", true };
	struct rig rig;
	char *script = join(JOIN(hello, plain_ehlo,
		">MAIL\n<250 ok\n>RCPT\n<250 ok\n>RCPT\n<452 4.5.3 too many\n>RCPT\n<552 too many\n"
		">DATA\n<354 go\n!body\n<250 ok\n",
		bye));

	(void)state;
	rig_start(&rig, JOIN(script), 1);
	rig.count = 3;
	rig_run(&rig, 1);
	check(&rig.outcomes[0][0], &delivered);
	check(&rig.outcomes[0][1], &rest);
	check(&rig.outcomes[0][2], &old);
	rig_end(&rig);
	free(script);
}

static void
dots_are_stuffed_and_the_prefix_goes_first(void **state)
{
	struct rig rig;
	char *script = join(JOIN(hello, plain_ehlo, deliver_slowly, bye));

	(void)state;
	set_body(".a: b\r\n\r\n.\r\n..x\r\nno end");
	rig_start(&rig, JOIN(script), 1);
	rig.envelope.prefix.data = (uint8_t *)"Date: y\r\n";
	rig.envelope.prefix.len = 9;
	rig_run(&rig, 1);
	check(&rig.outcomes[0][0], &delivered);
	assert_string_equal(
		rig.peer.body, "Date: y\r\n..a: b\r\n\r\n..\r\n...x\r\nno end\r\n.\r\n");
	rig_end(&rig);
	free(script);
}

static void
an_empty_message_is_a_dot(void **state)
{
	struct rig rig;
	char *script = join(JOIN(hello, plain_ehlo, deliver_slowly, bye));

	(void)state;
	set_body("");
	rig_start(&rig, JOIN(script), 1);
	rig_run(&rig, 1);
	check(&rig.outcomes[0][0], &delivered);
	assert_string_equal(rig.peer.body, ".\r\n");
	rig_end(&rig);
	free(script);
}

static void
a_large_message_is_streamed(void **state)
{
	char *script = join(JOIN(hello, plain_ehlo, deliver_slowly, bye));

	(void)state;
	for (int late = 0; late < 2; late++) {
		struct rig rig;

		fill_body();
		body_late = late;
		rig_start(&rig, JOIN(script), 1);
		rig_run(&rig, 1);
		check(&rig.outcomes[0][0], &delivered);
		assert_memory_equal(rig.peer.body, body_text, body_length);
		assert_string_equal(rig.peer.body + body_length, "\r\n.\r\n");
		rig_end(&rig);
	}
	free(script);
}

static void
a_refusal_in_the_middle_of_the_message_counts(void **state)
{
	static const struct expected refused = { OUTCOME_BOUNCE, SCOPE_MESSAGE, 552, "5.3.4",
		false };
	struct rig rig;
	char *script = join(JOIN(hello, plain_ehlo,
		">MAIL\n<250 ok\n>RCPT\n<250 ok\n>DATA\n<354 go\n<552 5.3.4 too big\n!hang\n"));

	(void)state;
	fill_body();
	body_late = true;
	rig_start(&rig, JOIN(script), 1);
	/* More than sockets hold, so that the reply comes first. */
	rig.envelope.prefix.len = 8 << 20;
	rig.envelope.prefix.data = xcalloc(1, rig.envelope.prefix.len);
	rig_run(&rig, 1);
	check(&rig.outcomes[0][0], &refused);
	free(rig.envelope.prefix.data);
	rig_end(&rig);
	free(script);
}

static void
a_peer_that_does_not_read_runs_into_the_timeout(void **state)
{
	static const struct expected want = { OUTCOME_DEFER, SCOPE_SITE, 0, "4.4.2", false };
	struct rig rig;
	char *script = join(JOIN(
		hello, plain_ehlo, ">MAIL\n<250 ok\n>RCPT\n<250 ok\n>DATA\n<354 go\n!stall\n"));

	(void)state;
	fill_body();
	rig_start(&rig, JOIN(script), 1);
	rig.config.sender.timeout.command = 100;
	rig.envelope.prefix.len = 8 << 20;
	rig.envelope.prefix.data = xcalloc(1, rig.envelope.prefix.len);
	rig_run(&rig, 1);
	check(&rig.outcomes[0][0], &want);
	assert_non_null(strstr(rig.failure.text, "timed out while sending the message"));
	free(rig.envelope.prefix.data);
	rig_end(&rig);
	free(script);
}

static void
a_body_that_cannot_be_read_cuts_the_message_off(void **state)
{
	static const struct expected missing = { OUTCOME_DEFER, SCOPE_MESSAGE, 0, "4.3.0", false };
	char *script = join(
		JOIN(hello, plain_ehlo, ">MAIL\n<250 ok\n>RCPT\n<250 ok\n>DATA\n<354 go\n!body\n"));

	(void)state;
	for (int late = 0; late < 2; late++) {
		struct rig rig;

		body_missing = true;
		body_late = late;
		rig_start(&rig, JOIN(script), 1);
		rig_run(&rig, 1);
		check(&rig.outcomes[0][0], &missing);
		rig_join(&rig);
		assert_int_equal(rig.peer.body_length, 0);
		rig_end(&rig);
	}
	free(script);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_message_is_delivered_in_lock_step, reset),
		cmocka_unit_test_setup(
			the_envelope_goes_in_one_write_when_the_server_pipelines, reset),
		cmocka_unit_test_setup(parameters_are_sent_when_offered, reset),
		cmocka_unit_test_setup(parameters_are_left_out_when_not_offered, reset),
		cmocka_unit_test_setup(
			what_the_server_cannot_take_bounces_without_being_sent, reset),
		cmocka_unit_test_setup(recipients_have_outcomes_of_their_own, reset),
		cmocka_unit_test_setup(too_many_recipients_defers_only_the_rest_and_at_once, reset),
		cmocka_unit_test_setup(dots_are_stuffed_and_the_prefix_goes_first, reset),
		cmocka_unit_test_setup(an_empty_message_is_a_dot, reset),
		cmocka_unit_test_setup(a_large_message_is_streamed, reset),
		cmocka_unit_test_setup(a_refusal_in_the_middle_of_the_message_counts, reset),
		cmocka_unit_test_setup(a_peer_that_does_not_read_runs_into_the_timeout, reset),
		cmocka_unit_test_setup(a_body_that_cannot_be_read_cuts_the_message_off, reset),
	};

	signal(SIGPIPE, SIG_IGN);
	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
