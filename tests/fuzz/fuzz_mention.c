/*
 * fuzz_mention.c - whatever a field holds, its text fits where it has to, shows no encoded form of
 * itself anew, and every name found in it is one.
 */
#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "ingress/message/mention.h"
#include "shared/base/text.h"
#include "shared/mail/address.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check(const char *text, size_t length, bool ascii)
{
	char domain[256], again[256];
	size_t at = 0;

	while (mention_next(text, length, ascii, &at, domain))
		assert(!*domain ||
			(address_domain_named(domain, strlen(domain), again) &&
				strcmp(domain, again) == 0));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(MENTION_ROOM(size)), *scratch = malloc(MENTION_ROOM(size));
	size_t length, joined;

	if (!text || !scratch)
		abort();
	length = mention_text((const char *)data, size, true, text, scratch);
	assert(length <= MENTION_ROOM(size) && utf8_valid(text, length));
	check(text, length, false);
	check(text, length, true);
	joined = mention_join(text, length);
	assert(joined <= length && !memchr(text, '"', joined));
	check(text, joined, false);
	free(text);
	free(scratch);
	return 0;
}
