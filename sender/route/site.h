/*
 * site.h - where a domain's mail goes: its MX hosts in order, and their addresses.
 */
#ifndef SENDER_SITE_H
#define SENDER_SITE_H

#include <stdbool.h>
#include <stddef.h>

#include "sender/policy/outcome.h"
#include "sender/route/route.h"
#include "shared/base/net.h"

struct config;
struct loop;
struct dns;

struct site_resolver;
struct site_resolver *site_resolver_new(struct loop *loop, const struct config *config);
/* Called when no name server answers (`why`), and when one answers again (NULL). */
void site_resolver_on_change(
	struct site_resolver *resolver, void (*tell)(void *arg, const char *why), void *arg);
void site_resolver_free(struct site_resolver **resolver);

/*
 * The route of a domain (lower case): MX, else implicit MX when A or AAAA exist (RFC 5321 5.1),
 * null MX (RFC 7505) bounces 5.1.10, no such domain bounces 5.1.2, MX that is ourselves 5.4.6, a
 * DNS failure or bogus DNSSEC defers 4.4.3. Address literals "[192.0.2.1]" are routes themselves.
 * The callback (maybe at once, exactly once unless the resolver is freed) gets a borrowed route, or
 * NULL and the failure. What has to be looked up waits for its turn, and `account` for its own.
 */
typedef void (*route_cb)(void *arg, struct route *route, const struct outcome *failure);
void site_route(struct site_resolver *resolver, const char *domain, const char *account,
	route_cb cb, void *arg);
/* Drops the callback; the look-up goes on for those who ask next. */
void site_route_forget(struct site_resolver *resolver, const char *domain, void *arg);

/*
 * Addresses of a host, IPv4 first, those that must not be delivered to (special ones outside
 * sender.allow_networks, unless the host is the configured smarthost) left out. count 0 and a
 * failure otherwise: a bounce when it is surely the domain's fault (no such host, special addresses
 * only: 5.4.4; an address of ours: 5.4.6, and less preferred hosts must not be tried), else a
 * deferral. The callback comes maybe at once, exactly once unless the resolver is freed.
 */
typedef void (*addresses_cb)(void *arg, const struct net_address *addresses, size_t count,
	const struct outcome *failure);
void site_addresses(struct site_resolver *resolver, const struct route *route, size_t host,
	const char *account, addresses_cb cb, void *arg);

#endif
