/*
 * dns.h - DNS look-ups by libunbound on our loop: recursion or forwarders, DNSSEC validation,
 * cache.
 *
 * Each loop has its own struct dns. Answers always come from the loop, never before the call
 * returns.
 */
#ifndef SHARED_DNS_H
#define SHARED_DNS_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/dns/answer.h"

struct config;
struct dns;
struct dns_query;
struct loop;

enum dns_status {
	DNS_ANSWER, /* `answer` holds the records; none: the name exists, but not with this type */
	DNS_NO_DOMAIN, /* NXDOMAIN */
	DNS_FAILED     /* SERVFAIL, bogus DNSSEC, no answer within 60 s: `why` says which */
};

struct dns_result {
	enum dns_status status;
	uint32_t ttl_s;
	const struct answer *answer; /* DNS_ANSWER; lives as long as the callback */
	char why[160];
};

typedef void (*dns_cb)(void *arg, const struct dns_result *result);

/* Writes the name as DNS has it: U-labels become A-labels (IDNA 2008), in lower case. 0, or -EINVAL
 * when the text is no name. */
int dns_name_ascii(const char *name, char out[ANSWER_NAME_MAX]);

/* Whose look-ups these are: each has metrics of its own. */
enum dns_user {
	DNS_SENDER,
	DNS_CONTROL /* who looks at what was changed just now: the cache forgets after a minute */
};

/* Reads dns.forward[] and dns.trust_anchor. NULL after logging why. */
struct dns *dns_new(struct loop *loop, const struct config *config, enum dns_user user);
struct loop *dns_loop(const struct dns *dns);
/* Must not be called from a callback. Queries under way are dropped without their callback. */
void dns_free(struct dns **dns);

/* Asks for a name (no trailing dot needed) and type (enum of answer.h). The query is valid until
 * its callback is called. */
struct dns_query *
dns_resolve(struct dns *dns, const char *name, uint16_t type, dns_cb cb, void *arg);
/* Calls `over` once libunbound no longer works on the query: after the query's callback, or in
 * dns_free(). */
void dns_query_over(struct dns_query *query, void (*over)(void *arg), void *arg);
/* Drops the query's callback. */
void dns_cancel(struct dns_query *query);

#endif
