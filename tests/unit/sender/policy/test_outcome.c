/*
 * test_outcome.c - the table of what a failure means.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "sender/policy/outcome.h"

struct row {
	enum outcome_step step;
	const char *reply;
	enum outcome_kind kind;
	enum outcome_scope scope;
	const char *enhanced;
};

/* clang-format off */
static const struct row rows[] = {
	/* before MAIL everything is the site's and may get better */
	{ STEP_BANNER,   "421 4.3.2 busy",           OUTCOME_DEFER,     SCOPE_SITE,      "4.3.2" },
	{ STEP_BANNER,   "450 later",                OUTCOME_DEFER,     SCOPE_SITE,      "4.0.0" },
	{ STEP_BANNER,   "554 5.7.1 blocked",        OUTCOME_DEFER,     SCOPE_SITE,      "4.0.0" },
	{ STEP_BANNER,   "521 no mail here",         OUTCOME_DEFER,     SCOPE_SITE,      "4.0.0" },
	{ STEP_EHLO,     "550 5.7.1 bad name",       OUTCOME_DEFER,     SCOPE_SITE,      "4.0.0" },
	{ STEP_EHLO,     "354 odd",                  OUTCOME_DEFER,     SCOPE_SITE,      "4.0.0" },
	{ STEP_STARTTLS, "454 4.7.0 no TLS",         OUTCOME_DEFER,     SCOPE_SITE,      "4.7.0" },
	/* MAIL concerns the message */
	{ STEP_MAIL,     "451 4.3.0 later",          OUTCOME_DEFER,     SCOPE_MESSAGE,   "4.3.0" },
	{ STEP_MAIL,     "550 5.7.1 rejected",       OUTCOME_BOUNCE,    SCOPE_MESSAGE,   "5.7.1" },
	{ STEP_MAIL,     "552 too big",              OUTCOME_BOUNCE,    SCOPE_MESSAGE,   "5.0.0" },
	{ STEP_MAIL,     "354 odd",                  OUTCOME_DEFER,     SCOPE_SITE,      "4.0.0" },
	/* RCPT the recipient */
	{ STEP_RCPT,     "450 4.2.0 greylisted",     OUTCOME_DEFER,     SCOPE_RECIPIENT, "4.2.0" },
	{ STEP_RCPT,     "452 4.5.3 too many",       OUTCOME_DEFER,     SCOPE_RECIPIENT, "4.5.3" },
	{ STEP_RCPT,     "550 5.1.1 no such user",   OUTCOME_BOUNCE,    SCOPE_RECIPIENT, "5.1.1" },
	{ STEP_RCPT,     "550 no such user",         OUTCOME_BOUNCE,    SCOPE_RECIPIENT, "5.0.0" },
	{ STEP_RCPT,     "501 5.1.3 bad address",    OUTCOME_BOUNCE,    SCOPE_RECIPIENT, "5.1.3" },
	{ STEP_RCPT,     "552 5.2.2 full",           OUTCOME_BOUNCE,    SCOPE_RECIPIENT, "5.2.2" },
	/* DATA, the body and the dot the message */
	{ STEP_DATA,     "451 later",                OUTCOME_DEFER,     SCOPE_MESSAGE,   "4.0.0" },
	{ STEP_DATA,     "554 no valid recipients",  OUTCOME_BOUNCE,    SCOPE_MESSAGE,   "5.0.0" },
	{ STEP_DATA,     "250 odd",                  OUTCOME_DEFER,     SCOPE_SITE,      "4.0.0" },
	{ STEP_BODY,     "552 5.3.4 too big",        OUTCOME_BOUNCE,    SCOPE_MESSAGE,   "5.3.4" },
	{ STEP_BODY,     "250 odd",                  OUTCOME_DEFER,     SCOPE_SITE,      "4.0.0" },
	{ STEP_DOT,      "250 2.6.0 taken",          OUTCOME_DELIVERED, SCOPE_MESSAGE,   "2.6.0" },
	{ STEP_DOT,      "250 taken",                OUTCOME_DELIVERED, SCOPE_MESSAGE,   "2.0.0" },
	{ STEP_DOT,      "452 4.3.1 full",           OUTCOME_DEFER,     SCOPE_MESSAGE,   "4.3.1" },
	{ STEP_DOT,      "554 5.7.1 spam",           OUTCOME_BOUNCE,    SCOPE_MESSAGE,   "5.7.1" },
	{ STEP_DOT,      "354 odd",                  OUTCOME_DEFER,     SCOPE_SITE,      "4.0.0" },
	/* 421 closes the connection wherever it comes */
	{ STEP_MAIL,     "421 4.7.0 slow down",      OUTCOME_DEFER,     SCOPE_SITE,      "4.7.0" },
	{ STEP_RCPT,     "421 bye",                  OUTCOME_DEFER,     SCOPE_SITE,      "4.0.0" },
	{ STEP_DOT,      "421 bye",                  OUTCOME_DEFER,     SCOPE_SITE,      "4.0.0" },
	/* our own fault never bounces */
	{ STEP_MAIL,     "500 what",                 OUTCOME_DEFER,     SCOPE_SITE,      "4.0.0" },
	{ STEP_MAIL,     "502 5.5.1 no such verb",   OUTCOME_DEFER,     SCOPE_SITE,      "4.0.0" },
	{ STEP_RCPT,     "503 5.5.1 order",          OUTCOME_DEFER,     SCOPE_SITE,      "4.0.0" },
	{ STEP_RCPT,     "504 5.5.2 your HELO name", OUTCOME_DEFER,     SCOPE_SITE,      "4.0.0" },
	{ STEP_MAIL,     "530 5.7.0 STARTTLS first", OUTCOME_DEFER,     SCOPE_SITE,      "4.0.0" },
	{ STEP_MAIL,     "535 5.7.8 AUTH failed",    OUTCOME_DEFER,     SCOPE_SITE,      "4.0.0" },
	/* ... but the code is the mail's when the enhanced one says so */
	{ STEP_RCPT,     "500 5.1.1 no such user",   OUTCOME_BOUNCE,    SCOPE_RECIPIENT, "5.1.1" },
	{ STEP_DOT,      "503 5.7.1 spam",           OUTCOME_BOUNCE,    SCOPE_MESSAGE,   "5.7.1" },
};
/* clang-format on */

static void
each_reply_has_its_meaning_at_its_step(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		const struct row *row = &rows[i];
		struct outcome outcome;
		struct reply reply;

		memset(&outcome, 0x55, sizeof outcome);
		reply_start(&reply);
		assert_int_equal(reply_line(&reply, row->reply, strlen(row->reply), NULL, NULL), 1);
		outcome_from_reply(&outcome, row->step, &reply, "mx.example[192.0.2.1]", NULL);
		if (outcome.kind != row->kind || outcome.scope != row->scope)
			fail_msg("step %d, \"%s\": kind %d, scope %d", row->step, row->reply,
				outcome.kind, outcome.scope);
		assert_string_equal(outcome.enhanced, row->enhanced);
		assert_string_equal(outcome.text, row->reply);
		assert_string_equal(outcome.host, "mx.example[192.0.2.1]");
		assert_string_equal(outcome.tls, "");
		assert_int_equal(outcome.code, reply.code);
		assert_false(outcome.retry_now);
	}
}

/* Rows as above, with the rules; a reply that no rule knows fares as above. */
static void
the_rules_say_whether_a_5xx_bounces(void **state)
{
	static const struct row judged[] = {
		{ STEP_RCPT, "550 5.7.1 blocked using zen.spamhaus.org", OUTCOME_DEFER, SCOPE_SITE,
			"4.0.0" },
		{ STEP_MAIL, "550 5.7.1 blocked using zen.spamhaus.org", OUTCOME_DEFER, SCOPE_SITE,
			"4.0.0" },
		{ STEP_DOT, "554 5.7.1 your IP has been blocked", OUTCOME_DEFER, SCOPE_SITE,
			"4.0.0" },
		{ STEP_RCPT, "554 5.7.1 no PTR record", OUTCOME_DEFER, SCOPE_SITE, "4.0.0" },
		{ STEP_RCPT, "550 4.3.0 temporary failure", OUTCOME_DEFER, SCOPE_RECIPIENT,
			"4.0.0" },
		{ STEP_DOT, "554 service unavailable", OUTCOME_DEFER, SCOPE_MESSAGE, "4.0.0" },
		{ STEP_RCPT, "450 5.1.1 user unknown for ever", OUTCOME_DEFER, SCOPE_RECIPIENT,
			"4.0.0" },
		{ STEP_RCPT, "503 user unknown", OUTCOME_BOUNCE, SCOPE_RECIPIENT, "5.0.0" },
		{ STEP_DOT, "550 5.1.1 user unknown", OUTCOME_BOUNCE, SCOPE_MESSAGE, "5.1.1" },
		{ STEP_RCPT, "550 5.7.1 rejected by DMARC policy", OUTCOME_BOUNCE, SCOPE_RECIPIENT,
			"5.7.1" },
		{ STEP_BANNER, "550 user unknown", OUTCOME_DEFER, SCOPE_SITE, "4.0.0" },
		{ STEP_RCPT, "550 5.9.9 gibberish", OUTCOME_BOUNCE, SCOPE_RECIPIENT, "5.9.9" },
		{ STEP_RCPT, "504 gibberish", OUTCOME_DEFER, SCOPE_SITE, "4.0.0" },
	};
	char *why;
	struct replies *replies = replies_new(NULL, &why);

	(void)state;
	assert_non_null(replies);
	for (size_t i = 0; i < sizeof judged / sizeof *judged; i++) {
		const struct row *row = &judged[i];
		struct outcome outcome;
		struct reply reply;

		reply_start(&reply);
		assert_int_equal(reply_line(&reply, row->reply, strlen(row->reply), NULL, NULL), 1);
		outcome_from_reply(&outcome, row->step, &reply, "mx.example[192.0.2.1]", replies);
		if (outcome.kind != row->kind || outcome.scope != row->scope)
			fail_msg("step %d, \"%s\": kind %d, scope %d", row->step, row->reply,
				outcome.kind, outcome.scope);
		assert_string_equal(outcome.enhanced, row->enhanced);
		assert_true(outcome.meant);
	}
	replies_free(&replies);
}

static void
what_blames_the_recipient_counts_against_the_account(void **state)
{
	static const struct {
		const char *reply;
		bool hard, unknown;
	} counted[] = {
		{ "550 5.7.1 user unknown", true, true },
		{ "550 no such user", true, true },
		{ "552 5.2.2 mailbox full", true, false },
		{ "550 5.7.1 refused by recipient policy", false, false },
		{ "550 5.7.1 spam", false, false },
		{ "550 5.1.1 blocked using zen.spamhaus.org", false, false },
	};
	char *why;
	struct replies *replies = replies_new(NULL, &why);

	(void)state;
	assert_non_null(replies);
	for (size_t i = 0; i < sizeof counted / sizeof *counted; i++) {
		struct outcome outcome;
		struct reply reply;

		reply_start(&reply);
		reply_line(&reply, counted[i].reply, strlen(counted[i].reply), NULL, NULL);
		outcome_from_reply(&outcome, STEP_RCPT, &reply, "mx", replies);
		if (outcome_is_hard_bounce(&outcome) != counted[i].hard ||
			outcome_is_unknown_user(&outcome) != counted[i].unknown)
			fail_msg("%s", counted[i].reply);
	}
	replies_free(&replies);
}

static void
every_error_defers_for_the_site(void **state)
{
	(void)state;
	for (enum outcome_step step = STEP_DNS; step <= STEP_DOT; step++) {
		struct outcome outcome;

		memset(&outcome, 0x55, sizeof outcome);
		outcome_from_error(&outcome, step, "timed out", "");
		assert_int_equal(outcome.kind, OUTCOME_DEFER);
		assert_int_equal(outcome.scope, SCOPE_SITE);
		assert_int_equal(outcome.code, 0);
		assert_int_equal(outcome.enhanced[0], '4');
		assert_string_equal(outcome.text, "timed out");
		assert_false(outcome.retry_now);
	}
}

static void
our_own_decisions_carry_their_code(void **state)
{
	struct outcome outcome;

	(void)state;
	outcome_bounce(&outcome, "5.1.10", "null MX");
	assert_int_equal(outcome.kind, OUTCOME_BOUNCE);
	assert_string_equal(outcome.enhanced, "5.1.10");
	assert_string_equal(outcome.host, "");
	assert_string_equal(outcome.class, "dns");
	outcome_bounce(&outcome, "5.3.4", "too large");
	assert_string_equal(outcome.class, "ours");
	outcome_defer(&outcome, SCOPE_MESSAGE, "4.3.2", "later");
	assert_int_equal(outcome.kind, OUTCOME_DEFER);
	assert_int_equal(outcome.scope, SCOPE_MESSAGE);
	assert_string_equal(outcome.text, "later");
}

static void
reputation_counts_what_is_the_recipients_fault(void **state)
{
	static const struct {
		enum outcome_step step;
		const char *reply;
		bool hard, unknown;
	} judged[] = {
		{ STEP_RCPT, "550 5.1.1 no such user", true, true },
		{ STEP_RCPT, "550 no such user", true, false },
		{ STEP_RCPT, "550 5.2.1 disabled", true, false },
		{ STEP_RCPT, "550 5.7.1 your address is listed", false, false },
		{ STEP_RCPT, "450 4.1.1 not now", false, false },
		{ STEP_DOT, "554 5.6.0 no", false, false },
	};
	struct outcome outcome;

	(void)state;
	for (size_t i = 0; i < sizeof judged / sizeof *judged; i++) {
		struct reply reply;

		reply_start(&reply);
		reply_line(&reply, judged[i].reply, strlen(judged[i].reply), NULL, NULL);
		outcome_from_reply(&outcome, judged[i].step, &reply, "", NULL);
		if (outcome_is_hard_bounce(&outcome) != judged[i].hard ||
			outcome_is_unknown_user(&outcome) != judged[i].unknown)
			fail_msg("%s", judged[i].reply);
	}
	outcome_bounce(&outcome, "5.1.2", "no such domain");
	assert_true(outcome_is_hard_bounce(&outcome));
	assert_false(outcome_is_unknown_user(&outcome));
	outcome_bounce(&outcome, "5.6.7", "no SMTPUTF8");
	assert_false(outcome_is_hard_bounce(&outcome));
}

static void
a_refusal_for_lack_of_tls_is_told_from_others(void **state)
{
	static const struct {
		const char *reply;
		bool tls;
	} refusals[] = {
		{ "530 5.7.0 Must issue a STARTTLS command first", true },
		{ "530 no", true },
		{ "523 5.7.10 Encryption Needed", true },
		{ "554 5.7.10 no", true },
		{ "450 4.7.10 not like this", true },
		{ "451 5.7.3 STARTTLS is required to send mail [mx.example]", true },
		{ "503 5.5.1 Must issue a STARTTLS command first", true },
		{ "550 Must issue a starttls command first", true },
		{ "550 5.7.1 TLS required for this domain", true },
		{ "554 5.7.0 Session encryption is required", true },
		{ "454 4.7.0 This server needs an encrypted connection", true },
		{ "421 4.7.0 TLS is mandatory here, see http://x.example/tls", true },
		{ "550-5.7.1 We enforce\n550 5.7.1 SSL", true },
		{ "250 STARTTLS is required", false },
		{ "550 5.1.1 <starttls@must.example>: no such user", false },
		{ "550 5.1.1 <tls-needed@x.example>: no such user", false },
		{ "454 4.7.0 TLS not available due to temporary reason", false },
		{ "550 5.7.1 titles must not be empty", false },
		{ "554 5.7.1 encrypted attachments must be announced", false },
		{ "550 5.7.1 you must be authenticated", false },
		{ "550 no such user", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
		const char *line = refusals[i].reply;
		struct reply reply;

		reply_start(&reply);
		while (!reply_line(&reply, line, strcspn(line, "\n"), NULL, NULL))
			line += strcspn(line, "\n") + 1;
		if (outcome_wants_tls(&reply) != refusals[i].tls)
			fail_msg("%s", refusals[i].reply);
	}
}

static void
what_was_kept_of_a_deferral_makes_one_again(void **state)
{
	static const struct {
		const char *text, *enhanced;
		int code;
	} kept[] = {
		{ "421 4.3.2 down for the night", "4.3.2", 421 },
		{ "421 down for the night", "4.0.0", 421 },
		{ "554 5.7.1 go away", "4.0.0", 554 },
		{ "451", "4.0.0", 451 },
		{ "Connection refused", "4.4.0", 0 },
		{ "", "4.4.0", 0 },
		{ "4510 times", "4.4.0", 0 },
	};
	struct outcome outcome;

	(void)state;
	for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
		memset(&outcome, 0x55, sizeof outcome);
		outcome_recall(&outcome, kept[i].text, "mx[192.0.2.1]", "lost", NULL);
		assert_string_equal(outcome.class, "lost");
		assert_int_equal(outcome.kind, OUTCOME_DEFER);
		assert_int_equal(outcome.code, kept[i].code);
		assert_string_equal(outcome.enhanced, kept[i].enhanced);
		assert_string_equal(outcome.text, kept[i].text);
		assert_string_equal(outcome.host, "mx[192.0.2.1]");
	}
}

static void
addresses_are_hidden_from_others(void **state)
{
	static const char *const texts[][2] = {
		{ "451 4.2.2 <bob@a.example>: mailbox full", "451 4.2.2 ... mailbox full" },
		{ "451 bob@a.example", "451 ..." },
		{ "451 no address", "451 no address" },
		{ "@", "..." },
		{ "", "" },
	};
	struct outcome outcome;
	char at[OUTCOME_TEXT_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		outcome_defer(&outcome, SCOPE_SITE, "4.0.0", texts[i][0]);
		outcome_hide_addresses(&outcome);
		assert_string_equal(outcome.text, texts[i][1]);
	}
	for (size_t i = 0; i < sizeof at; i++)
		at[i] = i % 2 ? ' ' : '@';
	at[sizeof at - 1] = '\0';
	outcome_defer(&outcome, SCOPE_SITE, "4.0.0", at);
	outcome_hide_addresses(&outcome);
	assert_null(strchr(outcome.text, '@'));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_reply_has_its_meaning_at_its_step),
		cmocka_unit_test(the_rules_say_whether_a_5xx_bounces),
		cmocka_unit_test(what_blames_the_recipient_counts_against_the_account),
		cmocka_unit_test(every_error_defers_for_the_site),
		cmocka_unit_test(our_own_decisions_carry_their_code),
		cmocka_unit_test(a_refusal_for_lack_of_tls_is_told_from_others),
		cmocka_unit_test(reputation_counts_what_is_the_recipients_fault),
		cmocka_unit_test(what_was_kept_of_a_deferral_makes_one_again),
		cmocka_unit_test(addresses_are_hidden_from_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
