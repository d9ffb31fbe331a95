/*
 * dns_provider.h - who runs a domain's DNS, by the names of its name servers. Pure.
 */
#ifndef CONTROL_DOMAIN_DNS_PROVIDER_H
#define CONTROL_DOMAIN_DNS_PROVIDER_H

struct dns_provider {
	const char *name;
	const char *url;  /* where customers change their records */
	const char *form; /* what the panel takes as a record's name: "short" (the panel appends the
			     domain); NULL: not known */
};

/* `host`: lower case, no trailing dot. NULL: nobody we know. */
const struct dns_provider *dns_provider_find(const char *host);

#endif
