/*
 * fuzz_answer.c - whatever a name server sends, names are host names and rdata lies in the packet.
 * The first byte chooses the type asked for.
 */
#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/text.h"
#include "shared/dns/answer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check(const struct answer_record *record, uint16_t type, const uint8_t *packet, size_t size)
{
	assert(record->type == type);
	assert(record->data >= packet && record->data + record->data_length <= packet + size);
	assert(strlen(record->name) < ANSWER_NAME_MAX);
	for (const char *at = record->name; *at; at++)
		assert((is_alnum(*at) && *at == to_lower(*at)) || strchr("-_.", *at));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint16_t types[] = { ANSWER_A, ANSWER_CNAME, ANSWER_MX, ANSWER_TXT,
		ANSWER_AAAA, ANSWER_TLSA };
	static struct answer answer;
	uint16_t type;

	if (size == 0)
		return 0;
	type = types[data[0] % (sizeof types / sizeof *types)];
	if (answer_parse(data + 1, size - 1, type, &answer) < 0)
		return 0;
	assert(answer.count <= ANSWER_RECORDS_MAX);
	for (size_t i = 0; i < answer.count; i++) {
		check(&answer.records[i], type, data + 1, size - 1);
		assert(answer.ttl_s <= answer.records[i].ttl_s);
	}
	return 0;
}
