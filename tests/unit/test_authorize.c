/*
 * test_authorize.c - the originator policy, row by row: account and addresses in, a decision out.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "ingress/authorize.h"

#define ACCOUNT(policy)                                                                            \
	"{\"id\":\"acme\",\"name\":\"Acme\",\"contact\":\"it@acme.example\",\"status\":"           \
	"\"active\",\"policy\":\"" policy "\",\"domains\":[\"acme.example\",\"acme.test\"]}"

static const struct {
	const char *what, *mail_from;
	bool pass;
} senders[] = {
	{"the null sender",                     "",                             true },
	{ "an own domain",                      "a@acme.example",               true },
	{ "an own domain in capitals",          "a@ACME.Example",               true },
	{ "the other own domain",               "\"a@b\"@acme.test",            true },
	{ "a foreign domain",                   "a@other.example",              false},
	{ "a subdomain of an own one",          "a@sub.acme.example",           false},
	{ "a domain that ends like an own one", "a@notacme.example",            false},
	{ "an own domain as local part",        "a@acme.example@other.example", false},
	{ "no domain",			  "postmaster",                   false},
	{ "an address literal",                 "a@[127.0.0.1]",                false},
};

#define OWN "a@acme.example"
#define FOREIGN "x@other.example"
#define HOST "MAILER-DAEMON@mail.ACME.example"
#define LOCAL "MicrosoftExchange@corp.local"

static const struct {
	const char *what, *mail_from;
	unsigned from_fields;
	long count; /* beyond those listed; negative: it cannot be read */
	const char *from[3], *senders[3];
	enum authorize strict, resent;
} headers[] = {
	{"own From",				       OWN, 1, 0,  { OWN },                      { NULL },         AUTHORIZE_PASS,      AUTHORIZE_PASS    },
	{ "missing From",				  OWN, 0, 0,  { NULL },                     { NULL },         AUTHORIZE_PASS,      AUTHORIZE_PASS    },
	{ "two From fields",			       OWN, 2, 0,  { OWN },                      { NULL },         AUTHORIZE_TWO_FROM,  AUTHORIZE_TWO_FROM},
	{ "two From fields, NDR",                          "",  2, 0,  { OWN },                      { NULL },         AUTHORIZE_TWO_FROM,
         AUTHORIZE_TWO_FROM																   },
	{ "unreadable From",			       OWN, 1, -1, { NULL },                     { NULL },         AUTHORIZE_BAD_FROM,
         AUTHORIZE_BAD_FROM																   },
	{ "From without a mailbox",                        OWN, 1, 0,  { NULL },                     { NULL },         AUTHORIZE_NO_FROM,
         AUTHORIZE_NO_FROM																    },
	{ "33 mailboxes",				  OWN, 1, 33, { NULL },                     { NULL },         AUTHORIZE_LONG_FROM,
         AUTHORIZE_LONG_FROM																  },
	{ "From without a mailbox, NDR",                   "",  1, 0,  { NULL },                     { NULL },         AUTHORIZE_PASS,
         AUTHORIZE_PASS																       },
	{ "foreign From",				  OWN, 1, 0,  { FOREIGN },                  { NULL },         AUTHORIZE_REFUSE,    AUTHORIZE_REFUSE  },
	{ "foreign From, own Sender",                      OWN, 1, 0,  { FOREIGN },                  { OWN },          AUTHORIZE_REFUSE,
         AUTHORIZE_ASK																	},
	{ "foreign From, foreign Sender",                  OWN, 1, 0,  { FOREIGN },                  { FOREIGN },      AUTHORIZE_REFUSE,
         AUTHORIZE_REFUSE																     },
	{ "foreign From, one own among the senders",       OWN, 1, 0,  { FOREIGN },                  { FOREIGN, OWN },
         AUTHORIZE_REFUSE,														  AUTHORIZE_ASK     },
	{ "several From, all own",                         OWN, 1, 0,  { OWN, "b@acme.test" },       { NULL },         AUTHORIZE_PASS,
         AUTHORIZE_PASS																       },
	{ "several From, one foreign",                     OWN, 1, 0,  { OWN, FOREIGN },             { NULL },         AUTHORIZE_REFUSE,
         AUTHORIZE_REFUSE																     },
	{ "From without a domain",                         OWN, 1, 0,  { "scanner" },                { NULL },         AUTHORIZE_REFUSE,
         AUTHORIZE_REFUSE																     },
	{ "unroutable From",			       OWN, 1, 0,  { LOCAL },                    { NULL },         AUTHORIZE_REFUSE,    AUTHORIZE_REFUSE  },
	{ "unroutable From, NDR",                          "",  1, 0,  { LOCAL },                    { NULL },         AUTHORIZE_PASS,      AUTHORIZE_PASS    },
	{ "From without a domain, NDR",                    "",  1, 0,  { "postmaster" },             { NULL },         AUTHORIZE_PASS,
         AUTHORIZE_PASS																       },
	{ "own From, NDR",				 "",  1, 0,  { OWN },                      { NULL },         AUTHORIZE_PASS,      AUTHORIZE_PASS    },
	{ "From a host below an own domain, NDR",          "",  1, 0,  { HOST },                     { NULL },         AUTHORIZE_ASK,
         AUTHORIZE_ASK																	},
	{ "From a host below an own domain",               OWN, 1, 0,  { HOST },                     { NULL },         AUTHORIZE_REFUSE,
         AUTHORIZE_REFUSE																     },
	{ "From a host that ends like an own domain, NDR", "",  1, 0,  { "x@mail.notacme.example" },
         { NULL },												     AUTHORIZE_REFUSE,    AUTHORIZE_REFUSE  },
	{ "foreign From, NDR",                             "",  1, 0,  { FOREIGN },                  { NULL },         AUTHORIZE_REFUSE,
         AUTHORIZE_REFUSE																     },
};

static struct account *
make_account(bool strict)
{
	const char *json = strict ? ACCOUNT("strict") : ACCOUNT("resent");

	return account_from_json(json, strlen(json));
}

static void
the_sender_is_null_or_in_an_own_domain(void **state)
{
	struct account *account = make_account(false);

	(void)state;
	for (size_t i = 0; i < sizeof senders / sizeof *senders; i++)
		if (authorize_sender(account, senders[i].mail_from) != senders[i].pass)
			fail_msg("%s", senders[i].what);
	account_unref(account);
}

static size_t
count(const char *const *list)
{
	size_t n = 0;

	while (n < 3 && list[n])
		n++;
	return n;
}

static enum authorize
judge(const struct account *account, size_t row, size_t *at, const char **address)
{
	const char *from[3], *others[3];
	struct content content = { .from_fields = headers[row].from_fields,
		.from_count = headers[row].count };

	memcpy(from, headers[row].from, sizeof from);
	memcpy(others, headers[row].senders, sizeof others);
	content.from = (struct mailbox_list){ from, count(headers[row].from) };
	content.senders = (struct mailbox_list){ others, count(headers[row].senders) };
	return authorize_header(account, headers[row].mail_from, &content, at, address);
}

static void
the_header_follows_the_account_s_policy(void **state)
{
	struct account *strict = make_account(true), *resent = make_account(false);
	const char *address;

	(void)state;
	for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
		size_t at = 0;

		if (judge(strict, i, &at, &address) != headers[i].strict)
			fail_msg("strict: %s", headers[i].what);
		at = 0;
		if (judge(resent, i, &at, &address) != headers[i].resent)
			fail_msg("resent: %s", headers[i].what);
		if (headers[i].resent == AUTHORIZE_REFUSE || headers[i].resent == AUTHORIZE_ASK)
			assert_string_equal(address, headers[i].from[at - 1]);
	}
	account_unref(strict);
	account_unref(resent);
}

static const struct {
	const char *what, *value;
	enum authorize sent, ndr;
} lists[] = {
	{"an empty group",                        "Automated:;",                        AUTHORIZE_PASS,     AUTHORIZE_PASS},
	{ "with blanks and a comment",            " Automated (x@y.z) : (none) ;",      AUTHORIZE_NO_FROM,
         AUTHORIZE_NO_FROM												},
	{ "of several words, folded",             "Auto\r\n mated.System: \r\n ;\r\n ", AUTHORIZE_PASS,
         AUTHORIZE_PASS												   },
	{ "quoted",			       "\"Auto, mated\":;",                  AUTHORIZE_PASS,     AUTHORIZE_PASS},
	{ "encoded",			      "=?utf-8?q?Autom=C3=A1tico?=:;",      AUTHORIZE_PASS,     AUTHORIZE_PASS},
	{ "two of them",			  "A:;, B:;",                           AUTHORIZE_PASS,     AUTHORIZE_PASS},
	{ "with an address for a name",           "\"x@other.example\":;",              AUTHORIZE_NO_FROM,
         AUTHORIZE_NO_FROM												},
	{ "a group of our own",                   "Team: a@acme.example, b@acme.test;", AUTHORIZE_PASS,
         AUTHORIZE_PASS												   },
	{ "an empty group and a foreign mailbox", "A:;, x@other.example",               AUTHORIZE_REFUSE,
         AUTHORIZE_REFUSE												 },
	{ "a group that does not end",            "Automated:",                         AUTHORIZE_NO_FROM,  AUTHORIZE_PASS},
	{ "empty brackets",                       "<>",                                 AUTHORIZE_NO_FROM,  AUTHORIZE_PASS},
	{ "nothing",			      "",				   AUTHORIZE_NO_FROM,  AUTHORIZE_PASS},
	{ "what cannot be read",                  "Joe Public",                         AUTHORIZE_BAD_FROM, AUTHORIZE_PASS},
	{ "an address in what cannot be read",    "<a@acme.example",                    AUTHORIZE_BAD_FROM,
         AUTHORIZE_BAD_FROM											       },
	{ "a semicolon in what cannot be read",   "Joe Public;",                        AUTHORIZE_BAD_FROM, AUTHORIZE_PASS},
};

static void
a_from_that_names_nobody_passes_as_a_missing_one(void **state)
{
	struct account *account = make_account(false);
	struct arena arena = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
		char data[200];
		struct content content;
		const char *address;
		size_t at = 0;
		bool ended;

		snprintf(data, sizeof data - 10, "From: %s\r\n\r\n", lists[i].value);
		content_read(data, strlen(data), &arena, &content, &ended);
		if (authorize_header(account, OWN, &content, &at, &address) != lists[i].sent)
			fail_msg("%s", lists[i].what);
		at = 0;
		if (authorize_header(account, "", &content, &at, &address) != lists[i].ndr)
			fail_msg("%s, NDR", lists[i].what);
	}
	arena_free(&arena);
	account_unref(account);
}

static void
after_an_answer_the_next_from_is_judged(void **state)
{
	struct account *account = make_account(false);
	const char *from[] = { FOREIGN, "y@third.example" }, *others[] = { OWN };
	struct content content = {
		.from_fields = 1, .from = {from,    2},
                     .senders = { others, 1}
	};
	const char *address;
	size_t at = 0;

	(void)state;
	assert_int_equal(authorize_header(account, OWN, &content, &at, &address), AUTHORIZE_ASK);
	assert_string_equal(address, FOREIGN);
	assert_int_equal(authorize_header(account, OWN, &content, &at, &address), AUTHORIZE_ASK);
	assert_string_equal(authorize_domain(address), "third.example");
	assert_int_equal(authorize_header(account, OWN, &content, &at, &address), AUTHORIZE_PASS);
	account_unref(account);
}

/* A From in a bounce: the dots of other scripts, and what has no A-labels. */
static const struct {
	const char *from;
	enum authorize verdict;
} spellings[] = {
	{"x@corp.local",             AUTHORIZE_PASS  },
	{ "x@CORP\xef\xbc\x8eLocal", AUTHORIZE_PASS  },
	{ "x@host",                  AUTHORIZE_PASS  },
	{ "x@acme\xe3\x80\x82"
	  "example",        AUTHORIZE_PASS  },
	{ "x@mail\xef\xbc\x8e"
	  "acme\xef\xbd\xa1"
	  "example",        AUTHORIZE_ASK   },
	{ "x@other\xef\xbc\x8e"
	  "example",        AUTHORIZE_REFUSE},
	{ "x@other\xe3\x80\x82"
	  "example",        AUTHORIZE_REFUSE},
	{ "x@other\xe2\x80\xa4"
	  "example",        AUTHORIZE_REFUSE},
	{ "x@\xf0\x9f\x98\x80",      AUTHORIZE_REFUSE},
};

static void
a_bounce_s_from_is_judged_by_the_one_form_of_its_domain(void **state)
{
	struct account *account = make_account(false);

	(void)state;
	for (size_t i = 0; i < sizeof spellings / sizeof *spellings; i++) {
		const char *from[] = { spellings[i].from }, *address;
		struct content content = {
			.from_fields = 1, .from = {from, 1}
		};
		size_t at = 0;

		if (authorize_header(account, "", &content, &at, &address) != spellings[i].verdict)
			fail_msg("%s", spellings[i].from);
	}
	account_unref(account);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_sender_is_null_or_in_an_own_domain),
		cmocka_unit_test(the_header_follows_the_account_s_policy),
		cmocka_unit_test(a_from_that_names_nobody_passes_as_a_missing_one),
		cmocka_unit_test(after_an_answer_the_next_from_is_judged),
		cmocka_unit_test(a_bounce_s_from_is_judged_by_the_one_form_of_its_domain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
