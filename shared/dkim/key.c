/*
 * key.c - makes, seals, opens and uses keys, by OpenSSL's EVP.
 *
 * control (makes, seals) -> relay.config -> [key] -> scanner (opens, signs)
 *
 * Sealed: base 64 of a byte for the form (1), 12 bytes of nonce, the key's PKCS#8 as AES-256-GCM
 * makes it, and the tag of 16 bytes. The name (domain and selector) is authenticated with it, so
 * that an entry of another domain cannot take its place.
 */
#include "shared/dkim/key.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "shared/base/log.h"

#define FORM 1
#define NONCE_SIZE 12
#define TAG_SIZE 16
#define HEAD_SIZE (1 + NONCE_SIZE)
#define SEALED_MAX 4096 /* an RSA key of 2048 bits takes 1,218 bytes */
#define RSA_BITS 2048

struct dkim_key {
	EVP_PKEY *pkey; /* counts the owners */
};

static const char *const names[] = { "rsa-sha256", "ed25519-sha256" };

const char *
dkim_algorithm_name(enum dkim_algorithm algorithm)
{
	return names[algorithm];
}

enum dkim_algorithm
dkim_algorithm_find(const char *name)
{
	enum dkim_algorithm algorithm = 0;

	while (algorithm < DKIM_ALGORITHMS && (!name || strcmp(name, names[algorithm]) != 0))
		algorithm++;
	return algorithm;
}

/* Takes the OpenSSL key over. */
static struct dkim_key *
key_of(EVP_PKEY *pkey)
{
	struct dkim_key *key = xmalloc(sizeof *key);

	key->pkey = pkey;
	return key;
}

struct dkim_key *
dkim_key_new(enum dkim_algorithm algorithm)
{
	EVP_PKEY *pkey = algorithm == DKIM_RSA
		? EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)RSA_BITS)
		: EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");

	if (!pkey)
		die("no key can be made", "OpenSSL");
	return key_of(pkey);
}

struct dkim_key *
dkim_key_ref(struct dkim_key *key)
{
	EVP_PKEY_up_ref(key->pkey);
	return key_of(key->pkey);
}

void
dkim_key_free(struct dkim_key **key_ref)
{
	if (*key_ref)
		EVP_PKEY_free((*key_ref)->pkey);
	free(*key_ref);
	*key_ref = NULL;
}

enum dkim_algorithm
dkim_key_algorithm(const struct dkim_key *key)
{
	return EVP_PKEY_get_base_id(key->pkey) == EVP_PKEY_ED25519 ? DKIM_ED25519 : DKIM_RSA;
}

char *
dkim_base64(const uint8_t *data, size_t size)
{
	char *text = xmalloc((size + 2) / 3 * 4 + 1);

	EVP_EncodeBlock((unsigned char *)text, data, (int)size);
	return text;
}

/* Reads base 64 of at most SEALED_MAX bytes. Returns the size, 0 for another text. */
static size_t
base64_take(const char *text, uint8_t out[SEALED_MAX + 3])
{
	const size_t length = strlen(text);
	int size;

	if (length < 4 || length % 4 || length / 4 * 3 > SEALED_MAX)
		return 0;
	size = EVP_DecodeBlock(out, (const unsigned char *)text, (int)length);
	if (size < 0)
		return 0;
	return (size_t)size - (text[length - 1] == '=') - (text[length - 2] == '=');
}

/* Sealing */

static bool
encrypt(const uint8_t *secret, const char *name, const uint8_t *der, int size, uint8_t *out)
{
	EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();
	int n = 0;
	const bool ok = cipher && RAND_bytes(out + 1, NONCE_SIZE) == 1 &&
		EVP_EncryptInit_ex(cipher, EVP_aes_256_gcm(), NULL, secret, out + 1) == 1 &&
		EVP_EncryptUpdate(
			cipher, NULL, &n, (const unsigned char *)name, (int)strlen(name)) == 1 &&
		EVP_EncryptUpdate(cipher, out + HEAD_SIZE, &n, der, size) == 1 &&
		EVP_EncryptFinal_ex(cipher, out + HEAD_SIZE + n, &n) == 1 &&
		EVP_CIPHER_CTX_ctrl(
			cipher, EVP_CTRL_GCM_GET_TAG, TAG_SIZE, out + HEAD_SIZE + size) == 1;

	EVP_CIPHER_CTX_free(cipher);
	out[0] = FORM;
	return ok;
}

static bool
decrypt(const uint8_t *secret, const char *name, uint8_t *sealed, size_t size, uint8_t *out)
{
	EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();
	const int length = (int)(size - HEAD_SIZE - TAG_SIZE);
	int n = 0;
	const bool ok = cipher &&
		EVP_DecryptInit_ex(cipher, EVP_aes_256_gcm(), NULL, secret, sealed + 1) == 1 &&
		EVP_DecryptUpdate(
			cipher, NULL, &n, (const unsigned char *)name, (int)strlen(name)) == 1 &&
		EVP_DecryptUpdate(cipher, out, &n, sealed + HEAD_SIZE, length) == 1 &&
		EVP_CIPHER_CTX_ctrl(
			cipher, EVP_CTRL_GCM_SET_TAG, TAG_SIZE, sealed + HEAD_SIZE + length) == 1 &&
		EVP_DecryptFinal_ex(cipher, out + n, &n) == 1;

	EVP_CIPHER_CTX_free(cipher);
	return ok;
}

char *
dkim_key_seal(const struct dkim_key *key, const uint8_t secret[DKIM_SECRET_SIZE], const char *name)
{
	uint8_t *der = NULL, sealed[SEALED_MAX];
	const int size = i2d_PrivateKey(key->pkey, &der);
	char *text = NULL;

	if (size <= 0 || HEAD_SIZE + size + TAG_SIZE > SEALED_MAX ||
		!encrypt(secret, name, der, size, sealed))
		die("a key cannot be sealed", "OpenSSL");
	text = dkim_base64(sealed, (size_t)(HEAD_SIZE + size + TAG_SIZE));
	OPENSSL_clear_free(der, (size_t)size);
	return text;
}

/* Whether it is a key of the kinds that we make. */
static bool
is_known(const EVP_PKEY *pkey)
{
	const int id = EVP_PKEY_get_base_id(pkey);

	return id == EVP_PKEY_ED25519 ||
		(id == EVP_PKEY_RSA && EVP_PKEY_get_bits(pkey) == RSA_BITS);
}

struct dkim_key *
dkim_key_open(const char *sealed, const uint8_t secret[DKIM_SECRET_SIZE], const char *name)
{
	uint8_t bytes[SEALED_MAX + 3], der[SEALED_MAX];
	const uint8_t *at = der;
	const size_t size = base64_take(sealed, bytes);
	EVP_PKEY *pkey = NULL;

	if (size > HEAD_SIZE + TAG_SIZE && bytes[0] == FORM &&
		decrypt(secret, name, bytes, size, der))
		pkey = d2i_AutoPrivateKey(NULL, &at, (long)(size - HEAD_SIZE - TAG_SIZE));
	explicit_bzero(der, sizeof der);
	if (pkey && is_known(pkey))
		return key_of(pkey);
	EVP_PKEY_free(pkey);
	return NULL;
}

/* The DNS */

char *
dkim_key_record(const struct dkim_key *key)
{
	uint8_t raw[32], *der = NULL;
	size_t size = sizeof raw;
	char *text, *record;

	if (dkim_key_algorithm(key) == DKIM_ED25519) {
		if (EVP_PKEY_get_raw_public_key(key->pkey, raw, &size) != 1)
			die("a key has no public part", "OpenSSL");
		text = dkim_base64(raw, size);
		record = xasprintf("v=DKIM1; k=ed25519; p=%s", text);
	} else {
		const int length = i2d_PUBKEY(key->pkey, &der);

		if (length <= 0)
			die("a key has no public part", "OpenSSL");
		text = dkim_base64(der, (size_t)length);
		record = xasprintf("v=DKIM1; k=rsa; p=%s", text);
		OPENSSL_free(der);
	}
	free(text);
	return record;
}

/* Signing */

static bool
sign_rsa(EVP_PKEY *pkey, const uint8_t *digest, uint8_t *out, size_t *size)
{
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new(pkey, NULL);
	const bool ok = context && EVP_PKEY_sign_init(context) == 1 &&
		EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PADDING) == 1 &&
		EVP_PKEY_CTX_set_signature_md(context, EVP_sha256()) == 1 &&
		EVP_PKEY_sign(context, out, size, digest, DKIM_DIGEST_SIZE) == 1;

	EVP_PKEY_CTX_free(context);
	return ok;
}

static bool
sign_ed25519(EVP_PKEY *pkey, const uint8_t *digest, uint8_t *out, size_t *size)
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	const bool ok = context && EVP_DigestSignInit(context, NULL, NULL, NULL, pkey) == 1 &&
		EVP_DigestSign(context, out, size, digest, DKIM_DIGEST_SIZE) == 1;

	EVP_MD_CTX_free(context);
	return ok;
}

bool
dkim_key_sign(const struct dkim_key *key, const uint8_t digest[DKIM_DIGEST_SIZE],
	uint8_t out[DKIM_SIGNATURE_MAX], size_t *size_out)
{
	*size_out = DKIM_SIGNATURE_MAX;
	return dkim_key_algorithm(key) == DKIM_RSA ? sign_rsa(key->pkey, digest, out, size_out)
						   : sign_ed25519(key->pkey, digest, out, size_out);
}
