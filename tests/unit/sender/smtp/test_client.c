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

static const struct expected no_utf8 = { OUTCOME_BOUNCE, SCOPE_MESSAGE, 0, "5.6.7", false };

/* What is decided for a host that offers SMTPUTF8, and for one that does not. */
static const struct {
	const char *name;
	bool asked, header;
	const char *from, *to;
	bool bounced, said;
	const char *mail, *rcpt; /* what a host without it hears */
} utf8_rows[] = {
	{ "ASCII", false, false, "a@s.example", "b@x.example", false, false, "<a@s.example>",
		"<b@x.example>" },
	{ "asked for, no address", true, false, "a@s.example", "b@x.example", false, true,
		"<a@s.example>", "<b@x.example>" },
	{ "asked for, an address in the header", true, true, "a@s.example", "b@x.example", true,
		true, NULL, NULL },
	{ "not asked for, an address in the header", false, true, "a@s.example", "b@x.example",
		false, true, "<a@s.example>", "<b@x.example>" },
	{ "the sender", true, false, "ä@s.example", "b@x.example", true, true, NULL, NULL },
	{ "a recipient", true, false, "a@s.example", "ö@x.example", true, true, NULL, NULL },
	{ "the sender's domain", true, false, "a@ä.example", "b@x.example", false, true,
		"<a@xn--4ca.example>", "<b@x.example>" },
	{ "a recipient's domain", true, false, "a@s.example", "b@bücher.example", false, true,
		"<a@s.example>", "<b@xn--bcher-kva.example>" },
	{ "the null sender", true, false, "", "b@x.example", false, true, "<>", "<b@x.example>" },
	{ "a domain that is no name", true, false, "a@s.example", "b@\xe2\x80\xae.example", true,
		true, NULL, NULL },
};

static void
utf8_row(size_t i, bool offered)
{
	bool bounced = utf8_rows[i].bounced && !offered;
	struct rig rig;
	char *script = join(JOIN(hello, offered ? "<250-peer\n<250 SMTPUTF8\n" : plain_ehlo,
		bounced ? ""
			: ">MAIL FROM:<\n<250 ok\n>RCPT TO:<\n<250 ok\n>DATA\n<354 go\n!body\n"
			  "<250 2.0.0 taken\n",
		bye));
	char want[400] = "";

	rig_start(&rig, JOIN(script), 1);
	rig.envelope.smtputf8 = utf8_rows[i].asked;
	rig.envelope.header_utf8 = utf8_rows[i].header;
	rig.envelope.mail_from = (char *)(uintptr_t)utf8_rows[i].from;
	rig.envelope.subject = (char *)"perch\xc3\xa9";
	rig.recipients[0].address = (char *)(uintptr_t)utf8_rows[i].to;
	rig_run(&rig, 1);
	check(&rig.outcomes[0][0], bounced ? &no_utf8 : &delivered);
	rig_join(&rig);
	if (!bounced)
		snprintf(want, sizeof want, "MAIL FROM:%s%s%s%s\nRCPT TO:%s%s%s\n",
			offered ? "<" : utf8_rows[i].mail, offered ? utf8_rows[i].from : "",
			offered ? ">" : "", offered && utf8_rows[i].said ? " SMTPUTF8" : "",
			offered ? "<" : utf8_rows[i].rcpt, offered ? utf8_rows[i].to : "",
			offered ? ">" : "");
	if (!strstr(rig.peer.commands, want))
		fail_msg("%s: %s", utf8_rows[i].name, rig.peer.commands);
	rig_end(&rig);
	free(script);
}

static void
smtputf8_is_needed_for_addresses_alone(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof utf8_rows / sizeof *utf8_rows; i++) {
		utf8_row(i, false);
		utf8_row(i, true);
	}
}

static void
who_needs_no_smtputf8_does_not_wait_for_who_does(void **state)
{
	static const struct expected aside = { OUTCOME_DEFER, SCOPE_RECIPIENT, 0, "4.6.7", true };
	static const struct expected lost = { OUTCOME_DEFER, SCOPE_SITE, 0, "4.4.2", false };
	static const char *const scripts[] = {
		"<250 peer\n|>MAIL\n<250 ok\n>RCPT TO:<c@x.example>\n<250 ok\n>DATA\n<354 go\n!body\n"
		"<250 2.0.0 taken\n>QUIT\n<221 bye\n",
		"<250-peer\n<250 PIPELINING\n|>MAIL\n>RCPT TO:<c@x.example>\n>DATA\n"
		"=250 ok|250 ok|354 go|\n!body\n<250 2.0.0 taken\n>QUIT\n<221 bye\n",
		"<250-peer\n<250 PIPELINING\n|>MAIL\n>RCPT TO:<c@x.example>\n>DATA\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof scripts / sizeof *scripts; i++) {
		const char *dialogue = strchr(scripts[i], '|');
		char offers[100];
		struct rig rig;
		char *script;

		snprintf(offers, sizeof offers, "%.*s", (int)(dialogue - scripts[i]), scripts[i]);
		script = join(JOIN(hello, offers, dialogue + 1));
		rig_start(&rig, JOIN(script), 1);
		rig.count = 3;
		rig.recipients[0].address = (char *)"ö@x.example";
		rig.recipients[2].address = (char *)"ü@x.example";
		rig_run(&rig, 1);
		check(&rig.outcomes[0][0], &aside);
		check(&rig.outcomes[0][1], i < 2 ? &delivered : &lost);
		check(&rig.outcomes[0][2], &aside);
		rig_end(&rig);
		free(script);
	}
}

static const char with_utf8[] = "<250-peer\n<250 SMTPUTF8\n";
static const char with_8bit[] = "<250-peer\n<250 8BITMIME\n";
static const char small[] = "<250-peer\n<250 SIZE 20\n";
static const char deliver[] = ">MAIL\n<250 ok\n>RCPT\n<250 ok\n>DATA\n<354 go\n!body\n"
			      "<250 2.0.0 taken\n>QUIT\n<221 bye\n";
static const char left[] = ">QUIT\n";
static const char down[] = "<421 4.3.2 not now\n";
static const char closed[] = "<554 5.3.2 no mail here\n";

/* Hosts in their order, and what becomes of mail for a UTF-8 address. */
static const struct {
	const char *name;
	const char *hosts[2][3];
	struct expected want;
	const char *host;
} next_rows[] = {
	{ "the second host offers it",
		{ { hello, plain_ehlo, left }, { hello, with_utf8, deliver } },
		{ OUTCOME_DELIVERED, SCOPE_MESSAGE, 250, "2.0.0", false }, "[127.0.0.2]" },
	{ "the second host takes more", { { hello, small, left }, { hello, with_utf8, deliver } },
		{ OUTCOME_DELIVERED, SCOPE_MESSAGE, 250, "2.0.0", false }, "[127.0.0.2]" },
	{ "none does", { { hello, plain_ehlo, left }, { hello, plain_ehlo, bye } },
		{ OUTCOME_BOUNCE, SCOPE_MESSAGE, 0, "5.6.7", false }, "[127.0.0.2]" },
	{ "the second host is down for now", { { hello, plain_ehlo, left }, { down, "", "" } },
		{ OUTCOME_DEFER, SCOPE_MESSAGE, 421, "4.3.2", false }, "[127.0.0.2]" },
	{ "the first host is down for now", { { down, "", "" }, { hello, plain_ehlo, bye } },
		{ OUTCOME_DEFER, SCOPE_MESSAGE, 421, "4.3.2", false }, "[127.0.0.1]" },
	{ "the second host closes at EHLO", { { hello, plain_ehlo, left }, { hello, "", "" } },
		{ OUTCOME_DEFER, SCOPE_MESSAGE, 0, "4.4.2", false }, "[127.0.0.2]" },
	{ "the second host wants no mail", { { hello, plain_ehlo, left }, { closed, "", "" } },
		{ OUTCOME_DEFER, SCOPE_MESSAGE, 554, "4.0.0", false }, "[127.0.0.2]" },
};

static void
what_one_host_cannot_have_goes_to_the_next(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof next_rows / sizeof *next_rows; i++) {
		const char *const *first = next_rows[i].hosts[0],
				  *const *second = next_rows[i].hosts[1];
		char *scripts[2] = { join(JOIN(first[0], first[1], first[2])),
			join(JOIN(second[0], second[1], second[2])) };
		struct rig rig;

		rig_start(&rig, JOIN(scripts[0], scripts[1]), 2);
		rig.recipients[0].address = (char *)"ö@x.example";
		rig_run(&rig, 2);
		print_message("  %s\n", next_rows[i].name);
		assert_int_equal(rig.done, 1);
		check(&rig.outcomes[0][0], &next_rows[i].want);
		assert_string_equal(rig.outcomes[0][0].host, next_rows[i].host);
		assert_false(rig.failed);
		rig_end(&rig);
		free(scripts[0]);
		free(scripts[1]);
	}
}

static void
original_recipients_go_in_a_form_that_the_host_takes(void **state)
{
	static const struct {
		const char *orcpt, *said;
	} rows[] = {
		{ "rfc822;b+2Bc@x.example", "<b@x.example> ORCPT=rfc822;b+2Bc@x.example\n" },
		{ "utf-8;b\\x{E4}@x.example", "<b@x.example> ORCPT=utf-8;b\\x{E4}@x.example\n" },
		{ "UTF-8;ä\\x{2B}c@x.example",
			"<b@x.example> ORCPT=UTF-8;\\x{E4}\\x{2B}c@x.example\n" },
		{ "rfc822;ä@x.example", "<b@x.example>\n" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct rig rig;
		char *script = join(JOIN(hello, "<250-peer\n<250 DSN\n", deliver));

		rig_start(&rig, JOIN(script), 1);
		rig.recipients[0].orcpt = (char *)(uintptr_t)rows[i].orcpt;
		rig.envelope.envid = (char *)"ä";
		rig_run(&rig, 1);
		check(&rig.outcomes[0][0], &delivered);
		rig_join(&rig);
		assert_non_null(strstr(rig.peer.commands, "MAIL FROM:<a@sender.example>\n"));
		if (!strstr(rig.peer.commands, rows[i].said))
			fail_msg("%s: %s", rows[i].orcpt, rig.peer.commands);
		rig_end(&rig);
		free(script);
	}
}

static void
only_a_customers_mail_is_8bit_for_a_host_that_is_not(void **state)
{
#define EIGHT "A: x\r\n\r\n\xe4 \xc3\xa4\r\n.\r\n"
	static const struct {
		Envelope__Kind kind;
		bool smtputf8;
		const char *offers, *said, *body;
	} rows[] = {
		{ ENVELOPE__KIND__MAIL, false, plain_ehlo, "example>\n", EIGHT },
		{ ENVELOPE__KIND__DSN, false, plain_ehlo, "example>\n",
			"A: x\r\n\r\n? ??\r\n.\r\n" },
		{ ENVELOPE__KIND__DSN, false, with_utf8, "example>\n",
			"A: x\r\n\r\n? ??\r\n.\r\n" },
		{ ENVELOPE__KIND__DSN, true, with_utf8, "example> SMTPUTF8\n", EIGHT },
		{ ENVELOPE__KIND__MAIL, false, with_8bit, "example> BODY=8BITMIME\n", EIGHT },
		{ ENVELOPE__KIND__DSN, false, with_8bit, "example> BODY=8BITMIME\n", EIGHT },
	};

	(void)state;
	set_body("A: x\r\n\r\n\xe4 \xc3\xa4\r\n");
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct rig rig;
		char *script = join(JOIN(hello, rows[i].offers, deliver));

		rig_start(&rig, JOIN(script), 1);
		rig.envelope.kind = rows[i].kind;
		rig.envelope.smtputf8 = rows[i].smtputf8;
		rig.envelope.mime_8bit = true;
		rig_run(&rig, 1);
		check(&rig.outcomes[0][0], &delivered);
		rig_join(&rig);
		assert_non_null(strstr(rig.peer.commands, rows[i].said));
		assert_string_equal(rig.peer.body, rows[i].body);
		rig_end(&rig);
		free(script);
	}
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
		fake.late[OP_BODY] = late;
		rig_start(&rig, JOIN(script), 1);
		rig_run(&rig, 1);
		check(&rig.outcomes[0][0], &delivered);
		assert_memory_equal(rig.peer.body, body_text, strlen(body_text));
		assert_string_equal(rig.peer.body + strlen(body_text), "\r\n.\r\n");
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
	fake.late[OP_BODY] = true;
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

		fake.fault[OP_BODY] = (struct fake_fault){ -ENOENT, 0, UINT_MAX };
		fake.late[OP_BODY] = late;
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
		TEST(a_message_is_delivered_in_lock_step),
		TEST(the_envelope_goes_in_one_write_when_the_server_pipelines),
		TEST(parameters_are_sent_when_offered),
		TEST(parameters_are_left_out_when_not_offered),
		TEST(what_the_server_cannot_take_bounces_without_being_sent),
		TEST(smtputf8_is_needed_for_addresses_alone),
		TEST(who_needs_no_smtputf8_does_not_wait_for_who_does),
		TEST(what_one_host_cannot_have_goes_to_the_next),
		TEST(original_recipients_go_in_a_form_that_the_host_takes),
		TEST(only_a_customers_mail_is_8bit_for_a_host_that_is_not),
		TEST(recipients_have_outcomes_of_their_own),
		TEST(too_many_recipients_defers_only_the_rest_and_at_once),
		TEST(dots_are_stuffed_and_the_prefix_goes_first),
		TEST(an_empty_message_is_a_dot),
		TEST(a_large_message_is_streamed),
		TEST(a_refusal_in_the_middle_of_the_message_counts),
		TEST(a_peer_that_does_not_read_runs_into_the_timeout),
		TEST(a_body_that_cannot_be_read_cuts_the_message_off),
	};

	signal(SIGPIPE, SIG_IGN);
	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
