/*
 * fuzz_stuff.c - what a server makes of a stuffed message is the message, and it ends once: at its
 * end. The first byte says where the message is cut in two.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "sender/smtp/stuff.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *
add(struct stuff *stuff, const char *in, size_t length, char *out)
{
	bool dot;

	while (length) {
		size_t run = stuff_run(stuff, in, length, &dot);

		if (!run || run > length)
			abort();
		if (dot)
			*out++ = '.';
		memcpy(out, in, run);
		out += run;
		in += run;
		length -= run;
	}
	return out;
}

/* Takes the dots off as RFC 5321 4.5.2 says; lines end in LF here, since a dot after a bare LF is
 * stuffed too. */
static size_t
unstuff(const char *in, size_t length, char *out)
{
	size_t n = 0;

	for (size_t i = 0; i < length; i++)
		if (in[i] != '.' || (i > 0 && in[i - 1] != '\n'))
			out[n++] = in[i];
		else if (i + 1 < length && in[i + 1] == '.')
			out[n++] = in[++i];
		else
			abort();
	return n;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t length = size ? size - 1 : 0, cut = size ? data[0] % (length + 1) : 0, sent;
	const char *in = (const char *)data + (size ? 1 : 0);
	char *out = malloc(2 * length + 8), *plain = malloc(2 * length + 8), *end;
	struct stuff stuff;

	stuff_start(&stuff);
	end = add(&stuff, in, cut, out);
	end = add(&stuff, in + cut, length - cut, end);
	sent = (size_t)(end - out);
	if (unstuff(out, sent, plain) != length || (length && memcmp(plain, in, length) != 0))
		abort();
	if (strcmp(stuff_end(&stuff), ".\r\n") == 0 && length &&
		(length < 2 || memcmp(in + length - 2, "\r\n", 2) != 0))
		abort();
	free(out);
	free(plain);
	return 0;
}
