/*
 * session_cookie.c - the cookie of a session.
 *
 * gate, api_session, api_me -> [session_cookie]
 */
#include "control/login/session_cookie.h"

#include <stdio.h>
#include <string.h>

#include <openssl/crypto.h>

#include "control/look/json_from.h"
#include "control/people/cookie.h"
#include "control/people/person.h"
#include "shared/base/json_text.h"
#include "shared/base/net.h"

#define COOKIE_SIZE 192
#define S_US UINT64_C(1000000)

bool
session_is_safe(const struct exchange *x)
{
	struct net_address address;

	return x->secure ||
		(net_parse_ip(x->client, 0, &address) == 0 && net_is_loopback(&address));
}

static const char *
cookie_name(const struct exchange *x)
{
	return x->secure ? "__Host-shout" : "shout";
}

static const char *
header(const struct exchange *x, const char *name)
{
	return evhttp_find_header(evhttp_request_get_input_headers(x->request), name);
}

bool
session_cookie_take(const struct exchange *x, char secret[SESSION_SECRET_SIZE])
{
	*secret = '\0';
	return session_is_safe(x) &&
		cookie_find(header(x, "Cookie"), cookie_name(x), secret, SESSION_SECRET_SIZE) &&
		strlen(secret) == SESSION_SECRET_SIZE - 1;
}

void
session_cookie_set(struct exchange *x, const char *secret)
{
	char text[COOKIE_SIZE];

	snprintf(text, sizeof text, "%s=%s; Path=/; HttpOnly; SameSite=Strict%s", cookie_name(x),
		secret, x->secure ? "; Secure" : "");
	reply_header(x, "Set-Cookie", text);
	explicit_bzero(text, sizeof text);
}

void
session_cookie_clear(struct exchange *x)
{
	char text[COOKIE_SIZE];

	snprintf(text, sizeof text, "%s=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict%s",
		cookie_name(x), x->secure ? "; Secure" : "");
	reply_header(x, "Set-Cookie", text);
}

bool
session_csrf_is_right(const struct exchange *x, const struct login_session *session)
{
	const char *given = header(x, "X-CSRF-Token");
	const size_t length = strlen(session->csrf);

	return given && length > 0 && strlen(given) == length &&
		CRYPTO_memcmp(given, session->csrf, length) == 0;
}

bool
session_is_cross_site(const struct exchange *x)
{
	const char *site = header(x, "Sec-Fetch-Site");

	return site && strcmp(site, "same-origin") != 0 && strcmp(site, "none") != 0;
}

bool
session_is_background(const struct exchange *x)
{
	const char *value = header(x, "X-Shout-Background");

	return value && strcmp(value, "true") == 0;
}

static json_t *
text_or_null(const char *text)
{
	return text ? json_string(text) : json_null();
}

json_t *
session_show(const struct api *api, const struct login_session *session)
{
	const json_t *entry = directory_get(api->directory, "person", session->login);
	const char *account = json_text(entry, "account");
	json_t *person = json_pack("{s:s, s:s, s:s, s:o, s:b}", "login", session->login, "name",
		json_text(entry, "name"), "role", json_text(entry, "role"), "language",
		text_or_null(json_text(entry, "language")), "totp",
		json_object_get(entry, "totp") != NULL);

	return json_pack("{s:o, s:o, s:b, s:s, s:o, s:i}", "person", person, "account",
		text_or_null(account), "operator", account == NULL, "csrf", session->csrf, "until",
		json_from_time(session->until_s * S_US), "sudo", (int)session->sudo_s);
}
