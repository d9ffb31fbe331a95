/*
 * key.h - the keys that mail is signed with: RSA of 2048 bits (RFC 6376), Ed25519 (RFC 8463). At
 * rest a key is sealed by AES-256-GCM under the relay's secret and bound to its name.
 */
#ifndef SHARED_DKIM_KEY_H
#define SHARED_DKIM_KEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum dkim_algorithm { DKIM_RSA, DKIM_ED25519, DKIM_ALGORITHMS };
/* "rsa-sha256", "ed25519-sha256", and back; DKIM_ALGORITHMS for another text or NULL. */
const char *dkim_algorithm_name(enum dkim_algorithm algorithm);
enum dkim_algorithm dkim_algorithm_find(const char *name);

#define DKIM_SECRET_SIZE 32
#define DKIM_DIGEST_SIZE 32
#define DKIM_SIGNATURE_MAX 256

struct dkim_key;

/* A new key; takes some 100 ms. Ends the process when OpenSSL has no random numbers. */
struct dkim_key *dkim_key_new(enum dkim_algorithm algorithm);
/* One more owner; every owner calls dkim_key_free(), on whatever thread. */
struct dkim_key *dkim_key_ref(struct dkim_key *key);
void dkim_key_free(struct dkim_key **key);
enum dkim_algorithm dkim_key_algorithm(const struct dkim_key *key);

/* The sealed key as text, for the caller to free. `name` is what dkim_key_open() has to say. */
char *
dkim_key_seal(const struct dkim_key *key, const uint8_t secret[DKIM_SECRET_SIZE], const char *name);
/* NULL: the text was sealed under another secret or another name, or is none. */
struct dkim_key *
dkim_key_open(const char *sealed, const uint8_t secret[DKIM_SECRET_SIZE], const char *name);

/* What the DNS has to say of the key, "v=DKIM1; k=rsa; p=...", for the caller to free. */
char *dkim_key_record(const struct dkim_key *key);

/* Signs a SHA-256 digest. False: OpenSSL failed. */
bool dkim_key_sign(const struct dkim_key *key, const uint8_t digest[DKIM_DIGEST_SIZE],
	uint8_t out[DKIM_SIGNATURE_MAX], size_t *size_out);

/* Base 64 (RFC 4648) with padding and a NUL, for the caller to free. */
char *dkim_base64(const uint8_t *data, size_t size);

#endif
