/*
 * provider.h - counts what became of recipients, by provider, for the metrics page.
 *
 * The first PROVIDERS_SOON providers (site_provider()) have a label of their own at once, others
 * when they have had PROVIDER_WORTH recipients, until there are PROVIDERS_MAX; all others are
 * "other", and what has no way to its domain is "none". A name that is on the page stays there,
 * from the beginning with its deliveries and refusals by policy, be they 0.
 */
#ifndef SENDER_PROVIDER_H
#define SENDER_PROVIDER_H

#include <stddef.h>
#include <stdint.h>

#define PROVIDERS_MAX 60
#define PROVIDERS_SOON 20
#define PROVIDER_WORTH 100

enum provider_end { PROVIDER_DELIVERED, PROVIDER_DEFERRED, PROVIDER_BOUNCED, PROVIDER_EXPIRED };

struct providers;
struct providers *providers_new(void);
void providers_free(struct providers **providers);
/* Counts `n` recipients of `site` (NULL: the domain has none). `class` (reply_class.h) says why; ""
 * for deliveries. All calls come from one thread. */
void providers_count(struct providers *providers, const char *site, enum provider_end end,
	const char *class, size_t n);

#endif
