/*
 * route.c - which of the API's routes a path means.
 */
#include "control/http/route.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/log.h"

#define SEGMENTS_MAX 8

struct segments {
	char *text[SEGMENTS_MAX]; /* decoded; NULL: it was taken, or cannot be decoded */
	int count;
};

static void
segments_free(struct segments *segments)
{
	for (int i = 0; i < segments->count; i++)
		free(segments->text[i]);
}

/* Splits a path at its slashes; false when there are too many. "a/" ends with an empty segment. */
static bool
split(const char *path, struct segments *segments)
{
	for (size_t length;; path += length + 1) {
		char *raw;

		length = strcspn(path, "/");
		if (segments->count == SEGMENTS_MAX)
			return false;
		raw = xstrndup(path, length);
		segments->text[segments->count++] = evhttp_uridecode(raw, 0, NULL);
		free(raw);
		if (!path[length])
			return true;
	}
}

/* If the path is the route's, notes which segments the stars stand for. */
static bool
is_path_of(const struct route *route, const struct segments *segments, int stars[PARAMETERS_MAX])
{
	const char *pattern = route->path;
	int taken = 0;

	for (int i = 0; i < segments->count; i++) {
		const size_t length = strcspn(pattern, "/");
		const char *text = segments->text[i];

		if (length == 0 || !text || !*text)
			return false;
		if (*pattern == '*')
			stars[taken++] = i;
		else if (strlen(text) != length || memcmp(text, pattern, length) != 0)
			return false;
		pattern += length;
		pattern += *pattern == '/';
	}
	return !*pattern;
}

static const struct {
	enum evhttp_cmd_type type;
	const char *name;
} methods[] = {
	{ EVHTTP_REQ_GET, "GET" },
	{ EVHTTP_REQ_HEAD, "HEAD" },
	{ EVHTTP_REQ_OPTIONS, "OPTIONS" },
	{ EVHTTP_REQ_POST, "POST" },
	{ EVHTTP_REQ_PUT, "PUT" },
	{ EVHTTP_REQ_PATCH, "PATCH" },
	{ EVHTTP_REQ_DELETE, "DELETE" },
};

static void
allow(char out[ALLOW_SIZE], unsigned types)
{
	if (types & EVHTTP_REQ_GET)
		types |= EVHTTP_REQ_HEAD;
	if (types)
		types |= EVHTTP_REQ_OPTIONS;
	for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
		const size_t at = strlen(out);

		if (types & methods[i].type)
			snprintf(
				out + at, ALLOW_SIZE - at, "%s%s", at ? ", " : "", methods[i].name);
	}
}

static void
take(struct route_match *match, const struct route *route, const struct segments *segments,
	const int stars[PARAMETERS_MAX])
{
	match->route = route;
	for (int i = 0; i < PARAMETERS_MAX && stars[i] >= 0; i++)
		match->parameters[i] = xstrdup(segments->text[stars[i]]);
}

void
route_find(const struct route *routes, size_t count, const char *path, enum evhttp_cmd_type method,
	struct route_match *match_out)
{
	struct segments segments = { 0 };
	const bool short_enough = split(path, &segments);
	const char *pattern = NULL; /* the first pattern that fits */
	unsigned allowed = 0;

	*match_out = (struct route_match){ 0 };
	if (method == EVHTTP_REQ_HEAD)
		method = EVHTTP_REQ_GET;
	for (size_t i = 0; short_enough && i < count; i++) {
		int stars[PARAMETERS_MAX] = { -1, -1 };

		if (!is_path_of(&routes[i], &segments, stars))
			continue;
		if (!pattern)
			pattern = routes[i].path;
		else if (strcmp(pattern, routes[i].path) != 0)
			continue; /* the first pattern counts, whatever the method */
		allowed |= routes[i].method;
		if (routes[i].method == method && !match_out->route)
			take(match_out, &routes[i], &segments, stars);
	}
	allow(match_out->allow, allowed);
	segments_free(&segments);
}
