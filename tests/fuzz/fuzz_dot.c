/*
 * fuzz_dot.c - however the data is cut, it comes out the same; nothing but CRLF.CRLF ends it; what
 * comes out has no bare CR or LF. The first byte says how it is cut.
 */
#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "ingress/message/dot.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct result {
	char *out;
	size_t size, taken;
	unsigned flags;
	bool ended;
};

static void
feed(const char *in, size_t size, size_t step, struct result *r)
{
	struct dot dot;

	*r = (struct result){ .out = malloc(2 * size + 2) };
	dot_start(&dot);
	for (size_t at = 0; at < size && !r->ended; at = r->taken) {
		size_t piece = step < size - at ? step : size - at, wrote;
		char *out = malloc(2 * piece + 2);

		r->taken += dot_feed(&dot, in + at, piece, out, &wrote, &r->ended);
		assert(r->taken == at + piece || r->ended);
		assert(wrote <= 2 * piece + 2);
		memcpy(r->out + r->size, out, wrote);
		r->size += wrote;
		free(out);
	}
	r->flags = dot.flags;
}

/* The rule said as simply as can be. */
static size_t
end_of_data(const char *in, size_t size)
{
	const char *end;

	if (size >= 3 && memcmp(in, ".\r\n", 3) == 0)
		return 3;
	end = memmem(in, size, "\r\n.\r\n", 5);
	return end ? (size_t)(end - in) + 5 : 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *in = (const char *)data + 1;
	struct result whole, cut;

	if (size < 2)
		return 0;
	size--;
	feed(in, size, size, &whole);
	feed(in, size, data[0] % 16 + 1, &cut);
	assert(whole.size == cut.size && memcmp(whole.out, cut.out, whole.size) == 0);
	assert(whole.taken == cut.taken && whole.flags == cut.flags && whole.ended == cut.ended);
	assert(whole.ended ? whole.taken == end_of_data(in, size) : !end_of_data(in, size));
	for (size_t i = 0; i < whole.size; i++) {
		if (whole.out[i] == '\n')
			assert(i && whole.out[i - 1] == '\r');
		if (whole.out[i] == '\r')
			assert(i + 1 < whole.size && whole.out[i + 1] == '\n');
	}
	free(whole.out);
	free(cut.out);
	return 0;
}
