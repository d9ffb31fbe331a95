/*
 * secret.c - random texts that prove who somebody is.
 */
#include "control/people/secret.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/sha.h>

#include "shared/base/random.h"

#define SIGNS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
#define LENGTH 40

void
secret_new(const char *prefix, char secret[SECRET_SIZE], char id[SECRET_ID_SIZE])
{
	const int at = snprintf(secret, SECRET_SIZE, "%.8s", prefix);

	random_text(secret + at, LENGTH, SIGNS);
	random_text(id, SECRET_ID_SIZE - 1, "23456789abcdefghjkmnpqrstuvwxyz");
}

void
secret_hash(const char *secret, char out[SECRET_HASH_SIZE])
{
	unsigned char sum[SHA256_DIGEST_LENGTH];

	SHA256((const unsigned char *)secret, strlen(secret), sum);
	for (size_t i = 0; i < sizeof sum; i++)
		snprintf(out + 2 * i, 3, "%02x", sum[i]);
}

void
secret_free(char *text)
{
	if (text)
		explicit_bzero(text, strlen(text));
	free(text);
}
