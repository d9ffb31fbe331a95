/*
 * fuzz_verdict.c - only one answer of clamd's is clean, and a signature is clean text.
 */
#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "scanner/verdict.h"
#include "shared/base/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char signature[40];
	enum verdict verdict;
	unsigned number;

	if (verdict_parse(
		    (const char *)data, size, &number, &verdict, signature, sizeof signature) < 0)
		return 0;
	if (verdict == VERDICT_CLEAN)
		assert(size > 12 && memcmp(data + size - 12, ": stream: OK", 12) == 0);
	else
		assert(memcmp(data + size - 6, " FOUND", 6) == 0 ||
			memcmp(data + size - 6, " ERROR", 6) == 0);
	assert(utf8_valid(signature, strlen(signature)));
	for (const char *at = signature; *at; at++)
		assert(!is_control(*at));
	return 0;
}
