/*
 * spf.h - SPF (RFC 7208): may this address send for this domain? Pure: DNS is facts.h.
 */
#ifndef CONTROL_DOMAIN_SPF_H
#define CONTROL_DOMAIN_SPF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/domain/facts.h"

#define SPF_LOOKUPS_MAX 10 /* terms of one evaluation that ask DNS (4.6.4) */

enum spf_result {
	SPF_NONE,
	SPF_NEUTRAL,
	SPF_PASS,
	SPF_FAIL,
	SPF_SOFTFAIL,
	SPF_TEMPERROR,
	SPF_PERMERROR
};

/* What is wrong with a record; each is mended in another way. */
enum spf_problem {
	SPF_FINE,
	SPF_MISSING,      /* there is none */
	SPF_SEVERAL,      /* more than one */
	SPF_SYNTAX,       /* a term cannot be read */
	SPF_LOOKUPS,      /* more than 10 look-ups */
	SPF_VOID_LOOKUPS, /* more than 2 of names that are not there */
	SPF_DNS           /* DNS does not answer */
};

struct spf_question {
	const char *sender; /* mailbox; without a local part it is postmaster's */
	const char *helo;
	uint8_t address[16];
	bool v6;
};

struct spf_verdict {
	enum spf_result result;
	enum spf_problem problem;
	unsigned lookups; /* of SPF_LOOKUPS_MAX */
	char where[256];  /* the domain with the problem */
	char term[128];   /* the term that decided, or that cannot be read; cut */
};

/* check_host() (section 4) for the domain. False: `facts` wants more, so ask and call again. */
bool spf_check(const struct spf_question *question, const char *domain, struct facts *facts,
	struct spf_verdict *out);
const char *spf_result_name(enum spf_result result);
const char *spf_problem_name(enum spf_problem problem);

/* The domain's record; NULL: none, or more than one. */
const char *spf_record(const struct fact *txt);
/* Writes the record with include:`name` in it, before what would end the evaluation; `record` NULL:
 * a new one. False: it does not fit. */
bool spf_proposal(const char *record, const char *name, char *out, size_t size);

#endif
