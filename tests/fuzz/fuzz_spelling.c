/*
 * fuzz_spelling.c - what clamd gets: the same however the message is cut, within the promised room,
 * without a long line in a header. The first byte says how it is cut.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "scanner/spelling.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t
respell(const char *in, size_t size, size_t step, char *out)
{
	struct spelling spelling;
	size_t n = 0;

	spelling_start(&spelling);
	for (size_t at = 0; at < size; at += step) {
		size_t piece = step < size - at ? step : size - at, made;
		char *part = malloc(SPELLING_ROOM(piece));

		made = spelling_feed(&spelling, in + at, piece, part);
		assert(made <= SPELLING_ROOM(piece));
		assert(!spelling.header || spelling.column < 1000);
		memcpy(out + n, part, made);
		n += made;
		free(part);
	}
	return n + spelling_end(&spelling, out + n);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *in = (const char *)data + 1;
	size_t room = SPELLING_ROOM(size) + SPELLING_ROOM(0), whole, cut;
	char *one = malloc(room), *other = malloc(room);

	if (!one || !other)
		abort();
	if (size > 1) {
		size--;
		whole = respell(in, size, size, one);
		cut = respell(in, size, data[0] % 16 + 1, other);
		assert(whole == cut && memcmp(one, other, whole) == 0);
	}
	free(one);
	free(other);
	return 0;
}
