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

/* Makes the keys of `v`, which has salt and iterations, and its text. */
static int
make(struct scram_verifier *v, const char *password, char out[SCRAM_TEXT_MAX])
{
	unsigned char salt[64], stored[64], server[64];
	char *prepared = NULL;

	if (gsasl_saslprep(password, 0, &prepared, NULL) != GSASL_OK || !*prepared) {
		wipe(prepared);
		return -EINVAL;
	}
	derive(v, prepared, v->stored_key, v->server_key);
	wipe(prepared);
	EVP_EncodeBlock(salt, v->salt, (int)v->salt_length);
	EVP_EncodeBlock(stored, v->stored_key, KEY_SIZE);
	EVP_EncodeBlock(server, v->server_key, KEY_SIZE);
	snprintf(out, SCRAM_TEXT_MAX, PREFIX "%u:%s$%s:%s", v->iterations, (char *)salt,
		(char *)stored, (char *)server);
	explicit_bzero(v, sizeof *v);
	return 0;
}

int
scram_make(const char *password, char out[SCRAM_TEXT_MAX])
{
	struct scram_verifier v = { .iterations = SCRAM_ITERATIONS, .salt_length = SALT_SIZE };

	if (RAND_bytes(v.salt, SALT_SIZE) != 1)
		die("no random numbers", "OpenSSL");
	return make(&v, password, out);
}

int
scram_make_beside(const char *password, const char *other, char out[SCRAM_TEXT_MAX])
{
	struct scram_verifier v;

	return scram_parse(other, &v) < 0 ? -EINVAL : make(&v, password, out);
}

static bool
is_beside(const struct scram_verifier *a, const struct scram_verifier *b)
{
	return a->iterations == b->iterations && a->salt_length == b->salt_length &&
		memcmp(a->salt, b->salt, a->salt_length) == 0;
}

bool
scram_check(const struct scram_verifier *verifier, const char *password)
{
	return scram_check_any(verifier, 1, password) == 0;
}

int
scram_check_any(const struct scram_verifier *verifiers, size_t count, const char *password)
{
	uint8_t stored[KEY_SIZE], server[KEY_SIZE];
	char *prepared = NULL;
	const bool good = gsasl_saslprep(password, GSASL_ALLOW_UNASSIGNED, &prepared, NULL) ==
		GSASL_OK;
	int which = -1;

	/* A password that scram_make() would refuse takes as long to check as any other. */
	derive(verifiers, good ? prepared : password, stored, server);
	for (size_t i = 0; i < count; i++)
		if (is_beside(&verifiers[i], verifiers) &&
			CRYPTO_memcmp(stored, verifiers[i].stored_key, KEY_SIZE) == 0)
			which = (int)i;
	explicit_bzero(stored, sizeof stored);
	explicit_bzero(server, sizeof server);
	if (good)
		wipe(prepared);
	return good ? which : -1;
}

/* The client's first message without its GS2 header; NULL: it has none. */
static const char *
bare(const char *client_first)
{
	const char *comma = strchr(client_first, ',');

	comma = comma ? strchr(comma + 1, ',') : NULL;
	return comma ? comma + 1 : NULL;
}

/* RFC 5802 3: ClientKey is the proof under ClientSignature, and StoredKey is its hash. */
static bool
proves(const struct scram_verifier *v, const char *message, const uint8_t proof[KEY_SIZE])
{
	uint8_t key[KEY_SIZE], stored[KEY_SIZE];
	bool same;

	hmac(v->stored_key, KEY_SIZE, message, strlen(message), key);
	for (size_t i = 0; i < KEY_SIZE; i++)
		key[i] ^= proof[i];
	SHA256(key, KEY_SIZE, stored);
	same = CRYPTO_memcmp(stored, v->stored_key, KEY_SIZE) == 0;
	explicit_bzero(key, sizeof key);
	return same;
}

int
scram_proof_of(const struct scram_verifier *verifiers, size_t count, const char *client_first,
	const char *server_first, const char *client_final)
{
	const char *first = bare(client_first), *end = NULL;
	uint8_t proof[KEY_SIZE];
	char *message;
	int which = -1;

	for (const char *at = client_final; (at = strstr(at, ",p=")); at++)
		end = at;
	if (!first || !end || decode(end + 3, end + strlen(end), proof, KEY_SIZE) != KEY_SIZE)
		return -1;
	message = xasprintf(
		"%s,%s,%.*s", first, server_first, (int)(end - client_final), client_final);
	for (size_t i = 0; i < count; i++)
		if (proves(&verifiers[i], message, proof))
			which = (int)i;
	free(message);
	return which;
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
