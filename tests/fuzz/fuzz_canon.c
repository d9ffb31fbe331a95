/*
 * fuzz_canon.c - a canonical form does not depend on the pieces in which a body comes, and is its
 * own form; a field's form fits its room.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "shared/dkim/canon.h"
#include "shared/mail/header.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct taken {
	char text[3 * 4096 + 16];
	size_t size;
};

static void
take(void *arg, const char *data, size_t size)
{
	struct taken *taken = arg;

	assert(taken->size + size <= sizeof taken->text);
	memcpy(taken->text + taken->size, data, size);
	taken->size += size;
}

static void
form_of(const char *text, size_t size, size_t piece, struct taken *taken)
{
	struct canon_body body = { .take = take, .arg = taken };

	taken->size = 0;
	for (size_t at = 0; at < size; at += piece)
		canon_body_feed(&body, text + at, size - at < piece ? size - at : piece);
	canon_body_end(&body);
}

static void
check_fields(const char *text, size_t size)
{
	struct header_field field;
	size_t at = 0;

	while (header_next(text, size, &at, &field)) {
		char *out = malloc(field.length + 3);
		const size_t length = canon_field(&field, out);

		assert(length <= field.length + 3 && memcmp(out + length - 2, "\r\n", 2) == 0);
		assert(!memchr(out, '\n', length - 2) && !memmem(out, length, "  ", 2));
		free(out);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct taken whole, pieces, again;
	char *text;

	if (size > 4096)
		return 0;
	text = malloc(size + 1);
	memcpy(text, data, size);
	form_of(text, size, size + 1, &whole);
	for (size_t piece = 1; piece < 8; piece++) {
		form_of(text, size, piece, &pieces);
		assert(pieces.size == whole.size &&
			memcmp(pieces.text, whole.text, whole.size) == 0);
	}
	form_of(whole.text, whole.size, 5, &again);
	assert(again.size == whole.size && memcmp(again.text, whole.text, whole.size) == 0);
	check_fields(text, size);
	free(text);
	return 0;
}
