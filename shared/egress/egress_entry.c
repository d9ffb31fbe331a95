/*
 * egress_entry.c - reads egress IPs and proxies: JSON and URLs in, structs out.
 *
 * control (checks what an operator gives) -> relay.config -> [egress_entry] -> sender
 */
#include "shared/egress/egress_entry.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "shared/base/json_text.h"
#include "shared/base/text.h"

#define SCHEME "socks5://"
#define DEDICATED "dedicated:"

static int
hex(char c)
{
	if (is_digit(c))
		return c - '0';
	c = to_lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Decodes percent-encoded text. False: it is none, is empty, does not fit, or has a NUL in it. */
static bool
decode(const char *text, size_t length, char out[EGRESS_SECRET_MAX])
{
	size_t n = 0;

	for (size_t i = 0; i < length; i++) {
		int c = (unsigned char)text[i];

		if (c == '%') {
			const int high = i + 2 < length ? hex(text[i + 1]) : -1;
			const int low = high >= 0 ? hex(text[i + 2]) : -1;

			if (low < 0)
				return false;
			c = high * 16 + low;
			i += 2;
		}
		if (!c || n + 1 >= EGRESS_SECRET_MAX)
			return false;
		out[n++] = (char)c;
	}
	out[n] = '\0';
	return n > 0;
}

/* "user:password" */
static bool
take_secret(struct egress_proxy *proxy, const char *text, size_t length)
{
	const char *colon = memchr(text, ':', length);
	const size_t user = colon ? (size_t)(colon - text) : 0;

	return colon && decode(text, user, proxy->user) &&
		decode(colon + 1, length - user - 1, proxy->password);
}

const char *
egress_proxy_parse(struct egress_proxy *proxy, const char *url)
{
	const char *rest = url + sizeof SCHEME - 1, *at;

	memset(proxy, 0, sizeof *proxy);
	if (strncmp(url, SCHEME, sizeof SCHEME - 1) != 0)
		return "it has to begin with " SCHEME;
	at = strrchr(rest, '@');
	if (at && !take_secret(proxy, rest, (size_t)(at - rest))) {
		explicit_bzero(proxy, sizeof *proxy);
		return "before the @ stand a user and a password, with a colon between, each of 1 "
		       "to 255 octets, others than letters and digits as %XX";
	}
	if (net_parse(at ? at + 1 : rest, &proxy->address) == 0 &&
		proxy->address.sa.ss_family != AF_UNIX && net_port(&proxy->address))
		return NULL;
	explicit_bzero(proxy, sizeof *proxy);
	return "at its end stand the proxy's address and port, like 192.0.2.1:1080 or "
	       "[2001:db8::1]:1080";
}

void
egress_proxy_format(const struct egress_proxy *proxy, char out[EGRESS_VIA_MAX])
{
	char address[NET_TEXT_MAX];

	net_format(&proxy->address, address);
	snprintf(out, EGRESS_VIA_MAX, SCHEME "%s", address);
}

int
egress_ip_canonical(const char *text, char out[NET_TEXT_MAX])
{
	struct net_address address;

	if (net_parse_ip(text, 0, &address) < 0)
		return -EINVAL;
	net_format_ip(&address, out);
	return strcmp(out, "0.0.0.0") && strcmp(out, "::") ? 0 : -EINVAL;
}

static bool
is_word(const char *text)
{
	for (const char *at = text; *at; at++)
		if (!is_digit(*at) && !(*at >= 'a' && *at <= 'z') && *at != '-')
			return false;
	return *text != '\0';
}

bool
egress_pool_valid(const char *name)
{
	static const char *const names[] = { "good", "new", "suspect", "bounce" };

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return strlen(name) < EGRESS_POOL_MAX &&
		strncmp(name, DEDICATED, sizeof DEDICATED - 1) == 0 &&
		is_word(name + sizeof DEDICATED - 1);
}

static uint64_t
time_of(const json_t *json, const char *field)
{
	const json_int_t us = json_integer_value(json_object_get(json, field));

	return us > 0 ? (uint64_t)us : 0;
}

static bool
take_proxy(struct egress_entry *entry, const json_t *json)
{
	const char *via = json_text(json, "via"), *secret = json_text(json, "proxy_secret");

	if (!via)
		return true;
	if (egress_proxy_parse(&entry->proxy, via))
		return false;
	return !secret || take_secret(&entry->proxy, secret, strlen(secret));
}

static bool
take(struct egress_entry *entry, const json_t *json)
{
	const char *ip = json_text(json, "ip"), *helo = json_text(json, "helo");
	const char *pool = json_text(json, "pool");
	const json_int_t weight = json_integer_value(json_object_get(json, "weight"));

	if (!ip || !helo || !pool || !*helo || strlen(helo) >= sizeof entry->helo ||
		!egress_pool_valid(pool) || weight < 1 || weight > EGRESS_WEIGHT_MAX ||
		egress_ip_canonical(ip, entry->ip) < 0 ||
		net_parse_ip(entry->ip, 0, &entry->address) < 0)
		return false;
	text_copy(entry->helo, sizeof entry->helo, helo);
	text_copy(entry->pool, sizeof entry->pool, pool);
	entry->weight = (unsigned)weight;
	entry->warm_us = time_of(json, "warm_us");
	entry->rest_until_us = time_of(json, "rest_until_us");
	entry->lifted_us = time_of(json, "lifted_us");
	return take_proxy(entry, json);
}

int
egress_entry_parse(struct egress_entry *entry, const char *text)
{
	json_t *json = json_loads(text, 0, NULL);
	bool good;

	memset(entry, 0, sizeof *entry);
	good = json && take(entry, json);
	json_decref(json);
	if (!good)
		egress_entry_wipe(entry);
	return good ? 0 : -EINVAL;
}

void
egress_entry_wipe(struct egress_entry *entry)
{
	explicit_bzero(&entry->proxy, sizeof entry->proxy);
}
