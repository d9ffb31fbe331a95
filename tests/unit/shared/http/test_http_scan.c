/*
 * test_http_scan.c - where requests end: whole, byte by byte, and cut at every place.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "shared/http/http_scan.h"

#define TOKEN "secret"

static int rows_of; /* what the scan hands back */

#define HOST "Host: a\r\nAuthorization: Bearer " TOKEN "\r\n"

#define LITTLE 4

/* With the token everything, with a cookie little, else nothing. */
static long
admit(void *arg, const struct http_head *head)
{
	assert_ptr_equal(arg, &rows_of);
	if (head->authorization && http_token_is(TOKEN, head->authorization))
		return 10;
	return head->cookie && strcmp(head->target, "/login") == 0 ? LITTLE : -1;
}

static const struct http_scan_options options = {
	.admit = admit, .arg = &rows_of, .head_max = 200, .body_max = 10
};

static const struct {
	const char *text;
	int status; /* 0: the requests are taken */
	unsigned requests;
} rows[] = {
	/* clang-format off */
	{ "GET / HTTP/1.1\r\n" HOST "\r\n", 0, 1 },
	{ "GET / HTTP/1.0\r\n" "authorization:\tbearer " TOKEN " \t\r\n\r\n", 0, 1 },
	{ "GET / HTTP/1.1\n" HOST "\r\n", 400, 0 },
	{ "GET / HTTP/1.1\r\n" HOST "\n", 400, 0 },
	{ "GET / HTTP/1.1\r\n" HOST "X: y\nContent-Length: 1\r\n\r\n", 400, 0 },
	{ "GET / HTTP/1.1\nAuthorization: Bearer x\n\n", 401, 0 },
	{ "GET / HTTP/1.1\r\n" HOST "host: b\r\n\r\n", 400, 0 },
	{ "GET / HTTP/1.1\r\nAuthorization: Bearer " TOKEN "\r\n\r\n", 400, 0 },
	{ "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n1\nx\r\n0\r\n\r\n", 400, 0 },
	{ "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n1\r\nx\n0\r\n\r\n", 400, 0 },
	{ "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\n", 400, 0 },
	{ "GET / HTTP/1.1\r\n" HOST "\r\nPUT /a HTTP/1.1\r\n" HOST "\r\n", 0, 2 },
	{ "POST / HTTP/1.1\r\n" HOST "Content-Length: 10\r\n\r\n\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\n" HOST "\r\n", 0, 2 },
	{ "POST / HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nGET ", 0, 0 },
	{ "POST / HTTP/1.1\r\n" HOST "Content-Length: 000\r\n\r\n", 0, 1 },
	{ "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: CHUNKED\r\n\r\n3\r\nGET\r\n00a\r\n", 413, 0 },
	{ "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n3\r\n\r\n\r\r\n7\r\n1234567\r\n0\r\n\r\n"
	  "GET / HTTP/1.1\r\n" HOST "\r\n", 0, 2 },
	{ "POST / HTTP/1.1\r\n" HOST "Content-Length: 11\r\n\r\n", 413, 0 },
	{ "POST / HTTP/1.1\r\n" HOST "Content-Length: 18446744073709551617\r\n\r\n", 413, 0 },
	{ "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n", 413, 0 },
	{ "GET / HTTP/1.1\r\nHost: a\r\n\r\n", 401, 0 },
	{ "GET / HTTP/1.1\r\nAuthorization: Bearer secre\r\n\r\n", 401, 0 },
	{ "GET / HTTP/1.1\r\nAuthorization: Bearer\r\n secret\r\n\r\n", 401, 0 },
	{ "BREW / HTTP/1.1\r\nContent-Length: x\r\n\r\n", 401, 0 }, /* whatever else is wrong */
	{ "BREW / HTTP/1.1\r\nContent-Length: x\r\n" HOST "\r\n", 405, 0 }, /* the first counts */
	{ "POST /login HTTP/1.1\r\nHost: a\r\nCookie: c\r\nContent-Length: 4\r\n\r\nabcd", 0, 1 },
	{ "POST /login HTTP/1.1\r\nHost: a\r\nCookie: c\r\nContent-Length: 5\r\n\r\n", 413, 0 },
	{ "POST /login HTTP/1.1\r\nHost: a\r\nCookie: c\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n", 413, 0 },
	{ "POST /other HTTP/1.1\r\nHost: a\r\nCookie: c\r\n\r\n", 401, 0 },
	{ "POST /login HTTP/1.1\r\nHost: a\r\n\r\n", 401, 0 },
	{ "GET / HTTP/1.1\r\n" HOST "Authorization: Bearer " TOKEN "\r\n\r\n", 400, 0 },
	{ "GET / HTTP/1.1\r\n" HOST "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 401, 1 }, /* each for itself */
	{ "GET / HTTP/3\r\n" HOST "\r\n", 505, 0 },
	{ "GET / HTTP/1.1\r\n" HOST "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400, 0 },
	{ "HEAD / HTTP/1.1\r\n" HOST "Content-Length: 1\r\n\r\n", 400, 0 },
	{ "HEAD / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n", 400, 0 },
	{ "GET / HTTP/1.1\r\n" HOST "Expect: x\r\n\r\n", 417, 0 },
	/* clang-format on */
};

static void
check(size_t row, size_t first, size_t step)
{
	const char *text = rows[row].text;
	const size_t length = strlen(text);
	struct http_scan scan;
	bool good = true;

	http_scan_init(&scan, &options);
	for (size_t at = 0, size = first; at < length && good; at += size, size = step) {
		size = size > length - at ? length - at : size;
		good = http_scan_feed(&scan, text + at, size);
	}
	if (good != !rows[row].status || (!good && scan.status != rows[row].status) ||
		scan.requests != rows[row].requests)
		fail_msg("row %zu, cut at %zu by %zu: %d, %d, %d", row, first, step, good,
			scan.status, (int)scan.requests);
	assert_true(good || scan.status == 401 || scan.error);
	http_scan_wipe(&scan);
}

static void
a_request_ends_where_it_does_however_it_comes(void **state)
{
	(void)state;
	for (size_t row = 0; row < sizeof rows / sizeof *rows; row++) {
		for (size_t cut = 1; cut <= strlen(rows[row].text); cut++)
			check(row, cut, strlen(rows[row].text));
		for (size_t step = 1; step < 8; step++)
			check(row, step, step);
	}
}

static void
what_has_no_end_is_refused(void **state)
{
	static const struct {
		const char *begin, *more;
		int status;
	} endless[] = {
		{ "", "x", 414 },
		{ "GET / HTTP/1.1\r\n" HOST, "x", 431 },
		{ "GET / HTTP/1.1\r\n" HOST, "X: y\n", 431 },
		{ "GET / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n", "0", 400 },
	};
	struct http_scan scan;
	unsigned times;

	(void)state;
	for (size_t i = 0; i < sizeof endless / sizeof *endless; i++) {
		http_scan_init(&scan, &options);
		assert_true(http_scan_feed(&scan, endless[i].begin, strlen(endless[i].begin)));
		for (times = 0; http_scan_feed(&scan, endless[i].more, strlen(endless[i].more));
			times++)
			assert_true(times <= options.head_max);
		assert_int_equal(scan.status, endless[i].status);
		http_scan_wipe(&scan);
	}
}

static void
many_small_chunks_are_one_body(void **state)
{
	static const char head[] = "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n";
	const struct http_scan_options large = { .head_max = 200, .body_max = 1000 };
	struct http_scan scan;

	(void)state;
	http_scan_init(&scan, &large);
	assert_true(http_scan_feed(&scan, head, strlen(head)));
	for (int i = 0; i < 1000; i++)
		assert_true(http_scan_feed(&scan, "1\r\nx\r\n", 6));
	assert_false(http_scan_feed(&scan, "1\r\nx\r\n", 6));
	assert_int_equal(scan.status, 413);
	http_scan_wipe(&scan);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_ends_where_it_does_however_it_comes),
		cmocka_unit_test(what_has_no_end_is_refused),
		cmocka_unit_test(many_small_chunks_are_one_body),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
