/*
 * fuzz_text.c - clean text is UTF-8 without control characters, and cleaning it again changes
 * nothing. This is what stands between a remote and our logs, replies and DSNs.
 */
#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t room = size ? data[0] : 1, length, second;
	char *out = malloc(room + 1), *again = malloc(room + 1);

	length = text_clean(out, room, 0, (const char *)data, size);
	assert(length < room || (room == 0 && length == 0));
	assert(utf8_valid(out, length));
	for (size_t i = 0; i < length; i++)
		assert(!is_control(out[i]));
	assert(!text_has_hidden_controls(out, length));
	second = text_clean(again, room, 0, out, length);
	assert(second == length && memcmp(out, again, length) == 0);
	free(out);
	free(again);
	return 0;
}
