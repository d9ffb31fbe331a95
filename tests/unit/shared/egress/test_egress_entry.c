/*
 * test_egress_entry.c - entries of egress IPs and URLs of proxies: what is read, and what is
 * refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "shared/egress/egress_entry.h"

static void
a_proxy_is_read_with_what_is_percent_encoded(void **state)
{
	struct egress_proxy proxy;
	char via[EGRESS_VIA_MAX];

	(void)state;
	assert_null(egress_proxy_parse(&proxy, "socks5://us%40er:p%3ass%25@192.0.2.1:1080"));
	assert_string_equal(proxy.user, "us@er");
	assert_string_equal(proxy.password, "p:ss%");
	egress_proxy_format(&proxy, via);
	assert_string_equal(via, "socks5://192.0.2.1:1080");
	assert_null(egress_proxy_parse(&proxy, "socks5://[2001:db8::1]:9"));
	assert_string_equal(proxy.user, "");
	egress_proxy_format(&proxy, via);
	assert_string_equal(via, "socks5://[2001:db8::1]:9");
}

static void
a_proxy_that_cannot_be_is_refused_and_leaves_no_password(void **state)
{
	static const char *const rows[] = { "", "http://192.0.2.1:1080", "socks5://", "socks5://x",
		"socks5://192.0.2.1", "socks5://192.0.2.1:0", "socks5://192.0.2.1:99999",
		"socks5://user@192.0.2.1:1080", "socks5://user:@192.0.2.1:1080",
		"socks5://:pass@192.0.2.1:1080", "socks5://u:p%@192.0.2.1:1080",
		"socks5://u:p%4@192.0.2.1:1080", "socks5://u:p%00@192.0.2.1:1080",
		"socks5://u:p%zz@192.0.2.1:1080", "socks5://u:p@unix:/x", "socks5://u:p@" };
	struct egress_proxy proxy, none = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		if (!egress_proxy_parse(&proxy, rows[i]))
			fail_msg("%s was taken", rows[i]);
		assert_memory_equal(proxy.password, none.password, sizeof proxy.password);
	}
}

static void
a_user_has_255_octets_at_most(void **state)
{
	struct egress_proxy proxy;
	char url[700];

	(void)state;
	snprintf(url, sizeof url, "socks5://%0255d:%0255d@192.0.2.1:1080", 1, 2);
	assert_null(egress_proxy_parse(&proxy, url));
	assert_int_equal(strlen(proxy.password), 255);
	snprintf(url, sizeof url, "socks5://%0256d:%0255d@192.0.2.1:1080", 1, 2);
	assert_non_null(egress_proxy_parse(&proxy, url));
}

static void
an_entry_is_read_whole_or_not_at_all(void **state)
{
	static const char *const wrong[] = {
		"", "{", "[]", "{}",
		"{\"ip\":\"x\",\"helo\":\"a.example\",\"pool\":\"good\",\"weight\":1}",
		"{\"ip\":\"0.0.0.0\",\"helo\":\"a.example\",\"pool\":\"good\",\"weight\":1}",
		"{\"ip\":\"192.0.2.7\",\"pool\":\"good\",\"weight\":1}",
		"{\"ip\":\"192.0.2.7\",\"helo\":\"a.example\",\"pool\":\"fine\",\"weight\":1}",
		"{\"ip\":\"192.0.2.7\",\"helo\":\"a.example\",\"pool\":\"good\",\"weight\":0}",
		"{\"ip\":\"192.0.2.7\",\"helo\":\"a.ex\",\"pool\":\"good\",\"weight\":1,\"via\":\"x\"}"
	};
	struct egress_entry entry;

	(void)state;
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
		if (egress_entry_parse(&entry, wrong[i]) == 0)
			fail_msg("%s was taken", wrong[i]);
	assert_int_equal(
		egress_entry_parse(&entry,
			"{\"ip\":\"2001:DB8::0:7\",\"helo\":\"a.example\",\"pool\":\"dedicated:x-1\","
			"\"weight\":3,\"via\":\"socks5://192.0.2.1:1080\",\"proxy_secret\":\"u:p\","
			"\"warm_us\":5,\"rest_until_us\":6,\"lifted_us\":7}"),
		0);
	assert_string_equal(entry.ip, "2001:db8::7");
	assert_string_equal(entry.pool, "dedicated:x-1");
	assert_string_equal(entry.proxy.password, "p");
	assert_int_equal(entry.weight, 3);
	assert_int_equal(entry.warm_us + entry.rest_until_us * 10 + entry.lifted_us * 100, 765);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_proxy_is_read_with_what_is_percent_encoded),
		cmocka_unit_test(a_proxy_that_cannot_be_is_refused_and_leaves_no_password),
		cmocka_unit_test(a_user_has_255_octets_at_most),
		cmocka_unit_test(an_entry_is_read_whole_or_not_at_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
