/*
 * totp.h - the second factor: codes of an authenticator (RFC 6238, SHA-1, six digits, 30 s), and
 * the codes for who lost it. Pure but for random numbers.
 */
#ifndef CONTROL_TOTP_H
#define CONTROL_TOTP_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#define TOTP_SECRET_SIZE 33 /* 160 bits in base32 (RFC 4648), and a NUL */
#define TOTP_STEP_S 30
#define TOTP_SLACK 1 /* steps that a clock may be off, either way */

void totp_secret_new(char secret[TOTP_SECRET_SIZE]);
bool totp_secret_valid(const char *secret);
/* The link that an authenticator reads as a QR code; the caller wipes and frees it. */
char *totp_uri(const char *issuer, const char *login, const char *secret);
/* Writes the code of a step (the time in s / TOTP_STEP_S); false for a wrong secret. */
bool totp_code(const char *secret, uint64_t step, char code[7]);
/* Whether the code (blanks do not count) is right at the time, and of which step it is. The time
 * taken does not depend on which digit is wrong. The caller sees that no step counts twice. */
bool totp_check(const char *secret, const char *code, uint64_t now_s, uint64_t *step_out);

#define RECOVERY_CODES 10
#define RECOVERY_SIZE 20 /* xxxx-xxxx-xxxx-xxxx: 79 bits */
/* Makes codes that count once each: `codes` for the person, `hashes` to keep. Arrays of texts, the
 * caller's. */
void recovery_new(json_t **codes, json_t **hashes);
/* The place of a code (case, blanks and dashes do not count) in the list of hashes, or -1. */
int recovery_find(const json_t *hashes, const char *code);

#endif
