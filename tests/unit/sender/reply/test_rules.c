/*
 * test_rules.c - files of rules: what is refused, and where; whose rule counts; reading again.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "sender/reply/replies.h"

static char path[] = "/tmp/shout-rules-XXXXXX";

static void
write_file(const char *text)
{
	FILE *out = fopen(path, "w");

	assert_non_null(out);
	fputs(text, out);
	assert_int_equal(fclose(out), 0);
}

static int
start(void **state)
{
	const int fd = mkstemp(path);

	(void)state;
	return fd < 0 || close(fd) < 0 ? -1 : 0;
}

static int
end(void **state)
{
	(void)state;
	return unlink(path);
}

#define ENTRY                                                                                      \
	"  - name: one\n"                                                                          \
	"    match: frob\n"                                                                        \
	"    class: greylisted\n"                                                                  \
	"    scope: transient\n"                                                                   \
	"    samples: ['450 frob']\n"
#define RULE "replies:\n" ENTRY

static void
a_mistake_is_named_with_its_line(void **state)
{
	static const struct {
		const char *text, *line, *why;
	} rows[] = {
		{ "replies: [", ":2: ", "did not find" },
		{ "rules: []\n", ":1: ", "there is no key rules" },
		{ "limits: 5\n", ":1: ", "limits has to be a list" },
		{ "limits:\n  - {connections: 0}\n", ":2: ", "connections: it has to be a number" },
		{ "limits:\n  - {rate: 10}\n", ":2: ", "rate: it has to be" },
		{ "limits:\n  - {rate: 10/d}\n", ":2: ", "rate: it has to be" },
		{ "limits:\n  - {mix_domains: maybe}\n", ":2: ", "true or false" },
		{ "limits:\n  - {speed: 5}\n", ":2: ", "limits have no key speed" },
		{ "limits:\n  - {provider: nobody, connections: 5}\n",
			":2: ", "there is no provider" },
		{ "replies: {}\n", ":1: ", "has to be a list" },
		{ "replies: [a]\n", ":1: ", "has to be a mapping" },
		{ RULE "    color: red\n", ":7: ", "a rule has no key color" },
		{ "replies:\n  - {name: a}\n", ":2: ", "a has no match" },
		{ "replies:\n  - {name: a, match: x}\n", ":2: ", "a has no samples" },
		{ "replies:\n  - {name: a, match: x, samples: [x]}\n", ":2: ", "a has no class" },
		{ "replies:\n  - {match: x}\n", ":2: ", "a rule has no name" },
		{ RULE ENTRY, ":7: ", "one is there twice" },
		{ RULE "    stage: never\n", ":7: ", "there is no stage never" },
		{ RULE "    reaction: [retry, dance]\n", ":7: ", "there is no reaction dance" },
		{ RULE "    reaction: bounce\n", ":2: ", "may not bounce" },
		{ RULE "    provider: nobody\n", ":7: ", "there is no provider: nobody" },
		{ RULE "    not: ['450 more frob']\n", ":7: ", "it takes its near miss" },
		{ "replies:\n  - {name: a, match: x, class: nice, scope: ours, samples: [x]}\n",
			":2: ", "there is no class nice" },
		{ "replies:\n  - {name: a, match: x, class: spam-related, scope: me, samples: [x]}\n",
			":2: ", "there is no scope me" },
		{ "replies:\n  - {name: a, match: x, class: bad-mailbox, scope: recipient, reaction: retry, "
		  "samples: [x]}\n",
			":2: ", "has to bounce" },
		{ "replies:\n  - name: a\n    match:\n      - ok\n      - '(x+)+'\n    class: dnsbl\n"
		  "    scope: ours\n    samples: [ok]\n",
			":5: ", "can explode" },
		{ "replies:\n  - name: a\n    match: 'a.*a.*a.*a.*a.*b\\d'\n    class: dnsbl\n    scope: ours\n"
		  "    samples: [aaaaab1]\n",
			":3: ", "can explode" },
		{ "replies:\n  - name: a\n    match: x\n    class: dnsbl\n    scope: ours\n    samples:\n"
		  "      - 550 y\n",
			":7: ", "no rule takes its sample" },
		{ RULE "  - name: two\n    match: frobs\n    class: dnsbl\n    scope: ours\n"
		       "    samples: ['450 frobs']\n",
			":11: ", "taken by another rule: one" },
		{ "providers:\n  a: [mx.example]\n", ":2: ", "begins with a dot" },
		{ "replies:\n  - {name: a, match: '', class: dnsbl, scope: ours, samples: [x]}\n",
			":2: ", "match has to be a text" },
	};
	char *why;

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct replies *replies;

		write_file(rows[i].text);
		replies = replies_new(path, &why);
		if (replies)
			fail_msg("taken: %s", rows[i].text);
		if (strncmp(why, path, strlen(path)) != 0 || !strstr(why, rows[i].line) ||
			!strstr(why, rows[i].why))
			fail_msg("%s\n%s", rows[i].text, why);
		free(why);
	}
}

static void
a_file_that_is_not_there_is_named(void **state)
{
	char *why;

	(void)state;
	assert_null(replies_new("/nowhere/rules.yaml", &why));
	assert_non_null(strstr(why, "/nowhere/rules.yaml: No such file"));
	free(why);
}

static struct reply_meaning
mean(const struct replies *replies, const char *host, unsigned stages, const char *text)
{
	const struct reply_said said = { host, text, 0, stages };
	struct reply_meaning meaning;

	replies_mean(replies, &said, &meaning);
	return meaning;
}

static void
the_operators_rules_count_before_ours(void **state)
{
	struct replies *replies;
	struct reply_meaning meaning;
	char *why;

	(void)state;
	write_file(
		"providers:\n  mine: [.mine.example, .sub.google.com]\n"
		"replies:\n"
		"  - name: general\n    match: user unknown\n    class: policy-related\n    scope: recipient\n"
		"    samples: ['550 user unknown']\n"
		"  - name: of-mine\n    provider: mine\n    match: user unknown\n    class: spam-related\n"
		"    scope: message\n    samples: ['550 user unknown']\n"
		"  - name: of-google\n    provider: google\n    stage: [rcpt, dot]\n    match: frob\n"
		"    class: greylisted\n    scope: transient\n    samples: ['550 frob']\n");
	replies = replies_new(path, &why);
	if (!replies)
		fail_msg("%s", why);
	assert_int_equal(replies_own_count(replies), 3);
	assert_true(replies_built_in_count(replies) > 100);

	meaning = mean(replies, "mx.example", STAGE_ANY, "550 user unknown");
	assert_string_equal(meaning.rule, "general");
	assert_string_equal(meaning.provider, "");
	/* a rule of the provider goes first, though it stands below */
	meaning = mean(replies, "MX1.Mine.Example[192.0.2.1]", STAGE_ANY, "550 user unknown");
	assert_string_equal(meaning.rule, "of-mine");
	assert_string_equal(meaning.provider, "mine");
	assert_string_equal(
		mean(replies, "mine.example", STAGE_ANY, "550 user unknown").rule, "of-mine");
	assert_string_equal(
		mean(replies, "notmine.example", STAGE_ANY, "550 user unknown").rule, "general");
	/* the longer end of the name says whose it is */
	assert_string_equal(mean(replies, "a.sub.google.com", STAGE_ANY, "550 x").provider, "mine");
	/* ours are below */
	assert_true(mean(replies, "mx.example", STAGE_ANY, "552 mailbox full").known);
	/* the stage */
	assert_string_equal(mean(replies, "a.google.com", STAGE_DOT, "550 frob").rule, "of-google");
	assert_false(mean(replies, "a.google.com", STAGE_MAIL, "550 frob").known);
	replies_free(&replies);
}

static void
what_is_read_again_counts_unless_it_has_a_mistake(void **state)
{
	struct replies *replies;
	char *why;

	(void)state;
	write_file(RULE);
	replies = replies_new(path, &why);
	assert_non_null(replies);
	assert_string_equal(mean(replies, "mx", STAGE_ANY, "550 frob").rule, "one");
	write_file("replies: [{}]\n");
	assert_false(replies_reload(replies, path, &why));
	assert_non_null(strstr(why, ":1: a rule has no name"));
	free(why);
	assert_string_equal(mean(replies, "mx", STAGE_ANY, "550 frob").rule, "one");
	write_file("");
	assert_true(replies_reload(replies, path, &why));
	assert_int_equal(replies_own_count(replies), 0);
	assert_false(mean(replies, "mx", STAGE_ANY, "550 frob").known);
	replies_free(&replies);
}

static void
the_code_decides_what_is_left_of_the_reactions(void **state)
{
	static const struct {
		const char *text, *reaction;
	} rows[] = {
		{ "550 5.1.1 user unknown", "bounce" },
		{ "450 4.1.1 user unknown", "retry" },
		{ "552 5.2.2 mailbox full", "bounce" },
		{ "452 4.2.2 mailbox full", "retry" },
		{ "554 blocked using zen.spamhaus.org", "hold, rest-ip, page" },
		{ "454 blocked using zen.spamhaus.org", "slow" },
		{ "550 5.7.1 too many connections", "hold, rest-ip, page" },
		{ "421 4.7.1 too many connections", "slow" },
		{ "550 5.7.1 rejected by DMARC policy", "bounce, tell-customer" },
		{ "450 4.7.1 rejected by DMARC policy", "retry, tell-customer" },
		{ "550 4.3.0 temporary failure", "retry" },
		{ "550 5.9.9 gibberish", "bounce" },
		{ "450 4.9.9 gibberish", "retry" },
	};
	char *why, text[REACTIONS_TEXT_MAX];
	struct replies *replies = replies_new(NULL, &why);

	(void)state;
	assert_non_null(replies);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		const struct reply_meaning meaning = mean(replies, "mx", STAGE_ANY, rows[i].text);

		reactions_text(&meaning.reactions, text);
		if (strcmp(text, rows[i].reaction) != 0)
			fail_msg("%s: %s", rows[i].text, text);
	}
	replies_free(&replies);
}

static void
breaks_have_a_duration(void **state)
{
	struct reactions reactions = { 0, 0 };
	char text[REACTIONS_TEXT_MAX];

	(void)state;
	assert_false(reactions_add(&reactions, "break"));
	assert_false(reactions_add(&reactions, "break soon"));
	reactions = (struct reactions){ 0, 0 };
	assert_true(reactions_add(&reactions, "break 30m"));
	assert_int_equal(reactions.break_s, 1800);
	reactions_text(&reactions, text);
	assert_string_equal(text, "break 1800s");
}

static void
limits_of_ones_own_count_before_ours_and_a_providers_before_those_of_all(void **state)
{
	struct lane_limits limits;
	struct replies *replies;
	char *why;

	(void)state;
	write_file("limits:\n  - {rate: 600/m, recipients: 7}\n"
		   "  - {provider: google, connections: 3, mix_domains: true}\n");
	replies = replies_new(path, &why);
	assert_non_null(replies);
	assert_true(replies_limits(replies, "aspmx.l.google.com", false, &limits));
	assert_int_equal(limits.connections, 3);
	assert_int_equal(limits.messages, 50); /* ours */
	assert_int_equal(limits.rate_milli, 10000);
	assert_int_equal(limits.recipients, 7);
	assert_int_equal(limits.mix_domains, MIX_YES);
	assert_true(replies_limits(replies, "mx.else.example", false, &limits));
	assert_int_equal(limits.connections, 10);
	assert_int_equal(limits.mix_domains, MIX_NO);
	assert_true(replies_limits(replies, "mx.else.example", true, &limits));
	assert_int_equal(limits.connections, 0);
	assert_int_equal(limits.rate_milli, 10000);
	replies_free(&replies);
	replies = replies_new(NULL, &why);
	assert_false(replies_limits(replies, "aspmx.l.google.com", true, &limits));
	replies_free(&replies);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			limits_of_ones_own_count_before_ours_and_a_providers_before_those_of_all),
		cmocka_unit_test(a_mistake_is_named_with_its_line),
		cmocka_unit_test(a_file_that_is_not_there_is_named),
		cmocka_unit_test(the_operators_rules_count_before_ours),
		cmocka_unit_test(what_is_read_again_counts_unless_it_has_a_mistake),
		cmocka_unit_test(the_code_decides_what_is_left_of_the_reactions),
		cmocka_unit_test(breaks_have_a_duration),
	};

	return cmocka_run_group_tests(tests, start, end);
}
