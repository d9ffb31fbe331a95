/*
 * site_private.h - what site.c (routes) and site_address.c (addresses of hosts) share.
 */
#ifndef SENDER_SITE_PRIVATE_H
#define SENDER_SITE_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "sender/route/lookup_queue.h"
#include "sender/route/resolver.h"
#include "sender/route/site.h"

#define SITE_BUCKETS 4096

struct site_resolver {
	struct loop *loop;
	const struct config *config;
	struct dns *dns;                /* NULL: not needed, with a numeric smarthost */
	struct resolver_health *health; /* NULL like dns */
	struct route *smarthost;        /* NULL: MX */
	struct network *allowed;
	size_t allowed_count;
	struct net_address *own;
	size_t own_count;
	LIST_HEAD(site_bucket, site_entry) buckets[SITE_BUCKETS];
	TAILQ_HEAD(site_lru, site_entry) lru; /* known entries, the longest unused first */
	struct lookup_queue *queue;           /* NULL like dns */
	LIST_HEAD(lookup_list, address_lookup) lookups;
	size_t entries;
};

/* Frees the look-ups under way. Call it after dns_free(). */
void site_address_drop(struct site_resolver *resolver);
/* "[192.0.2.1]" or "[IPv6:2001:db8::1]" */
int site_literal_parse(const char *text, uint16_t port, struct net_address *out);

#endif
