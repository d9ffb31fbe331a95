/*
 * scram.h - password verifiers: SCRAM-SHA-256 (RFC 5802, 7677), from which PLAIN, LOGIN and
 * SCRAM-SHA-256 are all checked. Text form:
 * SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey> (base 64; PostgreSQL's form).
 */
#ifndef SHARED_SCRAM_H
#define SHARED_SCRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SCRAM_ITERATIONS 4096
#define SCRAM_TEXT_MAX 256
#define SCRAM_NAME_MAX 255

struct scram_verifier {
	unsigned iterations;
	uint8_t salt[32];
	size_t salt_length;
	uint8_t stored_key[32], server_key[32];
};

/* 0 or -EINVAL */
int scram_parse(const char *text, struct scram_verifier *out);
/* A new verifier with a random salt. SASLprep is applied to the password (-EINVAL if it fails). */
int scram_make(const char *password, char out[SCRAM_TEXT_MAX]);
/* Slow (PBKDF2), constant-time compare: call it on a worker. */
bool scram_check(const struct scram_verifier *verifier, const char *password);
/* A verifier that no password matches, for unknown users: it looks like one that scram_make() made,
 * and takes as long to check. It is always the same for the same name (in whatever case) and key:
 * one that changed would tell that the user does not exist. */
void scram_dummy(const char *key, const char *username, struct scram_verifier *out);

#endif
