/*
 * test_answer.c - DNS answers: chains, compression, and packets made to hurt.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <stdbool.h>

#include "shared/dns/answer.h"

/* A packet under construction. */
struct packet {
	uint8_t bytes[65536];
	size_t size;
};
static struct packet p;
static struct answer answer;

static void
put(const void *bytes, size_t size)
{
	memcpy(p.bytes + p.size, bytes, size);
	p.size += size;
}

static void
put16(unsigned value)
{
	const uint8_t bytes[2] = { (uint8_t)(value >> 8), (uint8_t)value };

	put(bytes, 2);
}

/* "a.b" as labels and their end; "" is the root. */
static void
put_name(const char *name)
{
	while (*name) {
		size_t n = strcspn(name, ".");
		const uint8_t length = (uint8_t)n;

		put(&length, 1);
		put(name, n);
		name += n + (name[n] == '.');
	}
	put("", 1);
}

static void
start(const char *question, unsigned type, unsigned answers)
{
	p.size = 0;
	put("\0\1\x81\x80\0\1", 6);
	put16(answers);
	put("\0\0\0\0", 4);
	put_name(question);
	put16(type);
	put16(1);
}

/* A record's fixed part; returns the offset of its length, to be set by finish(). */
static size_t
record(const char *owner, unsigned type, unsigned ttl_s)
{
	if (owner)
		put_name(owner);
	else
		put("\xc0\x0c", 2);
	put16(type);
	put16(1);
	put16(ttl_s >> 16);
	put16(ttl_s & 0xffff);
	put16(0);
	return p.size - 2;
}

static void
finish(size_t at)
{
	size_t length = p.size - at - 2;

	p.bytes[at] = (uint8_t)(length >> 8);
	p.bytes[at + 1] = (uint8_t)length;
}

static void
put_mx(const char *owner, unsigned ttl_s, unsigned preference, const char *host)
{
	size_t at = record(owner, ANSWER_MX, ttl_s);

	put16(preference);
	put_name(host);
	finish(at);
}

static void
put_cname(const char *owner, unsigned ttl_s, const char *target)
{
	size_t at = record(owner, ANSWER_CNAME, ttl_s);

	put_name(target);
	finish(at);
}

static void
put_a(const char *owner, unsigned ttl_s, const char *ip, size_t size)
{
	size_t at = record(owner, size == 4 ? ANSWER_A : ANSWER_AAAA, ttl_s);

	put(ip, size);
	finish(at);
}

static int
parse_size(size_t size, uint16_t type)
{
	uint8_t *copy = malloc(size ? size : 1);
	int result;

	memcpy(copy, p.bytes, size);
	result = answer_parse(copy, size, type, &answer);
	free(copy);
	return result;
}

static int
parse(uint16_t type)
{
	return parse_size(p.size, type);
}

static void
mx_records_come_with_names_and_preferences(void **state)
{
	(void)state;
	start("B.Example", ANSWER_MX, 3);
	put_mx(NULL, 300, 10, "MX1.b.example");
	put_mx("b.EXAMPLE", 200, 20, "mx2.b.example");
	put_mx(NULL, 400, 0, "");
	assert_int_equal(parse(ANSWER_MX), 0);
	assert_int_equal(answer.rcode, 0);
	assert_int_equal(answer.count, 3);
	assert_int_equal(answer.records[0].preference, 10);
	assert_string_equal(answer.records[0].name, "mx1.b.example");
	assert_string_equal(answer.records[1].name, "mx2.b.example");
	assert_string_equal(answer.records[2].name, "");
	assert_int_equal(answer.ttl_s, 200);
}

static void
a_compressed_host_name_is_read(void **state)
{
	size_t at;

	(void)state;
	start("b.example", ANSWER_MX, 1);
	at = record(NULL, ANSWER_MX, 60);
	put16(5);
	put("\2mx\xc0\x0c", 5);
	finish(at);
	assert_int_equal(parse(ANSWER_MX), 0);
	assert_string_equal(answer.records[0].name, "mx.b.example");
}

static void
addresses_are_copied(void **state)
{
	(void)state;
	start("mx.b.c", ANSWER_A, 2);
	put_a(NULL, 60, "\xc0\0\2\1", 4);
	put_a(NULL, 60, "\xc0\0\2\2", 4);
	assert_int_equal(parse(ANSWER_A), 0);
	assert_int_equal(answer.count, 2);
	assert_memory_equal(answer.records[1].address, "\xc0\0\2\2", 4);
	start("mx.b.c", ANSWER_AAAA, 1);
	put_a(NULL, 60, "\x20\1\xd\xb8\0\0\0\0\0\0\0\0\0\0\0\1", 16);
	assert_int_equal(parse(ANSWER_AAAA), 0);
	assert_memory_equal(answer.records[0].address, "\x20\1\xd\xb8\0\0\0\0\0\0\0\0\0\0\0\1", 16);
}

static void
records_of_other_names_types_and_classes_are_ignored(void **state)
{
	size_t at;

	(void)state;
	start("b.c", ANSWER_A, 4);
	put_a("other.c", 1, "\1\1\1\1", 4);
	put_mx(NULL, 1, 1, "mx.b.c");
	at = record(NULL, ANSWER_A, 1);
	put("\1\2\3\4", 4);
	finish(at);
	p.bytes[at - 5] = 3; /* class CHAOS */
	put_a(NULL, 60, "\xc0\0\2\1", 4);
	assert_int_equal(parse(ANSWER_A), 0);
	assert_int_equal(answer.count, 1);
	assert_int_equal(answer.ttl_s, 60);
}

static void
cnames_are_followed_in_any_order(void **state)
{
	(void)state;
	start("a.c", ANSWER_MX, 3);
	put_mx("z.c", 300, 1, "mx.z.c");
	put_cname("m.c", 100, "Z.c");
	put_cname("a.c", 200, "m.c");
	assert_int_equal(parse(ANSWER_MX), 0);
	assert_int_equal(answer.count, 1);
	assert_string_equal(answer.records[0].name, "mx.z.c");
	assert_int_equal(answer.ttl_s, 100);
}

static void
a_chain_that_ends_in_nothing_gives_nothing(void **state)
{
	(void)state;
	start("a.c", ANSWER_MX, 1);
	put_cname("a.c", 200, "m.c");
	assert_int_equal(parse(ANSWER_MX), 0);
	assert_int_equal(answer.count, 0);
	assert_int_equal(answer.ttl_s, 200);
}

static void
a_cname_asked_for_is_not_followed(void **state)
{
	(void)state;
	start("a.c", ANSWER_CNAME, 2);
	put_cname("a.c", 200, "m.c");
	put_cname("m.c", 200, "z.c");
	assert_int_equal(parse(ANSWER_CNAME), 0);
	assert_int_equal(answer.count, 1);
	assert_string_equal(answer.records[0].name, "m.c");
}

static void
chain(unsigned length)
{
	char from[16], to[16];

	start("n0.c", ANSWER_A, length + 1);
	for (unsigned i = 0; i < length; i++) {
		snprintf(from, sizeof from, "n%u.c", i);
		snprintf(to, sizeof to, "n%u.c", i + 1);
		put_cname(from, 60, to);
	}
	snprintf(to, sizeof to, "n%u.c", length);
	put_a(to, 60, "\1\1\1\1", 4);
}

static void
sixteen_cnames_are_followed_and_seventeen_are_not(void **state)
{
	(void)state;
	chain(16);
	assert_int_equal(parse(ANSWER_A), 0);
	assert_int_equal(answer.count, 1);
	chain(17);
	assert_true(parse(ANSWER_A) < 0);
	assert_string_equal(answer.why, "a circle of aliases, or too many");
}

static void
a_circle_of_cnames_is_refused(void **state)
{
	(void)state;
	start("a.c", ANSWER_A, 2);
	put_cname("a.c", 60, "b.c");
	put_cname("b.c", 60, "a.c");
	assert_true(parse(ANSWER_A) < 0);
	start("a.c", ANSWER_A, 1);
	put_cname("a.c", 60, "a.c");
	assert_true(parse(ANSWER_A) < 0);
}

static void
the_rcode_is_told_and_an_empty_answer_is_one(void **state)
{
	(void)state;
	start("a.c", ANSWER_A, 0);
	p.bytes[3] = 0x83; /* NXDOMAIN */
	assert_int_equal(parse(ANSWER_A), 0);
	assert_int_equal(answer.rcode, 3);
	assert_int_equal(answer.count, 0);
	assert_int_equal(answer.ttl_s, 0);
}

static void
a_ttl_with_its_highest_bit_set_is_0(void **state)
{
	(void)state;
	start("a.c", ANSWER_A, 1);
	put_a(NULL, 0x80000001u, "\1\1\1\1", 4);
	assert_int_equal(parse(ANSWER_A), 0);
	assert_int_equal(answer.ttl_s, 0);
}

static void
rdata_of_other_types_is_handed_over(void **state)
{
	size_t at;

	(void)state;
	start("a.c", ANSWER_TXT, 1);
	at = record(NULL, ANSWER_TXT, 60);
	put("\3abc", 4);
	finish(at);
	assert_int_equal(answer_parse(p.bytes, p.size, ANSWER_TXT, &answer), 0);
	assert_int_equal(answer.records[0].data_length, 4);
	assert_memory_equal(answer.records[0].data, "\3abc", 4);
}

static void
more_than_100_records_are_ignored(void **state)
{
	(void)state;
	start("a.c", ANSWER_A, 150);
	for (int i = 0; i < 150; i++)
		put_a(NULL, 60, "\1\1\1\1", 4);
	assert_int_equal(parse(ANSWER_A), 0);
	assert_int_equal(answer.count, ANSWER_RECORDS_MAX);
}

/* What came before the cut is used; that nothing did is no proof that there is nothing. */
static void
a_packet_cut_anywhere_is_never_an_empty_answer(void **state)
{
	size_t first;

	(void)state;
	start("a.c", ANSWER_MX, 4);
	put_cname("a.c", 60, "b.c");
	put_mx("b.c", 60, 10, "mx1.b.c");
	first = p.size;
	put_mx("b.c", 60, 20, "mx2.b.c");
	put_a("mx.b.c", 60, "\1\1\1\1", 4);
	assert_int_equal(parse(ANSWER_MX), 0);
	assert_int_equal(answer.count, 2);
	for (size_t size = 0; size < p.size; size++) {
		assert_int_equal(parse_size(size, ANSWER_MX) == 0, size >= first);
		assert_true(*answer.why);
		assert_true(size < first || answer.count >= 1);
	}
}

static void
pointers_that_do_not_point_back_are_refused(void **state)
{
	(void)state;
	start("a.c", ANSWER_A, 1);
	p.bytes[12] = 0xc0; /* the question's name points to itself */
	p.bytes[13] = 0x0c;
	assert_true(parse(ANSWER_A) < 0);
	start("a.c", ANSWER_A, 1);
	put_a(NULL, 60, "\1\1\1\1", 4);
	p.bytes[p.size - 15] = 0xff; /* the owner points forward */
	assert_true(parse(ANSWER_A) < 0);
	start("a.c", ANSWER_A, 1);
	put_a(NULL, 60, "\1\1\1\1", 4);
	p.bytes[p.size - 15] = (uint8_t)(p.size - 16); /* to itself */
	assert_true(parse(ANSWER_A) < 0);
}

static void
names_over_255_octets_are_refused(void **state)
{
	char name[300];

	(void)state;
	for (size_t i = 0; i < sizeof name; i++)
		name[i] = i % 50 == 49 ? '.' : 'x';
	name[253] = '\0';
	start(name, ANSWER_A, 0);
	assert_int_equal(parse(ANSWER_A), 0);
	name[253] = 'x';
	for (size_t length = 254; length < 261; length++) {
		name[length] = '\0';
		start(name, ANSWER_A, 0);
		assert_true(parse(ANSWER_A) < 0);
		name[length] = 'x';
	}
}

static void
labels_have_at_most_63_octets(void **state)
{
	char name[65];

	(void)state;
	memset(name, 'x', sizeof name);
	name[63] = '\0';
	start(name, ANSWER_A, 0);
	assert_int_equal(parse(ANSWER_A), 0);
	name[63] = 'x';
	name[64] = '\0';
	start(name, ANSWER_A, 0);
	assert_true(parse(ANSWER_A) < 0);
}

#define LABEL_50 "\x32xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"

static const struct {
	const char *name, *host; /* the rdata, for MX without its preference */
	size_t size;
	const char *why;
	uint16_t type;
} bad_rdata[] = {
#define MX(name, host, why)                                                                        \
	{                                                                                          \
		name, host, sizeof host - 1, why, ANSWER_MX                                        \
	}
#define OTHER(type, name, rdata)                                                                   \
	{                                                                                          \
		name, rdata, sizeof rdata - 1, "an address of the wrong length", type              \
	}
	MX("a URL", "\x9https://x\0", "\"https://x\" is no host name"),
	MX("a blank", "\5mx .c\0", "\"mx\\032\\046c\" is no host name"),
	MX("a dot inside a label", "\3m.x\1c\0", "\"m\\046x.c\" is no host name"),
	MX("a line feed", "\3m\nx\1c\0", "\"m\\010x.c\" is no host name"),
	MX("8-bit", "\3m\xffx\1c\0", "\"m\\255x.c\" is no host name"),
	MX("a NUL", "\3m\0x\1c\0", "\"m\\000x.c\" is no host name"),
	MX("a bracket", "\3m]x\1c\0", "\"m]x.c\" is no host name"),
	MX("an IPv4 address",
		"\3"
		"192\1"
		"0\1"
		"2\1"
		"1\0",
		"\"192.0.2.1\" is no host name"),
	MX("an IPv4 address in brackets", "\4[192\1\060\1\062\2\061]\0",
		"\"[192.0.2.1]\" is no host name"),
	MX("an IPv6 address",
		"\x0b"
		"2001:db8::1\0",
		"\"2001:db8::1\" is no host name"),
	MX("a number",
		"\4mail\3"
		"123\0",
		"\"mail.123\" is no host name"),
	MX("a mailbox", "\6post@x\1c\0", "\"post@x.c\" is no host name"),
	MX("a label type of old", "\x41mx\0", "a record whose name cannot be read"),
	MX("no name", "", "a record whose name cannot be read"),
	MX("a name without its end", "\2mx", "a record whose name cannot be read"),
	MX("bytes behind the name", "\2mx\0x", "a record whose name cannot be read"),
	MX("a name of 256 octets", LABEL_50 LABEL_50 LABEL_50 LABEL_50 LABEL_50 "\0",
		"a record whose name cannot be read"),
	MX("a pointer forward", "\xff\xff", "a record whose name cannot be read"),
	MX("half a pointer", "\xc0", "a record whose name cannot be read"),
	OTHER(ANSWER_A, "an address of 3 octets", "\1\1\1"),
	OTHER(ANSWER_A, "an address of 5 octets", "\1\1\1\1\1"),
	OTHER(ANSWER_A, "an address of none", ""),
	OTHER(ANSWER_A, "an address of 16 octets", "0123456789abcdef"),
	OTHER(ANSWER_AAAA, "an IPv6 address of 4 octets", "\1\1\1\1"),
	OTHER(ANSWER_AAAA, "an IPv6 address of 17 octets", "0123456789abcdefg"),
};

static void
put_bad(size_t row)
{
	size_t at = record(NULL, bad_rdata[row].type, 1);

	if (bad_rdata[row].type == ANSWER_MX)
		put16(1);
	put(bad_rdata[row].host, bad_rdata[row].size);
	finish(at);
}

static void
put_good(uint16_t type)
{
	if (type == ANSWER_MX)
		put_mx(NULL, 60, 20, "good");
	else
		put_a(NULL, 60, "0123456789abcdef", type == ANSWER_A ? 4 : 16);
}

/* Nor does its TTL count. */
static void
a_bad_record_is_left_out_and_told_of_when_it_was_all(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof bad_rdata / sizeof *bad_rdata; i++) {
		const uint16_t type = bad_rdata[i].type;

		for (unsigned order = 0; order < 2; order++) {
			start("a.c", type, 3);
			if (order)
				put_good(type);
			put_bad(i);
			put_bad(i);
			if (!order)
				put_good(type);
			if (parse(type) < 0 || answer.count != 1 || answer.ttl_s != 60)
				fail_msg("%s", bad_rdata[i].name);
			assert_string_equal(answer.why, bad_rdata[i].why);
		}
		assert_true(type != ANSWER_MX || !strcmp(answer.records[0].name, "good"));
		start("a.c", type, 1);
		put_bad(i);
		if (parse(type) == 0)
			fail_msg("%s alone", bad_rdata[i].name);
		assert_string_equal(answer.why, bad_rdata[i].why);
	}
}

/* A mail host is not what an alias on the way is called. */
static void
any_octets_may_stand_in_an_alias(void **state)
{
	static const char *const odd[] = { "a b", "https://x", "\xff\xfe", "1", "a\nb" };

	(void)state;
	for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
		start("a.c", ANSWER_MX, 3);
		put_cname("a.c", 60, odd[i]);
		put_mx(odd[i], 60, 10, "mx.c");
		put_mx("other.c", 60, 10, "mx.other.c");
		assert_int_equal(parse(ANSWER_MX), 0);
		assert_int_equal(answer.count, 1);
		assert_string_equal(answer.records[0].name, "mx.c");
	}
}

/* "m.x" in one label is not the name m.x. */
static void
names_are_equal_by_their_labels(void **state)
{
	size_t at;

	(void)state;
	start("a.c", ANSWER_A, 2);
	at = record(NULL, ANSWER_CNAME, 60);
	put("\3m.x\0", 5);
	finish(at);
	put_a("m.x", 60, "\1\1\1\1", 4);
	assert_int_equal(parse(ANSWER_A), 0);
	assert_int_equal(answer.count, 0);
}

static void
a_bad_alias_is_left_out(void **state)
{
	size_t at;

	(void)state;
	start("a.c", ANSWER_MX, 3);
	at = record(NULL, ANSWER_CNAME, 60);
	put("\xff\xff", 2);
	finish(at);
	put_cname("a.c", 60, "b.c");
	put_mx("b.c", 60, 10, "mx.c");
	assert_int_equal(parse(ANSWER_MX), 0);
	assert_int_equal(answer.count, 1);
	start("a.c", ANSWER_MX, 1);
	at = record(NULL, ANSWER_CNAME, 60);
	put("\xff\xff", 2);
	finish(at);
	assert_true(parse(ANSWER_MX) < 0);
}

static void
a_record_of_an_unreadable_owner_is_left_out(void **state)
{
	(void)state;
	start("a.c", ANSWER_A, 2);
	put_a(NULL, 60, "\1\1\1\1", 4);
	put_a(NULL, 60, "\2\2\2\2", 4);
	p.bytes[p.size - 15] = 0xff; /* the owner points forward */
	assert_int_equal(parse(ANSWER_A), 0);
	assert_int_equal(answer.count, 1);
	assert_int_equal(answer.records[0].address[0], 1);
}

static void
what_is_no_answer_is_refused(void **state)
{
	(void)state;
	start("a.c", ANSWER_A, 0);
	p.bytes[2] = 1; /* a query */
	assert_true(parse(ANSWER_A) < 0);
	start("a.c", ANSWER_A, 0);
	p.bytes[5] = 2; /* two questions */
	assert_true(parse(ANSWER_A) < 0);
	start("a.c", ANSWER_A, 0);
	p.bytes[5] = 0;
	assert_true(parse(ANSWER_A) < 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mx_records_come_with_names_and_preferences),
		cmocka_unit_test(a_compressed_host_name_is_read),
		cmocka_unit_test(addresses_are_copied),
		cmocka_unit_test(records_of_other_names_types_and_classes_are_ignored),
		cmocka_unit_test(cnames_are_followed_in_any_order),
		cmocka_unit_test(a_chain_that_ends_in_nothing_gives_nothing),
		cmocka_unit_test(a_cname_asked_for_is_not_followed),
		cmocka_unit_test(sixteen_cnames_are_followed_and_seventeen_are_not),
		cmocka_unit_test(a_circle_of_cnames_is_refused),
		cmocka_unit_test(the_rcode_is_told_and_an_empty_answer_is_one),
		cmocka_unit_test(a_ttl_with_its_highest_bit_set_is_0),
		cmocka_unit_test(rdata_of_other_types_is_handed_over),
		cmocka_unit_test(more_than_100_records_are_ignored),
		cmocka_unit_test(a_packet_cut_anywhere_is_never_an_empty_answer),
		cmocka_unit_test(pointers_that_do_not_point_back_are_refused),
		cmocka_unit_test(names_over_255_octets_are_refused),
		cmocka_unit_test(labels_have_at_most_63_octets),
		cmocka_unit_test(a_bad_record_is_left_out_and_told_of_when_it_was_all),
		cmocka_unit_test(any_octets_may_stand_in_an_alias),
		cmocka_unit_test(names_are_equal_by_their_labels),
		cmocka_unit_test(a_bad_alias_is_left_out),
		cmocka_unit_test(a_record_of_an_unreadable_owner_is_left_out),
		cmocka_unit_test(what_is_no_answer_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
