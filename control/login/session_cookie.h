/*
 * session_cookie.h - the cookie of a session, and what its holder is told of the session.
 *
 * By TLS it is "__Host-shout", which no neighbour in the domain can set; by plain HTTP from this
 * machine itself it is "shout". By plain HTTP from elsewhere nobody logs in.
 */
#ifndef CONTROL_SESSION_COOKIE_H
#define CONTROL_SESSION_COOKIE_H

#include <stdbool.h>

#include "control/http/api_private.h"
#include "control/session/logins.h"

/* Whether the client may have a session, by the way it came. */
bool session_is_safe(const struct exchange *exchange);
/* The secret of the request's cookie; false: there is none. */
bool session_cookie_take(const struct exchange *exchange, char secret[SESSION_SECRET_SIZE]);
void session_cookie_set(struct exchange *exchange, const char *secret);
void session_cookie_clear(struct exchange *exchange);
/* Whether the request has the session's X-CSRF-Token. */
bool session_csrf_is_right(const struct exchange *exchange, const struct login_session *session);
/* Whether a page of another site made the browser send the request (Fetch Metadata). */
bool session_is_cross_site(const struct exchange *exchange);

/* Whether nobody did anything: a page that is open asks by itself (X-Shout-Background: true). Such
 * a request keeps no session alive. */
bool session_is_background(const struct exchange *exchange);

/* A session as its holder sees it; the caller's. */
json_t *session_show(const struct api *api, const struct login_session *session);

#endif
