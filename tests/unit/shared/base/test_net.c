/*
 * test_net.c - addresses, networks, and which addresses are never the internet.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "shared/base/net.h"

static void
an_address_reads_back_as_it_was_written(void **state)
{
	static const char *const good[] = { "192.0.2.1:25", "[2001:db8::1]:587", "127.0.0.1:0",
		"unix:/run/redis.sock", "[::1]:65535" };
	char text[NET_TEXT_MAX];
	struct net_address address;

	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
		assert_int_equal(net_parse(good[i], &address), 0);
		net_format(&address, text);
		assert_string_equal(text, good[i]);
	}
	assert_int_equal(net_parse("localhost:25", &address), 0);
	net_format(&address, text);
	assert_string_equal(text, "127.0.0.1:25");
}

static void
a_bad_address_is_refused(void **state)
{
	static const char *const bad[] = { "", ":", "192.0.2.1", "192.0.2.1:", "192.0.2.1:65536",
		"192.0.2.1:-1", "192.0.2.1:2x", "2001:db8::1:25", "[2001:db8::1]", "[]:25",
		"mail.example:25", "unix:", "256.0.0.1:25",
		"[1111:2222:3333:4444:5555:6666:7777:8888:9999]:25" };
	struct net_address address;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_int_equal(net_parse(bad[i], &address), -EINVAL);
}

static void
a_network_contains_its_addresses_only(void **state)
{
	static const struct {
		const char *network, *ip;
		bool inside;
	} rows[] = {
		{ "192.0.2.0/24", "192.0.2.255", true },
		{ "192.0.2.0/24", "192.0.3.0", false },
		{ "192.0.2.128/25", "192.0.2.127", false },
		{ "192.0.2.7", "192.0.2.7", true },
		{ "192.0.2.7", "192.0.2.8", false },
		{ "0.0.0.0/0", "203.0.113.9", true },
		{ "0.0.0.0/0", "2001:db8::1", false },
		{ "192.0.2.0/24", "::ffff:192.0.2.3", true },
		{ "2001:db8:0:1::/64", "2001:db8:0:1:ffff::9", true },
		{ "2001:db8:0:1::/64", "2001:db8:0:2::9", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct network network;
		struct net_address address;

		assert_int_equal(network_parse(rows[i].network, &network), 0);
		assert_int_equal(net_parse_ip(rows[i].ip, 0, &address), 0);
		assert_int_equal(network_contains(&network, &address), rows[i].inside);
	}
}

static void
a_bad_network_is_refused(void **state)
{
	static const char *const bad[] = { "", "/8", "10.0.0.0/33", "10.0.0.0/", "10.0.0/8",
		"2001:db8::/129", "10.0.0.0/8x" };
	struct network network;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_int_equal(network_parse(bad[i], &network), -EINVAL);
}

static void
special_addresses_are_not_the_internet(void **state)
{
	static const char *const special[] = { "127.0.0.1", "10.1.2.3", "172.16.0.1",
		"172.31.255.255", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0",
		"224.0.0.1", "255.255.255.255", "192.0.2.1", "::1", "::", "fe80::1", "fc00::1",
		"ff02::1", "::ffff:127.0.0.1", "2001:db8::1", "64:ff9b::7f00:1", "2002:7f00:1::" };
	static const char *const internet[] = { "8.8.8.8", "172.32.0.1", "100.128.0.1",
		"192.169.0.1", "2a00:1450:4001::1a", "2606:4700::1111", "::ffff:8.8.8.8" };
	struct net_address address;

	(void)state;
	for (size_t i = 0; i < sizeof special / sizeof special[0]; i++) {
		assert_int_equal(net_parse_ip(special[i], 25, &address), 0);
		assert_true(net_is_special(&address));
	}
	for (size_t i = 0; i < sizeof internet / sizeof internet[0]; i++) {
		assert_int_equal(net_parse_ip(internet[i], 25, &address), 0);
		assert_false(net_is_special(&address));
	}
}

static void
only_sockets_that_say_so_share_a_port(void **state)
{
	struct net_address address, local;
	int one, two, client;

	(void)state;
	assert_int_equal(net_parse("127.0.0.1:0", &address), 0);
	one = net_bind_shared(&address);
	assert_true(one >= 0);
	assert_int_equal(net_listen_on(one), 0);
	assert_int_equal(net_local(one, &local), 0);
	assert_int_not_equal(net_port(&local), 0);
	assert_int_equal(net_bind(&local), -EADDRINUSE);
	two = net_bind_shared(&local);
	assert_true(two >= 0);
	assert_int_equal(net_listen_on(two), 0);
	client = net_connect(&local, &address);
	assert_true(client >= 0);
	close(client);
	close(two);
	close(one);
}

static void
an_address_of_ours_and_a_route_are_known(void **state)
{
	struct net_address address;

	(void)state;
	assert_int_equal(net_parse_ip("127.0.0.9", 0, &address), 0);
	assert_true(net_has_address(&address));
	assert_int_equal(net_route(&address, NULL), 0);
	assert_int_equal(net_route(&address, &address), 0);
	assert_int_equal(net_parse_ip("192.0.2.77", 0, &address), 0);
	assert_false(net_has_address(&address));
	assert_int_equal(net_route(&address, &address), -EADDRNOTAVAIL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_address_reads_back_as_it_was_written),
		cmocka_unit_test(a_bad_address_is_refused),
		cmocka_unit_test(a_network_contains_its_addresses_only),
		cmocka_unit_test(a_bad_network_is_refused),
		cmocka_unit_test(special_addresses_are_not_the_internet),
		cmocka_unit_test(an_address_of_ours_and_a_route_are_known),
		cmocka_unit_test(only_sockets_that_say_so_share_a_port),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
