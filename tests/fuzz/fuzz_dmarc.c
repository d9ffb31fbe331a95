/*
 * fuzz_dmarc.c - whatever the DNS says, a policy is found within eight questions, or none is. The
 * input is what each question is answered with, in turn.
 */
#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "control/domain/dmarc.h"
#include "tests/fuzz/answers.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct facts *facts = facts_new();
	struct dmarc_verdict verdict;
	size_t rounds = 0;

	while (!dmarc_check("a.b.c.d.e.f.g.h.m.example", facts, &verdict)) {
		assert(++rounds <= 8);
		answers_put(facts, &data, &size);
	}
	assert(verdict.state != DMARC_FOUND || (verdict.record && *verdict.where));
	assert(verdict.policy <= DMARC_POLICY_REJECT && *dmarc_policy_name(verdict.policy));
	facts_free(&facts);
	return 0;
}
