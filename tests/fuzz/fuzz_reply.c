/*
 * fuzz_reply.c - whatever a server says, its text is clean and its code a reply code.
 */
#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "sender/policy/reply.h"
#include "shared/base/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check(const struct reply *reply)
{
	const char *enhanced = reply_enhanced(reply);

	assert(reply->code >= 200 && reply->code <= 599);
	assert(reply->text_length < REPLY_TEXT_MAX && strlen(reply->text) == reply->text_length);
	assert(utf8_valid(reply->text, reply->text_length));
	for (const char *at = reply->text; *at; at++)
		assert(!is_control(*at));
	assert(!*enhanced || enhanced[0] - '0' == reply->code / 100);
	for (const char *at = enhanced; *at; at++)
		assert(is_digit(*at) || *at == '.');
}

static void
on_line(void *arg, const char *text, size_t length)
{
	size_t *sum = arg;

	for (size_t i = 0; i < length; i++)
		*sum += (unsigned char)text[i];
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *at = (const char *)data, *end = at + size;
	struct reply reply;
	size_t sum = 0;

	reply_start(&reply);
	while (at < end) {
		const char *lf = memchr(at, '\n', (size_t)(end - at));
		size_t length = (size_t)((lf ? lf : end) - at);
		int result = reply_line(&reply, at, length, on_line, &sum);

		if (result < 0)
			break;
		/* Empty lines before a code are nothing yet. */
		if (reply.code)
			check(&reply);
		assert(reply.more == (!result && reply.code) && reply.lines <= REPLY_LINES_MAX);
		if (result)
			reply_start(&reply);
		at += length + 1;
	}
	return 0;
}
