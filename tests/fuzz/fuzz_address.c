/*
 * fuzz_address.c - a mailbox that is taken lies inside the text, is taken again alone, and holds
 * nothing that could leave its brackets or its line.
 */
#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/text.h"
#include "shared/mail/address.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check(const struct address *address, const char *text, size_t size)
{
	struct address again;
	char canonical[ADDRESS_CANONICAL_MAX], same[ADDRESS_CANONICAL_MAX];

	assert(address->text >= text && address->text + address->length <= text + size);
	assert(address->length < ADDRESS_MAX);
	if (address->length == 0)
		return;
	assert(address_parse(address->text, address->length, &again) == 0);
	assert(again.domain == address->domain && again.utf8 == address->utf8);
	for (size_t i = 0; i < address->length; i++)
		assert(!is_control(address->text[i]));
	assert(utf8_valid(address->text, address->length));
	address_canonical(address, canonical);
	assert(strlen(canonical) < sizeof canonical);
	if (address_parse(canonical, strlen(canonical), &again) == 0) {
		address_canonical(&again, same);
		assert(strcmp(canonical, same) == 0);
	} else {
		assert(address->utf8);
	}
	if (!address->domain)
		return;
	assert(address->domain[-1] == '@');
	assert(address->domain + address->domain_length == address->text + address->length);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	struct address address;
	long taken;

	if (address_parse(text, size, &address) == 0) {
		assert(address.text == text);
		assert(address.length == size ||
			(address.length == size - 1 && text[size - 1] == '.'));
		check(&address, text, size);
	}
	taken = address_parse_path(text, size, &address);
	assert(taken != 0 && taken <= (long)size);
	if (taken > 0)
		check(&address, text, (size_t)taken);
	return 0;
}
