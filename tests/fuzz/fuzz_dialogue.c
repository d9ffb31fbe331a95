/*
 * fuzz_dialogue.c - whatever is said, a dialogue is bounded, whole lines, and without what follows
 * AUTH.
 */
#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "ingress/session/dialogue.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dialogue dialogue = { 0 };
	const char *text = (const char *)data;
	bool client = true;

	while (size > 0) {
		const char *end = memchr(text, '\n', size);
		const size_t length = end ? (size_t)(end - text) : size;

		if (client)
			dialogue_client(&dialogue, text, length, length % 7 == 0);
		else
			dialogue_server(&dialogue, text, length);
		client = !client;
		assert(dialogue.length <= DIALOGUE_MAX);
		assert(!dialogue.length || dialogue.text[dialogue.length - 1] == '\n');
		text += length + (end != NULL);
		size -= length + (end != NULL);
	}
	dialogue_free(&dialogue);
	return 0;
}
