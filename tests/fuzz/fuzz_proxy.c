/*
 * fuzz_proxy.c - a header that is taken is taken whatever follows it, and its start is waited for.
 */
#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "ingress/door/proxy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int
parse(const uint8_t *data, size_t size, struct proxy_header *out, size_t *used)
{
	char *copy = malloc(size ? size : 1);
	int result;

	memcpy(copy, data, size);
	result = proxy_parse(copy, size, out, used);
	free(copy);
	return result;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct proxy_header header, again;
	size_t used, used_again;

	if (parse(data, size, &header, &used) != 1)
		return 0;
	assert(used > 0 && used <= size && used <= PROXY_HEADER_MAX);
	assert(parse(data, used, &again, &used_again) == 1 && used_again == used);
	assert(memcmp(&header, &again, sizeof header) == 0);
	for (size_t cut = 0; cut < used; cut += cut < 32 || used - cut < 32 ? 1 : 17)
		assert(parse(data, cut, &again, &used_again) == 0);
	return 0;
}
