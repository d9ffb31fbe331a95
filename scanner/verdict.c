/*
 * verdict.c - what an answer of clamd means.
 *
 * scanner:  clamd -> [verdict] -> scanner
 *
 * Only "stream: OK" is clean. An answer that is neither OK nor FOUND nor a known limit is an error.
 * An error means to wait: never fail open. Owns nothing.
 */
#include "scanner/verdict.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "shared/base/text.h"

static bool
starts_with(const char *text, size_t length, const char *word)
{
	size_t n = strlen(word);

	return length >= n && memcmp(text, word, n) == 0;
}

static bool
cut_end(const char *text, size_t *length, const char *word)
{
	size_t n = strlen(word);

	if (*length <= n || memcmp(text + *length - n, word, n) != 0)
		return false;
	*length -= n;
	return true;
}

/* Reads "12: ". Returns its length or 0. */
static size_t
number_parse(const char *text, size_t length, unsigned *out)
{
	size_t n = 0;

	*out = 0;
	while (n < length && n < 9 && is_digit(text[n]))
		*out = *out * 10 + (unsigned)(text[n++] - '0');
	return n && starts_with(text + n, length - n, ": ") ? n + 2 : 0;
}

static enum verdict
found(const char *name, size_t length)
{
	if (starts_with(name, length, "Heuristics.Limits.") ||
		starts_with(name, length, "Heuristics.Email.ExceedsMax."))
		return VERDICT_UNSCANNABLE;
	if (starts_with(name, length, "Heuristics."))
		return VERDICT_SUSPICIOUS;
	if (starts_with(name, length, "PUA."))
		return VERDICT_UNWANTED;
	return VERDICT_INFECTED;
}

int
verdict_parse(const char *answer, size_t length, unsigned *number_out, enum verdict *verdict_out,
	char *signature, size_t signature_size)
{
	static const char prefix[] = "stream: ";
	size_t n = number_parse(answer, length, number_out);
	bool stream;

	if (signature_size)
		signature[0] = '\0';
	if (n == 0)
		return -EINVAL;
	answer += n;
	length -= n;
	stream = starts_with(answer, length, prefix);
	if (stream) {
		answer += sizeof prefix - 1;
		length -= sizeof prefix - 1;
	}
	if (stream && length == 2 && memcmp(answer, "OK", 2) == 0) {
		*verdict_out = VERDICT_CLEAN;
		return 0;
	}
	if (stream && cut_end(answer, &length, " FOUND"))
		*verdict_out = found(answer, length);
	else if (cut_end(answer, &length, " ERROR"))
		*verdict_out = starts_with(answer, length, "INSTREAM size limit exceeded")
			? VERDICT_UNSCANNABLE
			: VERDICT_ERROR;
	else
		return -EINVAL;
	text_clean(signature, signature_size, 0, answer, length);
	return 0;
}
