/*
 * fuzz_notice_text.c - a provider's text and a value from outside: what becomes of them is a mail.
 *
 * The input is the text, a NUL, and the value.
 */
#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/notices/notice_text.h"
#include "shared/base/log.h"
#include "shared/base/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Every line ends in CRLF, and the mail holds no other control character. */
static void
check_mail(const char *text, const struct notice_value *values)
{
	char *body;
	size_t size;
	FILE *out = xopen_memstream(&body, &size);

	notice_text_subject(out, text, NOTICE_ITALIAN, values);
	fputs("\r\n", out);
	notice_text_body(out, text, NOTICE_ITALIAN, values);
	xclose_memstream(out);
	for (size_t i = 0; i < size; i++)
		if (body[i] == '\r')
			assert(body[i + 1] == '\n');
		else if (body[i] == '\n')
			assert(i > 0 && body[i - 1] == '\r');
		else
			assert(!is_control(body[i]));
	assert(utf8_valid(body, size));
	free(body);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *nul = memchr(data, 0, size);
	const size_t length = nul ? (size_t)(nul - data) : size;
	char *text = xstrndup((const char *)data, length);
	char *value = nul ? xstrndup((const char *)nul + 1, size - length - 1) : xstrdup("");
	const struct notice_value values[] = { { "A", { value }, false },
		{ "LINES", { "  one\n  two\n" }, true }, { 0 } };
	char why[NOTICE_FAULT_MAX];

	if (notice_text_check(text, strlen(text), "A LINES", why) == 0)
		check_mail(text, values);
	free(text);
	free(value);
	return 0;
}
