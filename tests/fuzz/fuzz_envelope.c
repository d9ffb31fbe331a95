/*
 * fuzz_envelope.c - bytes that are an envelope or a row survive a copy; others are refused.
 */
#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "shared/mail/envelope.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	Envelope *envelope = envelope_unpack(data, size);
	Row *row = row_unpack(data, size);

	if (envelope) {
		Envelope *copy = envelope_copy(envelope);
		char text[ID_TEXT_SIZE];
		uint8_t id[ID_SIZE];

		assert(copy->n_recipients == envelope->n_recipients);
		assert(strcmp(copy->mail_from, envelope->mail_from) == 0);
		id_format(copy->id.data, text);
		assert(id_parse(text, id) == 0 && memcmp(id, envelope->id.data, ID_SIZE) == 0);
		envelope_free(copy);
	}
	if (row) {
		Row *copy = row_copy(row);

		assert(strcmp(copy->site, row->site) == 0 && copy->due_us == row->due_us);
		row_free(copy);
	}
	envelope_free(envelope);
	row_free(row);
	return 0;
}
