/*
 * test_forwarded.c - who a request is from, whatever its X-Forwarded-For claims.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "shared/http/forwarded.h"

static const struct {
	const char *peer, *value, *client;
} rows[] = {
	/* clang-format off */
	{ "192.0.2.9", NULL, "192.0.2.9" },
	{ "192.0.2.9", "198.51.100.1", "192.0.2.9" }, /* a stranger's claim */
	{ "10.0.0.1", NULL, "10.0.0.1" },
	{ "10.0.0.1", "", "10.0.0.1" },
	{ "10.0.0.1", "198.51.100.1", "198.51.100.1" },
	{ "10.0.0.1", " 198.51.100.1\t", "198.51.100.1" },
	{ "10.0.0.1", "198.51.100.1:4711", "198.51.100.1" },
	{ "10.0.0.1", "2001:db8::1", "2001:db8::1" },
	{ "10.0.0.1", "[2001:db8::1]:4711", "2001:db8::1" },
	{ "10.0.0.1", "::ffff:198.51.100.1", "198.51.100.1" },
	{ "10.0.0.1", "127.0.0.1, 198.51.100.1", "198.51.100.1" },         /* the client's own claim */
	{ "10.0.0.1", "203.0.113.7, 198.51.100.1, 10.0.0.2", "198.51.100.1" }, /* two proxies */
	{ "10.0.0.1", "203.0.113.7,198.51.100.1,fd00::2,10.0.0.2", "198.51.100.1" },
	{ "10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3" }, /* a client in the proxies' own network */
	{ "10.0.0.1", "198.51.100.1, unknown", "10.0.0.1" },
	{ "10.0.0.1", "198.51.100.1, unknown, 10.0.0.2", "10.0.0.2" },
	{ "10.0.0.1", "198.51.100.1,", "10.0.0.1" },
	{ "10.0.0.1", ",", "10.0.0.1" },
	{ "10.0.0.1", "localhost:1", "10.0.0.1" },
	{ "10.0.0.1", "unix:/a", "10.0.0.1" },
	{ "10.0.0.1", "198.51.100.1 198.51.100.2", "10.0.0.1" },
	{ "10.0.0.1", "198.51.100.1:x", "10.0.0.1" },
	{ "fd00::1", "198.51.100.1", "198.51.100.1" },
	{ "2001:db8::9", "198.51.100.1", "2001:db8::9" },
	/* clang-format on */
};

static void
the_client_is_whom_the_outermost_proxy_of_ours_saw(void **state)
{
	struct network proxies[2];

	(void)state;
	assert_int_equal(network_parse("10.0.0.0/8", &proxies[0]), 0);
	assert_int_equal(network_parse("fd00::/16", &proxies[1]), 0);
	for (size_t row = 0; row < sizeof rows / sizeof *rows; row++) {
		struct net_address client;
		char text[NET_TEXT_MAX];

		assert_int_equal(net_parse_ip(rows[row].peer, 4, &client), 0);
		forwarded_client(proxies, 2, rows[row].value, &client);
		net_format_ip(&client, text);
		if (strcmp(text, rows[row].client) != 0)
			fail_msg("row %zu: %s", row, text);
	}
}

static void
without_proxies_nobody_is_believed(void **state)
{
	struct net_address client;
	char text[NET_TEXT_MAX];

	(void)state;
	assert_int_equal(net_parse_ip("127.0.0.1", 4, &client), 0);
	forwarded_client(NULL, 0, "198.51.100.1", &client);
	net_format_ip(&client, text);
	assert_string_equal(text, "127.0.0.1");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_client_is_whom_the_outermost_proxy_of_ours_saw),
		cmocka_unit_test(without_proxies_nobody_is_believed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
