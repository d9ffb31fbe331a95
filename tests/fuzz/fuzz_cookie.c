/*
 * fuzz_cookie.c - whatever the field Cookie holds, its one cookie is letters and digits that stand
 * in it behind the name, or none.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "control/people/cookie.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *field = malloc(size + 1), out[45], wanted[64] = "shout=";

	memcpy(field, data, size);
	field[size] = '\0';
	if (cookie_find(field, "shout", out, sizeof out)) {
		assert(*out && strlen(out) < sizeof out);
		memcpy(wanted + 6, out, strlen(out) + 1);
		assert(strstr(field, wanted));
	} else {
		assert(!*out);
	}
	free(field);
	return 0;
}
