/*
 * report.h - whether a domain is ready to send through this relay, and what is to be done. Pure:
 * DNS is facts.h.
 */
#ifndef CONTROL_DOMAIN_REPORT_H
#define CONTROL_DOMAIN_REPORT_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

struct facts;

struct report_subject {
	const char *domain;     /* in ASCII, lower case */
	const char *token;      /* what proves the account's ownership, in DNS */
	bool verified;          /* by an operator */
	const json_t *dkim;     /* the entry "dkim/<domain>" whose keys sign; NULL: none signs */
	const char *spf;        /* the name to be included; NULL: none is configured */
	const char *hostname;   /* what this relay says in HELO */
	char *const *addresses; /* that mail leaves from, as text */
	size_t addresses_count;
};

/* What the API shows of the domain (openapi.yaml: DomainCheck), but for its time, for the caller to
 * release. All that DNS said is cleaned. NULL: `facts` wants more, so ask and call again. */
json_t *domain_report(const struct report_subject *subject, struct facts *facts);

#endif
