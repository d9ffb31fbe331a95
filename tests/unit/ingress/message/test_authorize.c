/*
 * test_authorize.c - the originator policy, row by row: account and addresses in, a decision out.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ingress/message/authorize.h"
#include "ingress/message/content.h"

#define ACCOUNT(policy)                                                                            \
	"{\"id\":\"acme\",\"name\":\"Acme\",\"contact\":\"it@acme.example\",\"status\":"           \
	"\"active\",\"policy\":\"" policy "\",\"domains\":[\"acme.example\",\"acme.test\"]}"

#define DISPLAYING                                                                                 \
	"{\"id\":\"acme\",\"status\":\"active\",\"display_address\":\"pass\",\"domains\":"         \
	"[\"acme.example\"]}"

static const struct {
	const char *what, *mail_from;
	bool pass;
} senders[] = {
	{ "the null sender", "", true },
	{ "an own domain", "a@acme.example", true },
	{ "an own domain in capitals", "a@ACME.Example", true },
	{ "the other own domain", "\"a@b\"@acme.test", true },
	{ "a foreign domain", "a@other.example", false },
	{ "a subdomain of an own one", "a@sub.acme.example", false },
	{ "a domain that ends like an own one", "a@notacme.example", false },
	{ "an own domain as local part", "a@acme.example@other.example", false },
	{ "no domain", "postmaster", false },
	{ "an address literal", "a@[127.0.0.1]", false },
	{ "an own domain with wide dots",
		"a@acme\xef\xbc\x8e"
		"example",
		true },
	{ "with what does not show", "a@ac\xe2\x80\x8dme.example", false },
	{ "with a percent sign", "a%acme.example@other.example", false },
};

#define OWN "a@acme.example"
#define OTHER "x@other.example"

/* PASS, REFUSE, ASK and so on, of the header as it is written; "ASK other.example" names the domain
 * that is asked for. */
static const struct {
	const char *what, *mail_from, *header, *strict, *resent;
} headers[] = {
	{ "own From", OWN, "From: " OWN, "PASS", "PASS" },
	{ "missing From", OWN, "", "PASS", "PASS" },
	{ "two From fields", OWN, "From: " OWN "\r\nfrom : " OWN, "TWO_FROM", "TWO_FROM" },
	{ "two From fields, NDR", "", "From: " OWN "\r\nFROM: " OWN, "TWO_FROM", "TWO_FROM" },
	{ "unreadable From", OWN, "From: <" OWN, "BAD_FROM", "BAD_FROM" },
	{ "From without a mailbox", OWN, "From: <>", "NO_FROM", "NO_FROM" },
	{ "From without a mailbox, NDR", "", "From: System Administrator <>", "PASS", "PASS" },
	{ "From with an address for a name, NDR", "", "From: \"" OTHER "\" <>", "NO_FROM",
		"NO_FROM" },
	{ "the same encoded", "", "From: =?utf-8?q?x=40other.example?= <>", "NO_FROM", "NO_FROM" },
	{ "the same for a group", OWN, "From: =?utf-8?b?eEBvdGhlci5leGFtcGxl?=:;", "NO_FROM",
		"NO_FROM" },
	{ "foreign From", OWN, "From: " OTHER, "REFUSE", "REFUSE" },
	{ "foreign From, own Sender", OWN, "From: " OTHER "\r\nSender: " OWN, "REFUSE",
		"ASK other.example" },
	{ "foreign From, own Resent-From", OWN, "From: " OTHER "\r\nResent-From: " OWN, "REFUSE",
		"ASK other.example" },
	{ "foreign From, foreign Sender", OWN, "From: " OTHER "\r\nSender: " OTHER, "REFUSE",
		"REFUSE" },
	{ "foreign From, one own among the senders", OWN,
		"Sender: " OTHER "\r\nResent-Sender: " OWN "\r\nFrom: " OTHER, "REFUSE",
		"ASK other.example ASK other.example" },
	{ "own From, foreign Sender", OWN, "From: " OWN "\r\nSender: " OTHER, "ASK other.example",
		"ASK other.example" },
	{ "foreign Sender alone", OWN, "Sender: " OTHER, "ASK other.example", "ASK other.example" },
	{ "Sender without a domain", OWN, "From: " OWN "\r\nSender: root", "PASS", "PASS" },
	{ "Sender that may be an address", OWN, "From: " OWN "\r\nSender: x%other.example",
		"REFUSE", "REFUSE" },
	{ "Sender that has no form", OWN, "From: " OWN "\r\nSender: x@\xf0\x9f\x98\x80", "REFUSE",
		"REFUSE" },
	{ "unreadable Sender", OWN, "From: " OWN "\r\nSender: <" OTHER, "BAD_SENDER",
		"BAD_SENDER" },
	{ "unreadable Sender without an address", OWN, "From: " OWN "\r\nSender: www data", "PASS",
		"PASS" },
	{ "several From, all own", OWN, "From: " OWN ", b@acme.test", "PASS", "PASS" },
	{ "several From, one foreign", OWN, "From: " OWN ", " OTHER, "REFUSE", "REFUSE" },
	{ "From without a domain", OWN, "From: scanner", "REFUSE", "REFUSE" },
	{ "From without a domain, own Sender", OWN, "From: scanner\r\nSender: " OWN, "REFUSE",
		"REFUSE" },
	{ "quoted address without a domain, own Sender", OWN, "From: \"" OTHER "\"\r\nSender: " OWN,
		"REFUSE", "REFUSE" },
	{ "unroutable From", OWN, "From: x@corp.local", "REFUSE", "REFUSE" },
	{ "unroutable From, NDR", "", "From: x@corp.local", "ASK corp.local", "ASK corp.local" },
	{ "unroutable From in capitals, NDR", "", "From: x@CORP\xef\xbc\x8eLocal", "ASK corp.local",
		"ASK corp.local" },
	{ "a host's name, NDR", "", "From: x@host", "ASK host", "ASK host" },
	{ "a name with an address beside it, NDR", "", "From: \"" OTHER "\" <x@host>",
		"ASK host REFUSE", "ASK host REFUSE" },
	{ "From without a domain, NDR", "", "From: postmaster", "PASS", "PASS" },
	{ "quoted address without a domain, NDR", "", "From: \"" OTHER "\"", "REFUSE", "REFUSE" },
	{ "a path without a domain, NDR", "", "From: other.example!x", "REFUSE", "REFUSE" },
	{ "encoded address without a domain, NDR", "",
		"From: =?utf-8?q?x=40other.example?=", "REFUSE", "REFUSE" },
	{ "own From, NDR", "", "From: " OWN, "PASS", "PASS" },
	{ "own From with an address for a name, NDR", "", "From: \"" OTHER "\" <" OWN ">",
		"ASK other.example", "ASK other.example" },
	{ "From a host below an own domain, NDR", "", "From: MAILER-DAEMON@mail.ACME.example",
		"ASK mail.acme.example", "ASK mail.acme.example" },
	{ "with wide dots", "",
		"From: x@mail\xef\xbc\x8e"
		"acme\xef\xbd\xa1"
		"example",
		"ASK mail.acme.example", "ASK mail.acme.example" },
	{ "From a host below an own domain", OWN, "From: root@mail.acme.example", "REFUSE",
		"REFUSE" },
	{ "From a host that ends like an own domain, NDR", "", "From: x@mail.notacme.example",
		"REFUSE", "REFUSE" },
	{ "foreign From, NDR", "", "From: " OTHER, "REFUSE", "REFUSE" },
	{ "foreign From with a wide dot, NDR", "",
		"From: x@other\xe3\x80\x82"
		"example",
		"REFUSE", "REFUSE" },
	{ "foreign From without a form, NDR", "",
		"From: x@other\xe2\x80\xa4"
		"example",
		"REFUSE", "REFUSE" },
	{ "From that is a picture, NDR", "", "From: x@\xf0\x9f\x98\x80", "REFUSE", "REFUSE" },
	{ "foreign From with a joiner, own Sender", OWN,
		"From: x@other\xe2\x80\x8d.example\r\nSender: " OWN, "REFUSE", "REFUSE" },
	{ "foreign From with a soft hyphen, own Sender", OWN,
		"From: x@oth\xc2\xad"
		"er.example\r\nSender: " OWN,
		"REFUSE", "ASK other.example" },
	{ "an address for a name", OWN, "From: \"" OTHER "\" <" OWN ">", "ASK other.example",
		"ASK other.example" },
	{ "an own address for a name", OWN, "From: \"a@ACME.example\" <b@acme.test>", "PASS",
		"PASS" },
	{ "addresses in names, each once", OWN,
		"From: \"x@b.example y@B.example\" <" OWN "> (z@b.example)", "ASK b.example",
		"ASK b.example" },
	{ "From mailbox by mailbox", OWN, "From: x@b.example, y@c.example\r\nSender: " OWN,
		"REFUSE", "ASK b.example ASK c.example" },
	{ "letters turned round", OWN,
		"From: \xe2\x80\xae"
		"elpmaxe.rehto@x <" OWN ">",
		"TURNED", "TURNED" },
	{ "the same encoded", OWN,
		"From: " OWN "\r\nSender: =?utf-8?q?=E2=80=AEelpmaxe.rehto=40x?= <" OWN ">",
		"TURNED", "TURNED" },
	{ "marks of Hebrew and Arabic", OWN,
		"From: \xe2\x80\x8f\xe2\x80\xab\xd7\x90\xe2\x80\xac <" OWN ">", "PASS", "PASS" },
	{ "an empty group", OWN, "From: Automated:;", "PASS", "PASS" },
	{ "with blanks and a comment", OWN, "From:  Automated (x@y.z) : (none) ;", "NO_FROM",
		"NO_FROM" },
	{ "of several words, folded", OWN, "From: Auto\r\n mated.System: \r\n ;\r\n ", "PASS",
		"PASS" },
	{ "quoted", OWN, "From: \"Auto, mated\":;", "PASS", "PASS" },
	{ "encoded", OWN, "From: =?utf-8?q?Autom=C3=A1tico?=:;", "PASS", "PASS" },
	{ "two of them", OWN, "From: A:;, B:;", "PASS", "PASS" },
	{ "with an address for a name", OWN, "From: \"x@other.example\":;", "NO_FROM", "NO_FROM" },
	{ "a group of our own", OWN, "From: Team: a@acme.example, b@acme.test;", "PASS", "PASS" },
	{ "an empty group and a foreign mailbox", OWN, "From: A:;, x@other.example", "REFUSE",
		"REFUSE" },
	{ "a group that does not end", OWN, "From: Automated:", "NO_FROM", "NO_FROM" },
	{ "a group that does not end, NDR", "", "From: Automated:", "PASS", "PASS" },
	{ "nothing", OWN, "From: ", "NO_FROM", "NO_FROM" },
	{ "nothing, NDR", "", "From: ", "PASS", "PASS" },
	{ "what cannot be read", OWN, "From: Joe Public", "BAD_FROM", "BAD_FROM" },
	{ "what cannot be read, NDR", "", "From: Joe Public", "PASS", "PASS" },
	{ "an address in what cannot be read, NDR", "", "From: <" OWN, "BAD_FROM", "BAD_FROM" },
	{ "a semicolon in what cannot be read", OWN, "From: Joe Public;", "BAD_FROM", "BAD_FROM" },
};

static const char *const verdicts[] = {
	[AUTHORIZE_PASS] = "PASS",
	[AUTHORIZE_REFUSE] = "REFUSE",
	[AUTHORIZE_ASK] = "ASK",
	[AUTHORIZE_TWO_FROM] = "TWO_FROM",
	[AUTHORIZE_BAD_FROM] = "BAD_FROM",
	[AUTHORIZE_BAD_SENDER] = "BAD_SENDER",
	[AUTHORIZE_TURNED] = "TURNED",
	[AUTHORIZE_LONG_FROM] = "LONG_FROM",
	[AUTHORIZE_LONG] = "LONG",
	[AUTHORIZE_NO_FROM] = "NO_FROM",
};

static struct account *
make_account(const char *json)
{
	return account_from_json(json, strlen(json));
}

static void
the_sender_is_null_or_in_an_own_domain(void **state)
{
	struct account *account = make_account(ACCOUNT("resent"));

	(void)state;
	for (size_t i = 0; i < sizeof senders / sizeof *senders; i++)
		if (authorize_sender(account, senders[i].mail_from) != senders[i].pass)
			fail_msg("%s", senders[i].what);
	account_unref(account);
}

/* The verdicts on a header, if each answer lets it go on. */
static void
judge(const struct account *account, const char *mail_from, const char *header, char *out,
	size_t size)
{
	struct arena arena = { 0 };
	struct content content;
	size_t room = strlen(header) + 10, at = 0, n = 0;
	char *data = malloc(room);
	enum authorize verdict;

	snprintf(data, room, "%s\r\n\r\n", header);
	content_read(data, strlen(data), &arena, &content);
	while ((verdict = authorize_header(account, mail_from, &content.originators, &at)) ==
		AUTHORIZE_ASK) {
		const char *where;

		n += (size_t)snprintf(out + n, size - n, "%sASK %s", n ? " " : "",
			authorize_originator(&content.originators, at - 1, &where)->domain);
	}
	if (verdict != AUTHORIZE_PASS || n == 0)
		snprintf(out + n, size - n, "%s%s", n ? " " : "", verdicts[verdict]);
	free(data);
	arena_free(&arena);
}

static void
the_header_follows_the_account_s_policy(void **state)
{
	struct account *strict = make_account(ACCOUNT("strict"));
	struct account *resent = make_account(ACCOUNT("resent"));
	char got[500];

	(void)state;
	for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
		judge(strict, headers[i].mail_from, headers[i].header, got, sizeof got);
		if (strcmp(got, headers[i].strict) != 0)
			fail_msg("strict: %s: %s", headers[i].what, got);
		judge(resent, headers[i].mail_from, headers[i].header, got, sizeof got);
		if (strcmp(got, headers[i].resent) != 0)
			fail_msg("resent: %s: %s", headers[i].what, got);
	}
	account_unref(strict);
	account_unref(resent);
}

static void
names_may_hold_addresses_if_the_account_says_so(void **state)
{
	struct account *account = make_account(DISPLAYING);
	char got[500];

	(void)state;
	judge(account, OWN, "From: \"" OTHER "\" <" OWN ">", got, sizeof got);
	assert_string_equal(got, "PASS");
	judge(account, "", "From: \"" OTHER "\" <" OWN ">", got, sizeof got);
	assert_string_equal(got, "ASK other.example");
	judge(account, OWN, "From: " OWN "\r\nSender: " OTHER, got, sizeof got);
	assert_string_equal(got, "ASK other.example");
	account_unref(account);
}

/* Nothing is judged by a part of it. */
static void
more_than_can_be_judged_is_refused(void **state)
{
	static const struct {
		const char *start, *more, *end, *verdict;
		size_t most;
	} rows[] = {
		{ "From: " OWN, ", " OWN, "", "LONG_FROM", 31 },
		{ "From: " OWN "\r\nSender: " OWN, ", " OWN, "", "LONG", 31 },
		{ "From: " OWN, "\r\nResent-From: " OWN, "", "LONG", 32 },
		{ "From: \"", "@", "\" <" OWN ">", "LONG", 127 },
	};
	struct account *account = make_account(ACCOUNT("resent"));
	char header[4000], got[500];

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		for (size_t more = rows[i].most; more <= rows[i].most + 1; more++) {
			size_t n = (size_t)snprintf(header, sizeof header, "%s", rows[i].start);

			for (size_t k = 0; k < more; k++)
				n += (size_t)snprintf(
					header + n, sizeof header - n, "%s", rows[i].more);
			snprintf(header + n, sizeof header - n, "%s", rows[i].end);
			judge(account, OWN, header, got, sizeof got);
			assert_string_equal(got, more > rows[i].most ? rows[i].verdict : "PASS");
		}
	}
	account_unref(account);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_sender_is_null_or_in_an_own_domain),
		cmocka_unit_test(the_header_follows_the_account_s_policy),
		cmocka_unit_test(names_may_hold_addresses_if_the_account_says_so),
		cmocka_unit_test(more_than_can_be_judged_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
