/*
 * fuzz_content.c - a message's header: whatever it holds, behind our own field it is fields up to
 * an empty line, none of them a Bcc or Return-Path or with a blank before its colon; and the second
 * reading changes nothing.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "ingress/message/content.h"
#include "shared/mail/header.h"

#define TRACE "Received: by us\r\n"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t
read_once(char *data, size_t size, struct content *content)
{
	struct arena arena = { 0 };
	size_t most = size + content_growth(data, size), got;

	got = content_read(data, size, &arena, content);
	assert(got <= most && content->originators.from.count <= MAILBOXES_MAX);
	arena_free(&arena);
	return got;
}

/* What the next reader sees of `data`, which begins with our own field. */
static void
check(const char *data, size_t size)
{
	struct header_field field;
	size_t at = 0, end = 0, count = 0;

	for (; header_next(data, size, &at, &field); end = at, count++) {
		assert(count || field.length == strlen(TRACE));
		assert(!header_is(&field, "Bcc") && !header_is(&field, "Return-Path"));
		assert(field.value == field.name + field.name_length + 1);
	}
	assert(count && (at > end || at == size));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t room = strlen(TRACE) + size + content_growth((const char *)data, size), first;
	char *whole = malloc(room), *again = malloc(room + 2), *text;
	struct content content;

	if (!whole || !again)
		abort();
	text = whole + strlen(TRACE);
	memcpy(whole, TRACE, strlen(TRACE));
	if (size)
		memcpy(text, data, size);
	first = read_once(text, size, &content);
	check(whole, strlen(TRACE) + first);
	memcpy(again, text, first);
	assert(read_once(again, first, &content) == first);
	assert(memcmp(again, text, first) == 0);
	free(whole);
	free(again);
	return 0;
}
