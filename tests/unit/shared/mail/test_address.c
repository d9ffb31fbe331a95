/*
 * test_address.c - mailboxes and paths, as RFC 5321 has them and as old clients write them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "shared/mail/address.h"

#define A64 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define A63 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

/* Parsers get a copy of exact size, so that a sanitizer sees a byte read too many. */
static char *
exact(const char *text, size_t length)
{
	char *copy = malloc(length ? length : 1);

	memcpy(copy, text, length);
	return copy;
}

static const struct mailbox_row {
	const char *name, *text;
	int result;
	const char *domain; /* canonical; NULL: not looked at */
	bool utf8, literal;
} mailboxes[] = {
	{ "a plain mailbox", "a@b.example", 0, "b.example", false, false },
	{ "a domain in upper case", "A@B.EXAMPLE", 0, "b.example", false, false },
	{ "a domain with a trailing dot", "a@b.example.", 0, "b.example", false, false },
	{ "a domain of one label", "a@localhost", 0, "localhost", false, false },
	{ "every character that needs no quotes", "!#$%&'*+-/=?^_`{|}~@b.c", 0, "b.c", false,
		false },
	{ "a mailbox without a domain", "postmaster", 0, "", false, false },
	{ "a quoted local part", "\"odd one\"@b.c", 0, "b.c", false, false },
	{ "a quoted at sign", "\"a@b\"@c.d", 0, "c.d", false, false },
	{ "a quoted pair", "\"a\\\"b\"@c.d", 0, "c.d", false, false },
	{ "an empty quoted local part", "\"\"@c.d", 0, "c.d", false, false },
	{ "dots in a row, as some providers gave out", "a..b.@c.d", 0, "c.d", false, false },
	{ "an underscore in a host name of Windows", "a@my_server.local", 0, "my_server.local",
		false, false },
	{ "an IPv4 literal", "x@[192.0.2.1]", 0, "[192.0.2.1]", false, true },
	{ "an IPv6 literal", "x@[IPv6:2001:db8::1]", 0, "[ipv6:2001:db8::1]", false, true },
	{ "a UTF-8 local part", "p\xc3\xa8@b.c", 0, "b.c", true, false },
	{ "a UTF-8 domain", "a@b\xc3\xbc.c", 0, "xn--b-eha.c", true, false },
	{ "a local part longer than 64", A64 A64 "@b.c", 0, "b.c", false, false },
	{ "a label of 63", "a@" A63 ".c", 0, NULL, false, false },
	{ "a label of 64", "a@" A64 ".c", -1, NULL, false, false },
	{ "a domain of 255", "a@" A63 "." A63 "." A63 "." A63, 0, NULL, false, false },
	{ "a domain of 257", "a@" A63 "." A63 "." A63 "." A63 ".b", -1, NULL, false, false },
	{ "more than 319 octets", A64 A64 A64 A64 A64 "@b.c", -1, NULL, false, false },
	{ "nothing", "", -1, NULL, false, false },
	{ "no local part", "@b.c", -1, NULL, false, false },
	{ "no domain behind the at sign", "a@", -1, NULL, false, false },
	{ "two at signs", "a@b@c", -1, NULL, false, false },
	{ "a blank", "a b@c.d", -1, NULL, false, false },
	{ "a blank at the end", "a@b.c ", -1, NULL, false, false },
	{ "brackets", "<a@b.c>", -1, NULL, false, false },
	{ "an open quote", "\"a@b.c", -1, NULL, false, false },
	{ "text behind the quotes", "\"a\"b@c.d", -1, NULL, false, false },
	{ "a quoted pair without its second half", "\"a\\", -1, NULL, false, false },
	{ "a CR in quotes", "\"a\rb\"@c.d", -1, NULL, false, false },
	{ "an escaped LF in quotes", "\"a\\\nb\"@c.d", -1, NULL, false, false },
	{ "a control character", "a\x01@b.c", -1, NULL, false, false },
	{ "a DEL", "a\x7f@b.c", -1, NULL, false, false },
	{ "an empty label", "a@b..c", -1, NULL, false, false },
	{ "a domain that starts with a dot", "a@.b", -1, NULL, false, false },
	{ "a domain that is a dot", "a@.", -1, NULL, false, false },
	{ "a label that starts with a hyphen", "a@-b.c", -1, NULL, false, false },
	{ "a label that ends in a hyphen", "a@b-.c", -1, NULL, false, false },
	{ "an exclamation mark in the domain", "a@b!c", -1, NULL, false, false },
	{ "an open literal", "x@[192.0.2.1", -1, NULL, false, false },
	{ "a literal that is no address", "x@[300.1.1.1]", -1, NULL, false, false },
	{ "IPv6 without its tag", "x@[::1]", -1, NULL, false, false },
	{ "an empty literal", "x@[]", -1, NULL, false, false },
	{ "text behind a literal", "x@[192.0.2.1]x", -1, NULL, false, false },
	{ "a broken UTF-8 sequence", "a\xc3@b.c", -1, NULL, false, false },
	{ "an overlong UTF-8 sequence", "a\xc0\xaf@b.c", -1, NULL, false, false },
	{ "a broken UTF-8 sequence in the domain", "a@b\xff.c", -1, NULL, false, false },
};

static void
mailboxes_are_taken_or_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof mailboxes / sizeof *mailboxes; i++) {
		const struct mailbox_row *row = &mailboxes[i];
		size_t length = strlen(row->text);
		char *text = exact(row->text, length), domain[256] = "";
		struct address out;

		if ((address_parse(text, length, &out) < 0) != (row->result < 0))
			fail_msg("%s", row->name);
		if (row->result < 0)
			assert_true(!out.text && !out.length && !out.domain);
		if (row->result == 0) {
			assert_ptr_equal(out.text, text);
			length -= text[length - 1] == '.';
			assert_int_equal(out.length, length);
			if (out.domain)
				address_domain_canonical(out.domain, out.domain_length, domain);
			if (row->domain && strcmp(domain, row->domain) != 0)
				fail_msg("%s: domain %s", row->name, domain);
			if (out.utf8 != row->utf8 || out.literal != row->literal)
				fail_msg("%s: flags", row->name);
			assert_true(!out.domain || out.domain + out.domain_length == text + length);
		}
		free(text);
	}
}

static void
nul_is_no_part_of_a_mailbox(void **state)
{
	struct address out;

	(void)state;
	assert_true(address_parse("a\0b@c.d", 7, &out) < 0);
	assert_true(address_parse("a@c\0.d", 6, &out) < 0);
	assert_true(address_parse("\"\0\"@c.d", 7, &out) < 0);
	assert_true(address_parse("a@[1.1.1.1\0]", 12, &out) < 0);
}

static const struct path_row {
	const char *name, *text;
	long taken; /* -1: refused */
	const char *mailbox;
} paths[] = {
	{ "a path", "<a@b.c>", 7, "a@b.c" },
	{ "a blank before it", " <a@b.c>", 8, "a@b.c" },
	{ "tabs before it", "\t\t<a@b.c>", 9, "a@b.c" },
	{ "parameters behind it", "<a@b.c> SIZE=1", 7, "a@b.c" },
	{ "parameters without a blank", "<a@b.c>SIZE=1", 7, "a@b.c" },
	{ "blanks inside the brackets", "< a@b.c >", 9, "a@b.c" },
	{ "the null sender", "<>", 2, "" },
	{ "the null sender with a blank", "< >", 3, "" },
	{ "no brackets", "a@b.c", 5, "a@b.c" },
	{ "no brackets and parameters", " a@b.c SIZE=1", 6, "a@b.c" },
	{ "no brackets and a tab", "a@b.c\tSIZE=1", 5, "a@b.c" },
	{ "no brackets and quotes", "\"a b\"@c.d X=1", 9, "\"a b\"@c.d" },
	{ "a mailbox without a domain", "<postmaster>", 12, "postmaster" },
	{ "a source route", "<@x.y,@z.w:a@b.c>", 17, "a@b.c" },
	{ "a quoted bracket", "<\"a>b\"@c.d>", 11, "\"a>b\"@c.d" },
	{ "an escaped quote and a bracket", "<\"a\\\">b\"@c.d>", 13, "\"a\\\">b\"@c.d" },
	{ "nothing", "", -1, NULL },
	{ "blanks only", "  ", -1, NULL },
	{ "no closing bracket", "<a@b.c", -1, NULL },
	{ "no opening bracket", "a@b.c>", -1, NULL },
	{ "brackets twice", "<<a@b.c>>", -1, NULL },
	{ "a route without a mailbox", "<@x.y:>", -1, NULL },
	{ "a route without a colon", "<@x.y>", -1, NULL },
	{ "a route with a bad domain", "<@x..y:a@b.c>", -1, NULL },
	{ "a route whose domain ends in a hyphen", "<@x.y-:a@b.c>", -1, NULL },
	{ "a route without its at sign", "<@x.y,z:a@b.c>", -1, NULL },
	{ "an empty domain in a route", "<@:a@b.c>", -1, NULL },
	{ "two mailboxes", "<a@b.c d@e.f>", -1, NULL },
	{ "a quote that does not end", "<\"a@b.c>", -1, NULL },
	{ "a line break inside", "<a@b.c\r\n>", -1, NULL },
};

static void
paths_are_taken_or_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
		const struct path_row *row = &paths[i];
		size_t length = strlen(row->text);
		char *text = exact(row->text, length);
		struct address out;
		long taken = address_parse_path(text, length, &out);

		if (row->taken < 0 ? taken >= 0 : taken != row->taken)
			fail_msg("%s: took %ld", row->name, taken);
		if (row->taken >= 0 &&
			(out.length != strlen(row->mailbox) ||
				memcmp(out.text, row->mailbox, out.length) != 0))
			fail_msg("%s: mailbox %.*s", row->name, (int)out.length, out.text);
		free(text);
	}
}

/* Every cut of a good path is either refused or taken as far as it goes; never read beyond. */
static void
a_path_cut_anywhere_is_read_within_its_bounds(void **state)
{
	static const char whole[] = " <@x.y,@z.w:\"a\\\">b\"@[IPv6:2001:db8::1]> SIZE=1";

	(void)state;
	for (size_t length = 0; length < sizeof whole; length++) {
		char *text = exact(whole, length);
		struct address out;
		long taken = address_parse_path(text, length, &out);

		assert_true(taken <= (long)length);
		if (taken > 0)
			assert_true(out.text >= text && out.text + out.length <= text + length);
		free(text);
	}
}

static void
domains_are_checked_alone(void **state)
{
	(void)state;
	assert_true(address_domain_valid("b.example", 9));
	assert_true(address_domain_valid("b\xc3\xbc.example", 11));
	assert_false(address_domain_valid("", 0));
	assert_false(address_domain_valid("[192.0.2.1]", 11));
	assert_false(address_domain_valid("a b", 3));
}

static void
what_names_the_same_domain_is_the_same_text(void **state)
{
	static const char *const rows[][2] = {
		{ "acme.example", "acme.example" },
		{ "ACME.Example.", "acme.example" },
		{ "b\xc3\xbc"
		  "cher.example",
			"xn--bcher-kva.example" },
		{ "B\xc3\x9c"
		  "CHER.example.",
			"xn--bcher-kva.example" },
		{ "XN--BCHER-KVA.example", "xn--bcher-kva.example" },
		{ "other\xef\xbc\x8e"
		  "example",
			"other.example" }, /* a full-width dot */
		{ "other\xe3\x80\x82"
		  "example\xe3\x80\x82",
			"other.example" }, /* ideographic dots */
		{ "bu\xcc\x88"
		  "cher.example",
			"xn--bcher-kva.example" },
		{ "\xef\xbd\x81\xef\xbd\x83me.example", "acme.example" },
		{ "a\xc2\xad"
		  "cme.example",
			"acme.example" }, /* a soft hyphen */
		{ "b\xc3\xbc_c.example", "xn--b_c-hoa.example" },
		{ "x.\xc2\xad.\xc2\xad", "x.\xc2\xad.\xc2\xad" },
		{ "my_pc.LAN.", "my_pc.lan" },
		{ "[192.0.2.1]", "[192.0.2.1]" },
		{ "[IPv6:2001:db8::1]", "[ipv6:2001:db8::1]" },
		{ "[IPV6:2001:0DB8:0:0:0:0:0:1]", "[ipv6:2001:db8::1]" },
		{ "[ipv6:2001:db8:0::0001]", "[ipv6:2001:db8::1]" },
		{ "[IPv6:::FFFF:192.0.2.1]", "[192.0.2.1]" },
		{ "[IPv6:0:0:0:0:0:ffff:c000:201]", "[192.0.2.1]" },
		{ "[IPv6:::192.0.2.1]", "[ipv6:::192.0.2.1]" },
		{ "[Tag:x]", "[tag:x]" },
		{ "\xff", "\xff" },
		{ "", NULL },
		{ ".", NULL },
	};
	char out[256];

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		char *text = exact(rows[i][0], strlen(rows[i][0]));
		bool good = address_domain_canonical(text, strlen(rows[i][0]), out);

		free(text);
		if (good != (rows[i][1] != NULL) || (good && strcmp(out, rows[i][1]) != 0))
			fail_msg("%s: %s", rows[i][0], good ? out : "no");
	}
}

static void
what_names_no_domain_has_no_name(void **state)
{
	static const char *const rows[][2] = {
		{ "ACME.example.", "acme.example" },
		{ "my_pc.LAN", "my_pc.lan" },
		{ "a\xef\xbc\x8e"
		  "b",
			"a.b" },
		{ "B\xc3\xbc"
		  "cher.example",
			"xn--bcher-kva.example" },
		{ "XN--Bcher-kva.example", "xn--bcher-kva.example" },
		{ "[192.0.2.1]", "[192.0.2.1]" },
		{ "[acme.example]", NULL },
		{ "ac\xe2\x80\x8dme.example", NULL }, /* a joiner */
		{ "\xe2\x80\xae"
		  "acme.example",
			NULL },                       /* from right to left */
		{ "\xf0\x9f\x98\x80.example", NULL }, /* a picture */
		{ "x.\xc2\xad", "x" },
		{ "xn--acme-.example", NULL },     /* A-labels of ASCII, */
		{ "xn--acme-676a.example", NULL }, /* of a joiner, */
		{ "xn--cme-n76s.example", NULL },  /* of a full-width letter */
		{ "xn--0.example", NULL },
		{ "acme.example_", NULL },
		{ "a..b", NULL },
		{ "a b", NULL },
		{ "\xff", NULL },
		{ "", NULL },
	};
	char out[256];

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		char *text = exact(rows[i][0], strlen(rows[i][0]));
		bool good = address_domain_named(text, strlen(rows[i][0]), out);

		free(text);
		if (good != (rows[i][1] != NULL) || (good && strcmp(out, rows[i][1]) != 0))
			fail_msg("%s: %s", rows[i][0], good ? out : "no");
	}
}

/* What names the same mailbox, and by what. */
static const struct {
	const char *text, *canonical;
} same[] = {
	{ "joe@acme.example", "joe@acme.example" },
	{ "joe@ACME.Example", "joe@acme.example" },
	{ "joe@acme.example.", "joe@acme.example" },
	{ "Joe@acme.example", "Joe@acme.example" },
	{ "\"joe\"@acme.example", "joe@acme.example" },
	{ "\"j\\oe\"@ACME.example", "joe@acme.example" },
	{ "\"\\j\\o\\e\"@acme.example.", "joe@acme.example" },
	{ "\"Joe\"@acme.example", "Joe@acme.example" },
	{ "joe.x@acme.example", "joe.x@acme.example" },
	{ "\"joe.x\"@acme.example", "joe.x@acme.example" },
	{ "\"joe\\.x\"@acme.example", "joe.x@acme.example" },
	{ "\"a..b.\"@acme.example", "a..b.@acme.example" },
	{ "joe+x@acme.example", "joe+x@acme.example" },
	{ "\"joe+x\"@acme.example", "joe+x@acme.example" },
	{ "\"odd one\"@acme.example", "\"odd one\"@acme.example" },
	{ "\"odd\\ one\"@acme.example", "\"odd one\"@acme.example" },
	{ "\"\\odd one\"@acme.example", "\"odd one\"@acme.example" },
	{ "\"a@b\"@acme.example", "\"a@b\"@acme.example" },
	{ "\"a\\@b\"@acme.example", "\"a@b\"@acme.example" },
	{ "\"a\\\"b\"@acme.example", "\"a\\\"b\"@acme.example" },
	{ "\"a\\\\b\"@acme.example", "\"a\\\\b\"@acme.example" },
	{ "\"\"@acme.example", "\"\"@acme.example" },
	{ "\" \"@acme.example", "\" \"@acme.example" },
	{ "\"x\"@acme.example", "x@acme.example" },
	{ "x@b\xc3\xbc"
	  "cher.example",
		"x@xn--bcher-kva.example" },
	{ "x@B\xc3\x9c"
	  "CHER.example",
		"x@xn--bcher-kva.example" },
	{ "x@xn--bcher-kva.example", "x@xn--bcher-kva.example" },
	{ "x@XN--BCHER-KVA.EXAMPLE.", "x@xn--bcher-kva.example" },
	{ "p\xc3\xa8@acme.example", "p\xc3\xa8@acme.example" },
	{ "\"p\xc3\xa8\"@ACME.example", "p\xc3\xa8@acme.example" },
	{ "P\xc3\x88@acme.example", "P\xc3\x88@acme.example" },
	{ "x@[192.0.2.1]", "x@[192.0.2.1]" },
	{ "x@[IPv6:2001:DB8:0:0::1]", "x@[ipv6:2001:db8::1]" },
	{ "x@[ipv6:2001:db8::1]", "x@[ipv6:2001:db8::1]" },
	{ "x@[IPv6:::ffff:192.0.2.1]", "x@[192.0.2.1]" },
	{ "Postmaster", "postmaster" },
	{ "\"POSTMASTER\"", "postmaster" },
	{ "\"post\\master\"", "postmaster" },
	{ "PostMaster@ACME.example", "postmaster@acme.example" },
	{ "postmasters@acme.example", "postmasters@acme.example" },
	{ "Postmasters", "Postmasters" },
	{ "\"post master\"", "\"post master\"" },
	{ "x", "x" },
};

static void
what_names_the_same_mailbox_is_the_same_text(void **state)
{
	char out[ADDRESS_CANONICAL_MAX], again[ADDRESS_CANONICAL_MAX];
	struct address address;

	(void)state;
	for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
		char *text = exact(same[i].text, strlen(same[i].text));

		assert_int_equal(address_parse(text, strlen(same[i].text), &address), 0);
		address_canonical(&address, out);
		free(text);
		if (strcmp(out, same[i].canonical) != 0)
			fail_msg("%s: %s", same[i].text, out);
		assert_int_equal(address_parse(out, strlen(out), &address), 0);
		address_canonical(&address, again);
		assert_string_equal(again, out);
	}
}

/* 64 labels of one letter: as A-labels they are as long as a domain may be, and longer. */
static void
the_longest_mailbox_has_room(void **state)
{
	char text[ADDRESS_MAX], out[ADDRESS_CANONICAL_MAX];
	struct address address;
	size_t length = 63;

	(void)state;
	memset(text, 'a', length);
	text[length++] = '@';
	for (int i = 0; i < 63; i++) {
		memcpy(text + length, "\xc3\xbc.", 3);
		length += 3;
	}
	text[length++] = 'x';
	assert_int_equal(address_parse(text, length, &address), 0);
	address_canonical(&address, out);
	assert_true(strlen(out) < sizeof out);
	assert_int_equal(strncmp(out, text, 64), 0);
}

static void
an_address_has_an_ascii_form_or_none(void **state)
{
	static const char *const rows[][2] = {
		{ "a@b.example", "a@b.example" }, { "A@B.Example.", "A@B.Example." }, { "", "" },
		{ "postmaster", "postmaster" }, { "a@[192.0.2.1]", "a@[192.0.2.1]" },
		{ "\"a@b\"@bücher.example", "\"a@b\"@xn--bcher-kva.example" },
		{ "a@BÜCHER.Example", "a@xn--bcher-kva.example" },
		{ "a@例え.テスト", "a@xn--r8jz45g.xn--zckzah" }, { "ä@b.example", NULL },
		{ "ä@bücher.example", NULL }, { "ä", NULL }, { "a@\xff.example", NULL },
		{ "a@\xe2\x80\xae.example", NULL }, /* no letter */
	};
	char out[ADDRESS_ASCII_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		bool good = address_to_ascii(rows[i][0], out);

		if (good != (rows[i][1] != NULL) || (good && strcmp(out, rows[i][1]) != 0))
			fail_msg("%s: %s", rows[i][0], good ? out : "no");
	}
}

static void
an_address_is_escaped_for_reports(void **state)
{
	static const struct {
		const char *address;
		bool escaped;
		size_t size;
		const char *text;
		bool whole;
	} rows[] = {
		{ "a@b.example", false, 100, "a@b.example", true },
		{ "bøb+x=1\\ @b", false, 100, "b\\x{F8}b\\x{2B}x\\x{3D}1\\x{5C}\\x{20}@b", true },
		{ "bø\\x{2B}x+2B@b", true, 100, "b\\x{F8}\\x{2B}x+2B@b", true },
		{ "α例😀", false, 100, "\\x{3B1}\\x{4F8B}\\x{1F600}", true },
		{ "a\xff\xc3", false, 100, "a??", true },
		{ "aø", false, 8, "a\\x{F8}", true },
		{ "aø", false, 7, "a", false },
		{ "", false, 1, "", true },
	};
	char out[100];

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		bool whole = address_to_xtext(rows[i].address, rows[i].escaped, out, rows[i].size);

		if (whole != rows[i].whole || strcmp(out, rows[i].text) != 0)
			fail_msg("%s: %s", rows[i].address, out);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_names_the_same_domain_is_the_same_text),
		cmocka_unit_test(what_names_no_domain_has_no_name),
		cmocka_unit_test(what_names_the_same_mailbox_is_the_same_text),
		cmocka_unit_test(the_longest_mailbox_has_room),
		cmocka_unit_test(mailboxes_are_taken_or_refused),
		cmocka_unit_test(nul_is_no_part_of_a_mailbox),
		cmocka_unit_test(paths_are_taken_or_refused),
		cmocka_unit_test(a_path_cut_anywhere_is_read_within_its_bounds),
		cmocka_unit_test(domains_are_checked_alone),
		cmocka_unit_test(an_address_has_an_ascii_form_or_none),
		cmocka_unit_test(an_address_is_escaped_for_reports),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
