/*
 * gate.c - who may send a request, and which account it may be about.
 *
 * door -> [gate_admit] -> api.c -> [gate_identify, gate_allow] -> handler
 *
 * Each route names its right (rights.h); a route without one is nobody's. Whoever belongs to one
 * account hears of another one what he would hear if it did not exist.
 */
#include "control/api/gate.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "control/api/api_public.h"
#include "control/api/routes.h"
#include "control/people/tokens.h"
#include "shared/base/json_text.h"
#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/http/problem.h"

#define BEARER "Bearer "
#define PUBLIC_BODY_MAX 4096

/* The token of a bearer; NULL: it is none. */
static const char *
bearer_of(const char *authorization)
{
	const size_t length = sizeof BEARER - 1;

	return authorization && strncasecmp(authorization, BEARER, length) == 0
		? authorization + length
		: NULL;
}

static bool
identify(const struct api *api, const char *authorization, struct caller *out)
{
	const char *secret = bearer_of(authorization);

	*out = (struct caller){ .kind = CALLER_NOBODY };
	if (!secret)
		return false;
	if (!http_token_is(api->token, authorization))
		return token_caller(api->directory, secret, clock_us(), out);
	*out = (struct caller){ .kind = CALLER_ROOT, .name = "control.token" };
	return true;
}

/* What a request may send that shows no token: little, and only where anybody may ask. */
static long
public_room(const struct http_head *head)
{
	const enum evhttp_cmd_type method = strcmp(head->method, "POST") == 0 ? EVHTTP_REQ_POST
									      : EVHTTP_REQ_GET;
	struct route_match match;
	char *path;
	bool found;

	if (api_is_public(head->target))
		return 0;
	path = xstrndup(head->target, strcspn(head->target, "?"));
	routes_find(path, method, &match);
	found = match.route && match.route->right == RIGHT_PUBLIC;
	for (int i = 0; i < PARAMETERS_MAX; i++)
		free(match.parameters[i]);
	free(path);
	if (!found)
		return -1;
	return match.route->body ? PUBLIC_BODY_MAX : 0;
}

long
gate_admit(void *arg, const struct http_head *head)
{
	struct caller caller;

	if (identify(arg, head->authorization, &caller))
		return BODY_MAX;
	return public_room(head);
}

bool
gate_identify(struct exchange *exchange, const struct route *route)
{
	const char *authorization = evhttp_find_header(
		evhttp_request_get_input_headers(exchange->request), "Authorization");

	if (identify(exchange->api, authorization, &exchange->caller) ||
		(route && route->right == RIGHT_PUBLIC))
		return true;
	reply_header(exchange, "WWW-Authenticate", "Bearer");
	reply_error(exchange, 401, "", HTTP_NEEDED);
	return false;
}

/* The versions of an account and of all that is its own, in one number. */
static uint64_t
version_of(const struct directory *directory, const json_t *account, const char *id)
{
	uint64_t sum = (uint64_t)directory_version(account);
	const char *key;
	json_t *value;

	json_object_foreach(directory_members(directory, id), key, value)
	{
		uint64_t one = (uint64_t)directory_version(directory_entry(directory, key));

		for (const char *at = key; *at; at++)
			one = (one ^ (unsigned char)*at) * UINT64_C(1099511628211); /* FNV-1a */
		sum += one;
	}
	return sum;
}

/* An account has a version. A change that names another version (If-Match, RFC 9110 13.1.1) is
 * refused: somebody else was faster. */
static bool
version_fits(struct exchange *exchange, const struct route *route, const json_t *account)
{
	const char *wanted = evhttp_find_header(
		evhttp_request_get_input_headers(exchange->request), "If-Match");
	char tag[32];

	snprintf(tag, sizeof tag, "\"%016" PRIx64 "\"",
		version_of(exchange->api->directory, account, exchange->parameters[0]));
	if (route->method == EVHTTP_REQ_GET && strcmp(route->path, "accounts/*") == 0)
		reply_header(exchange, "ETag", tag);
	if (!wanted || strcmp(wanted, "*") == 0 || strstr(wanted, tag))
		return true;
	reply_error(exchange, 412, "If-Match", "the account was changed meanwhile: read it again");
	return false;
}

bool
gate_allow(struct exchange *exchange, const struct route *route)
{
	const bool about_one = strncmp(route->path, "accounts/*", 10) == 0;
	const char *id = exchange->parameters[0];
	const json_t *account;

	if (about_one && !caller_sees(&exchange->caller, id)) {
		reply_error(exchange, 404, "account", "there is no account \"%.40s\"", id);
		return false;
	}
	if (!caller_may(&exchange->caller, route->right)) {
		reply_error(exchange, 403, "", "%s has no right to do this",
			exchange->caller.kind == CALLER_TOKEN ? "the token" : "whoever asks");
		return false;
	}
	account = about_one ? directory_get(exchange->api->directory, "account", id) : NULL;
	return !account || version_fits(exchange, route, account);
}
