/*
 * fuzz_addresses.c - every mailbox of an address list is a mailbox by itself, made of the list's
 * bytes in their order, and their number does not depend on the room there is.
 */
#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "shared/mail/header.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define ROOM 4

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *value = (const char *)data;
	char *scratch = malloc(size + 1);
	struct address found[ROOM], again;
	long count;

	if (!scratch)
		abort();
	/* Exactly as much scratch as promised: the sanitizer sees a byte too many. */
	scratch = realloc(scratch, size ? size : 1);
	count = header_addresses(value, size, found, ROOM, scratch);
	for (long i = 0; i < count && i < ROOM; i++) {
		const struct address *a = &found[i];

		assert((a->text >= value && a->text + a->length <= value + size) ||
			(a->text >= scratch && a->text + a->length <= scratch + size));
		assert(address_parse(a->text, a->length, &again) == 0);
	}
	assert(header_addresses(value, size, NULL, 0, scratch) == count);
	for (long i = 0; i < count && i < ROOM; i++)
		if (found[i].utf8 && found[i].domain)
			assert(header_has_utf8_address(value, size, scratch));
	header_has_utf8_address(value, size, scratch);
	free(scratch);
	return 0;
}
