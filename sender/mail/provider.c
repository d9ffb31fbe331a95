/*
 * provider.c - what became of recipients, by who was to take them.
 *
 * sender:  settle -> [provider] -> /metrics
 *
 * A client that mails to many domains must not make the metrics page long. So labels are bounded
 * (provider.h), and so is what is remembered of sites without a label.
 */
#include "sender/mail/provider.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uthash.h>

#include "shared/base/log.h"
#include "shared/base/named.h"
#include "shared/mail/reply_class.h"
#include "shared/mail/selector.h"
#include "shared/metrics/metrics.h"

#define CANDIDATES_MAX 1000

/* One of a provider's counters. A list is enough: there are few classes. */
struct tally {
	struct tally *next;
	enum provider_end end;
	char class[REPLY_CLASS_MAX];
	struct metric *metric;
};

struct provider {
	UT_hash_handle hh;
	uint64_t recipients;
	struct tally *tallies;
	char name[];
};

struct providers {
	struct provider *named, *candidates; /* named: those with a label */
	struct provider *other, *none;       /* two of `named` */
	unsigned count;                      /* sites among `named` */
};

static struct provider *
provider_new(struct provider **table, const char *name)
{
	struct provider *provider;

	NAMED_NEW(name, name, provider);
	HASH_ADD_STR(*table, name, provider);
	return provider;
}

static void
table_free(struct provider **table)
{
	struct provider *provider, *next;
	struct tally *tally;

	HASH_ITER (hh, *table, provider, next) {
		HASH_DEL(*table, provider);
		while ((tally = provider->tallies)) {
			provider->tallies = tally->next;
			free(tally);
		}
		free(provider);
	}
}

void
providers_free(struct providers **providers_ref)
{
	struct providers *providers = *providers_ref;

	if (!providers)
		return;
	table_free(&providers->named);
	table_free(&providers->candidates);
	free(providers);
	*providers_ref = NULL;
}

static struct provider *
candidate_get(struct providers *providers, const char *name)
{
	struct provider *candidate;

	HASH_FIND_STR(providers->candidates, name, candidate);
	if (candidate)
		return candidate;
	if (HASH_COUNT(providers->candidates) >= CANDIDATES_MAX)
		table_free(&providers->candidates); /* a large provider is a candidate again soon */
	return provider_new(&providers->candidates, name);
}

static struct metric *
metric_of(const char *name, enum provider_end end, const char *class)
{
	char labels[METRIC_LABELS_MAX] = "";

	metric_label(labels, "provider", name);
	if (end == PROVIDER_DELIVERED)
		return metric_counter("shout_sender_delivered_total",
			"Recipients delivered to, by provider", labels);
	metric_label(labels, "class", class);
	if (end == PROVIDER_DEFERRED)
		return metric_counter("shout_sender_deferred_total",
			"Recipients that have to wait after an attempt, by provider and reason",
			labels);
	if (end == PROVIDER_BOUNCED)
		return metric_counter("shout_sender_bounced_total",
			"Recipients refused for good, by provider and reason", labels);
	return metric_counter("shout_sender_expired_total",
		"Recipients given up without a refusal, by provider and last reason", labels);
}

static struct tally *
tally_of(struct provider *provider, enum provider_end end, const char *class)
{
	struct tally *tally = provider->tallies;

	while (tally && (tally->end != end || strcmp(tally->class, class) != 0))
		tally = tally->next;
	if (tally)
		return tally;
	tally = xcalloc(1, sizeof *tally);
	tally->end = end;
	snprintf(tally->class, sizeof tally->class, "%s", class);
	tally->metric = metric_of(provider->name, end, class);
	tally->next = provider->tallies;
	provider->tallies = tally;
	return tally;
}

/* Monitoring sees how much a count grew only once the count is there. What alerts look at (no
 * delivery, refusals by policy) is there before it happens. */
static void
provider_begin(struct provider *provider)
{
	tally_of(provider, PROVIDER_DELIVERED, "");
	tally_of(provider, PROVIDER_DEFERRED, "4.7.x");
	tally_of(provider, PROVIDER_BOUNCED, "5.7.x");
}

struct providers *
providers_new(void)
{
	struct providers *providers = xcalloc(1, sizeof *providers);

	providers->other = provider_new(&providers->named, "other");
	providers->none = provider_new(&providers->named, "none");
	provider_begin(providers->other);
	return providers;
}

/* The provider with the site's own label, or "other". */
static struct provider *
provider_find(struct providers *providers, const char *site, size_t n)
{
	struct provider *provider, *candidate;
	char name[SITE_PROVIDER_MAX + 1];

	if (!site)
		return providers->none;
	site_provider(site, name);
	HASH_FIND_STR(providers->named, name, provider);
	if (provider)
		return provider;
	if (providers->count >= PROVIDERS_MAX)
		return providers->other;
	candidate = candidate_get(providers, name);
	candidate->recipients += n;
	if (providers->count >= PROVIDERS_SOON && candidate->recipients < PROVIDER_WORTH)
		return providers->other;
	HASH_DEL(providers->candidates, candidate);
	HASH_ADD_STR(providers->named, name, candidate);
	provider_begin(candidate);
	if (++providers->count == PROVIDERS_MAX)
		table_free(&providers->candidates);
	return candidate;
}

void
providers_count(struct providers *providers, const char *site, enum provider_end end,
	const char *class, size_t n)
{
	struct provider *provider = provider_find(providers, site, n);

	metric_add(tally_of(provider, end, class)->metric, (int64_t)n);
}
