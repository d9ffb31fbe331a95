/*
 * fuzz_words.c - encoded words, whatever they hold, fit where they have to, and a value without any
 * stays as it is.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "ingress/message/words.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *out = malloc(WORDS_ROOM(size)), *scratch = malloc(WORDS_ROOM(size));
	size_t length;

	if (!out || !scratch)
		abort();
	length = words_read((const char *)data, size, out, scratch);
	assert(length <= WORDS_ROOM(size));
	if (!memmem(data, size, "=?", 2))
		assert(length == size && (!size || memcmp(out, data, size) == 0));
	free(out);
	free(scratch);
	return 0;
}
