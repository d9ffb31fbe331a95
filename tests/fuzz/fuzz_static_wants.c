/*
 * fuzz_static_wants.c - whatever a browser's header fields say: nothing beyond them is read, and
 * the language is one of ours.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "control/static/static_wants.h"
#include "shared/base/log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *value = xstrndup((const char *)data, size);
	char *with_tag = xasprintf("%s, \"tag\"", value);
	const char *one = static_language(value, NULL), *other = static_language(NULL, value);

	assert(strcmp(one, "it") == 0 || strcmp(one, "en") == 0);
	assert(strcmp(other, "it") == 0 || strcmp(other, "en") == 0);
	static_takes_gzip(value);
	static_wants_page(value);
	assert(static_tag_matches(with_tag, "\"tag\""));
	free(value);
	free(with_tag);
	return 0;
}
