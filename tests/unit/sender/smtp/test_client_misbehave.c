/*
 * test_client_misbehave.c - the SMTP client against a peer that misbehaves at every step.
 */
#include "tests/unit/client_rig.h"

struct row {
	const char *name;
	const char *ehlo; /* comes before the script; NULL: it has its own greeting */
	bool keeps;       /* the connection lives on: QUIT follows in the script */
	const char *script;
	struct expected want;
};

#define TO_RCPT ">MAIL\n<250 ok\n>RCPT\n"
#define TO_DATA TO_RCPT "<250 ok\n>DATA\n"
#define TO_DOT TO_DATA "<354 go\n!body\n"
#define RESET ">RSET\n<250 ok\n>QUIT\n"

/* clang-format off */
static const struct row rows[] = {
	{ "MAIL 4xx", plain_ehlo, true,
		">MAIL\n<451 4.3.0 later\n>QUIT\n", { OUTCOME_DEFER, SCOPE_MESSAGE, 451, "4.3.0", false } },
	{ "MAIL 5xx", plain_ehlo, true,
		">MAIL\n<553 5.1.8 bad sender\n>QUIT\n", { OUTCOME_BOUNCE, SCOPE_MESSAGE, 553, "5.1.8", false } },
	{ "MAIL lost", plain_ehlo, false,
		">MAIL\n", { OUTCOME_DEFER, SCOPE_SITE, 0, "4.4.2", false } },
	{ "MAIL 421", plain_ehlo, false,
		">MAIL\n<421 4.7.0 go away\n", { OUTCOME_DEFER, SCOPE_SITE, 421, "4.7.0", false } },
	{ "MAIL garbage", plain_ehlo, false,
		">MAIL\n<wat\n!hang\n", { OUTCOME_DEFER, SCOPE_SITE, 0, "4.4.2", false } },
	{ "MAIL 354", plain_ehlo, false,
		">MAIL\n<354 go\n!hang\n", { OUTCOME_DEFER, SCOPE_SITE, 354, "4.5.0", false } },
	{ "MAIL 530", plain_ehlo, false,
		">MAIL\n<530 5.7.0 STARTTLS first\n!hang\n", { OUTCOME_DEFER, SCOPE_SITE, 530, "4.7.0", false } },
	{ "RCPT 4xx", plain_ehlo, true,
		TO_RCPT "<450 4.2.1 grey\n" RESET, { OUTCOME_DEFER, SCOPE_RECIPIENT, 450, "4.2.1", false } },
	{ "RCPT 5xx", plain_ehlo, true,
		TO_RCPT "<550 no such user\n" RESET, { OUTCOME_BOUNCE, SCOPE_RECIPIENT, 550, "5.0.0", false } },
	{ "RCPT 452 for the first", plain_ehlo, true,
		TO_RCPT "<452 4.5.3 too many\n" RESET, { OUTCOME_DEFER, SCOPE_RECIPIENT, 452, "4.5.3", false } },
	{ "RCPT 5xx, RSET refused", plain_ehlo, false,
		TO_RCPT "<550 5.1.1 no\n>RSET\n<500 what\n!hang\n", { OUTCOME_BOUNCE, SCOPE_RECIPIENT, 550, "5.1.1", false } },
	{ "RCPT lost", plain_ehlo, false,
		TO_RCPT, { OUTCOME_DEFER, SCOPE_SITE, 0, "4.4.2", false } },
	{ "RCPT 421", plain_ehlo, false,
		TO_RCPT "<421 4.3.2 bye\n", { OUTCOME_DEFER, SCOPE_SITE, 421, "4.3.2", false } },
	{ "DATA 4xx", plain_ehlo, true,
		TO_DATA "<451 no\n" RESET, { OUTCOME_DEFER, SCOPE_MESSAGE, 451, "4.0.0", false } },
	{ "DATA 5xx", plain_ehlo, true,
		TO_DATA "<554 5.7.1 no\n" RESET, { OUTCOME_BOUNCE, SCOPE_MESSAGE, 554, "5.7.1", false } },
	{ "DATA 2xx", plain_ehlo, false,
		TO_DATA "<250 ok\n!hang\n", { OUTCOME_DEFER, SCOPE_SITE, 250, "4.5.0", false } },
	{ "DATA lost", plain_ehlo, false,
		TO_DATA, { OUTCOME_DEFER, SCOPE_SITE, 0, "4.4.2", false } },
	{ "dot 4xx", plain_ehlo, true,
		TO_DOT "<452 4.3.1 full\n>QUIT\n", { OUTCOME_DEFER, SCOPE_MESSAGE, 452, "4.3.1", false } },
	{ "dot 5xx", plain_ehlo, true,
		TO_DOT "<554 5.7.1 spam\n>QUIT\n", { OUTCOME_BOUNCE, SCOPE_MESSAGE, 554, "5.7.1", false } },
	{ "dot lost is ambiguous", plain_ehlo, false,
		TO_DOT, { OUTCOME_DEFER, SCOPE_SITE, 0, "4.4.2", false } },
	{ "dot 421", plain_ehlo, false,
		TO_DOT "<421 4.4.2 bye\n", { OUTCOME_DEFER, SCOPE_SITE, 421, "4.4.2", false } },
	{ "dot 354", plain_ehlo, false,
		TO_DOT "<354 go\n", { OUTCOME_DEFER, SCOPE_SITE, 0, "4.4.2", false } },
	{ "dot 354, then the answer", plain_ehlo, true,
		TO_DOT "<354 go\n<250 ok\n>QUIT\n", { OUTCOME_DELIVERED, SCOPE_MESSAGE, 250, "2.0.0", false } },
	{ "dot multi-line", plain_ehlo, true,
		TO_DATA "<354-go\n<354 on\n!body\n<250-2.0.0 a\n<250-b\n<250 c\n>QUIT\n", { OUTCOME_DELIVERED, SCOPE_MESSAGE, 250, "2.0.0", false } },
	{ "greeting 5xx", NULL, false,
		"<554 5.7.1 no\n", { OUTCOME_DEFER, SCOPE_SITE, 554, "4.0.0", false } },
	{ "greeting 4xx", NULL, false,
		"<450 4.7.1 later\n", { OUTCOME_DEFER, SCOPE_SITE, 450, "4.7.1", false } },
	{ "greeting lost", NULL, false,
		"", { OUTCOME_DEFER, SCOPE_SITE, 0, "4.4.2", false } },
	{ "greeting garbage", NULL, false,
		"<SSH-2.0-x\n!hang\n", { OUTCOME_DEFER, SCOPE_SITE, 0, "4.4.2", false } },
	{ "greeting endless", NULL, false,
		"!endless\n", { OUTCOME_DEFER, SCOPE_SITE, 0, "4.4.2", false } },
	{ "EHLO 4xx", NULL, false,
		"<220 x\n>EHLO\n<451 4.0.0 later\n!hang\n", { OUTCOME_DEFER, SCOPE_SITE, 451, "4.0.0", false } },
	{ "EHLO lost", NULL, false,
		"<220 x\n>EHLO\n", { OUTCOME_DEFER, SCOPE_SITE, 0, "4.4.2", false } },
	{ "EHLO without end", NULL, false,
		"<220 x\n>EHLO\n!lines\n", { OUTCOME_DEFER, SCOPE_SITE, 0, "4.4.2", false } },
	{ "HELO 5xx", NULL, false,
		"<220 x\n>EHLO\n<502 what\n>HELO relay.example\n<550 5.7.1 no\n!hang\n", { OUTCOME_DEFER, SCOPE_SITE, 550, "4.0.0", false } },
	{ "HELO in place of EHLO", NULL, true,
		"<220-long\n<220 greeting\n>EHLO\n<500 what\n>HELO relay.example\n<250 hi\n>MAIL FROM:<a@sender.example>\n<250 ok\n>RCPT\n<250 ok\n>DATA\n<354 go\n!body\n<250 ok\n>QUIT\n", { OUTCOME_DELIVERED, SCOPE_MESSAGE, 250, "2.0.0", false } },
	{ "a refused EHLO offers nothing", NULL, true,
		"<220 x\n>EHLO\n<500-what\n<500 SIZE 20\n>HELO relay.example\n<250 hi\n>MAIL FROM:<a@sender.example>\n<250 ok\n>RCPT\n<250 ok\n>DATA\n<354 go\n!body\n<250 ok\n>QUIT\n", { OUTCOME_DELIVERED, SCOPE_MESSAGE, 250, "2.0.0", false } },
	{ "pipelined RCPT 5xx, DATA refused", full_ehlo, true,
		">MAIL\n>RCPT\n>DATA\n=250 ok|550 5.1.1 no|503 5.5.1 no|\n" RESET, { OUTCOME_BOUNCE, SCOPE_RECIPIENT, 550, "5.1.1", false } },
	{ "pipelined RCPT 5xx, but 354", full_ehlo, true,
		">MAIL\n>RCPT\n>DATA\n=250 ok|550 5.1.1 no|354 go|\n!body\n<554 nothing\n>QUIT\n", { OUTCOME_BOUNCE, SCOPE_RECIPIENT, 550, "5.1.1", false } },
	{ "pipelined MAIL 4xx", full_ehlo, true,
		">MAIL\n>RCPT\n>DATA\n=451 4.7.1 a|503 b|503 c|\n" RESET, { OUTCOME_DEFER, SCOPE_MESSAGE, 451, "4.7.1", false } },
	{ "pipelined, lost after RCPT", full_ehlo, false,
		">MAIL\n>RCPT\n>DATA\n<250 ok\n<550 5.1.1 no\n", { OUTCOME_DEFER, SCOPE_SITE, 0, "4.4.2", false } },
};
/* clang-format on */

static void
each_misbehaviour_has_its_outcome(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		const struct row *row = &rows[i];
		struct rig rig;
		char *script = row->ehlo ? join(JOIN(hello, row->ehlo, row->script))
					 : xstrdup(row->script);

		print_message("  %s\n", row->name);
		rig_start(&rig, JOIN(script), 1);
		rig_run(&rig, 1);
		if (rig.done)
			check(&rig.outcomes[0][0], &row->want);
		else
			check(&rig.failure, &row->want);
		assert_true(rig.gone);
		assert_int_equal(rig.done, row->ehlo || rig.ready_seen);
		if (row->keeps)
			assert_false(rig.failed);
		rig_end(&rig);
		free(script);
	}
}

static void
silence_runs_into_the_timeout_at_every_step(void **state)
{
	static const struct {
		const char *script;
		bool sent;
	} silent[] = {
		{ "!hang\n", false },
		{ "!drip\n", false },
		{ "<220 x\n>EHLO\n!hang\n", false },
		{ "<220 x\n>EHLO\n<250 x\n>MAIL\n!hang\n", true },
		{ "<220 x\n>EHLO\n<250 x\n>MAIL\n!drip\n", true },
		{ "<220 x\n>EHLO\n<250 x\n>MAIL\n<250 ok\n>RCPT\n!hang\n", true },
		{ "<220 x\n>EHLO\n<250 x\n>MAIL\n<250 ok\n>RCPT\n<250 ok\n>DATA\n!hang\n", true },
		{ "<220 x\n>EHLO\n<250 x\n>MAIL\n<250 ok\n>RCPT\n<250 ok\n>DATA\n<354 go\n!body\n!hang\n",
			true },
	};
	static const struct expected want = { OUTCOME_DEFER, SCOPE_SITE, 0, "4.4.2", false };

	(void)state;
	for (size_t i = 0; i < sizeof silent / sizeof *silent; i++) {
		struct rig rig;

		rig_start(&rig, &silent[i].script, 1);
		rig.config.sender.timeout.command = rig.config.sender.timeout.dot = 100;
		rig_run(&rig, 1);
		assert_int_equal(rig.done, silent[i].sent);
		check(silent[i].sent ? &rig.outcomes[0][0] : &rig.failure, &want);
		assert_non_null(strstr(rig.failure.text, "timed out"));
		rig_end(&rig);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_misbehaviour_has_its_outcome),
		TEST(silence_runs_into_the_timeout_at_every_step),
	};

	signal(SIGPIPE, SIG_IGN);
	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
