/*
 * test_dnsbl.c - names, codes and confirmations of DNS block lists.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "control/watch/dnsbl.h"

static void
names_are_in_reverse(void **state)
{
	static const struct {
		const char *ip, *name;
	} rows[] = {
		{ "192.0.2.99", "99.2.0.192.bl.example" },
		{ "2001:db8:1:2:3:4:567:89ab",
			"b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.8.b.d.0.1.0.0.2."
			"bl.example" }, /* RFC 5782 2.4 */
		{ "192.0.2", NULL },
		{ "", NULL },
		{ "bl.example", NULL },
	};
	char name[DNSBL_NAME_MAX], zone[400];

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		assert_int_equal(dnsbl_name(rows[i].ip, "bl.example", name), rows[i].name != NULL);
		if (rows[i].name)
			assert_string_equal(name, rows[i].name);
	}
	memset(zone, 'x', sizeof zone - 1);
	zone[sizeof zone - 1] = '\0';
	assert_false(dnsbl_name("192.0.2.1", zone, name));
}

static void
a_key_is_not_shown(void **state)
{
	char label[DNSBL_NAME_MAX];

	(void)state;
	dnsbl_label("zen.spamhaus.org", label);
	assert_string_equal(label, "zen.spamhaus.org");
	dnsbl_label("abcdefghijklmnopqrstuvwxyz.zen.dq.spamhaus.net", label);
	assert_string_equal(label, "***.zen.dq.spamhaus.net");
}

static const uint8_t two[][4] = { { 127, 0, 0, 2 } },
		     several[][4] = { { 127, 0, 0, 4 }, { 127, 0, 0, 10 } },
		     refused[][4] = { { 127, 255, 255, 254 } },
		     parked[][4] = { { 198, 51, 100, 7 } },
		     mixed[][4] = { { 127, 0, 0, 2 }, { 127, 255, 255, 255 } };
static const struct dnsbl_answer yes = { DNSBL_ANSWERED, two, 1 }, no = { .status = DNSBL_NO_NAME },
				 fails = { .status = DNSBL_FAILED },
				 many = { DNSBL_ANSWERED, several, 2 },
				 error = { DNSBL_ANSWERED, refused, 1 },
				 sold = { DNSBL_ANSWERED, parked, 1 },
				 half = { DNSBL_ANSWERED, mixed, 2 },
				 empty = { DNSBL_ANSWERED, NULL, 0 };

static void
only_a_list_that_passes_its_test_is_believed(void **state)
{
	static const struct {
		const struct dnsbl_answer *listed_test, *clean_test, *asked;
		enum dnsbl_state state;
	} rows[] = {
		{ &yes, &no, &yes, DNSBL_LISTED },
		{ &many, &no, &many, DNSBL_LISTED },
		{ &yes, &no, &no, DNSBL_CLEAN },
		{ &yes, &no, &fails, DNSBL_UNKNOWN },
		{ &yes, &no, &error, DNSBL_UNKNOWN },
		{ &yes, &no, &half, DNSBL_UNKNOWN },
		{ &yes, &no, &empty, DNSBL_UNKNOWN },
		{ &yes, &no, &sold, DNSBL_UNKNOWN },
		{ &yes, &yes, &yes, DNSBL_UNKNOWN }, /* everything is listed */
		{ &no, &no, &no, DNSBL_UNKNOWN },    /* nothing is: the list is dead */
		{ &no, &no, &yes, DNSBL_UNKNOWN },
		{ &sold, &sold, &sold, DNSBL_UNKNOWN },    /* its domain was sold */
		{ &error, &error, &error, DNSBL_UNKNOWN }, /* it refuses our resolver */
		{ &fails, &no, &yes, DNSBL_UNKNOWN },
		{ &yes, &fails, &yes, DNSBL_UNKNOWN },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		assert_int_equal(
			dnsbl_judge(rows[i].listed_test, rows[i].clean_test, rows[i].asked),
			rows[i].state);
}

static void
two_checks_that_agree_change_a_standing(void **state)
{
	struct dnsbl_standing standing = { 0 };

	(void)state;
	assert_false(dnsbl_take(&standing, DNSBL_CLEAN));
	assert_false(dnsbl_take(&standing, DNSBL_LISTED));
	assert_false(dnsbl_take(&standing, DNSBL_CLEAN)); /* it begins anew */
	assert_false(dnsbl_take(&standing, DNSBL_LISTED));
	assert_false(dnsbl_take(&standing, DNSBL_UNKNOWN));
	assert_true(dnsbl_take(&standing, DNSBL_LISTED));
	assert_true(standing.listed);
	for (int i = 0; i < 10; i++)
		assert_false(dnsbl_take(&standing, i % 2 ? DNSBL_LISTED : DNSBL_UNKNOWN));
	assert_false(dnsbl_take(&standing, DNSBL_CLEAN));
	assert_true(dnsbl_take(&standing, DNSBL_CLEAN));
	assert_false(standing.listed);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_in_reverse),
		cmocka_unit_test(a_key_is_not_shown),
		cmocka_unit_test(only_a_list_that_passes_its_test_is_believed),
		cmocka_unit_test(two_checks_that_agree_change_a_standing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
