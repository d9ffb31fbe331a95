/*
 * test_client_odd.c - the SMTP client and replies that are none, or more than one: what got a 2xx
 * is never sent again, what was not refused never bounces.
 */
#include "sender/smtp/client_private.h"
#include "tests/unit/client_rig.h"

#define TO_RCPT ">MAIL\n<250 ok\n>RCPT\n"
#define TO_DATA TO_RCPT "<250 ok\n>DATA\n"
#define TO_DOT TO_DATA "<354 go\n!body\n"
#define RESET ">RSET\n<250 ok\n>QUIT\n"

struct row {
	const char *name;
	bool keeps; /* the connection lives on: QUIT follows in the script */
	const char *script;
	enum outcome_kind kind;
	enum outcome_scope scope;
	int code;
	const char *text; /* a part of it */
};

#define TAKEN OUTCOME_DELIVERED, SCOPE_MESSAGE
#define NO_ANSWER OUTCOME_DEFER, SCOPE_SITE
#define REFUSED OUTCOME_BOUNCE, SCOPE_MESSAGE
#define NOBODY OUTCOME_BOUNCE, SCOPE_RECIPIENT
#define AMBIGUOUS NO_ANSWER, 0, "it may have arrived"

/* clang-format off */
static const struct row rows[] = {
	/* after the dot */
	{ "the code changes", true, TO_DOT "<250-a\n<251 b\n>QUIT\n", TAKEN, 251, "250 a 251 b" },
	{ "a line without a code", true, TO_DOT "<250-a\n<b\n<250 c\n>QUIT\n", TAKEN, 250, "250 a b c" },
	{ "an empty line first", true, TO_DOT "<\n<250 ok\n>QUIT\n", TAKEN, 250, "250 ok" },
	{ "words first", true, TO_DOT "<please wait\n<250 ok\n>QUIT\n", TAKEN, 250, "please wait 250 ok" },
	{ "a preliminary reply first", true, TO_DOT "<150 scanning\n<250 ok\n>QUIT\n", TAKEN, 250, "250 ok" },
	{ "a low line", true, TO_DOT "<250_ok\n>QUIT\n", TAKEN, 250, "ok" },
	{ "a tab", true, TO_DOT "<250\tok\n>QUIT\n", TAKEN, 250, "ok" },
	{ "nothing behind the code", true, TO_DOT "<250ok\n>QUIT\n", TAKEN, 250, "ok" },
	{ "a blank before it", true, TO_DOT "< 250 ok\n>QUIT\n", TAKEN, 250, "ok" },
	{ "a NUL behind it", true, TO_DOT "=250@ok|\n>QUIT\n", TAKEN, 250, "ok" },
	{ "bare LF", true, TO_DOT "=250-a^250 b^\n>QUIT\n", TAKEN, 250, "250 a b" },
	{ "two digits", true, TO_DOT "<25 ok\n>QUIT\n", TAKEN, 200, "25 ok" },
	{ "an enhanced code alone", true, TO_DOT "<2.0.0 queued\n>QUIT\n", TAKEN, 200, "2.0.0 queued" },
	{ "four digits", true, TO_DOT "<2500 ok\n>QUIT\n", TAKEN, 200, "2500" },
	{ "a long line", false, TO_DOT "=250 \n!long\n=|\n!hang\n", TAKEN, 250, "xxx" },
	{ "a long line in several", true, TO_DOT "=250-\n!long\n=|250 ok|\n>QUIT\n", TAKEN, 250, "xxx" },
	{ "a line without end", false, TO_DOT "!endless\n", TAKEN, 200, "2222" },
	{ "a reply without end", false, TO_DOT "!lines\n", TAKEN, 250, "more" },
	{ "two replies", false, TO_DOT "=250 ok|250 ok|\n!hang\n", TAKEN, 250, "ok" },
	{ "two replies that differ", false, TO_DOT "=250 ok|550 no|\n!hang\n", TAKEN, 250, "ok" },
	{ "half a reply more", false, TO_DOT "=250 ok|25\n!hang\n", TAKEN, 250, "ok" },
	{ "lost within several lines", false, TO_DOT "=250-a|\n", TAKEN, 250, "250 a" },
	{ "and within the second", false, TO_DOT "=250-a|55\n", TAKEN, 250, "250 a" },
	{ "lost before the line's end", false, TO_DOT "=250 o\n", TAKEN, 250, "250 o" },
	{ "lost behind the code", false, TO_DOT "=250\n", TAKEN, 250, "250" },
	{ "lost within the code", false, TO_DOT "=25\n", TAKEN, 200, "25" },
	{ "lost behind a digit", false, TO_DOT "=2\n", TAKEN, 200, "2" },
	{ "silent behind a digit", false, TO_DOT "!drip\n", TAKEN, 200, "2" },
	{ "the last word is yes", true, TO_DOT "<550-a\n<250 b\n>QUIT\n", TAKEN, 250, "550 a 250 b" },
	{ "the last word is no", true, TO_DOT "<250-a\n<550 b\n>QUIT\n", REFUSED, 550, "250 a 550 b" },
	{ "the last word is later", true, TO_DOT "<250-a\n<451 b\n>QUIT\n", OUTCOME_DEFER, SCOPE_MESSAGE, 451, "250 a 451 b" },
	{ "refused in two codes", true, TO_DOT "<550-5.7.1 a\n<554 b\n>QUIT\n", REFUSED, 554, "550 5.7.1 a 554 b" },
	{ "refused, lost within several lines", false, TO_DOT "=550-a|\n", REFUSED, 550, "550 a" },
	{ "refused, lost before the line's end", false, TO_DOT "=550 no\n", REFUSED, 550, "550 no" },
	{ "half a refusal", false, TO_DOT "=55\n", NO_ANSWER, 500, "55" },
	{ "a digit of a refusal", false, TO_DOT "<5 no\n!hang\n", NO_ANSWER, 500, "5 no" },
	{ "half a deferral", false, TO_DOT "=4\n", OUTCOME_DEFER, SCOPE_MESSAGE, 400, "4" },
	{ "lost without a word", false, TO_DOT, AMBIGUOUS },
	{ "lost behind words", false, TO_DOT "<hm\n", AMBIGUOUS },
	{ "silence behind 354", false, TO_DOT "<354 go\n", AMBIGUOUS },
	{ "an answer before the message", false, TO_DATA "=354 go|250 ok|\n!hang\n", NO_ANSWER, 250, "ok" },
	{ "half of one", false, TO_DATA "=354 go|2\n", NO_ANSWER, 0, "while sending" },
	{ "a refusal before the message", false, TO_DATA "=354 go|552 5.3.4 big|\n!hang\n", REFUSED, 552, "big" },
	/* before it */
	{ "RCPT in two codes", true, TO_RCPT "<550-5.1.1 a\n<554 5.1.1 b\n" RESET, NOBODY, 554, "550 5.1.1 a 554 5.1.1 b" },
	{ "RCPT, a low line", true, TO_RCPT "<550_no\n" RESET, NOBODY, 550, "no" },
	{ "RCPT, lost within several lines", false, TO_RCPT "=550-5.1.1 a|\n", NOBODY, 550, "550 5.1.1 a" },
	{ "RCPT, lost within the line", false, TO_RCPT "=550 n\n", NOBODY, 550, "550 n" },
	{ "RCPT, lost within the code", false, TO_RCPT "=55\n", NO_ANSWER, 500, "55" },
	{ "RCPT, a refusal without end", false, TO_RCPT "=550 \n!endless\n", NOBODY, 550, "550 222" },
	{ "RCPT, yes without end", false, TO_RCPT "!lines\n", NO_ANSWER, 0, "no SMTP" },
	{ "RCPT, a long line", true, TO_RCPT "=250 \n!long\n=|\n>DATA\n<354 go\n!body\n<250 ok\n>QUIT\n", TAKEN, 250, "ok" },
	{ "RCPT, yes, lost", false, TO_RCPT "=250-ok|\n", NO_ANSWER, 0, "RCPT" },
	{ "RCPT, no and yes", false, TO_RCPT "=550 no|250 ok|\n!hang\n", NO_ANSWER, 0, "more than it was asked" },
	{ "RCPT, no, and one more to RSET", false, TO_RCPT "<550 no\n>RSET\n=250 ok|250 ok|\n!hang\n", NO_ANSWER, 250, "ok" },
	{ "RCPT, no, and 354 to RSET", false, TO_RCPT "<550 no\n>RSET\n<354 go\n!hang\n", NO_ANSWER, 354, "go" },
	{ "MAIL in two codes", true, ">MAIL\n<451-a\n<553 5.1.8 b\n>QUIT\n", REFUSED, 553, "451 a 553 5.1.8 b" },
	{ "MAIL, no and yes", false, ">MAIL\n=553 no|250 ok|\n!hang\n", NO_ANSWER, 0, "more than it was asked" },
	{ "MAIL, lost within the line", false, ">MAIL\n=553 no\n", REFUSED, 553, "no" },
	{ "MAIL, words", false, ">MAIL\n<hm\n!hang\n", NO_ANSWER, 0, "no SMTP" },
	{ "DATA in two codes", true, TO_DATA "<451-a\n<354 b\n!body\n<250 ok\n>QUIT\n", TAKEN, 250, "ok" },
	{ "DATA with another 3xx", true, TO_DATA "<350 go\n!body\n<250 ok\n>QUIT\n", TAKEN, 250, "ok" },
	{ "DATA, lost within the line", false, TO_DATA "=554 no\n", REFUSED, 554, "no" },
	{ "DATA, no and yes", false, TO_DATA "=554 no|354 go|\n!hang\n", NO_ANSWER, 0, "more than it was asked" },
};
/* clang-format on */

static void
check_row(const struct outcome *outcome, const struct row *row)
{
	if (outcome->kind != row->kind || outcome->scope != row->scope ||
		outcome->code != row->code || !strstr(outcome->text, row->text))
		fail_msg("%s: kind %d, scope %d, %d \"%s\"", row->name, outcome->kind,
			outcome->scope, outcome->code, outcome->text);
	assert_int_equal(outcome->ambiguous, !!strstr(outcome->text, "it may have arrived"));
	assert_false(outcome->retry_now);
}

static void
each_odd_reply_has_its_meaning(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		char *script = join(JOIN(hello, plain_ehlo, rows[i].script));
		struct rig rig;

		print_message("  %s\n", rows[i].name);
		rig_start(&rig, JOIN(script), 1);
		if (strstr(script, "!drip"))
			rig.config.sender.timeout.dot = 100;
		rig_run(&rig, 1);
		assert_int_equal(rig.done, 1);
		check_row(&rig.outcomes[0][0], &rows[i]);
		if (rows[i].keeps)
			assert_false(rig.failed);
		rig_end(&rig);
		free(script);
	}
}

/* Two recipients in an envelope that goes out at once: what they got. */
static const struct {
	const char *name, *replies;
	const char *then;
	enum outcome_kind kinds[2];
} envelopes[] = {
	{ "in step", "=250 ok|250 ok|550 no|354 go|\n", "!body\n<250 ok\n>QUIT\n",
		{ OUTCOME_DELIVERED, OUTCOME_BOUNCE } },
	{ "a refusal in two codes", "=250 ok|550-5.1.1 no|554 nobody|250 ok|354 go|\n",
		"!body\n<250 ok\n>QUIT\n", { OUTCOME_BOUNCE, OUTCOME_DELIVERED } },
	{ "two replies that look like one", "=250-ok|250 ok|550 no|354 go|\n", "!hang\n",
		{ OUTCOME_DEFER, OUTCOME_DEFER } },
	{ "and then nothing", "=250-ok|250 ok|550 no|\n", "", { OUTCOME_DEFER, OUTCOME_DEFER } },
	{ "one reply too many", "=250 ok|250 ok|250 ok|550 no|354 go|\n", "!hang\n",
		{ OUTCOME_DEFER, OUTCOME_DEFER } },
	{ "that refuses", "=250 ok|550 no|550 no|250 ok|354 go|\n", "!hang\n",
		{ OUTCOME_DEFER, OUTCOME_DEFER } },
	{ "and comes later", "=250 ok|250 ok|550 no|550 no|\n", ">RSET\n<354 go\n!hang\n",
		{ OUTCOME_DEFER, OUTCOME_DEFER } },
	{ "all refused, one too many", "=250 ok|450 a|550 b|550 b|\n", ">RSET\n<503 no\n!hang\n",
		{ OUTCOME_DEFER, OUTCOME_DEFER } },
	{ "words in between", "=250 ok|550 no|hm|250 ok|354 go|\n", "!hang\n",
		{ OUTCOME_DEFER, OUTCOME_DEFER } },
	{ "words, and then no", "=250 ok|hm|550 no|354 go|\n", "!hang\n",
		{ OUTCOME_DEFER, OUTCOME_DEFER } },
	{ "words, and then half a no", "=250 ok|hm|550 no\n", "!hang\n",
		{ OUTCOME_DEFER, OUTCOME_DEFER } },
	{ "MAIL refused, yet not", "=550 no|250 ok|250 ok|354 go|\n", "!hang\n",
		{ OUTCOME_DEFER, OUTCOME_DEFER } },
	{ "MAIL refused, and all else", "=550 no|503 no|503 no|503 no|\n",
		">RSET\n<250 ok\n>QUIT\n", { OUTCOME_BOUNCE, OUTCOME_BOUNCE } },
	{ "a class in place of a code", "=250 ok|2 ok|550 no|354 go|\n", "!hang\n",
		{ OUTCOME_DEFER, OUTCOME_DEFER } },
	{ "no behind 354", "=250 ok|250 ok|250 ok|354 go|550 no|\n", "!hang\n",
		{ OUTCOME_DEFER, OUTCOME_DEFER } },
	{ "nothing to MAIL", "=  550 no|550 no|354 go|\n", "!hang\n",
		{ OUTCOME_DEFER, OUTCOME_DEFER } },
	{ "an empty line to MAIL", "=|550 no|550 no|354 go|\n", "!hang\n",
		{ OUTCOME_DEFER, OUTCOME_DEFER } },
	{ "yes and no in one", "=250 ok|250-a|550 b|250 ok|354 go|\n", "!hang\n",
		{ OUTCOME_DEFER, OUTCOME_DEFER } },
	{ "354 too early", "=250 ok|550 no|354 go|\n", "!hang\n",
		{ OUTCOME_DEFER, OUTCOME_DEFER } },
	{ "lost in step", "=250 ok|550 no|\n", "", { OUTCOME_DEFER, OUTCOME_DEFER } },
	{ "lost within a refusal", "=250 ok|250 ok|550-no|\n", "",
		{ OUTCOME_DEFER, OUTCOME_DEFER } },
	{ "refused altogether", "=250 ok|550 no|550 no|554 nobody|\n", ">RSET\n<250 ok\n>QUIT\n",
		{ OUTCOME_BOUNCE, OUTCOME_BOUNCE } },
	{ "refused altogether, lost", "=250 ok|550 no|550 no|554 nobody|\n", ">RSET\n",
		{ OUTCOME_BOUNCE, OUTCOME_BOUNCE } },
	{ "refused at DATA", "=250 ok|250 ok|550 no|554 5.7.1 no|\n", ">RSET\n<250 ok\n>QUIT\n",
		{ OUTCOME_BOUNCE, OUTCOME_BOUNCE } },
};

static void
no_odd_reply_is_taken_for_that_to_another_recipient(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof envelopes / sizeof *envelopes; i++) {
		char *script = join(
			JOIN(hello, full_ehlo, ">MAIL\n>RCPT TO:<b@\n>RCPT TO:<c@\n>DATA\n",
				envelopes[i].replies, envelopes[i].then));
		struct rig rig;

		rig_start(&rig, JOIN(script), 1);
		rig.count = 2;
		rig_run(&rig, 1);
		assert_int_equal(rig.done, 1);
		for (size_t j = 0; j < 2; j++)
			if (rig.outcomes[0][j].kind != envelopes[i].kinds[j])
				fail_msg("%s, recipient %zu: %d \"%s\"", envelopes[i].name, j,
					rig.outcomes[0][j].kind, rig.outcomes[0][j].text);
		rig_end(&rig);
		free(script);
	}
}

/* So that what is refused then is refused for sure. */
static void
after_replies_in_doubt_the_next_envelope_goes_in_lock_step(void **state)
{
	static const char *const doubts[] = { "=250 ok|hm|250 ok|354 go|\n!hang\n",
		"=250 ok|550 no|\n", "=250 ok|550 no|421 bye|\n", "=250 ok|550-no|\n" };
	char *slow = join(JOIN(hello, full_ehlo, TO_RCPT "<550 no\n"));

	(void)state;
	for (size_t i = 0; i < sizeof doubts / sizeof *doubts; i++) {
		char *odd = join(JOIN(hello, full_ehlo, ">MAIL\n>RCPT\n>DATA\n", doubts[i]));
		struct rig rig;

		rig_start(&rig, JOIN(odd, slow), 2);
		rig_run(&rig, 1);
		assert_int_equal(rig.outcomes[0][0].kind, OUTCOME_DEFER);
		rig_again(&rig, 1);
		assert_int_equal(rig.outcomes[0][0].kind, OUTCOME_BOUNCE);
		rig_end(&rig);
		free(odd);
	}
	free(slow);
}

static void
a_greeting_that_ends_as_a_refusal_leads_to_the_next_host(void **state)
{
	static const char *const refusals[] = { "<220-hello\n<521 no mail here\n",
		"<220-hello\n<521-no mail here\n", "=220-hello|521-no mail here|\n",
		"=521 no mail here\n", "=220 a|521 no mail here|\n!hang\n" };
	char *script = join(JOIN(hello, plain_ehlo, deliver_slowly, bye));

	(void)state;
	for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
		struct rig rig;

		rig_start(&rig, JOIN(refusals[i], script), 2);
		rig_run(&rig, 2);
		check(&rig.outcomes[0][0], &delivered);
		rig_end(&rig);
		if (i == 4)
			break; /* what came too much is not quoted */
		rig_start(&rig, JOIN(refusals[i]), 1);
		rig_run(&rig, 1);
		assert_int_equal(rig.failure.code, 521);
		assert_non_null(strstr(rig.failure.text, "521 no mail here"));
		rig_end(&rig);
	}
	free(script);
}

static void
greetings_and_offers_may_look_odd(void **state)
{
	static const char *const odd[] = { "=220-a|b|220 c|\n>EHLO\n<250 peer\n",
		"< 220 a\n>EHLO\n<250 peer\n", "<\n<220_a\n>EHLO\n<250 peer\n",
		"=220 a^\n>EHLO\n=250-peer^250-what^is this^250 X^\n",
		"<220 a\n>EHLO\n<250-a\n<251 b\n", "<220 a\n>EHLO\n<550-a\n<250 b\n",
		"=220-\n!long\n=|220 x|\n>EHLO\n<250 peer\n",
		"=220 \n!long\n=|\n>EHLO\n=250-peer|250-X\n!long\n=|250 Y|\n" };

	(void)state;
	for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
		char *script = join(JOIN(odd[i], deliver_slowly, bye));
		struct rig rig;

		rig_start(&rig, JOIN(script), 1);
		rig_run(&rig, 1);
		check(&rig.outcomes[0][0], &delivered);
		rig_end(&rig);
		free(script);
	}
}

/* What we heard so far decides, also when it is we who go. */
static void
a_stop_judges_by_what_was_read(void **state)
{
	char *script = join(JOIN(hello, plain_ehlo, TO_DOT "=250-a|\n!hang\n"));
	struct rig rig;

	(void)state;
	rig_start(&rig, JOIN(script), 1);
	peer_start(&rig.peer);
	rig_open(&rig, 1);
	while (!rig.client->reply.more || rig.client->state != ST_DOT)
		event_base_loop(loop_base(rig.loop), EVLOOP_ONCE);
	client_abort(rig.client);
	assert_int_equal(rig.outcomes[0][0].kind, OUTCOME_DELIVERED);
	rig_end(&rig);
	free(script);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_odd_reply_has_its_meaning),
		TEST(no_odd_reply_is_taken_for_that_to_another_recipient),
		TEST(after_replies_in_doubt_the_next_envelope_goes_in_lock_step),
		TEST(a_greeting_that_ends_as_a_refusal_leads_to_the_next_host),
		TEST(greetings_and_offers_may_look_odd),
		TEST(a_stop_judges_by_what_was_read),
	};

	signal(SIGPIPE, SIG_IGN);
	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
