/*
 * scram.c - password verifiers for PLAIN, LOGIN and SCRAM-SHA-256. Fails with -EINVAL or false.
 *
 * PBKDF2 costs milliseconds by design: call scram_check() and scram_make() on a worker or in a
 * command-line program, never on a loop.
 */
#include "shared/account/scram.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <gsasl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <openssl/sha.h>

#include "shared/base/log.h"

#define PREFIX "SCRAM-SHA-256$"
#define SALT_SIZE 16
#define ITERATIONS_MAX 1000000
#define KEY_SIZE 32

/* Decodes the base 64 in [text, end). Returns the length, or -1. */
static long
decode(const char *text, const char *end, uint8_t *out, size_t space)
{
	unsigned char raw[SCRAM_TEXT_MAX];
	const long length = end - text;
	int size;

	if (length <= 0 || length % 4 || length > (long)sizeof raw)
		return -1;
	size = EVP_DecodeBlock(raw, (const unsigned char *)text, (int)length);
	if (size < 0)
		return -1;
	size -= end[-1] == '=' ? (end[-2] == '=' ? 2 : 1) : 0; /* the size counts the padding */
	if ((size_t)size > space)
		return -1;
	memcpy(out, raw, (size_t)size);
	return size;
}

int
scram_parse(const char *text, struct scram_verifier *out)
{
	const size_t prefix = sizeof PREFIX - 1;
	const char *colon, *dollar, *last;
	char *end;
	long salt;

	memset(out, 0, sizeof *out);
	if (strlen(text) >= SCRAM_TEXT_MAX || strncmp(text, PREFIX, prefix) != 0)
		return -EINVAL;
	text += prefix;
	out->iterations = (unsigned)strtoul(text, &end, 10);
	if (end == text || *end != ':' || out->iterations < 1 || out->iterations > ITERATIONS_MAX)
		return -EINVAL;
	dollar = strchr(end, '$');
	colon = dollar ? strchr(dollar, ':') : NULL;
	if (!colon)
		return -EINVAL;
	last = colon + strlen(colon);
	salt = decode(end + 1, dollar, out->salt, sizeof out->salt);
	if (salt < 1 || decode(dollar + 1, colon, out->stored_key, KEY_SIZE) != KEY_SIZE ||
		decode(colon + 1, last, out->server_key, KEY_SIZE) != KEY_SIZE)
		return -EINVAL;
	out->salt_length = (size_t)salt;
	return 0;
}

static void
hmac(const void *key, size_t key_length, const void *data, size_t length, uint8_t out[KEY_SIZE])
{
	if (!HMAC(EVP_sha256(), key, (int)key_length, data, length, out, NULL))
		die("cannot compute a HMAC", "OpenSSL");
}

/* RFC 5802 3: both keys from the password, salt and count of `v`. */
static void
derive(const struct scram_verifier *v, const char *password, uint8_t stored[KEY_SIZE],
	uint8_t server[KEY_SIZE])
{
	uint8_t salted[KEY_SIZE], client[KEY_SIZE];

	if (!PKCS5_PBKDF2_HMAC(password, (int)strlen(password), v->salt, (int)v->salt_length,
		    (int)v->iterations, EVP_sha256(), KEY_SIZE, salted))
		die("cannot compute PBKDF2", "OpenSSL");
	hmac(salted, sizeof salted, "Client Key", 10, client);
	SHA256(client, sizeof client, stored);
	hmac(salted, sizeof salted, "Server Key", 10, server);
	explicit_bzero(salted, sizeof salted);
	explicit_bzero(client, sizeof client);
}

static void
wipe(char *text)
{
	if (text)
		explicit_bzero(text, strlen(text));
	free(text);
}

int
scram_make(const char *password, char out[SCRAM_TEXT_MAX])
{
	struct scram_verifier v = { .iterations = SCRAM_ITERATIONS, .salt_length = SALT_SIZE };
	unsigned char salt[32], stored[64], server[64];
	char *prepared = NULL;

	if (gsasl_saslprep(password, 0, &prepared, NULL) != GSASL_OK || !*prepared) {
		wipe(prepared);
		return -EINVAL;
	}
	if (RAND_bytes(v.salt, SALT_SIZE) != 1)
		die("no random numbers", "OpenSSL");
	derive(&v, prepared, v.stored_key, v.server_key);
	wipe(prepared);
	EVP_EncodeBlock(salt, v.salt, SALT_SIZE);
	EVP_EncodeBlock(stored, v.stored_key, KEY_SIZE);
	EVP_EncodeBlock(server, v.server_key, KEY_SIZE);
	snprintf(out, SCRAM_TEXT_MAX, PREFIX "%u:%s$%s:%s", v.iterations, (char *)salt,
		(char *)stored, (char *)server);
	explicit_bzero(&v, sizeof v);
	return 0;
}

bool
scram_check(const struct scram_verifier *verifier, const char *password)
{
	uint8_t stored[KEY_SIZE], server[KEY_SIZE];
	char *prepared = NULL;
	const bool good = gsasl_saslprep(password, GSASL_ALLOW_UNASSIGNED, &prepared, NULL) ==
		GSASL_OK;
	bool same;

	/* A password that scram_make() would refuse takes as long to check as any other. */
	derive(verifier, good ? prepared : password, stored, server);
	same = CRYPTO_memcmp(stored, verifier->stored_key, KEY_SIZE) == 0;
	explicit_bzero(stored, sizeof stored);
	explicit_bzero(server, sizeof server);
	if (good)
		wipe(prepared);
	return good && same;
}

/* Names that one look-up finds (account_by_user()) get one verifier. */
static void
lower(const char *text, char *out, size_t space)
{
	size_t i;

	for (i = 0; text[i] && i + 1 < space; i++)
		out[i] = text[i] >= 'A' && text[i] <= 'Z' ? (char)(text[i] + 32) : text[i];
	out[i] = '\0';
}

void
scram_dummy(const char *key, const char *username, struct scram_verifier *out)
{
	uint8_t salt[KEY_SIZE];
	char name[SCRAM_NAME_MAX + 1];

	memset(out, 0, sizeof *out);
	out->iterations = SCRAM_ITERATIONS;
	out->salt_length = SALT_SIZE;
	lower(username, name, sizeof name);
	hmac(key, strlen(key), name, strlen(name), salt);
	memcpy(out->salt, salt, SALT_SIZE);
	/* No password is known that has these keys. */
	hmac(key, strlen(key), salt, sizeof salt, out->stored_key);
	hmac(key, strlen(key), out->stored_key, KEY_SIZE, out->server_key);
}
