/*
 * fuzz_http_scan.c - requests end at the same places however they come, and a path means the same
 * route for whatever method.
 */
#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "control/http/route.h"
#include "shared/http/http_scan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static long
admit(void *arg, const struct http_head *head)
{
	(void)arg;
	if (head->authorization && http_token_is("t", head->authorization))
		return 100;
	return head->cookie ? 20 : -1;
}

static const struct http_scan_options options = {
	.admit = admit, .head_max = 300, .body_max = 100
};

static const struct route routes[] = {
	{ EVHTTP_REQ_GET, "queue", NULL, false, "", RIGHT_READ },
	{ EVHTTP_REQ_GET, "queue/bad", NULL, false, "", RIGHT_READ },
	{ EVHTTP_REQ_DELETE, "queue/*", NULL, false, "", RIGHT_READ },
	{ EVHTTP_REQ_POST, "a/*/b/*", NULL, false, "", RIGHT_READ },
};

static bool
scan(struct http_scan *scan, const uint8_t *data, size_t size, size_t step)
{
	bool good = true;

	http_scan_init(scan, &options);
	for (size_t at = 0; at < size && good; at += step)
		good = http_scan_feed(
			scan, (const char *)data + at, step < size - at ? step : size - at);
	return good;
}

static void
route(const char *path)
{
	struct route_match match, other;

	route_find(routes, sizeof routes / sizeof *routes, path, EVHTTP_REQ_DELETE, &match);
	route_find(routes, sizeof routes / sizeof *routes, path, EVHTTP_REQ_GET, &other);
	assert(strcmp(match.allow, other.allow) == 0);
	assert(!(match.route && other.route));
	assert(!match.route || (strstr(match.allow, "DELETE") && *match.parameters[0]));
	for (int i = 0; i < PARAMETERS_MAX; i++) {
		free(match.parameters[i]);
		free(other.parameters[i]);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct http_scan whole, pieces;
	const bool good = scan(&whole, data, size, size ? size : 1);

	assert(scan(&pieces, data, size, 1) == good);
	assert(whole.requests == pieces.requests && whole.status == pieces.status);
	assert(whole.room == pieces.room && whole.trusted == pieces.trusted);
	assert(whole.state == pieces.state && whole.left == pieces.left);
	assert(good || whole.status == 401 || whole.error);
	if (whole.target)
		route(*whole.target == '/' ? whole.target + 1 : whole.target);
	http_scan_wipe(&whole);
	http_scan_wipe(&pieces);
	return 0;
}
