/*
 * fuzz_content.c - a message's header: whatever it holds, no Bcc or Return-Path is left of it when
 * it is read again, and the second reading changes nothing.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "ingress/content.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena arena = { 0 };
	struct content content;
	char *copy = malloc(size + 1), *once = malloc(size + 1);
	size_t first, second;
	bool ended;

	if (!copy || !once)
		abort();
	if (size)
		memcpy(copy, data, size);
	first = content_read(copy, size, &arena, &content, &ended);
	assert(first <= size && content.from.count <= MAILBOXES_MAX);
	memcpy(once, copy, first);
	second = content_read(copy, first, &arena, &content, &ended);
	assert(second == first && memcmp(once, copy, first) == 0);
	arena_free(&arena);
	free(copy);
	free(once);
	return 0;
}
