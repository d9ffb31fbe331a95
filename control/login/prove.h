/*
 * prove.h - whether somebody is who he says: by password, by a code of the second factor, or by a
 * recovery code. Each attempt is counted first (attempt.h); a refusal for that, or for want of
 * Redis, is answered here.
 */
#ifndef CONTROL_PROVE_H
#define CONTROL_PROVE_H

#include <stdbool.h>

struct exchange;

#define NO_SESSIONS "Redis does not answer, so that nobody can log in: try again in a moment"
#define WRONG_LOGIN "address or password are wrong"
#define NO_CSRF "the session's csrf is needed"
#define SECOND_FACTOR "/problems/second-factor"

/* Registers the metrics; once a process. */
void prove_open(void);

/* `login` in its one form; it lives as long as the call. `good`: the person exists, and the
 * password is right. Not called when the exchange was answered. */
typedef void (*prove_password_cb)(struct exchange *exchange, const char *login, bool good);
void prove_password(
	struct exchange *exchange, const char *login, const char *password, prove_password_cb cb);

enum proof { PROOF_NONE, PROOF_CODE, PROOF_RECOVERY };
/* A code counts once. */
typedef void (*prove_code_cb)(struct exchange *exchange, const char *login, enum proof proof);
void prove_code(struct exchange *exchange, const char *login, const char *code, prove_code_cb cb);

/* All that was asked is proved: the attempt was no failure. Tells the person of a new network. */
void prove_done(struct exchange *exchange, const char *login);

#endif
