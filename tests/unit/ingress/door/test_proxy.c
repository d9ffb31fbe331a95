/*
 * test_proxy.c - PROXY headers, whole and cut at every place.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include "ingress/door/proxy.h"

/* "192.0.2.1:56324", "peer" when the connection's own peer counts */
static void
describe(const struct proxy_header *header, char out[80])
{
	const struct sockaddr_in *sin = (const struct sockaddr_in *)&header->client.sa;
	const struct sockaddr_in6 *sin6 = (const struct sockaddr_in6 *)&header->client.sa;
	char ip[INET6_ADDRSTRLEN];

	if (header->client.length == 0)
		snprintf(out, 80, "peer");
	else if (header->client.sa.ss_family == AF_INET)
		snprintf(out, 80, "%s:%u", inet_ntop(AF_INET, &sin->sin_addr, ip, sizeof ip),
			ntohs(sin->sin_port));
	else
		snprintf(out, 80, "[%s]:%u", inet_ntop(AF_INET6, &sin6->sin6_addr, ip, sizeof ip),
			ntohs(sin6->sin6_port));
}

/* A copy of exact size, so that a sanitizer sees a byte read too many. */
static int
parse(const char *data, size_t size, struct proxy_header *out, size_t *size_out)
{
	char *copy = malloc(size ? size : 1);
	int result;

	memcpy(copy, data, size);
	result = proxy_parse(copy, size, out, size_out);
	free(copy);
	return result;
}

/* Whole, at every cut before its end (more is needed), and with bytes of the session behind it. */
static void
expect(const char *name, const char *data, size_t size, const char *client)
{
	struct proxy_header header;
	char got[80], more[PROXY_HEADER_MAX + 16];
	size_t used;

	memcpy(more, data, size);
	memcpy(more + size, "\r\nEHLO x\r\n", 10);
	for (size_t behind = 0; behind <= 10; behind++) {
		int result = parse(more, size + behind, &header, &used);

		if (!client) {
			if (result != -1)
				fail_msg("%s: %d", name, result);
			continue;
		}
		if (result != 1 || used != size)
			fail_msg("%s: %d, %zu bytes", name, result, used);
		describe(&header, got);
		if (strcmp(got, client) != 0)
			fail_msg("%s: %s", name, got);
	}
	for (size_t cut = 0; client && cut < size; cut++)
		if (parse(data, cut, &header, &used) != 0)
			fail_msg("%s: not waiting at %zu", name, cut);
}

#define FULL6 "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"

static const struct {
	const char *name, *line, *client; /* NULL: refused */
} lines[] = {
	{ "TCP4", "PROXY TCP4 192.0.2.1 198.51.100.1 56324 25\r\n", "192.0.2.1:56324" },
	{ "TCP6", "PROXY TCP6 2001:db8::1 2001:db8::2 56324 25\r\n", "[2001:db8::1]:56324" },
	{ "the longest TCP6", "PROXY TCP6 " FULL6 " " FULL6 " 65535 65535\r\n",
		"[" FULL6 "]:65535" },
	{ "IPv4 inside TCP6", "PROXY TCP6 ::ffff:192.0.2.1 ::ffff:198.51.100.1 56324 25\r\n",
		"192.0.2.1:56324" },
	{ "port 0", "PROXY TCP4 192.0.2.1 198.51.100.1 0 0\r\n", "192.0.2.1:0" },
	{ "UNKNOWN", "PROXY UNKNOWN\r\n", "peer" },
	{ "UNKNOWN with addresses", "PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", "peer" },
	{ "the longest UNKNOWN", "PROXY UNKNOWN " FULL6 " " FULL6 " 65535 65535\r\n", "peer" },
	{ "no protocol", "PROXY \r\n", NULL },
	{ "lower case", "proxy TCP4 192.0.2.1 198.51.100.1 56324 25\r\n", NULL },
	{ "another protocol", "PROXY UDP4 192.0.2.1 198.51.100.1 56324 25\r\n", NULL },
	{ "a family that does not fit", "PROXY TCP4 2001:db8::1 2001:db8::2 56324 25\r\n", NULL },
	{ "IPv4 as TCP6", "PROXY TCP6 192.0.2.1 198.51.100.1 56324 25\r\n", NULL },
	{ "an address that is none", "PROXY TCP4 192.0.2.256 198.51.100.1 56324 25\r\n", NULL },
	{ "a bad destination", "PROXY TCP4 192.0.2.1 198.51.100 56324 25\r\n", NULL },
	{ "a host name", "PROXY TCP4 localhost 198.51.100.1 56324 25\r\n", NULL },
	{ "a port of 65536", "PROXY TCP4 192.0.2.1 198.51.100.1 65536 25\r\n", NULL },
	{ "a port with a leading zero", "PROXY TCP4 192.0.2.1 198.51.100.1 056 25\r\n", NULL },
	{ "a negative port", "PROXY TCP4 192.0.2.1 198.51.100.1 -1 25\r\n", NULL },
	{ "a bad destination port", "PROXY TCP4 192.0.2.1 198.51.100.1 1 x\r\n", NULL },
	{ "a missing port", "PROXY TCP4 192.0.2.1 198.51.100.1 56324\r\n", NULL },
	{ "a word too many", "PROXY TCP4 192.0.2.1 198.51.100.1 56324 25 x\r\n", NULL },
	{ "a blank at the end", "PROXY TCP4 192.0.2.1 198.51.100.1 56324 25 \r\n", NULL },
	{ "two blanks", "PROXY TCP4  192.0.2.1 198.51.100.1 56324 25\r\n", NULL },
	{ "a bare LF", "PROXY TCP4 192.0.2.1 198.51.100.1 56324 25\n", NULL },
	{ "a bare CR", "PROXY TCP4 192.0.2.1\r198.51.100.1 56324 25\r\n", NULL },
	{ "a line over 107 bytes", "PROXY UNKNOWN " FULL6 " " FULL6 " 65535 65535 \r\n", NULL },
	{ "an SMTP command", "EHLO x\r\n", NULL },
	{ "another word", "PROXIES\r\n", NULL },
};

static void
version_1_lines(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
		expect(lines[i].name, lines[i].line, strlen(lines[i].line), lines[i].client);
}

static void
a_version_1_line_that_never_ends_is_refused(void **state)
{
	struct proxy_header header;
	char data[200] = "PROXY UNKNOWN ";
	size_t used;

	(void)state;
	memset(data + 14, 'x', sizeof data - 14);
	assert_int_equal(parse(data, 106, &header, &used), 0);
	assert_int_equal(parse(data, 107, &header, &used), -1);
	assert_int_equal(parse("PROXY TCP4 192.0.2.1\0 1.1.1.1 1 1\r\n", 36, &header, &used), -1);
}

#define SIG "\r\n\r\n\0\r\nQUIT\n"
#define IP4                                                                                        \
	"\xc0\x00\x02\x01\xc6\x33\x64\x01\xdc\x04\x00\x19" /* 192.0.2.1 198.51.100.1 56324 25      \
							    */
#define IP6                                                                                        \
	"\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x02"     \
	"\xdc\x04\x00\x19"
#define BYTES(text) text, sizeof(text) - 1

static const struct {
	const char *name, *data;
	size_t size;
	const char *client; /* NULL: refused */
} headers[] = {
	{ "TCP over IPv4", BYTES(SIG "\x21\x11\0\x0c" IP4), "192.0.2.1:56324" },
	{ "TCP over IPv6", BYTES(SIG "\x21\x21\0\x24" IP6), "[2001:db8::1]:56324" },
	{ "a TLV behind the addresses", BYTES(SIG "\x21\x11\0\x11" IP4 "\x04\0\x02xy"),
		"192.0.2.1:56324" },
	{ "an empty TLV", BYTES(SIG "\x21\x11\0\x0f" IP4 "\x04\0\0"), "192.0.2.1:56324" },
	{ "two TLVs", BYTES(SIG "\x21\x11\0\x13" IP4 "\x04\0\0\x20\0\x01z"), "192.0.2.1:56324" },
	{ "LOCAL", BYTES(SIG "\x20\0\0\0"), "peer" },
	{ "LOCAL with addresses", BYTES(SIG "\x20\x11\0\x0c" IP4), "peer" },
	{ "unspecified", BYTES(SIG "\x21\0\0\0"), "peer" },
	{ "unspecified with bytes", BYTES(SIG "\x21\0\0\x03xyz"), "peer" },
	{ "version 1 in binary", BYTES(SIG "\x11\x11\0\x0c" IP4), NULL },
	{ "version 3", BYTES(SIG "\x31\x11\0\x0c" IP4), NULL },
	{ "another command", BYTES(SIG "\x22\x11\0\x0c" IP4), NULL },
	{ "UDP", BYTES(SIG "\x21\x12\0\x0c" IP4), NULL },
	{ "an unknown family", BYTES(SIG "\x21\x41\0\x0c" IP4), NULL },
	{ "IPv4 addresses cut short",
		BYTES(SIG "\x21\x11\0\x0b\xc0\x00\x02\x01\xc6\x33\x64\x01\xdc\x04\x00"), NULL },
	{ "IPv6 with the length of IPv4", BYTES(SIG "\x21\x21\0\x0c" IP4), NULL },
	{ "a TLV longer than the header", BYTES(SIG "\x21\x11\0\x10" IP4 "\x04\0\x02x"), NULL },
	{ "half a TLV", BYTES(SIG "\x21\x11\0\x0e" IP4 "\x04\0"), NULL },
	{ "a length over the limit", BYTES(SIG "\x21\x11\x0f\xf1"), NULL },
	{ "a signature with one wrong byte", BYTES("\r\n\r\n\0\r\nQUIX\n\x21\x11\0\x0c" IP4),
		NULL },
};

static void
version_2_headers(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof headers / sizeof *headers; i++)
		expect(headers[i].name, headers[i].data, headers[i].size, headers[i].client);
}

static void
unix_sockets_count_as_their_peer(void **state)
{
	char data[16 + 216] = SIG "\x21\x31\0\xd8";

	(void)state;
	expect("a UNIX stream", data, sizeof data, "peer");
}

static void
the_longest_version_2_header(void **state)
{
	static char data[PROXY_HEADER_MAX] = SIG "\x21\x11\x0f\xf0" IP4 "\x04\x0f\xe1";

	(void)state;
	expect("a long TLV", data, sizeof data, "192.0.2.1:56324");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(version_1_lines),
		cmocka_unit_test(a_version_1_line_that_never_ends_is_refused),
		cmocka_unit_test(version_2_headers),
		cmocka_unit_test(unix_sockets_count_as_their_peer),
		cmocka_unit_test(the_longest_version_2_header),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
