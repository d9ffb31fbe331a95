/*
 * site.c - where a domain's mail goes: its MX hosts, and the site they make up.
 *
 * schedule -> [site] -> dns
 *
 * Owns a bounded cache of routes and of failures, so that a domain with 100,000 messages is looked
 * up once. Questions for the same domain share a look-up. Mail bounces only when DNS says for sure
 * that the domain takes no mail.
 */
#include "sender/route/site.h"

#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "sender/route/site_private.h"
#include "shared/base/hash.h"
#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/base/named.h"
#include "shared/config/config.h"
#include "shared/dns/dns.h"

#define ENTRIES_MAX 10000
#define TTL_MIN_S 10
#define TTL_MAX_S 3600
#define BOUNCE_TTL_S 300

struct waiter {
	STAILQ_ENTRY(waiter) entry;
	route_cb cb;
	void *arg;
};
STAILQ_HEAD(waiters, waiter);

struct site_entry {
	LIST_ENTRY(site_entry) bucket;
	TAILQ_ENTRY(site_entry) lru; /* place among the known entries */
	struct site_resolver *resolver;
	bool known;               /* false: being looked up, for the waiters */
	struct lookup_turn *turn; /* the turn of that look-up */
	unsigned failures;        /* deferrals in a row */
	uint64_t expires_ms;
	struct route *route;
	struct outcome *failure;
	struct waiters waiters;
	uint64_t began_ms;
	char *why;       /* why the look-up failed, while the resolver is doubted */
	uint16_t asking; /* type of the implicit MX's look-up */
	char domain[];
};

static struct site_bucket *
bucket_of(struct site_resolver *resolver, const char *domain)
{
	return &resolver->buckets[hash_text(HASH_START, domain) % SITE_BUCKETS];
}

static struct site_entry *
entry_find(struct site_resolver *resolver, const char *domain)
{
	struct site_entry *entry;

	LIST_FOREACH (entry, bucket_of(resolver, domain), bucket)
		if (strcmp(entry->domain, domain) == 0)
			return entry;
	return NULL;
}

static struct site_entry *
entry_new(struct site_resolver *resolver, const char *domain)
{
	struct site_entry *entry;

	NAMED_NEW(domain, domain, entry);
	entry->resolver = resolver;
	STAILQ_INIT(&entry->waiters);
	LIST_INSERT_HEAD(bucket_of(resolver, domain), entry, bucket);
	resolver->entries++;
	return entry;
}

static void
entry_free(struct site_entry *entry)
{
	struct waiter *waiter;

	if (entry->known)
		TAILQ_REMOVE(&entry->resolver->lru, entry, lru);
	lookup_turn_end(entry->turn);
	while ((waiter = STAILQ_FIRST(&entry->waiters))) {
		STAILQ_REMOVE_HEAD(&entry->waiters, entry);
		free(waiter);
	}
	LIST_REMOVE(entry, bucket);
	entry->resolver->entries--;
	route_unref(entry->route);
	free(entry->failure);
	free(entry->why);
	free(entry);
}

/* The callbacks may ask for routes, which may drop this entry from the cache. */
static void
entry_answer(struct site_entry *entry, uint32_t ttl_s)
{
	struct route *route = entry->route ? route_ref(entry->route) : NULL;
	struct outcome failure;
	struct waiters waiters = STAILQ_HEAD_INITIALIZER(waiters);
	struct waiter *waiter;

	if (entry->failure)
		failure = *entry->failure;
	STAILQ_CONCAT(&waiters, &entry->waiters);
	entry->expires_ms = clock_mono_ms() + ttl_s * (uint64_t)1000;
	entry->known = true;
	TAILQ_INSERT_TAIL(&entry->resolver->lru, entry, lru);
	lookup_turn_end(entry->turn);
	entry->turn = NULL;
	while ((waiter = STAILQ_FIRST(&waiters))) {
		STAILQ_REMOVE_HEAD(&waiters, entry);
		waiter->cb(waiter->arg, route, route ? NULL : &failure);
		free(waiter);
	}
	route_unref(route);
}

static void
entry_bounce(struct site_entry *entry, const char *enhanced, const char *what)
{
	char text[OUTCOME_TEXT_MAX];

	snprintf(text, sizeof text, "%s: %s", entry->domain, what);
	entry->failure = xcalloc(1, sizeof *entry->failure);
	outcome_bounce(entry->failure, enhanced, text);
	entry_answer(entry, BOUNCE_TTL_S);
}

/* When the resolver was at fault, the domain is asked for again soon, and no failure is counted. */
static void
on_verdict(void *arg, const char *resolver_why)
{
	struct site_entry *entry = arg;
	char text[OUTCOME_TEXT_MAX];

	snprintf(text, sizeof text, "DNS look-up of %s failed: %.300s", entry->domain,
		resolver_why ? resolver_why : entry->why);
	entry->failure = xcalloc(1, sizeof *entry->failure);
	if (resolver_why) {
		outcome_local(entry->failure, "4.4.3", text);
		entry_answer(entry, TTL_MIN_S);
		return;
	}
	outcome_from_error(entry->failure, STEP_DNS, text, "");
	entry_answer(entry,
		lookup_defer_ttl_s(++entry->failures, entry->resolver->config->sender.retry.max));
}

static void
entry_defer(struct site_entry *entry, const char *why)
{
	entry->why = xstrdup(why);
	resolver_doubt(entry->resolver->health, entry->began_ms, on_verdict, entry);
}

static int
compare_hosts(const void *left, const void *right)
{
	const struct route_host *a = left, *b = right;

	if (a->preference != b->preference)
		return a->preference < b->preference ? -1 : 1;
	return strcmp(a->name, b->name);
}

/* Sorts the hosts, without the root (".") and without duplicates. */
static size_t
collect_hosts(const struct answer *answer, struct route_host *hosts)
{
	size_t count = 0, kept = 0;

	for (size_t i = 0; i < answer->count; i++) {
		if (!answer->records[i].name[0])
			continue;
		hosts[count].preference = answer->records[i].preference;
		memcpy(hosts[count++].name, answer->records[i].name, sizeof hosts->name);
	}
	qsort(hosts, count, sizeof *hosts, compare_hosts);
	for (size_t i = 0; i < count; i++) {
		size_t j = 0;

		while (j < kept && strcmp(hosts[j].name, hosts[i].name) != 0)
			j++;
		if (j == kept)
			hosts[kept++] = hosts[i];
	}
	return kept;
}

/* RFC 5321 5.1: hosts from our own preference on are left out, since they would send the mail back
 * to us. */
static size_t
cut_from_us(const char *hostname, const struct route_host *hosts, size_t count)
{
	unsigned ours;

	for (size_t us = 0; us < count; us++) {
		if (strcasecmp(hosts[us].name, hostname) != 0)
			continue;
		ours = hosts[us].preference;
		while (us > 0 && hosts[us - 1].preference == ours)
			us--;
		return us;
	}
	return count;
}

static void
entry_hosts(struct site_entry *entry, const struct route_host *hosts, size_t count, uint32_t ttl_s)
{
	count = cut_from_us(entry->resolver->config->hostname, hosts, count);
	if (count == 0) {
		entry_bounce(entry, "5.4.6", "mail loops back to us: this host is its MX");
		return;
	}
	if (count > ROUTE_HOSTS_MAX)
		count = ROUTE_HOSTS_MAX;
	if (ttl_s < TTL_MIN_S)
		ttl_s = TTL_MIN_S;
	entry->route = route_new(hosts, count, false);
	entry_answer(entry, ttl_s < TTL_MAX_S ? ttl_s : TTL_MAX_S);
}

static void on_implicit(void *arg, const struct dns_result *result);

static void
ask_implicit(struct site_entry *entry, uint16_t type)
{
	entry->asking = type;
	lookup_turn_ask(entry->turn, entry->domain, type, on_implicit, entry);
}

static void
on_implicit(void *arg, const struct dns_result *result)
{
	struct site_entry *entry = arg;
	struct route_host host = { 0 };

	if (result->status == DNS_FAILED) {
		entry_defer(entry, result->why);
	} else if (result->status == DNS_ANSWER && result->answer->count) {
		snprintf(host.name, sizeof host.name, "%s", entry->domain);
		entry_hosts(entry, &host, 1, result->ttl_s);
	} else if (entry->asking == ANSWER_A) {
		ask_implicit(entry, ANSWER_AAAA);
	} else {
		entry_bounce(entry, "5.1.2", "the domain has neither MX nor address records");
	}
}

static void
on_mx(void *arg, const struct dns_result *result)
{
	struct site_entry *entry = arg;
	struct route_host *hosts;
	size_t count;

	if (result->status != DNS_FAILED)
		resolver_found(entry->resolver->health, entry->domain);
	if (result->status == DNS_FAILED) {
		entry_defer(entry, result->why);
	} else if (result->status == DNS_NO_DOMAIN) {
		entry_bounce(entry, "5.1.2", "there is no such domain");
	} else if (!result->answer->count) {
		ask_implicit(entry, ANSWER_A);
	} else {
		hosts = xmalloc(result->answer->count * sizeof *hosts);
		count = collect_hosts(result->answer, hosts);
		if (count)
			entry_hosts(entry, hosts, count, result->ttl_s);
		else if (*result->answer->why)
			entry_defer(entry, result->answer->why);
		else
			entry_bounce(entry, "5.1.10", "the domain does not accept mail (null MX)");
		free(hosts);
	}
}

static void
on_turn(void *arg)
{
	struct site_entry *entry = arg;

	entry->began_ms = clock_mono_ms();
	resolver_asked(entry->resolver->health);
	lookup_turn_ask(entry->turn, entry->domain, ANSWER_MX, on_mx, entry);
}

static void
entry_ask(struct site_entry *entry, const char *account, route_cb cb, void *arg)
{
	struct waiter *waiter = xcalloc(1, sizeof *waiter);

	waiter->cb = cb;
	waiter->arg = arg;
	STAILQ_INSERT_TAIL(&entry->waiters, waiter, entry);
	if (entry->turn)
		lookup_turn_join(entry->turn, account);
	else
		entry->turn = lookup_turn_new(entry->resolver->queue, entry->domain, account,
			entry->failures > 0, on_turn, entry);
}

static void
route_literal(struct site_resolver *resolver, const char *domain, route_cb cb, void *arg)
{
	struct net_address address;
	struct outcome failure;
	struct route *route;

	if (site_literal_parse(domain, (uint16_t)resolver->config->sender.port, &address) < 0) {
		outcome_bounce(&failure, "5.1.3", "the address literal is no address");
		cb(arg, NULL, &failure);
		return;
	}
	route = route_to(domain, false);
	cb(arg, route, NULL);
	route_unref(route);
}

static bool
is_ascii(const char *text)
{
	for (; *text; text++)
		if (*text & 0x80)
			return false;
	return true;
}

static void
route_domain(struct site_resolver *resolver, const char *domain, const char *account, route_cb cb,
	void *arg)
{
	struct site_entry *entry;
	unsigned failures = 0;

	entry = entry_find(resolver, domain);
	if (entry && entry->known && entry->expires_ms > clock_mono_ms()) {
		TAILQ_REMOVE(&resolver->lru, entry, lru);
		TAILQ_INSERT_TAIL(&resolver->lru, entry, lru);
		cb(arg, entry->route, entry->failure);
		return;
	}
	if (entry && entry->known) {
		failures = entry->route ? 0 : entry->failures;
		entry_free(entry);
		entry = NULL;
	}
	if (!entry && resolver->entries >= ENTRIES_MAX && !TAILQ_EMPTY(&resolver->lru))
		entry_free(TAILQ_FIRST(&resolver->lru));
	if (!entry) {
		entry = entry_new(resolver, domain);
		entry->failures = failures;
	}
	entry_ask(entry, account, cb, arg);
}

void
site_route(struct site_resolver *resolver, const char *domain, const char *account, route_cb cb,
	void *arg)
{
	char ascii[ANSWER_NAME_MAX];
	struct outcome failure;

	if (resolver->smarthost) {
		cb(arg, resolver->smarthost, NULL);
	} else if (domain[0] == '[') {
		route_literal(resolver, domain, cb, arg);
	} else if (is_ascii(domain)) {
		route_domain(resolver, domain, account, cb, arg);
	} else if (dns_name_ascii(domain, ascii) == 0) {
		route_domain(resolver, ascii, account, cb, arg);
	} else {
		outcome_bounce(&failure, "5.1.2", "the domain is no internationalized name");
		cb(arg, NULL, &failure);
	}
}

void
site_route_forget(struct site_resolver *resolver, const char *domain, void *arg)
{
	char ascii[ANSWER_NAME_MAX];
	struct site_entry *entry;
	struct waiter *waiter;

	if (!is_ascii(domain) && dns_name_ascii(domain, ascii) == 0)
		domain = ascii;
	entry = entry_find(resolver, domain);
	if (!entry)
		return;
	STAILQ_FOREACH (waiter, &entry->waiters, entry)
		if (waiter->arg == arg) {
			STAILQ_REMOVE(&entry->waiters, waiter, waiter, entry);
			free(waiter);
			return;
		}
}

/* Loopback addresses are not ours here: hosts of a test, or a proxy, may be there. */
static void
find_own_addresses(struct site_resolver *resolver)
{
	struct ifaddrs *list = NULL;
	struct net_address *own;

	if (getifaddrs(&list) < 0)
		return;
	for (const struct ifaddrs *i = list; i; i = i->ifa_next) {
		if (!i->ifa_addr || (i->ifa_flags & IFF_LOOPBACK) ||
			(i->ifa_addr->sa_family != AF_INET && i->ifa_addr->sa_family != AF_INET6))
			continue;
		resolver->own = xrealloc(
			resolver->own, (resolver->own_count + 1) * sizeof *resolver->own);
		own = &resolver->own[resolver->own_count++];
		memset(own, 0, sizeof *own);
		own->length = i->ifa_addr->sa_family == AF_INET ? sizeof(struct sockaddr_in)
								: sizeof(struct sockaddr_in6);
		memcpy(&own->sa, i->ifa_addr, own->length);
	}
	freeifaddrs(list);
}

static void
find_allowed(struct site_resolver *resolver)
{
	const struct config *config = resolver->config;
	unsigned count = config->sender.allow_networks_count;

	resolver->allowed = xcalloc(count, sizeof *resolver->allowed);
	for (unsigned i = 0; i < count; i++)
		if (network_parse(config->sender.allow_networks[i],
			    &resolver->allowed[resolver->allowed_count]) == 0)
			resolver->allowed_count++;
}

struct site_resolver *
site_resolver_new(struct loop *loop, const struct config *config)
{
	struct site_resolver *resolver = xcalloc(1, sizeof *resolver);
	struct net_address numeric;

	resolver->loop = loop;
	resolver->config = config;
	TAILQ_INIT(&resolver->lru);
	LIST_INIT(&resolver->lookups);
	for (size_t i = 0; i < SITE_BUCKETS; i++)
		LIST_INIT(&resolver->buckets[i]);
	find_allowed(resolver);
	find_own_addresses(resolver);
	if (strcmp(config->sender.route, "mx") != 0)
		resolver->smarthost = route_to(config->sender.route, true);
	if (resolver->smarthost && net_parse(config->sender.route, &numeric) == 0)
		return resolver;
	resolver->dns = dns_new(loop, config, DNS_SENDER);
	resolver->health = resolver_health_new(loop, config);
	if (resolver->dns)
		resolver->queue = lookup_queue_new(resolver->dns);
	else
		site_resolver_free(&resolver);
	return resolver;
}

void
site_resolver_on_change(
	struct site_resolver *resolver, void (*tell)(void *arg, const char *why), void *arg)
{
	if (resolver->health)
		resolver_on_change(resolver->health, tell, arg);
}

void
site_resolver_free(struct site_resolver **resolver_ref)
{
	struct site_resolver *resolver = *resolver_ref;

	if (!resolver)
		return;
	resolver_health_free(&resolver->health);
	lookup_queue_stop(resolver->queue);
	dns_free(&resolver->dns);
	site_address_drop(resolver);
	for (size_t i = 0; i < SITE_BUCKETS; i++)
		while (!LIST_EMPTY(&resolver->buckets[i]))
			entry_free(LIST_FIRST(&resolver->buckets[i]));
	lookup_queue_free(&resolver->queue);
	route_unref(resolver->smarthost);
	free(resolver->allowed);
	free(resolver->own);
	free(resolver);
	*resolver_ref = NULL;
}
