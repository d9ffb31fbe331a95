/*
 * fuzz_sasl.c - what a client says in AUTH is read as a whole, or leaves nothing behind.
 */
#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "ingress/verb/sasl.h"
#include "shared/base/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* `readable`: the message was one. */
static void
check_name(const char *name, bool readable)
{
	assert(readable == (*name != '\0'));
	for (; *name; name++)
		assert(!is_control(*name) && *name == to_lower(*name));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	char plain[SASL_NAME_MAX + 1] = "", scram[SASL_NAME_MAX + 1] = "", name[SASL_NAME_MAX + 1];
	char password[SASL_PASSWORD_MAX + 1], *decoded = malloc(size ? size : 1);
	long length = base64_read(text, size, decoded);

	assert(length <= (long)size);
	free(decoded);
	check_name(plain, sasl_plain_read(text, size, plain, password) != -EINVAL);
	check_name(scram, sasl_scram_read(text, size, scram) != -EINVAL);
	if (sasl_name_read(text, size, name))
		assert(strlen(name) == size);
	return 0;
}
