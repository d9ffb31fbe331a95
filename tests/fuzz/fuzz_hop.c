/*
 * fuzz_hop.c - what one relay took in and sends on, the next one takes in as it is, and ends where
 * the first one did: dot.c and stuff.c agree, however the data is cut. The first two bytes say how.
 */
#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "ingress/message/dot.h"
#include "sender/smtp/stuff.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Takes in; returns the message's size, SIZE_MAX when it ended before what was sent does. */
static size_t
take_in(const char *in, size_t size, size_t step, char *out, bool *ended)
{
	struct dot dot;
	size_t at = 0, length = 0, wrote;

	dot_start(&dot);
	for (*ended = false; at < size && !*ended; length += wrote) {
		size_t piece = step < size - at ? step : size - at;

		at += dot_feed(&dot, in + at, piece, out + length, &wrote, ended);
	}
	return *ended && at < size ? SIZE_MAX : length;
}

/* Sends on; returns the size of what goes over the wire. */
static size_t
send_on(const char *in, size_t size, size_t step, char *out)
{
	struct stuff stuff;
	size_t length = 0, run;
	const char *end;
	bool dot;

	stuff_start(&stuff);
	for (size_t at = 0; at < size; at += run) {
		run = stuff_run(&stuff, in + at, step < size - at ? step : size - at, &dot);
		assert(run > 0);
		if (dot)
			out[length++] = '.';
		memcpy(out + length, in + at, run);
		length += run;
	}
	end = stuff_end(&stuff);
	memcpy(out + length, end, strlen(end));
	return length + strlen(end);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *first, *wire, *second;
	size_t length, sent;
	struct dot dot;
	bool ended;

	if (size < 2)
		return 0;
	first = malloc(2 * size + 8);
	wire = malloc(4 * size + 24);
	second = malloc(8 * size + 64);
	/* Whatever it is, the first relay makes whole lines of it. */
	dot_start(&dot);
	dot_feed(&dot, (const char *)data + 2, size - 2, first, &length, &ended);
	if (length && first[length - 1] != '\n') {
		memcpy(first + length, "\r\n", 2);
		length += 2;
	}
	sent = send_on(first, length, data[0] % 16 + 1, wire);
	assert(take_in(wire, sent, data[1] % 16 + 1, second, &ended) == length);
	assert(ended && memcmp(first, second, length) == 0);
	free(first);
	free(wire);
	free(second);
	return 0;
}
