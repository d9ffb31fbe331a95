/*
 * route.c - the hosts that take a domain's mail, and the name of the site they make up.
 *
 * site -> [route] -> schedule, connections
 */
#include "sender/route/route.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/hash.h"
#include "shared/base/log.h"

/* Providers whose hosts are one site, whatever the domain. */
static const struct {
	const char *suffix, *site;
} providers[] = {
	{ ".google.com", "google" },
	{ ".googlemail.com", "google" },
	{ ".mail.protection.outlook.com", "microsoft" },
	{ ".mx.microsoft", "microsoft" },
	{ ".olc.protection.outlook.com", "outlook" },
	{ ".yahoodns.net", "yahoo" },
	{ ".mail.icloud.com", "icloud" },
	{ ".aruba.it", "aruba" },
};

struct route *
route_ref(struct route *route)
{
	route->references++;
	return route;
}

void
route_unref(struct route *route)
{
	if (route && --route->references == 0)
		free(route);
}

void
route_order(const struct route *route, unsigned char order[ROUTE_HOSTS_MAX])
{
	for (size_t i = 0; i < route->count; i++)
		order[i] = (unsigned char)i;
	for (size_t start = 0, end; start < route->count; start = end) {
		end = start + 1;
		while (end < route->count &&
			route->hosts[end].preference == route->hosts[start].preference)
			end++;
		for (size_t left = end - start; left > 1; left--) {
			size_t pick = start + arc4random_uniform((uint32_t)left);
			unsigned char last = order[start + left - 1];

			order[start + left - 1] = order[pick];
			order[pick] = last;
		}
	}
}

bool
route_same(const struct route *a, const struct route *b)
{
	if (a == b)
		return true;
	if (a->count != b->count || a->smarthost != b->smarthost)
		return false;
	for (size_t i = 0; i < a->count; i++)
		if (a->hosts[i].preference != b->hosts[i].preference ||
			strcmp(a->hosts[i].name, b->hosts[i].name) != 0)
			return false;
	return true;
}

static bool
ends_with(const char *text, const char *suffix)
{
	size_t length = strlen(text), n = strlen(suffix);

	return length >= n && strcmp(text + length - n, suffix) == 0;
}

static void
name_site(struct route *route)
{
	uint64_t hash = HASH_START;

	for (size_t i = 0; i < sizeof providers / sizeof *providers; i++) {
		if (!ends_with(route->hosts[0].name, providers[i].suffix))
			continue;
		snprintf(route->site, sizeof route->site, "%s", providers[i].site);
		return;
	}
	for (size_t i = 0; i < route->count; i++)
		hash = hash_text(hash, route->hosts[i].name);
	if (route->count > 1)
		snprintf(route->site, sizeof route->site, "%.255s-%08x", route->hosts[0].name,
			(unsigned)(hash ^ hash >> 32));
	else
		snprintf(route->site, sizeof route->site, "%.255s", route->hosts[0].name);
}

/* Most domains have one host or two, and the cache holds many routes. */
struct route *
route_new(const struct route_host *hosts, size_t count, bool smarthost)
{
	struct route *route = xcalloc(1, offsetof(struct route, hosts) + count * sizeof *hosts);

	route->references = 1;
	route->smarthost = smarthost;
	route->count = count;
	memcpy(route->hosts, hosts, count * sizeof *hosts);
	name_site(route);
	return route;
}

struct route *
route_to(const char *name, bool smarthost)
{
	struct route_host host = { 0 };

	snprintf(host.name, sizeof host.name, "%s", name);
	return route_new(&host, 1, smarthost);
}

uint64_t
route_affinity(const struct route *route)
{
	uint64_t hash = HASH_START;

	for (size_t i = 0; i < route->count; i++)
		hash = hash_text(hash, route->hosts[i].name);
	return hash;
}
