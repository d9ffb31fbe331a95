/*
 * fuzz_dnsbl.c - whatever a list answers, only codes of 127.0.0.0/8 without errors are a listing,
 * and only after its two tests; names keep within their room.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "control/watch/dnsbl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* An answer of the next bytes. */
static struct dnsbl_answer
answer_of(const uint8_t **data, size_t *size)
{
	struct dnsbl_answer answer = { .status = DNSBL_FAILED };

	if (!*size)
		return answer;
	answer.status = **data % 3;
	answer.count = answer.status == DNSBL_ANSWERED ? **data / 3 % 5 : 0;
	++*data;
	--*size;
	if (answer.count > *size / 4)
		answer.count = *size / 4;
	answer.addresses = (const uint8_t(*)[4]) * data;
	*data += 4 * answer.count;
	*size -= 4 * answer.count;
	return answer;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dnsbl_answer answers[3];
	char *text = malloc(size + 1), name[DNSBL_NAME_MAX];
	enum dnsbl_state state;

	memcpy(text, data, size);
	text[size] = '\0';
	if (dnsbl_name("2001:db8::1", text, name))
		assert(strlen(name) == 64 + strlen(text));
	dnsbl_name(text, "bl.example", name);
	dnsbl_label(text, name);
	free(text);
	for (int i = 0; i < 3; i++)
		answers[i] = answer_of(&data, &size);
	state = dnsbl_judge(&answers[0], &answers[1], &answers[2]);
	if (state == DNSBL_LISTED)
		for (size_t i = 0; i < answers[2].count; i++)
			assert(answers[2].addresses[i][0] == 127);
	if (state != DNSBL_UNKNOWN)
		assert(answers[0].status == DNSBL_ANSWERED && answers[1].status == DNSBL_NO_NAME);
	return 0;
}
