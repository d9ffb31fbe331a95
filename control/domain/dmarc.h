/*
 * dmarc.h - which DMARC policy a domain is under (RFC 9989). Pure: DNS is facts.h.
 */
#ifndef CONTROL_DOMAIN_DMARC_H
#define CONTROL_DOMAIN_DMARC_H

#include <stdbool.h>

#include "control/domain/facts.h"

enum dmarc_state {
	DMARC_FOUND,
	DMARC_MISSING,
	DMARC_SEVERAL, /* the domain has more than one record: receivers take none of them */
	DMARC_SYNTAX,  /* the record cannot be read, or has no valid policy */
	DMARC_DNS      /* DNS does not answer */
};

enum dmarc_policy { DMARC_POLICY_NONE, DMARC_POLICY_QUARANTINE, DMARC_POLICY_REJECT };

struct dmarc_verdict {
	enum dmarc_state state;
	enum dmarc_policy policy; /* DMARC_FOUND: what holds for the domain's own mail */
	bool test;                /* t=y: the policy is only tried */
	bool strict_spf;          /* aspf=s: the envelope sender's domain must be the same */
	bool strict_dkim;         /* adkim=s */
	bool obsolete;            /* the record has pct=, which counts no longer */
	char where[256];          /* the domain that has the record, or the trouble */
	const char *record;       /* borrowed of `facts`; NULL: none */
};

/* False: `facts` wants more, so ask and call again. `domain` is in ASCII, without a trailing dot.
 */
bool dmarc_check(const char *domain, struct facts *facts, struct dmarc_verdict *out);
const char *dmarc_policy_name(enum dmarc_policy policy);

#endif
