/*
 * test_credential.c - a username's document: what it grants, and what it denies when it is odd.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "shared/account/credential.h"

static struct credential *
read_one(const char *text)
{
	json_t *document = json_loads(text, 0, NULL);
	struct credential *credential;

	assert_non_null(document);
	credential = credential_from_json(document);
	json_decref(document);
	return credential;
}

static bool
admits(const struct credential *credential, const char *ip)
{
	struct net_address client;

	assert_int_equal(net_parse_ip(ip, 25, &client), 0);
	return credential_admits(credential, &client);
}

static void
a_document_of_an_older_build_reads_the_same(void **state)
{
	struct credential *credential = read_one(
		"{\"account\":\"acme\",\"enabled\":true,\"verifier\":\"V\"}");

	(void)state;
	assert_true(credential_works(credential));
	assert_false(credential->sandbox);
	assert_int_equal(credential->verifiers_count, 1);
	assert_true(credential_holds(credential, 0, UINT64_MAX - 1));
	assert_true(admits(credential, "192.0.2.1") && admits(credential, "2001:db8::1"));
	assert_int_equal(credential->messages_hour + credential->messages_day, 0);
	credential_unref(credential);
}

static void
what_is_no_user_is_none(void **state)
{
	(void)state;
	assert_null(read_one("{\"account\":\"acme\",\"enabled\":true}"));
	assert_null(read_one("{\"verifier\":\"V\",\"enabled\":true}"));
	assert_null(read_one("[]"));
}

static void
a_former_password_ends_at_its_time(void **state)
{
	struct credential *credential = read_one(
		"{\"account\":\"a\",\"enabled\":true,\"verifier\":\"V\",\"former\":["
		"{\"verifier\":\"A\",\"until_us\":100},{\"verifier\":\"B\"},"
		"{\"until_us\":900},{\"verifier\":\"C\",\"until_us\":300},"
		"{\"verifier\":\"D\",\"until_us\":300}]}");

	(void)state;
	assert_int_equal(credential->verifiers_count, 4); /* and not D: that is too many */
	assert_string_equal(credential->verifiers[3], "C");
	assert_true(credential_holds(credential, 1, 99));
	assert_false(credential_holds(credential, 1, 100));
	assert_false(credential_holds(credential, 2, 0)); /* without a time it has ended */
	assert_true(credential_holds(credential, 3, 299));
	credential_unref(credential);
}

static void
networks_admit_their_addresses_and_no_others(void **state)
{
	struct credential *credential = read_one(
		"{\"account\":\"a\",\"enabled\":true,\"verifier\":\"V\",\"networks\":["
		"\"192.0.2.0/24\",\"2001:db8:1::/48\"],\"limits\":{\"messages_hour\":3,"
		"\"messages_day\":-1},\"sandbox\":true,\"suspended\":\"why\"}");

	(void)state;
	assert_true(admits(credential, "192.0.2.255"));
	assert_false(admits(credential, "192.0.3.0"));
	assert_true(admits(credential, "2001:db8:1::9"));
	assert_false(admits(credential, "2001:db8:2::9"));
	assert_int_equal(credential->messages_hour, 3);
	assert_int_equal(credential->messages_day, 0);
	assert_true(credential->sandbox);
	assert_false(credential_works(credential));
	credential_unref(credential);
}

static void
a_network_that_is_none_admits_nobody(void **state)
{
	struct credential *credential = read_one(
		"{\"account\":\"a\",\"enabled\":true,\"verifier\":\"V\",\"networks\":[\"x\",7]}");

	(void)state;
	assert_false(admits(credential, "192.0.2.1"));
	assert_false(admits(credential, "0.0.0.0"));
	credential_unref(credential);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_document_of_an_older_build_reads_the_same),
		cmocka_unit_test(what_is_no_user_is_none),
		cmocka_unit_test(a_former_password_ends_at_its_time),
		cmocka_unit_test(networks_admit_their_addresses_and_no_others),
		cmocka_unit_test(a_network_that_is_none_admits_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
