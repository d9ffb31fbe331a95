/*
 * site_address.c - the addresses of a mail host, and which of them we must not connect to.
 *
 * client -> [site_address] -> dns
 *
 * Anybody can point an MX at 127.0.0.1 or at our own networks. So only addresses of the internet,
 * the operator's exceptions and the configured smarthost pass.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <netinet/in.h>

#include "sender/route/site_private.h"
#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/config/config.h"
#include "shared/dns/dns.h"

#define ADDRESSES_MAX 32

struct address_lookup {
	LIST_ENTRY(address_lookup) entry;
	struct site_resolver *resolver;
	struct route *route;
	char host[256];
	uint16_t port;
	addresses_cb cb;
	void *arg;
	struct lookup_turn *turn;
	unsigned waiting; /* answers awaited: A, AAAA or both */
	uint64_t began_ms;
	char why[160]; /* the DNS failure; "": none */
	size_t v4, v6;
	struct net_address found[2 * ADDRESSES_MAX]; /* A, then AAAA in the second half */
};

int
site_literal_parse(const char *text, uint16_t port, struct net_address *out)
{
	char ip[NET_TEXT_MAX];
	size_t length = strlen(text);

	if (length < 3 || length >= sizeof ip || text[0] != '[' || text[length - 1] != ']')
		return -1;
	text++;
	length -= 2;
	if (length > 5 && strncasecmp(text, "IPv6:", 5) == 0) {
		text += 5;
		length -= 5;
	}
	snprintf(ip, sizeof ip, "%.*s", (int)length, text);
	return net_parse_ip(ip, port, out);
}

static bool
is_allowed(const struct site_resolver *resolver, const struct net_address *address)
{
	if (!net_is_special(address))
		return true;
	for (size_t i = 0; i < resolver->allowed_count; i++)
		if (network_contains(&resolver->allowed[i], address))
			return true;
	return false;
}

static bool
is_ours(const struct site_resolver *resolver, const struct net_address *address)
{
	char ours[NET_TEXT_MAX], theirs[NET_TEXT_MAX];

	net_format_ip(address, theirs);
	for (size_t i = 0; i < resolver->own_count; i++) {
		net_format_ip(&resolver->own[i], ours);
		if (strcmp(ours, theirs) == 0)
			return true;
	}
	return false;
}

/* Filters the addresses in place and answers. `host` and `why` are for the failure's text. */
static void
answer_with(const struct site_resolver *resolver, bool smarthost, const char *host,
	struct net_address *addresses, size_t count, addresses_cb cb, void *arg)
{
	struct outcome failure;
	char text[OUTCOME_TEXT_MAX], ip[NET_TEXT_MAX];
	size_t kept = 0;

	for (size_t i = 0; i < count && !smarthost; i++) {
		if (!is_ours(resolver, &addresses[i]))
			continue;
		snprintf(text, sizeof text, "mail loops back to us: the address of %s is ours",
			host);
		outcome_bounce(&failure, "5.4.6", text);
		cb(arg, NULL, 0, &failure);
		return;
	}
	for (size_t i = 0; i < count; i++)
		if (smarthost || is_allowed(resolver, &addresses[i]))
			addresses[kept++] = addresses[i];
	if (kept) {
		cb(arg, addresses, kept, NULL);
		return;
	}
	net_format_ip(&addresses[0], ip);
	snprintf(text, sizeof text, "host %s has no address on the internet, but %s", host, ip);
	outcome_bounce(&failure, "5.4.4", text);
	cb(arg, NULL, 0, &failure);
}

static void
lookup_free(struct address_lookup *lookup)
{
	LIST_REMOVE(lookup, entry);
	lookup_turn_end(lookup->turn);
	route_unref(lookup->route);
	free(lookup);
}

static void
address_failed(struct address_lookup *lookup, const struct outcome *failure)
{
	lookup->cb(lookup->arg, NULL, 0, failure);
	lookup_free(lookup);
}

static void
on_verdict(void *arg, const char *resolver_why)
{
	struct address_lookup *lookup = arg;
	struct outcome failure;
	char text[OUTCOME_TEXT_MAX];

	snprintf(text, sizeof text, "DNS look-up of host %s failed: %.200s", lookup->host,
		resolver_why             ? resolver_why
			: lookup->why[0] ? lookup->why
					 : "it has no address");
	if (resolver_why)
		outcome_local(&failure, "4.4.3", text);
	else
		outcome_from_error(&failure, STEP_DNS, text, lookup->host);
	address_failed(lookup, &failure);
}

static void
no_address(struct address_lookup *lookup)
{
	struct outcome failure;
	char text[OUTCOME_TEXT_MAX];

	if (lookup->why[0]) {
		resolver_doubt(lookup->resolver->health, lookup->began_ms, on_verdict, lookup);
	} else if (lookup->route->smarthost) {
		on_verdict(lookup, NULL);
	} else {
		snprintf(text, sizeof text, "host %s has no address", lookup->host);
		outcome_bounce(&failure, "5.4.4", text);
		address_failed(lookup, &failure);
	}
}

static void
lookup_answered(struct address_lookup *lookup, const struct dns_result *result)
{
	if (result->status != DNS_FAILED)
		resolver_found(lookup->resolver->health, lookup->host);
	else
		snprintf(lookup->why, sizeof lookup->why, "%s", result->why);
	if (--lookup->waiting)
		return;
	memmove(lookup->found + lookup->v4, lookup->found + ADDRESSES_MAX,
		lookup->v6 * sizeof *lookup->found);
	if (lookup->v4 + lookup->v6 == 0) {
		no_address(lookup);
		return;
	}
	answer_with(lookup->resolver, lookup->route->smarthost, lookup->host, lookup->found,
		lookup->v4 + lookup->v6, lookup->cb, lookup->arg);
	lookup_free(lookup);
}

static void
on_v4(void *arg, const struct dns_result *result)
{
	struct address_lookup *lookup = arg;
	size_t count = result->status == DNS_ANSWER ? result->answer->count : 0;

	for (size_t i = 0; i < count && lookup->v4 < ADDRESSES_MAX; i++) {
		struct net_address *address = &lookup->found[lookup->v4++];
		struct sockaddr_in *in = (struct sockaddr_in *)&address->sa;

		address->length = sizeof *in;
		in->sin_family = AF_INET;
		in->sin_port = htons(lookup->port);
		memcpy(&in->sin_addr, result->answer->records[i].address, 4);
	}
	lookup_answered(lookup, result);
}

static void
on_v6(void *arg, const struct dns_result *result)
{
	struct address_lookup *lookup = arg;
	size_t count = result->status == DNS_ANSWER ? result->answer->count : 0;

	for (size_t i = 0; i < count && lookup->v6 < ADDRESSES_MAX; i++) {
		struct net_address *address = &lookup->found[ADDRESSES_MAX + lookup->v6++];
		struct sockaddr_in6 *in = (struct sockaddr_in6 *)&address->sa;

		address->length = sizeof *in;
		in->sin6_family = AF_INET6;
		in->sin6_port = htons(lookup->port);
		memcpy(&in->sin6_addr, result->answer->records[i].address, 16);
	}
	lookup_answered(lookup, result);
}

/* "smtp.example.net:587" */
static void
split_smarthost(struct address_lookup *lookup, const char *name)
{
	const char *colon = strrchr(name, ':');

	lookup->port = colon ? (uint16_t)strtoul(colon + 1, NULL, 10) : 25;
	snprintf(lookup->host, sizeof lookup->host, "%.*s",
		(int)(colon ? (size_t)(colon - name) : strlen(name)), name);
}

static void
on_turn(void *arg)
{
	struct address_lookup *lookup = arg;

	lookup->began_ms = clock_mono_ms();
	resolver_asked(lookup->resolver->health);
	lookup_turn_ask(lookup->turn, lookup->host, ANSWER_A, on_v4, lookup);
	lookup_turn_ask(lookup->turn, lookup->host, ANSWER_AAAA, on_v6, lookup);
}

static void
lookup_start(struct site_resolver *resolver, const struct route *route, const char *name,
	const char *account, addresses_cb cb, void *arg)
{
	struct address_lookup *lookup = xcalloc(1, sizeof *lookup);

	lookup->resolver = resolver;
	lookup->route = route_ref((struct route *)route);
	lookup->cb = cb;
	lookup->arg = arg;
	lookup->waiting = 2;
	lookup->port = (uint16_t)resolver->config->sender.port;
	if (route->smarthost)
		split_smarthost(lookup, name);
	else
		snprintf(lookup->host, sizeof lookup->host, "%s", name);
	LIST_INSERT_HEAD(&resolver->lookups, lookup, entry);
	lookup->turn = lookup_turn_new(
		resolver->queue, lookup->host, account, false, on_turn, lookup);
}

void
site_addresses(struct site_resolver *resolver, const struct route *route, size_t host,
	const char *account, addresses_cb cb, void *arg)
{
	const char *name = route->hosts[host].name;
	struct net_address address;

	if ((route->smarthost && net_parse(name, &address) == 0) ||
		(!route->smarthost &&
			site_literal_parse(
				name, (uint16_t)resolver->config->sender.port, &address) == 0))
		answer_with(resolver, route->smarthost, name, &address, 1, cb, arg);
	else
		lookup_start(resolver, route, name, account, cb, arg);
}

void
site_address_drop(struct site_resolver *resolver)
{
	while (!LIST_EMPTY(&resolver->lookups))
		lookup_free(LIST_FIRST(&resolver->lookups));
}
