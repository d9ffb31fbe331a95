/*
 * facts.h - what DNS has answered so far, for evaluators that must not wait.
 *
 * An evaluator asks for a fact. Where the fact is not known, the evaluator gives up, its caller
 * asks DNS for all that is wanted, and calls the evaluator again. Pure.
 */
#ifndef CONTROL_DOMAIN_FACTS_H
#define CONTROL_DOMAIN_FACTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/dns/answer.h"

#define FACTS_MAX 400 /* what one evaluation may know; more is answered as a failure */

enum fact_status {
	FACT_ANSWER,    /* `values`; none: the name is there, without such records */
	FACT_NO_DOMAIN, /* NXDOMAIN, or the name cannot be one */
	FACT_FAILED     /* nobody could say */
};

struct fact_value {
	char *text;          /* TXT: its strings joined, NUL as "\1"; MX, NS, PTR: a name */
	uint8_t address[16]; /* A (4 bytes), AAAA */
	unsigned preference; /* MX */
};

struct fact {
	enum fact_status status;
	uint32_t ttl_s;
	size_t count;
	struct fact_value *values;
};

struct facts;

struct facts *facts_new(void);
void facts_free(struct facts **facts);

/* What is known; NULL: not known yet, and wanted from now on. Names are compared in lower case,
 * without a trailing dot. The fact lives as long as `facts`. */
const struct fact *facts_get(struct facts *facts, const char *name, uint16_t type);
/* The i-th fact that is wanted; false: there are no more. The name lives until facts_put(). */
bool facts_wanted(const struct facts *facts, size_t i, const char **name_out, uint16_t *type_out);
/* Stores what was found out. NULL `answer`: `status` says why there is none. */
void facts_put(struct facts *facts, const char *name, uint16_t type, enum fact_status status,
	const struct answer *answer);

#endif
