/*
 * random.c - text that nobody can guess, from OpenSSL's generator. Dies when the generator fails.
 */
#include "shared/base/random.h"

#include <string.h>

#include <openssl/rand.h>

#include "shared/base/log.h"

void
random_text(char *out, size_t length, const char *alphabet)
{
	const size_t signs = strlen(alphabet);
	unsigned char byte;

	for (size_t i = 0; i < length;) {
		if (RAND_bytes(&byte, 1) != 1)
			die("no random numbers", "OpenSSL");
		if (byte < 256 / signs * signs)
			out[i++] = alphabet[byte % signs];
	}
	out[length] = '\0';
}
