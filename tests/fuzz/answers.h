/*
 * answers.h - answers of a DNS that are made of a fuzzer's bytes.
 *
 * A question's answer is: a byte with its status (0 to 2) and the number of records (0 to 15), then
 * for each record a byte with the length of its text, and the text. TXT has the text, a name is the
 * text in the signs of names, and addresses are its first bytes. At the input's end nothing is
 * there.
 */
#ifndef TESTS_FUZZ_ANSWERS_H
#define TESTS_FUZZ_ANSWERS_H

#include <stdint.h>
#include <string.h>

#include "control/domain/facts.h"

static inline uint8_t
answers_byte(const uint8_t **data, size_t *size)
{
	if (*size == 0)
		return 0;
	(*size)--;
	return *(*data)++;
}

static inline void
answers_record(struct answer_record *record, uint16_t type, const uint8_t **data, size_t *size)
{
	static const char signs[] = "abcdefghijklmnopqrstuvwxyz0123456789-_.";
	static uint8_t rdata[16][256];
	static unsigned next;
	uint8_t *bytes = rdata[next++ % 16];
	size_t length = answers_byte(data, size);

	length = length < *size ? length : *size;
	*record = (struct answer_record){ .type = type, .data = bytes };
	bytes[0] = (uint8_t)length;
	memcpy(bytes + 1, *data, length);
	record->data_length = (uint16_t)(length + 1);
	memcpy(record->address, *data, length < 16 ? length : 16);
	for (size_t i = 0; i < length; i++)
		record->name[i] = signs[(*data)[i] % (sizeof signs - 1)];
	*data += length;
	*size -= length;
}

/* Answers the first question that is wanted. */
static inline void
answers_put(struct facts *facts, const uint8_t **data, size_t *size)
{
	static struct answer answer;
	const uint8_t first = answers_byte(data, size);
	enum fact_status status = (enum fact_status)(first % 3);
	const char *name;
	uint16_t type;

	if (!facts_wanted(facts, 0, &name, &type))
		return;
	answer.count = 0;
	for (unsigned i = 0; i < first / 16u; i++)
		answers_record(&answer.records[answer.count++], type, data, size);
	facts_put(facts, name, type, status, status == FACT_ANSWER ? &answer : NULL);
}

#endif
