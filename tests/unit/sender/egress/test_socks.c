/*
 * test_socks.c - what a SOCKS5 proxy hears, and what its answers mean, however they are cut.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "sender/egress/socks.h"

struct talk {
	const char *url;
	const char *answers; /* of the proxy, all in one */
	size_t length;
	const char *sent; /* by us */
	size_t sent_length;
	enum socks_result result;
	size_t left; /* the destination's, behind the answers */
};

#define BYTES(text) text, sizeof text - 1
#define V4 "\5\1\0\1\xc0\0\2\x19\0\x19"

static const struct talk talks[] = {
	{ "socks5://192.0.2.1:1080", BYTES("\5\0\5\0\0\1\xc0\0\2\1\0\0"), BYTES("\5\1\0" V4),
		SOCKS_READY, 0 },
	{ "socks5://192.0.2.1:1080",
		BYTES("\5\0\5\0\0\3\4host\0\1"
		      "220 x\r\n"),
		BYTES("\5\1\0" V4), SOCKS_READY, 7 },
	{ "socks5://u:pw@192.0.2.1:1080",
		BYTES("\5\2\1\0\5\0\0\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"),
		BYTES("\5\1\2\1\1u\2pw" V4), SOCKS_READY, 0 },
	{ "socks5://192.0.2.1:1080", BYTES("\4\0"), BYTES("\5\1\0"), SOCKS_PROXY_FAILS, 0 },
	{ "socks5://192.0.2.1:1080", BYTES("\5\2"), BYTES("\5\1\0"), SOCKS_PROXY_FAILS, 0 },
	{ "socks5://192.0.2.1:1080", BYTES("\5\xff"), BYTES("\5\1\0"), SOCKS_PROXY_FAILS, 0 },
	{ "socks5://u:pw@192.0.2.1:1080", BYTES("\5\0"), BYTES("\5\1\2"), SOCKS_PROXY_FAILS, 0 },
	{ "socks5://u:pw@192.0.2.1:1080", BYTES("\5\2\1\1"), BYTES("\5\1\2\1\1u\2pw"),
		SOCKS_PROXY_FAILS, 0 },
	{ "socks5://u:pw@192.0.2.1:1080", BYTES("\5\2\5\0"), BYTES("\5\1\2\1\1u\2pw"),
		SOCKS_PROXY_FAILS, 0 },
	{ "socks5://192.0.2.1:1080", BYTES("\5\0\5\5\0\1\0\0\0\0\0\0"), BYTES("\5\1\0" V4),
		SOCKS_HOST_FAILS, 0 },
	{ "socks5://192.0.2.1:1080", BYTES("\5\0\5\2"), BYTES("\5\1\0" V4), SOCKS_PROXY_FAILS, 0 },
	{ "socks5://192.0.2.1:1080", BYTES("\5\0\5\x7f"), BYTES("\5\1\0" V4), SOCKS_PROXY_FAILS,
		0 },
	{ "socks5://192.0.2.1:1080", BYTES("\5\0\5\0\0\2"), BYTES("\5\1\0" V4), SOCKS_PROXY_FAILS,
		0 },
	{ "socks5://192.0.2.1:1080", BYTES("\5\0\5\0\0\1\0\0"), BYTES("\5\1\0" V4), SOCKS_MORE, 0 },
};

/* Gives the proxy's bytes in two parts; the last result. */
static void
run(const struct talk *talk, size_t cut)
{
	uint8_t sent[1024];
	struct egress_proxy proxy;
	struct socks_step step;
	struct net_address to;
	enum socks_result result = SOCKS_MORE;
	struct socks socks;
	size_t at = 0, end = cut, n;

	assert_null(egress_proxy_parse(&proxy, talk->url));
	assert_int_equal(net_parse("192.0.2.25:25", &to), 0);
	socks_begin(&socks, &proxy, &to, &step);
	memcpy(sent, step.out, n = step.out_length);
	for (int part = 0; part < 2; part++, end = talk->length)
		while (result == SOCKS_MORE || result == SOCKS_SEND) {
			result = socks_take(
				&socks, (const uint8_t *)talk->answers + at, end - at, &step);
			at += step.used;
			assert_true(at <= end);
			memcpy(sent + n, step.out, step.out_length);
			n += step.out_length;
			if (result == SOCKS_MORE)
				break;
		}
	assert_int_equal(result, talk->result);
	assert_int_equal(n, talk->sent_length);
	assert_memory_equal(sent, talk->sent, n);
	if (result == SOCKS_READY) {
		assert_int_equal(talk->length - at, talk->left);
		assert_int_equal(socks.state, SOCKS_OPEN);
	} else if (result != SOCKS_MORE) {
		assert_non_null(step.why);
	}
}

static void
every_talk_ends_as_it_should_wherever_it_is_cut(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof talks / sizeof *talks; i++)
		for (size_t cut = 0; cut <= talks[i].length; cut++)
			run(&talks[i], cut);
}

static void
an_ipv6_destination_is_asked_for_as_such(void **state)
{
	static const char expected[] = "\5\1\0\4\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\7\0\x19";
	struct egress_proxy proxy;
	struct net_address to;
	struct socks_step step;
	struct socks socks;

	(void)state;
	assert_null(egress_proxy_parse(&proxy, "socks5://192.0.2.1:1080"));
	assert_int_equal(net_parse("[2001:db8::7]:25", &to), 0);
	socks_begin(&socks, &proxy, &to, &step);
	assert_int_equal(socks_take(&socks, (const uint8_t *)"\5", 2, &step), SOCKS_SEND);
	assert_int_equal(step.out_length, sizeof expected - 1);
	assert_memory_equal(step.out, expected, sizeof expected - 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_talk_ends_as_it_should_wherever_it_is_cut),
		cmocka_unit_test(an_ipv6_destination_is_asked_for_as_such),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
