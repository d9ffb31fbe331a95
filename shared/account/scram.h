/*
 * scram.h - password verifiers of SCRAM-SHA-256 (RFC 5802, 7677). PLAIN, LOGIN and SCRAM-SHA-256
 * are all checked with them. Text form (PostgreSQL's; base 64):
 *   SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>
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
/*
 * A new verifier with a random salt. The password is prepared by SASLprep; -EINVAL if that fails.
 */
int scram_make(const char *password, char out[SCRAM_TEXT_MAX]);
/* The same with the salt and the iterations of `other`, the text of a verifier. */
int scram_make_beside(const char *password, const char *other, char out[SCRAM_TEXT_MAX]);
/* Slow (PBKDF2): call it on a worker. The comparison takes constant time. */
bool scram_check(const struct scram_verifier *verifier, const char *password);
/* Which of `count` verifiers the password has; -1: none. As slow as scram_check(): only those with
 * the salt and the iterations of the first one can match. */
int scram_check_any(const struct scram_verifier *verifiers, size_t count, const char *password);
/* Which of `count` verifiers the proof in a client's final message is of (RFC 5802 3); -1: none.
 * `client_first` and `server_first` are the messages before, as they were said. */
int scram_proof_of(const struct scram_verifier *verifiers, size_t count, const char *client_first,
	const char *server_first, const char *client_final);
/* A verifier for an unknown user, which no password matches. It looks like one of scram_make() and
 * takes as long to check. The same name (in whatever case) and key always give the same verifier: a
 * verifier that changed would tell that the user does not exist. */
void scram_dummy(const char *key, const char *username, struct scram_verifier *out);

#endif
