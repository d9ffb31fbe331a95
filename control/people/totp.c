/*
 * totp.c - codes of an authenticator, and recovery codes.
 */
#include "control/people/totp.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/http.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "control/people/secret.h"
#include "shared/base/log.h"
#include "shared/base/random.h"
#include "shared/base/text.h"

#define BASE32 "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
#define SECRET_LENGTH (TOTP_SECRET_SIZE - 1)
#define KEY_BYTES 20
#define DIGITS 6
#define RECOVERY_SIGNS "23456789abcdefghjkmnpqrstuvwxyz"
#define RECOVERY_LENGTH 16

void
totp_secret_new(char secret[TOTP_SECRET_SIZE])
{
	random_text(secret, SECRET_LENGTH, BASE32);
}

bool
totp_secret_valid(const char *secret)
{
	return secret && strlen(secret) == SECRET_LENGTH && strspn(secret, BASE32) == SECRET_LENGTH;
}

char *
totp_uri(const char *issuer, const char *login, const char *secret)
{
	char *name = evhttp_encode_uri(issuer), *account = evhttp_encode_uri(login), *uri;

	if (!name || !account)
		die("out of memory", "evhttp_encode_uri");
	uri = xasprintf("otpauth://totp/%s:%s?secret=%s&issuer=%s", name, account, secret, name);
	free(name);
	free(account);
	return uri;
}

/* The bytes of a secret, of which 8 signs make 5. */
static void
decode(const char *secret, uint8_t key[KEY_BYTES])
{
	uint64_t bits = 0;

	for (size_t i = 0; i < SECRET_LENGTH; i++) {
		bits = bits << 5 | (uint64_t)(strchr(BASE32, secret[i]) - BASE32);
		if (i % 8 != 7)
			continue;
		for (size_t j = 0; j < 5; j++)
			key[i / 8 * 5 + j] = (uint8_t)(bits >> (32 - 8 * j));
	}
}

/* RFC 4226 5.3 */
static uint32_t
truncate_sum(const uint8_t sum[20])
{
	const unsigned at = sum[19] & 0xf;

	return ((uint32_t)(sum[at] & 0x7f) << 24 | (uint32_t)sum[at + 1] << 16 |
		       (uint32_t)sum[at + 2] << 8 | sum[at + 3]) %
		1000000;
}

bool
totp_code(const char *secret, uint64_t step, char code[7])
{
	uint8_t key[KEY_BYTES], counter[8], sum[EVP_MAX_MD_SIZE];

	*code = '\0';
	if (!totp_secret_valid(secret))
		return false;
	decode(secret, key);
	for (int i = 0; i < 8; i++)
		counter[i] = (uint8_t)(step >> (56 - 8 * i));
	if (!HMAC(EVP_sha1(), key, sizeof key, counter, sizeof counter, sum, NULL))
		die("no HMAC", "OpenSSL");
	snprintf(code, DIGITS + 1, "%06u", (unsigned)truncate_sum(sum));
	explicit_bzero(key, sizeof key);
	explicit_bzero(sum, sizeof sum);
	return true;
}

/* Copies a text without blanks and dashes, in lower case; false when it is longer. */
static bool
squeeze(const char *text, char *out, size_t size)
{
	size_t length = 0;

	for (; *text; text++) {
		if (is_blank(*text) || *text == '-')
			continue;
		if (length + 1 == size)
			return false;
		out[length++] = to_lower(*text);
	}
	out[length] = '\0';
	return true;
}

bool
totp_check(const char *secret, const char *code, uint64_t now_s, uint64_t *step_out)
{
	const uint64_t now = now_s / TOTP_STEP_S;
	char given[DIGITS + 1] = "", right[DIGITS + 1];
	bool found = false;

	if (!squeeze(code, given, sizeof given) || strlen(given) != DIGITS)
		return false;
	for (uint64_t step = now - TOTP_SLACK; step <= now + TOTP_SLACK; step++) {
		if (!totp_code(secret, step, right))
			return false;
		if (CRYPTO_memcmp(given, right, DIGITS) == 0) {
			found = true;
			*step_out = step;
		}
	}
	explicit_bzero(right, sizeof right);
	return found;
}

void
recovery_new(json_t **codes, json_t **hashes)
{
	char bare[RECOVERY_LENGTH + 1], shown[RECOVERY_SIZE], hash[SECRET_HASH_SIZE];

	*codes = json_array();
	*hashes = json_array();
	for (int i = 0; i < RECOVERY_CODES; i++) {
		random_text(bare, RECOVERY_LENGTH, RECOVERY_SIGNS);
		snprintf(shown, sizeof shown, "%.4s-%.4s-%.4s-%.4s", bare, bare + 4, bare + 8,
			bare + 12);
		secret_hash(bare, hash);
		json_array_append_new(*codes, json_string(shown));
		json_array_append_new(*hashes, json_string(hash));
	}
	explicit_bzero(bare, sizeof bare);
	explicit_bzero(shown, sizeof shown);
}

int
recovery_find(const json_t *hashes, const char *code)
{
	char bare[RECOVERY_LENGTH + 1] = "", hash[SECRET_HASH_SIZE];
	json_t *one;
	size_t i;
	int found = -1;

	if (!squeeze(code, bare, sizeof bare) || strlen(bare) != RECOVERY_LENGTH)
		return -1;
	secret_hash(bare, hash);
	json_array_foreach(hashes, i, one)
	{
		const char *kept = json_string_value(one);

		if (kept && strlen(kept) == SECRET_HASH_SIZE - 1 &&
			CRYPTO_memcmp(kept, hash, SECRET_HASH_SIZE - 1) == 0)
			found = (int)i;
	}
	explicit_bzero(bare, sizeof bare);
	return found;
}
