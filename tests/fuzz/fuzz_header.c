/*
 * fuzz_header.c - fields follow each other without a gap, and their text is clean.
 */
#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/text.h"
#include "shared/mail/header.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check(const struct header_field *field)
{
	const char *end = field->start + field->length;
	char text[100];

	assert(field->name == field->start && field->name_length > 0);
	assert(field->name + field->name_length < field->value);
	assert(field->value[-1] == ':' && field->value + field->value_length <= end);
	/* Every line behind the first one begins with a blank: nobody can hide a field in a field.
	 */
	for (const char *at = field->start; at < end - 1; at++)
		if (*at == '\n')
			assert(is_blank(at[1]));
	header_text(field, text, sizeof text);
	assert(strlen(text) < sizeof text && utf8_valid(text, strlen(text)));
	for (const char *at = text; *at; at++)
		assert(!is_control(*at));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct header_field field;
	size_t at = 0, before = 0;

	while (header_next((const char *)data, size, &at, &field)) {
		assert(field.start == (const char *)data + before && at == before + field.length);
		check(&field);
		before = at;
	}
	assert(at >= before && at <= before + 2 && at <= size);
	return 0;
}
