/*
 * gate.c - who may send a request, and which account it may be about.
 *
 * door -> [gate_admit] -> api.c -> [gate_identify, gate_allow] -> handler
 *
 * A caller is known by a token, or else by the cookie of a session, which is looked up in Redis:
 * what comes by a cookie needs the session's X-CSRF-Token for each change.
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

#include "control/api/api_panel.h"
#include "control/api/api_public.h"
#include "control/api/routes.h"
#include "control/login/prove.h"
#include "control/login/session_cookie.h"
#include "control/people/person.h"
#include "control/people/tokens.h"
#include "control/reseller/reseller.h"
#include "shared/base/json_text.h"
#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/http/problem.h"

#define BEARER "Bearer "
#define PUBLIC_BODY_MAX 4096
#define COOKIE_BODY_MAX (64 * 1024) /* whose cookie is looked at later */

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
	if (!head->authorization && head->cookie)
		return COOKIE_BODY_MAX;
	return api_panel_takes(arg, head->method, head->target) ? 0 : public_room(head);
}

/* Sessions */

struct looking {
	struct exchange *exchange;
	gate_cb then;
};

static bool
is_public(const struct exchange *x)
{
	return x->route && x->route->right == RIGHT_PUBLIC;
}

static bool
is_change(const struct exchange *x)
{
	return (evhttp_request_get_command(x->request) &
		       (EVHTTP_REQ_GET | EVHTTP_REQ_HEAD | EVHTTP_REQ_OPTIONS)) == 0;
}

static void
refuse_nobody(struct exchange *x)
{
	reply_header(x, "WWW-Authenticate", "Bearer");
	if (x->session)
		reply_problem(x, 401, SECOND_FACTOR, "", "the second factor is needed");
	else
		reply_error(x, 401, "", HTTP_NEEDED);
}

/* Goes on as nobody, where anybody may ask. */
static void
pass_nobody(struct exchange *x, gate_cb then)
{
	if (is_public(x))
		then(x);
	else
		refuse_nobody(x);
}

/* Takes the session, and finds its person; false: it counts for nobody. */
static bool
take_session(struct exchange *x, const struct login_session *session)
{
	const json_t *entry = session ? person_find(x->api->directory, session->login) : NULL;

	if (!entry || person_epoch(entry) != session->epoch)
		return false;
	x->session = xmalloc(sizeof *x->session);
	*x->session = *session;
	if (!session->code)
		person_caller(session->login, entry, &x->caller);
	return !session->code;
}

static void
on_session(void *arg, int err, const struct login_session *session)
{
	const struct looking looking = *(struct looking *)arg;
	struct exchange *x = looking.exchange;

	free(arg);
	if (err && !is_public(x))
		reply_error(x, 503, "",
			"Redis does not answer, so that sessions are not known: "
			"try again in a moment; a token works meanwhile");
	else if (err || !take_session(x, session))
		pass_nobody(x, looking.then);
	else if (is_change(x) && !is_public(x) && !session_csrf_is_right(x, x->session))
		reply_error(x, 403, "X-CSRF-Token", NO_CSRF);
	else
		looking.then(x);
}

static void
look(struct exchange *x, const char *secret, gate_cb then)
{
	struct looking *looking = xmalloc(sizeof *looking);

	*looking = (struct looking){ x, then };
	logins_look(x->api->redis, secret, !session_is_background(x), on_session, looking);
}

void
gate_identify(struct exchange *x, gate_cb then)
{
	const char *authorization = evhttp_find_header(
		evhttp_request_get_input_headers(x->request), "Authorization");
	char secret[SESSION_SECRET_SIZE];

	if (identify(x->api, authorization, &x->caller))
		then(x);
	else if (authorization)
		pass_nobody(x, then);
	else if (is_change(x) && session_is_cross_site(x))
		reply_error(x, 403, "Sec-Fetch-Site", "a page of another site sent this");
	else if (is_public(x) && !is_change(x))
		then(x); /* the same for everybody */
	else if (session_cookie_take(x, secret))
		look(x, secret, then);
	else
		pass_nobody(x, then);
	explicit_bzero(secret, sizeof secret);
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

/* Whether the right is a customer's only where he is a reseller. */
static bool
is_resellers(enum right right)
{
	return right == RIGHT_RESELL || right == RIGHT_RESELL_LOOK;
}

bool
gate_allow(struct exchange *exchange, const struct route *route)
{
	const bool about_one = strncmp(route->path, "accounts/*", 10) == 0;
	const struct directory *directory = exchange->api->directory;
	const char *id = exchange->parameters[0];
	const json_t *account;

	if (about_one && !reseller_sees(directory, &exchange->caller, id)) {
		reply_error(exchange, 404, "account", "there is no account \"%.40s\"", id);
		return false;
	}
	if (!caller_may(&exchange->caller, route->right) ||
		(is_resellers(route->right) &&
			!reseller_may(directory, &exchange->caller, about_one ? id : NULL))) {
		reply_error(exchange, 403, "", "%s has no right to do this",
			exchange->caller.kind == CALLER_TOKEN ? "the token" : "whoever asks");
		return false;
	}
	if (exchange->caller.kind == CALLER_PERSON && route_needs_sudo(route) &&
		!exchange->session->sudo_s) {
		reply_problem(exchange, 403, "/problems/sudo", "",
			"prove anew who you are (POST /session/sudo): it counts for 5 minutes");
		return false;
	}
	account = about_one ? directory_get(directory, "account", id) : NULL;
	return !account || version_fits(exchange, route, account);
}
