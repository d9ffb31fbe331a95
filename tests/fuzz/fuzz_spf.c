/*
 * fuzz_spf.c - whatever the DNS says, an evaluation of SPF ends within its limits, and a proposal
 * is a record that includes us. The input is what each question is answered with, in turn.
 */
#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "control/domain/spf.h"
#include "control/domain/spf_term.h"
#include "tests/fuzz/answers.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_proposal(const char *record)
{
	char out[8192], again[8192];

	if (!spf_proposal(record, "_spf.relay.example", out, sizeof out))
		return;
	assert(spf_is_record(out) && strstr(out, " include:_spf.relay.example"));
	assert(strlen(out) == strlen(record) + strlen(" include:_spf.relay.example"));
	assert(spf_proposal(out, "_spf.relay.example", again, sizeof again) ||
		strlen(out) + 30 > sizeof again);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct spf_question question = {
		.sender = "a.b@m.example", .helo = "relay.example", .address = { 192, 0, 2, 25 }
	};
	struct facts *facts = facts_new();
	struct spf_verdict verdict;
	size_t rounds = 0;
	char *text;

	while (!spf_check(&question, "m.example", facts, &verdict)) {
		assert(++rounds <= FACTS_MAX);
		answers_put(facts, &data, &size);
	}
	assert(verdict.lookups <= 11);
	assert((verdict.result == SPF_PERMERROR) <= (verdict.problem != SPF_FINE));
	facts_free(&facts);
	text = strndup((const char *)data, size);
	if (text && spf_is_record(text))
		check_proposal(text);
	free(text);
	return 0;
}
